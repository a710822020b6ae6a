//! The instance beside a server on the same machine: neither undoes what the other needs.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use hubward_tests::lab;
use hubward_tests::ours::{HUB, Server, administer, set_up};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::Site;

use super::{is_as_before, machine, seen_as, site, start};

fn page_is_published(site: &Site) -> Result<()> {
    eventually(IN_TIME, "the published page", || {
        Ok(site.page.is_seen_from(&site.user, site.published()).ok())
    })
}

#[test]
fn whichever_ends_first_the_other_goes_on_and_the_last_one_puts_everything_back() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let before = machine(&site.nat)?;

        let instance = start(&site, &metadata, &[])?;
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        set_up(&site.nat)?;
        let publish = "DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80";
        administer(&site.nat, HUB, &[publish])?;
        page_is_published(&site)?;
        ensure!(seen_as(&site)? == IpAddr::from([203, 0, 113, 1]));
        instance.stop()?;
        page_is_published(&site)?;
        server.stop()?;
        is_as_before(&site.nat, &before)?;

        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        let instance = start(&site, &metadata, &[])?;
        page_is_published(&site)?;
        server.stop()?;
        ensure!(seen_as(&site)? == IpAddr::from([203, 0, 113, 1]));
        instance.stop()?;
        is_as_before(&site.nat, &before)?;
        Ok(())
    });
}
