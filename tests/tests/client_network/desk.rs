//! What these tests stand on: a user's machine with a way to everywhere, and what a client could change on it.

use anyhow::{Context, Result};
use hubward_tests::host::Host;
use hubward_tests::lab::Lab;
use hubward_tests::ours::{self, Client, Server};
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};

/// The mark of the tunnel's packets.
const MARK: &str = "0x48570000";

/// The name server of the user's machine.
pub(crate) const NAME_SERVER: &str = "203.0.113.53";

/// The site with our server, which does not route, and a user whose packets to everywhere go by the NAT instance.
pub(crate) fn site(lab: &Lab) -> Result<(Site, Server)> {
    let (site, server) = Site::with_our_server(lab, &["--nat-mode", "user"])?;
    give_ways(&site.user)?;
    Ok((site, server))
}

/// A default route and a name server, as a machine has them.
pub(crate) fn give_ways(user: &Host) -> Result<()> {
    user.sh(&format!(
        "ip route add default via {OUTSIDE}; rm -f /etc/resolv.conf; echo 'nameserver {NAME_SERVER}' > /etc/resolv.conf"
    ))
    .map(drop)
}

/// A client with `--tap lab`.
pub(crate) fn connect(user: &Host, options: &[&str]) -> Result<Client> {
    Client::connect(
        user,
        OUTSIDE,
        &[&["--tap", "lab", "--insecure"], options].concat(),
    )
}

/// Waits until the client has said so, which is when everything is set up.
pub(crate) fn has_address(client: &Client) -> Result<String> {
    client.daemon().line_with("on lab from", IN_TIME)
}

/// Waits until the private page comes to the user.
pub(crate) fn sees_the_page(site: &Site, client: &Client) -> Result<()> {
    eventually(IN_TIME, "the private page", || {
        Ok(site.user_sees_the_private_page().ok())
    })
    .with_context(|| client.daemon().log())
}

/// Everything that a client could change on its machine.
pub(crate) fn state(host: &Host) -> Result<String> {
    host.sh(
        "ip -brief link; ip -brief address; ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all
         cat /etc/resolv.conf; ls -A /etc | grep hubward || true; nft list tables; ls /sys/class/net
         grep . /proc/sys/net/ipv4/conf/*/rp_filter",
    )
}

/// Checks that the machine is as it was.
pub(crate) fn is_as_before(host: &Host, before: &str) -> Result<()> {
    let after = state(host)?;
    anyhow::ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

/// The device that leads to an address.
pub(crate) fn way(host: &Host, to: &str) -> Result<String> {
    device_in(&host.sh(&format!("ip route get {to}"))?)
}

/// The device that leads the tunnel's own packets to an address.
pub(crate) fn way_of_the_tunnel(host: &Host, to: &str) -> Result<String> {
    device_in(&host.sh(&format!("ip route get {to} mark {MARK}"))?)
}

fn device_in(route: &str) -> Result<String> {
    let after = route
        .split(" dev ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    after
        .map(str::to_owned)
        .with_context(|| format!("no device in {route:?}"))
}

/// Runs a command of `vpnclient` to its end.
pub(crate) fn vpnclient(host: &Host, arguments: &[&str]) -> Result<process::Answer> {
    process::answer(host.command(ours::program("vpnclient")?).args(arguments))
}

/// `vpnclient cleanup`, and what it said.
pub(crate) fn clean_up(host: &Host) -> Result<String> {
    vpnclient(host, &["cleanup"])?.success()
}
