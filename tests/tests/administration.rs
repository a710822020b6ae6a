//! The administration of our server, by our tool and by the stock one.

use anyhow::Result;
use hubward_tests::lab::{self, Lab};
use hubward_tests::language::{self, PASSWORD};
use hubward_tests::ours::{Server, administer};
use hubward_tests::site::Site;

fn with_a_password(lab: &Lab) -> Result<(Site, Server)> {
    let site = Site::new(lab)?;
    let server = Server::start(&site.nat, &[])?;
    administer(&site.nat, "", &[&format!("ServerPasswordSet {PASSWORD}")])?;
    Ok((site, server))
}

#[test]
fn stock_tool_administers_our_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = with_a_password(lab)?;
        language::is_spoken_by_the_stock_tool(stock, &site.user)?;
        server.stop()
    });
}

#[test]
fn our_tool_administers_our_server() {
    lab::run(|lab| {
        let (site, server) = with_a_password(lab)?;
        language::is_spoken_by_our_tool(&site.user)?;
        server.stop()
    });
}
