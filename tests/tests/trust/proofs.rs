//! How a user proves who they are: certificates from files of every kind, one-time codes, passwords that are not kept.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab;
use hubward_tests::ours::{HUB, PASSWORD, USER, password_file};
use hubward_tests::process::{Daemon, IN_TIME};
use hubward_tests::radius::{self, Radius};
use hubward_tests::site::Site;
use hubward_tests::typist::{CTRL_C, Typist};

use super::room::{AnyServer, SERVER, connect};

/// A file that was made by the openssl program.
fn data(name: &str) -> Result<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vpnclient/tests/data/certificates");
    Ok(path.join(name).canonicalize()?.display().to_string())
}

fn file(text: &str) -> Result<String> {
    Ok(password_file(text)?.display().to_string())
}

/// Runs a client with these options until it is connected.
fn gets_in(site: &Site, options: &[&str]) -> Result<()> {
    let mut command = connect(&site.user, SERVER, &[&["--insecure"], options].concat())?;
    let client = Daemon::start("vpnclient", &mut command)?;
    client
        .line_with("connected: session", IN_TIME)
        .with_context(|| format!("{options:?}"))?;
    ensure!(client.stop(IN_TIME)? == 0, "it did not end well");
    Ok(())
}

/// Runs a client that ends by itself, and returns how.
fn ends(site: &Site, options: &[&str]) -> Result<(i32, String)> {
    let mut command = connect(&site.user, SERVER, &[&["--insecure", "--json"], options].concat())?;
    let mut client = Daemon::start("vpnclient", &mut command)?;
    let code = client.wait(IN_TIME)?;
    Ok((code, client.log()))
}

fn certificates_log_in(site: &Site, server: &AnyServer) -> Result<()> {
    let user = data("user.pem")?;
    server.shape(site, HUB, &[&format!("UserCertSet {USER} /LOADCERT:{user}")])?;
    let right = file(PASSWORD)?;
    for (key, with) in [
        ("pkcs8.key", None),
        ("pkcs1.key", None),
        ("encrypted.key", Some(&right)),
    ] {
        let key = data(key)?;
        let mut options = vec!["--cert", &user, "--key", &key];
        options.extend(
            with.map(|file| ["--key-password-file", file.as_str()])
                .into_iter()
                .flatten(),
        );
        gets_in(site, &options)?;
    }
    for p12 in ["modern.p12", "legacy.p12"] {
        gets_in(site, &["--pkcs12", &data(p12)?, "--key-password-file", &right])?;
    }
    let wrong = file("not the password")?;
    let (code, said) = ends(
        site,
        &["--pkcs12", &data("modern.p12")?, "--key-password-file", &wrong],
    )?;
    ensure!(
        code == 2 && said.contains("does not open with this password"),
        "exit {code}: {said}"
    );
    Ok(())
}

#[test]
fn pem_and_pkcs12_certificates_log_in_at_our_server() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        certificates_log_in(&site, &server)?;
        // The password of the file is asked for at a terminal.
        let p12 = data("modern.p12")?;
        let mut typist = Typist::start(&connect(&site.user, SERVER, &["--insecure", "--pkcs12", &p12])?)?;
        typist.answer("modern.p12: ", &format!("{PASSWORD}\r"))?;
        typist.wait_for("connected: session")?;
        typist.answer("", CTRL_C)?;
        let (code, screen) = typist.end()?;
        ensure!(code == 0 && !screen.contains(PASSWORD), "exit {code}:\n{screen}");
        Ok(())
    });
}

#[test]
fn pem_and_pkcs12_certificates_log_in_at_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = AnyServer::stock(lab, stock)?;
        certificates_log_in(&site, &server)
    });
}

/// Codes typed, from a file and from standard input; each is good once, so that who comes back needs another.
fn codes_log_in(site: &Site, server: &AnyServer) -> Result<()> {
    let radius = Radius::start(
        &site.nat,
        "127.0.0.1:1812".parse()?,
        PASSWORD,
        &["100001", "100002", "100003", "100004", "100005"],
    )?;
    let to = format!(
        "RadiusServerSet 127.0.0.1:1812 /SECRET:{} /RETRY_INTERVAL:1000",
        radius::SECRET
    );
    server.shape(site, HUB, &[&to, &format!("UserRadiusSet {USER} /ALIAS:{USER}")])?;
    let password = file(PASSWORD)?;
    let with_password = ["--insecure", "--password-file", &password];

    let codes = file("100001")?;
    let from_file = [&with_password[..], &["--json", "--otp-file", &codes]].concat();
    let mut client = Daemon::start("vpnclient", &mut connect(&site.user, SERVER, &from_file)?)?;
    client.line_with("\"event\":\"connected\"", IN_TIME)?;
    server.end_session(site)?;
    let code = client.wait(IN_TIME)?;
    let said = client.log();
    ensure!(
        code == 3 && said.contains("\"reason\":\"code_needed\""),
        "exit {code}: {said}"
    );
    ensure!(
        said.contains("was used already") && !said.contains("100001"),
        "{said}"
    );
    ensure!(radius.left() == 4, "{} codes are left", radius.left());

    let mut typist = Typist::start(&connect(
        &site.user,
        SERVER,
        &[&with_password[..], &["--otp"]].concat(),
    )?)?;
    typist.answer(&format!("One-time code of {USER}: "), "100002\r")?;
    typist.wait_for("connected: session")?;
    server.end_session(site)?;
    typist.answer(&format!("One-time code of {USER}: "), "100003\r")?;
    typist.wait_for("connected: session")?;
    typist.answer("", CTRL_C)?;
    let (code, screen) = typist.end()?;
    ensure!(code == 0 && !screen.contains("10000"), "exit {code}:\n{screen}");

    // The password and then a code, a line each.
    let input = file(&format!("{PASSWORD}\n100004"))?;
    let options = ["--insecure", "--password-file", "-", "--otp-file", "-"];
    let mut shell = site.user.command("sh");
    let line = hubward_tests::process::shown(&connect(&site.user, SERVER, &options)?);
    shell.args(["-c", &format!("exec {line} < {input}")]);
    // On the host already: the words of nsenter come twice, which it takes.
    let client = Daemon::start("vpnclient", &mut shell)?;
    client.line_with("connected: session", IN_TIME)?;
    client.stop(IN_TIME)?;

    let wrong = file("999999")?;
    let (code, said) = ends(site, &["--password-file", &password, "--otp-file", &wrong])?;
    ensure!(
        code == 3 && said.contains("\"reason\":\"wrong_credentials\""),
        "exit {code}: {said}"
    );
    ensure!(said.matches("\"retrying\"").count() == 0, "{said}");
    Ok(())
}

#[test]
fn one_time_codes_log_in_once_each_at_our_server() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        codes_log_in(&site, &server)
    });
}

#[test]
fn one_time_codes_log_in_once_each_at_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = AnyServer::stock(lab, stock)?;
        codes_log_in(&site, &server)
    });
}

/// Under the policy NoSavePassword the password is forgotten: who comes back is asked for it, or ends where nobody is.
fn password_is_forgotten(site: &Site, server: &AnyServer) -> Result<()> {
    server.shape(
        site,
        HUB,
        &[&format!("UserPolicySet {USER} /NAME:NoSavePassword /VALUE:yes")],
    )?;
    let password = file(PASSWORD)?;
    let options = ["--insecure", "--json", "--password-file", &password];
    let mut client = Daemon::start("vpnclient", &mut connect(&site.user, SERVER, &options)?)?;
    client.line_with("\"event\":\"password_forgotten\"", IN_TIME)?;
    server.end_session(site)?;
    let code = client.wait(IN_TIME)?;
    let said = client.log();
    ensure!(
        code == 3 && said.contains("\"reason\":\"password_needed\""),
        "exit {code}: {said}"
    );

    let mut typist = Typist::start(&connect(&site.user, SERVER, &["--insecure"])?)?;
    let question = format!("Password of {USER}: ");
    for _ in 0..2 {
        typist.answer(&question, &format!("{PASSWORD}\r"))?;
        typist.wait_for("forget the password")?;
        server.end_session(site)?;
    }
    typist.answer(&question, CTRL_C)?;
    let (code, screen) = typist.end()?;
    ensure!(code == 3 && !screen.contains(PASSWORD), "exit {code}:\n{screen}");
    Ok(())
}

#[test]
fn a_password_that_our_server_says_is_not_to_be_kept_is_forgotten() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        password_is_forgotten(&site, &server)
    });
}

#[test]
fn a_password_that_the_stock_server_says_is_not_to_be_kept_is_forgotten() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = AnyServer::stock(lab, stock)?;
        password_is_forgotten(&site, &server)
    });
}
