//! A declared state, brought about on our server and on the stock one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::language::PASSWORD;
use hubward_tests::ours::{self, Server, administer};
use hubward_tests::site::Site;

const SERVER: &str = "203.0.113.1:443";

/// What both servers can be brought to.
const STATE: &str = r#"
[[bridges]]
hub = "office"
device = "office"
tap = true

[hubs.office]
max-sessions = 100
listed = false
message = "Welcome."
password = "Aso-1592"

[hubs.office.options]
NoIpTable = 1

[hubs.office.groups.staff]
full-name = "The staff"
policy = { MaxConnection = 8, CheckMac = true }

[hubs.office.users.anna]
full-name = "Anna"
group = "staff"
password = "Fuji-3776"
expires = 2030-01-31T19:30:00Z

[hubs.office.users.visitor]
auth = "anonymous"
policy = { MaxUpload = 1000000 }

[hubs.office.users.robot]
auth = "signed"
common-name = "robot.example.org"
serial = "0A0B"

[[hubs.office.sources]]
action = "deny"
priority = 10
from = "198.51.100.0/24"

[[hubs.office.sources]]
action = "allow"
priority = 20
from = "2001:db8::1"

[hubs.office.radius]
server = "192.0.2.7"
secret = "Gassan-1984"
retry = 1500

[hubs.office.secure-nat]
enabled = true
dhcp-start = "192.168.30.20"
dns = ["192.168.30.1", "9.9.9.9"]
routes = ["10.0.0.0/8 via 192.168.30.1"]
"#;

/// An access list with rules of both families.
const ACCESS: &str = r#"
[[hubs.office.access]]
action = "discard"
priority = 10
note = "no mail"
protocol = "tcp"
destination-port = 25

[[hubs.office.access]]
action = "discard"
priority = 20
source = "2001:db8::/32"
"#;

const DNAT: &str = "\n[dnat.web]\nprotocol = \"tcp\"\nport = 8080\nto = \"10.0.1.26:80\"\n";

/// One administrator's tool, and the server it talks to.
struct Tool<'a> {
    host: &'a Host,
    folder: PathBuf,
    password: Option<&'a str>,
}

impl Tool<'_> {
    fn run(&self, words: &[&str]) -> Result<(i32, String)> {
        let password = self.password.map(|password| format!("/PASSWORD:{password}"));
        let mut arguments = vec![SERVER, "--insecure"];
        arguments.extend(password.as_deref());
        arguments.extend(words);
        let answer = ours::vpncmd(self.host, &arguments)?;
        Ok((answer.code, answer.stdout + &answer.stderr))
    }

    /// The file of a state, which only its owner can read.
    fn file(&self, text: &str) -> Result<String> {
        let path = self.folder.join("state.toml");
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path.to_string_lossy().into_owned())
    }

    fn apply(&self, text: &str, flags: &[&str]) -> Result<(i32, String)> {
        let file = self.file(text)?;
        self.run(&[&["apply", &file], flags].concat())
    }

    fn ends_with(&self, wanted: i32, text: &str, flags: &[&str]) -> Result<String> {
        let (code, said) = self.apply(text, flags)?;
        ensure!(code == wanted, "exit code {code} instead of {wanted}: {said}");
        ensure!(
            ["Fuji-3776", "Aso-1592", "Gassan-1984"]
                .iter()
                .all(|secret| !said.contains(secret)),
            "a password is shown: {said}"
        );
        Ok(said)
    }
}

/// Everything that is promised of a declared state, on a server that has none of it.
fn is_reached(tool: &Tool<'_>, state: &str) -> Result<()> {
    tool.ends_with(200, state, &["--dry-run"])?;
    tool.ends_with(200, state, &["--dry-run"])
        .context("a dry run has changed something")?;
    tool.ends_with(0, state, &[])?;
    for flags in [&["--dry-run"][..], &[]] {
        let said = tool.ends_with(0, state, flags)?;
        ensure!(said.contains("Nothing to do"), "{flags:?}: {said}");
    }

    let changed = state.replace("full-name = \"Anna\"", "full-name = \"Anna Sander\"");
    let said = tool.ends_with(0, &changed, &[])?;
    ensure!(said.contains("full-name: Anna -> Anna Sander"), "{said}");

    // The name of a user may not be this; the group that was made before it goes again.
    let refused = changed.replace(
        "[hubs.office.users.anna]",
        "[hubs.office.groups.more]\n[hubs.office.users.anna]",
    ) + "\n[hubs.office.users.\"a/b?<>\"]\nauth = \"anonymous\"\n";
    let (code, said) = tool.apply(&refused, &[])?;
    ensure!(
        code != 0 && said.contains("the server is as it was"),
        "{code}: {said}"
    );
    tool.ends_with(0, &changed, &["--dry-run"])?;
    let (_, groups) = tool.run(&["/ADMINHUB:office", "/CMD", "GroupList"])?;
    ensure!(groups.contains("staff") && !groups.contains("more"), "{groups}");

    let export = tool.folder.join("export.toml");
    let (code, said) = tool.run(&["export", &export.to_string_lossy()])?;
    ensure!(code == 0, "{said}");
    let said = tool.ends_with(0, &fs::read_to_string(&export)?, &["--dry-run"])?;
    ensure!(said.contains("Nothing to do"), "{said}");

    let fewer = "bridges = []\n[hubs.office.users.anna]\n[hubs.office.groups.staff]\n";
    let said = tool.ends_with(0, fewer, &[])?;
    ensure!(said.contains("2 other users of hub office stay"), "{said}");
    tool.ends_with(
        0,
        "bridges = []\nexclusive = true\n[hubs.DEFAULT]\n[hubs.office.users.anna]\n",
        &[],
    )?;
    let (_, users) = tool.run(&["/ADMINHUB:office", "/CSV", "/CMD", "UserList"])?;
    ensure!(users.contains("anna,") && !users.contains("visitor,"), "{users}");
    Ok(())
}

fn tool<'a>(lab: &Lab, host: &'a Host, password: Option<&'a str>) -> Tool<'a> {
    Tool {
        host,
        folder: lab.folder().to_path_buf(),
        password,
    }
}

#[test]
fn our_server_is_brought_to_a_declared_state() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &[])?;
        administer(&site.nat, "", &[&format!("ServerPasswordSet {PASSWORD}")])?;
        let tool = tool(lab, &site.user, Some(PASSWORD));
        is_reached(&tool, &format!("{STATE}{ACCESS}{DNAT}"))?;
        // The server does not show the password; whoever asks for it has it set.
        let said = tool.ends_with(0, STATE, &[])?;
        ensure!(said.contains("--set-passwords"), "{said}");
        tool.ends_with(
            0,
            &STATE.replace("Fuji-3776", "Fuji-3776-2"),
            &["--set-passwords"],
        )?;
        server.stop()
    });
}

#[test]
fn the_stock_server_is_brought_to_a_declared_state() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _server = stock.server(&site.nat)?;
        let tool = tool(lab, &site.user, None);
        let said = tool.ends_with(33, &format!("{STATE}{DNAT}"), &[])?;
        ensure!(said.contains("no published hosts"), "{said}");
        is_reached(&tool, &format!("{STATE}{ACCESS}"))?;
        // The server shows the hash of the password, so a change of it is seen.
        let said = tool.ends_with(0, &STATE.replace("Fuji-3776", "Fuji-3776-2"), &[])?;
        ensure!(said.contains("password: (set)"), "{said}");
        Ok(())
    });
}
