//! What to know about an interface before a hub is joined to it.

use netdev::{Link, Links};

/// What an administrator should know who bridges this interface and expects this machine itself, or the other ports of its
/// bridge, in the same segment; `None` when nothing is in the way.
pub async fn advice(link: &Link, links: &Links) -> Option<String> {
    let name = &link.name;
    if let Some(bridge) = bridge_of(link, links).await {
        return Some(format!(
            "{name} is a port of the bridge {bridge}: stations of the hub reach what is behind {name}, but neither this machine \
             nor the other ports of {bridge}; bridge the hub to {bridge} instead"
        ));
    }
    let addresses = addresses_of(link, links).await;
    if link.is_bridge || addresses.is_empty() {
        return None;
    }
    Some(format!(
        "{name} has this machine's own address {}: stations of the hub reach every host behind {name}, but not this \
         machine; for both, make a bridge (ip link add br0 type bridge; ip link set {name} master br0), move the address to \
         br0, and bridge the hub to br0",
        addresses.join(" and ")
    ))
}

/// What an interface is, in a few words; empty when it is just an interface.
pub async fn about(link: &Link, links: &Links) -> String {
    let mut words = addresses_of(link, links).await;
    if link.is_bridge {
        words.insert(0, "Linux bridge".to_owned());
    }
    if let Some(bridge) = bridge_of(link, links).await {
        words.insert(0, format!("port of {bridge}"));
    }
    words.join(", ")
}

async fn bridge_of(link: &Link, links: &Links) -> Option<String> {
    let master = link.master?;
    let all = links.list().await.ok()?;
    let bridge = all.into_iter().find(|other| other.index == master)?;
    bridge.is_bridge.then_some(bridge.name)
}

/// Its addresses, but for those that every interface with IPv6 has.
async fn addresses_of(link: &Link, links: &Links) -> Vec<String> {
    let all = links.addresses(&link.name).await.unwrap_or_default();
    let is_everybodys =
        |ip: &std::net::IpAddr| matches!(ip, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
    all.iter()
        .filter(|address| !is_everybodys(&address.ip))
        .map(|address| format!("{}/{}", address.ip, address.prefix))
        .collect()
}
