//! Trust on first use: asked, remembered, changed, forgotten.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, Client, PASSWORD, password_file};
use hubward_tests::process::IN_TIME;
use hubward_tests::site::Site;
use hubward_tests::typist::{CTRL_C, Typist};

use super::room::{AnyServer, SERVER, connect, gets_in, is_refused, vpnclient, with_password};

const KNOWN: &str = "/etc/hubward/client/known_servers";

/// A client at a terminal that already knows the password.
fn at_terminal(site: &Site, options: &[&str]) -> Result<Typist> {
    let file = password_file(PASSWORD)?;
    let file = file.to_str().context("path")?;
    Typist::start(&connect(
        &site.user,
        SERVER,
        &[&["--password-file", file], options].concat(),
    )?)
}

fn known(host: &Host) -> Result<String> {
    host.sh(&format!("cat {KNOWN} 2>/dev/null || true"))
}

/// A stranger is shown and asked about, and believed after that without a question.
fn is_believed_after_a_yes(site: &Site) -> Result<()> {
    let mut typist = at_terminal(site, &[])?;
    typist.answer("(yes/no)? ", "y\r")?;
    typist.answer("Please type yes or no: ", "yes\r")?;
    typist.wait_for("connected: session")?;
    typist.answer("", CTRL_C)?;
    let (code, screen) = typist.end()?;
    ensure!(code == 0, "exit {code}:\n{screen}");
    for shown in [
        "does not know 203.0.113.1:443",
        "signed by  itself",
        "valid  ",
        "SHA-256    sha256:",
        "remembered",
    ] {
        ensure!(screen.contains(shown), "{shown:?} is not in\n{screen}");
    }
    let line = known(&site.user)?;
    ensure!(line.starts_with("203.0.113.1:443 sha256:"), "{line:?}");
    let mode = site.user.sh(&format!("stat -c %a {KNOWN}"))?;
    ensure!(mode.trim() == "600", "{mode}");
    gets_in(with_password(&site.user, SERVER, &[])?)
}

#[test]
fn a_stranger_is_believed_after_a_typed_yes_and_refused_after_it_changed() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        let said = is_refused(with_password(&site.user, SERVER, &[])?)?;
        ensure!(said.contains("--pin sha256:"), "{said}");
        ensure!(
            known(&site.user)?.is_empty(),
            "a stranger was remembered without a yes"
        );
        is_believed_after_a_yes(&site)?;

        let before = known(&site.user)?;
        server.shape(&site, "", &["ServerCertRegenerate vpn.lab"])?;
        let said = is_refused(with_password(&site.user, SERVER, &["--json"])?)?;
        let was = before.split(' ').nth(1).context("no fingerprint")?;
        for told in [
            "\"reason\":\"changed_certificate\"",
            "has changed",
            was,
            " since 20",
            "vpnclient forget 203.0.113.1:443",
        ] {
            ensure!(said.contains(told), "{told:?} is not in {said}");
        }
        // Nobody is asked about a change.
        let mut typist = at_terminal(&site, &[])?;
        typist.wait_for("has changed")?;
        let (code, screen) = typist.end()?;
        ensure!(code == 3 && !screen.contains("yes/no"), "exit {code}:\n{screen}");
        ensure!(known(&site.user)? == before, "the file has changed");
        gets_in(with_password(&site.user, SERVER, &["--insecure"])?)?;

        let forgotten = vpnclient(&site.user, &["forget", SERVER])?;
        ensure!(forgotten.code == 0, "{forgotten:?}");
        let again = vpnclient(&site.user, &["forget", SERVER])?;
        ensure!(again.code == 2 && again.stderr.contains("is not in"), "{again:?}");
        is_believed_after_a_yes(&site)
    });
}

#[test]
fn a_no_connects_nobody_and_is_not_remembered() {
    lab::run(|lab| {
        let (site, _server) = AnyServer::ours(lab)?;
        let mut typist = at_terminal(&site, &[])?;
        typist.answer("(yes/no)? ", "no\r")?;
        let (code, screen) = typist.end()?;
        ensure!(
            code == 3 && screen.contains("was not accepted"),
            "exit {code}:\n{screen}"
        );
        ensure!(known(&site.user)?.is_empty(), "it was remembered");
        // Who names a pin means that, and is not asked.
        let pin = format!("sha256:{}", "0".repeat(64));
        let (code, screen) = at_terminal(&site, &["--pin", &pin])?.end()?;
        ensure!(code == 3 && !screen.contains("yes/no"), "exit {code}:\n{screen}");
        ensure!(screen.contains("not the pinned one"), "{screen}");
        Ok(())
    });
}

#[test]
fn a_script_may_accept_a_stranger_in_as_many_words() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        gets_in(with_password(&site.user, SERVER, &["--accept-new"])?)?;
        gets_in(with_password(&site.user, SERVER, &[])?)?;
        server.shape(&site, "", &["ServerCertRegenerate vpn.lab"])?;
        let said = is_refused(with_password(&site.user, SERVER, &["--accept-new"])?)?;
        ensure!(said.contains("has changed"), "{said}");
        site.user
            .sh(&format!("echo '203.0.113.1:443 nonsense' > {KNOWN}"))?;
        let (code, said) = with_password(&site.user, SERVER, &["--accept-new"])?.refused()?;
        ensure!(code == 4 && said.contains(KNOWN), "exit {code}: {said}");
        Ok(())
    });
}

#[test]
fn the_stock_servers_own_certificate_is_believed_by_its_pin_and_after_a_yes() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = AnyServer::stock(lab, stock)?;
        let said = is_refused(with_password(&site.user, SERVER, &[])?)?;
        let pin = said.split_whitespace().find(|word| word.starts_with("sha256:"));
        let pin = pin.with_context(|| format!("no pin in {said}"))?;
        gets_in(with_password(&site.user, SERVER, &["--pin", pin])?)?;
        is_believed_after_a_yes(&site)
    });
}

/// What a client could change on its machine.
fn configuration(host: &Host) -> Result<String> {
    host.sh("ip -brief address; ip -4 route; ip -6 route; ip rule; cat /etc/resolv.conf")
}

#[test]
fn a_certificate_that_changes_under_a_client_ends_it_and_leaves_the_host_as_it_was() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        let before = configuration(&site.user)?;
        let client = Client::connect(&site.user, SERVER, &["--tap", "lab", "--accept-new", "--json"])?;
        ours::address_of(&site.user, "lab", IN_TIME).with_context(|| client.daemon().log())?;
        server.shape(&site, "", &["ServerCertRegenerate vpn.lab"])?;
        server.end_session(&site)?;
        let said = is_refused(client)?;
        ensure!(said.contains("\"reason\":\"changed_certificate\""), "{said}");
        let after = configuration(&site.user)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        Ok(())
    });
}
