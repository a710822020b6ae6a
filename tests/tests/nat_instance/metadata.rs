//! The metadata service in its moods.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab;
use hubward_tests::metadata::{Metadata, Mood};
use hubward_tests::ours::{Server, program};
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::Site;

use super::{is_as_before, machine, seen_as, site, start};

const TOKEN: &str = "/latest/api/token";
const SUBNET: &str = "/latest/meta-data/network/interfaces/macs/06:1a:2b:3c:4d:5e/subnet-ipv4-cidr-block";

/// Starts it where it cannot begin; returns what it said.
fn refused(site: &Site, metadata: &Metadata) -> Result<String> {
    let address = metadata.address();
    let arguments = ["nat-instance", "--metadata", &address, "--wait", "0"];
    let answer = process::answer(site.nat.command(program("vpnserver")?).args(arguments))?;
    ensure!(answer.code == 4, "{answer:?}");
    Ok(answer.stderr)
}

#[test]
fn other_networks_are_in_force_when_the_service_names_them() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["172.20.0.0/16"])?;
        let instance = start(&site, &metadata, &[])?;
        let mark = instance.daemon().mark();
        metadata.set_networks(&["172.20.0.0/16", "10.0.0.0/16"]);
        // A token that is not taken any more is replaced on the way.
        metadata.forget_tokens();
        instance
            .daemon()
            .line_after(mark, IN_TIME, "the networks changed", |line| {
                line.contains("10.0.0.0/16,172.20.0.0/16")
            })?;
        seen_as(&site)?;
        instance.stop()
    });
}

#[test]
fn a_slow_service_is_waited_for() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        metadata.set_mood(Mood::Slow(Duration::from_millis(300)));
        let instance = start(&site, &metadata, &[])?;
        seen_as(&site)?;
        instance.stop()
    });
}

#[test]
fn a_service_that_comes_late_is_found() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        metadata.set_mood(Mood::Status(503));
        let late = metadata.clone();
        let better = std::thread::spawn(move || {
            let asked = || Ok((late.refused() >= 2).then_some(()));
            let asked = eventually(IN_TIME, "two questions", asked);
            late.set_mood(Mood::Well);
            asked
        });
        let instance = start(&site, &metadata, &[])?;
        better
            .join()
            .map_err(|_| anyhow::anyhow!("the service panicked"))??;
        seen_as(&site)?;
        instance.stop()
    });
}

#[test]
fn troubles_of_the_service_are_one_clear_line_and_nothing_is_changed() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let before = machine(&site.nat)?;
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 100_000]].concat();
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nx".to_vec();
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx".to_vec();
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec();
        for (mood, said) in [
            (Mood::Status(403), "switched off"),
            (Mood::Status(404), "404"),
            (Mood::Status(401), "401"),
            (Mood::Status(500), "500"),
            (Mood::Silent, "HttpPutResponseHopLimit"),
            (Mood::Says("<a page>".to_owned()), "no token"),
            (Mood::Says("a\r\nEvil: yes".to_owned()), "no token"),
            (Mood::Says(String::new()), "no token"),
            (Mood::Says("lines".to_owned()), "\"lines\""),
            (Mood::Raw(endless), "not understood"),
            (Mood::Raw(long), "too long"),
            (Mood::Raw(short), "ends within"),
            (Mood::Raw(chunked), "pieces"),
            (Mood::Raw(Vec::new()), "not understood"),
        ] {
            let name: String = format!("{mood:?}").chars().take(60).collect();
            metadata.set_mood(mood);
            let line = refused(&site, &metadata)?;
            ensure!(line.contains(said), "{name}: {line}");
            ensure!(
                line.trim().lines().count() == 1,
                "{name}: more than a line: {line}"
            );
        }
        is_as_before(&site.nat, &before)?;
        Ok(())
    });
}

#[test]
fn without_a_service_given_networks_do_and_it_is_said() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let before = machine(&site.nat)?;
        let nowhere = ["--metadata", "127.0.0.1:9", "--wait", "0"];
        let instance = |options: &[&str]| Server::start_other(&site.nat, "nat-instance", options);
        let said = instance(&nowhere).map(drop).err();
        let said = format!("{:#}", said.context("it started without networks")?);
        ensure!(
            said.contains("no metadata service") && said.contains("--cidr"),
            "{said}"
        );

        let given = instance(&[&nowhere[..], &["--cidr", "10.0.1.0/24"]].concat())?;
        let log = given.log();
        ensure!(log.contains("the networks are those of --cidr"), "{log}");
        seen_as(&site)?;
        given.stop()?;

        let silent = start(&site, &metadata, &["--no-metadata", "--cidr", "10.0.1.0/24"])?;
        seen_as(&site)?;
        silent.stop()?;
        ensure!(metadata.served(TOKEN) == 0, "the service was asked");
        is_as_before(&site.nat, &before)?;
        Ok(())
    });
}

#[test]
fn a_service_that_fails_later_changes_nothing_and_is_told_of_once() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let instance = start(&site, &metadata, &[])?;
        let rules = site.nat.sh("nft list ruleset")?;
        let served = metadata.served(SUBNET);
        let failed = metadata.refused();
        metadata.set_mood(Mood::Status(500));
        eventually(IN_TIME, "three looks", || {
            Ok((metadata.refused() >= failed + 3).then_some(()))
        })?;
        metadata.set_mood(Mood::Well);
        eventually(IN_TIME, "a look that succeeds", || {
            Ok((metadata.served(SUBNET) > served).then_some(()))
        })?;
        ensure!(site.nat.sh("nft list ruleset")? == rules);
        let log = instance.log();
        let lines = log.matches("the networks stay as they are").count();
        ensure!(lines == 1, "said {lines} times:\n{log}");
        instance.stop()
    });
}
