//! A machine that lacks something: what is missing is named, with the way out, and the exit code says whose fault it is.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{Client, Server, program};
use hubward_tests::process::{self, IN_TIME};
use hubward_tests::site::{OUTSIDE, Site};

/// The command line made no sense.
const USAGE: i32 = 2;

/// Something on this machine is missing, closed or broken.
const ENVIRONMENT: i32 = 4;

/// Starts a server that must not start, and returns what it said.
fn refuses_to_start(host: &Host, options: &[&str]) -> Result<String> {
    let Err(error) = Server::start(host, options) else {
        anyhow::bail!("the server started")
    };
    let said = format!("{error:#}");
    ensure!(said.contains(&format!("ended with {ENVIRONMENT} ")), "{said}");
    Ok(said)
}

#[test]
fn client_without_a_tun_device_names_it_and_the_way_out() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        site.user.sh("mount -t tmpfs tmpfs /dev/net")?;
        let (code, said) = Client::connect(&site.user, OUTSIDE, &["--insecure"])?.refused()?;
        ensure!(code == ENVIRONMENT, "exit {code}: {said}");
        ensure!(
            said.contains("/dev/net/tun") && said.contains("modprobe tun"),
            "{said}"
        );
        server.stop()
    });
}

#[test]
fn server_without_a_place_for_its_state_names_the_folder() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        site.nat
            .sh("mkdir -p /var/lib/hubward; mount -t tmpfs -o ro tmpfs /var/lib/hubward")?;
        let said = refuses_to_start(&site.nat, &[])?;
        ensure!(said.contains("/var/lib/hubward"), "{said}");
        Ok(())
    });
}

#[test]
fn server_whose_port_is_taken_names_the_port() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let _taken = site.nat.within(|| std::net::TcpListener::bind("[::]:992"))??;
        let server = Server::start(&site.nat, &[])?;
        let line = server.daemon().line_with("cannot listen", IN_TIME)?;
        ensure!(
            line.contains(":992") && line.contains("another program"),
            "{line}"
        );
        // The other ports serve all the same.
        site.nat.listens(443, IN_TIME)?;
        server.stop()
    });
}

#[test]
fn server_that_cannot_listen_where_it_was_told_to_does_not_start() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let _taken = site
            .nat
            .within(|| std::net::TcpListener::bind("203.0.113.1:4443"))??;
        let said = refuses_to_start(&site.nat, &["--listen", "203.0.113.1:4443"])?;
        ensure!(
            said.contains("203.0.113.1:4443") && said.contains("--listen"),
            "{said}"
        );
        Ok(())
    });
}

#[test]
fn second_server_on_the_same_folder_is_refused() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &[])?;
        let said = refuses_to_start(&site.nat, &["--listen", "203.0.113.1:4443"])?;
        ensure!(said.contains("/var/lib/hubward"), "{said}");
        server.stop()
    });
}

#[test]
fn command_line_that_makes_no_sense_ends_with_two_and_one_hint() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        for (name, arguments) in [
            ("vpnserver", &["run", "--nat-mode", "magic"][..]),
            ("vpnserver", &["dance"]),
            ("vpnclient", &["connect", OUTSIDE]),
            (
                "vpnclient",
                &[
                    "connect",
                    OUTSIDE,
                    "--hub",
                    "h",
                    "--user",
                    "u",
                    "--pin",
                    "sha256:short",
                ],
            ),
        ] {
            let answer = process::answer(site.user.command(program(name)?).args(arguments))?;
            ensure!(
                answer.code == USAGE,
                "{name} {arguments:?} ended with {}: {}",
                answer.code,
                answer.stderr
            );
            ensure!(
                answer.stderr.contains("--help") || answer.stderr.contains("sha256"),
                "no hint: {}",
                answer.stderr
            );
        }
        Ok(())
    });
}

#[test]
fn refused_server_start_is_one_line() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        site.nat
            .sh("mkdir -p /var/lib/hubward; mount -t tmpfs -o ro tmpfs /var/lib/hubward")?;
        let answer = process::answer(site.nat.command(program("vpnserver")?).arg("run"))?;
        let said = answer.stderr.trim();
        ensure!(said.lines().count() == 1, "{said}");
        said.contains("/var/lib/hubward")
            .then_some(())
            .context("the folder is not named")
    });
}
