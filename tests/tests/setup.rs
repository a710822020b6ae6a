//! `vpnserver setup`: by questions and by options, on a server that runs and on one that does not.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, Client, PASSWORD, Server, USER, administer, password_file, program};
use hubward_tests::process::{self, Answer, IN_TIME};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::typist::{CTRL_C, Typist};

const STORE: &str = "/var/lib/hubward/hubward.db";

fn setup(host: &Host, options: &[&str]) -> Result<Answer> {
    let mut command = host.command(program("vpnserver")?);
    process::answer(
        command
            .args(["setup", "--unattended", "--address", OUTSIDE])
            .args(options),
    )
}

/// The options of a server with everything, with a user whose password is in a file.
fn everything(password: &str) -> [&str; 12] {
    [
        "--hub",
        "mikalab",
        "--user",
        USER,
        "--user-password-file",
        password,
        "--secure-nat",
        "--publish",
        "80=10.0.1.26:80",
        "--listen",
        "443",
        "--listen=5555",
    ]
}

/// Connects with the line that a setup printed.
fn connect_as_printed(site: &Site, said: &str) -> Result<Client> {
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("vpnclient connect "))
        .with_context(|| format!("no line to connect with in:\n{said}"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    ensure!(
        words[..5] == [OUTSIDE, "--hub", "mikalab", "--user", USER],
        "{line}"
    );
    Client::connect(&site.user, words[0], &words[5..])
}

#[test]
fn stopped_server_is_set_up_and_the_printed_line_connects() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let file = password_file(PASSWORD)?;
        let file = file.to_string_lossy();
        let said = setup(&site.nat, &everything(&file))?.success()?;
        ensure!(!said.contains(PASSWORD), "the password was shown: {said}");
        let server = Server::start(&site.nat, &[])?;
        let client = connect_as_printed(&site, &said)?;
        ours::address_of(&site.user, "hubward0", IN_TIME)?;
        site.user_sees_the_private_page()?;
        client.stop()?;
        let audit = site.nat.sh("cat /var/lib/hubward/audit.jsonl")?;
        ensure!(
            audit.contains("CreateUser") && !audit.contains(PASSWORD),
            "{audit}"
        );
        server.stop()
    });
}

#[test]
fn running_server_is_set_up_at_once_and_a_second_time_changes_nothing() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        let file = password_file(PASSWORD)?;
        let file = file.to_string_lossy();
        let said = setup(&site.nat, &everything(&file))?.success()?;
        site.page.is_seen_from(&site.user, site.published())?;
        let client = connect_as_printed(&site, &said)?;
        ours::address_of(&site.user, "hubward0", IN_TIME)?;
        let again = setup(&site.nat, &everything(&file))?.success()?;
        ensure!(again.contains("nothing was changed"), "{again}");
        let pin = |text: &str| {
            text.split_whitespace()
                .find(|word| word.starts_with("sha256:"))
                .map(str::to_owned)
        };
        ensure!(pin(&said).is_some() && pin(&said) == pin(&again), "{said}{again}");
        client.stop()?;
        server.stop()
    });
}

#[test]
fn printed_commands_make_the_same_server() {
    lab::run(|lab| {
        let file = password_file(PASSWORD)?;
        let file = file.to_string_lossy();
        let network: [&[&str]; 2] = [&[], &["--tap", "lab", "--tap-address", "10.8.0.1/24"]];
        for (round, network) in network.into_iter().enumerate() {
            let ours = lab.host(&format!("setup{round}"))?;
            let theirs = lab.host(&format!("commands{round}"))?;
            let all = everything(&file);
            let options: Vec<&str> = match network {
                [] => all.to_vec(),
                tap => all
                    .iter()
                    .filter(|option| **option != "--secure-nat")
                    .chain(tap)
                    .copied()
                    .collect(),
            };
            let said = setup(&ours, &options)?.success()?;
            let first = Server::start(&ours, &[])?;
            let second = Server::start(&theirs, &[])?;
            let commands: Vec<&str> = said
                .lines()
                .filter_map(|line| line.trim().strip_prefix("vpncmd "))
                .collect();
            ensure!(commands.len() >= 5, "{said}");
            for command in commands {
                let mut words: Vec<&str> = command.split_whitespace().collect();
                let password = format!("/PASSWORD:{PASSWORD}");
                if command.contains("PasswordSet") {
                    words.push(&password);
                }
                ours::vpncmd(&theirs, &words)?
                    .success()
                    .with_context(|| command.to_owned())?;
            }
            for (hub, command) in [
                ("", "ListenerList"),
                ("", "BridgeList"),
                ("", "DnatList"),
                ("mikalab", "UserList"),
                ("mikalab", "DhcpGet"),
                ("mikalab", "NatGet"),
                ("mikalab", "SecureNatHostGet"),
                ("mikalab", "ExtOptionList"),
            ] {
                let of = |host: &Host| -> Result<String> {
                    let said = administer(host, hub, &[command])?;
                    // Chosen by chance for each server.
                    Ok(said
                        .lines()
                        .filter(|line| !line.contains("MAC Address"))
                        .collect::<Vec<_>>()
                        .join("\n"))
                };
                let (by_setup, by_commands) = (of(&ours)?, of(&theirs)?);
                ensure!(
                    by_setup == by_commands,
                    "{command} after setup:\n{by_setup}\nafter commands:\n{by_commands}"
                );
            }
            first.stop()?;
            second.stop()?;
        }
        Ok(())
    });
}

#[test]
fn tap_network_has_addresses_for_its_stations() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let file = password_file(PASSWORD)?;
        let file = file.to_string_lossy();
        let options = [
            "--hub",
            "mikalab",
            "--user",
            USER,
            "--user-password-file",
            &file,
            "--tap",
            "lab",
            "--tap-address",
            "10.8.0.1/24",
        ];
        let server = Server::start(&site.nat, &[])?;
        let said = setup(&site.nat, &options)?.success()?;
        let device = site.nat.sh("ip -brief address show tap_lab")?;
        ensure!(device.contains("10.8.0.1/24"), "{device}{}", server.log());
        let client = connect_as_printed(&site, &said)?;
        let address = ours::address_of(&site.user, "hubward0", IN_TIME)?;
        ensure!(address.to_string().starts_with("10.8.0."), "{address}");
        client.stop()?;
        server.stop()
    });
}

#[test]
fn failed_setup_takes_back_what_it_did() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &[])?;
        setup(&site.nat, &["--hub", "one", "--tap", "lab"])?.success()?;
        // The device belongs to the other hub.
        let answer = setup(&site.nat, &["--hub", "two", "--tap", "lab"])?;
        ensure!(answer.code == 3, "exit {}: {}", answer.code, answer.stderr);
        ensure!(
            answer.stderr.contains("BridgeCreate") && answer.stderr.contains("taken back"),
            "{}",
            answer.stderr
        );
        // The port belongs to another rule, which is named.
        administer(
            &site.nat,
            "",
            &["DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80"],
        )?;
        let answer = setup(&site.nat, &["--hub", "two", "--publish", "80=10.0.1.27:80"])?;
        ensure!(answer.code == 3, "exit {}: {}", answer.code, answer.stderr);
        ensure!(
            answer.stderr.contains("DnatAdd") && answer.stderr.contains("web"),
            "{}",
            answer.stderr
        );
        let hubs = administer(&site.nat, "", &["HubList"])?;
        ensure!(hubs.contains("one") && !hubs.contains("two"), "{hubs}");
        server.stop()
    });
}

#[test]
fn options_that_make_no_sense_are_one_line_and_change_nothing() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        for (options, reason) in [
            (&["--publish", "80"][..], "PORT=ADDRESS:PORT"),
            (&["--tap", "lab", "--tap-address", "10.8.0.0/24"], "network's own"),
            (&["--hub", "a/b"], "a/b"),
            (&["--user", "alice"], "--user-password-file"),
            (
                &["--user", "link", "--user-password-file", "/nowhere/x"],
                "reserved",
            ),
            (
                &["--user", "alice", "--user-password-file", "/nowhere/x"],
                "/nowhere/x",
            ),
            (&["--secure-nat", "--tap", "lab"], "cannot be used with"),
        ] {
            let answer = setup(&site.nat, options)?;
            ensure!(
                answer.code == 2 && answer.stderr.contains(reason),
                "{options:?}: {} {}",
                answer.code,
                answer.stderr
            );
            ensure!(
                site.nat
                    .sh(&format!("ls {STORE} 2>&1 || true"))?
                    .contains("No such file"),
                "{options:?} made a store"
            );
        }
        Ok(())
    });
}

#[test]
fn person_is_asked_again_and_told_why() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let mut command = site.nat.command(program("vpnserver")?);
        let mut typist = Typist::start(command.arg("setup"))?;
        typist.answer("Password of the administrator", "Aso-1592\r")?;
        typist.answer("The same again", "Aso-1593\r")?;
        typist.answer("They are not the same", "")?;
        typist.answer("Password of the administrator", "Aso-1592\r")?;
        typist.answer("The same again", "Aso-1592\r")?;
        typist.answer("Virtual hub [vpn]", "mika/lab\r")?;
        typist.answer("mika/lab", "")?;
        typist.answer("Virtual hub [vpn]", "mikalab\r")?;
        typist.answer("First user", &format!("{USER}\r"))?;
        typist.answer(&format!("Password of {USER}"), "\r")?;
        typist.answer("1, 2 or 3", "7\r")?;
        typist.answer("Type 1, 2 or 3.", "")?;
        typist.answer("1, 2 or 3", "\r")?;
        typist.answer("Publish a host", "80=web:80\r")?;
        typist.answer("PORT=ADDRESS:PORT", "")?;
        typist.answer("Publish a host", "80=10.0.1.26:80\r")?;
        typist.answer("Listen on which TCP ports", "203.0.113.1:443\r")?;
        typist.answer("Name or address", &format!("{OUTSIDE}\r"))?;
        typist.answer("Do it [yes]", "\r")?;
        let (code, screen) = typist.end()?;
        ensure!(code == 0, "exit {code}:\n{screen}");
        ensure!(!screen.contains("Aso-159"), "a password was shown:\n{screen}");
        let password = screen
            .lines()
            .find_map(|line| line.strip_prefix(&format!("Password of {USER}, shown only now: ")))
            .with_context(|| format!("the user's password was not told:\n{screen}"))?;

        let server = Server::start(&site.nat, &[])?;
        let listening = site.nat.sh("ss -Hltn 2>/dev/null || cat /proc/net/tcp")?;
        ensure!(
            listening.contains("203.0.113.1:443") || listening.contains("017100CB:01BB"),
            "{listening}"
        );
        site.nat.listens(443, IN_TIME)?;
        let client = Client::connect_as(
            &site.user,
            OUTSIDE,
            "mikalab",
            USER,
            password.trim(),
            &["--insecure"],
        )?;
        ours::address_of(&site.user, "hubward0", IN_TIME)?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn interrupted_dialogue_leaves_nothing_and_a_terminal_that_echoes() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        for (question, before) in [
            ("Password of the administrator", 0),
            ("Virtual hub", 1),
            ("Do it", 6),
        ] {
            let mut command = site.nat.command("sh");
            let script = format!(
                "trap : INT; {} setup; stty -a | grep -qw -- -echo && echo deaf; exit 0",
                program("vpnserver")?.display()
            );
            let mut typist = Typist::start(command.args(["-c", &script]))?;
            let questions = [
                "Password of the administrator",
                "Virtual hub",
                "First user",
                "1, 2 or 3",
                "Publish",
                "Listen on",
                "Name or",
            ];
            for earlier in questions.iter().take(before + usize::from(before == 6)) {
                typist.answer(earlier, "\r")?;
            }
            typist.answer(question, CTRL_C)?;
            let (_, screen) = typist.end()?;
            ensure!(!screen.contains("deaf"), "{screen}");
            ensure!(
                site.nat
                    .sh(&format!("ls {STORE} 2>&1 || true"))?
                    .contains("No such file"),
                "a store was made"
            );
        }
        Ok(())
    });
}
