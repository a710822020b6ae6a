//! Leases: from SecureNAT, and from DHCP servers that others have on the hub.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use hub_core::MacAddr;
use nat::dhcp::message::{Message, MessageType, Op, option};
use protocol::rpc::HubRequest;
use protocol::rpc::method::{EnableSecureNAT, EnumDHCP, EnumIpTable};
use tempfile::TempDir;
use vpnserver::events::Event;

use crate::frame::{BROADCAST, station, udp};
use crate::peer::{Peer, enter, login};
use crate::site::{Site, lab};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 77);

fn message(op: Op, kind: MessageType, options: &[(u8, &[u8])]) -> Message {
    Message {
        op,
        kind,
        xid: 7,
        broadcast: true,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        chaddr: MacAddr::new(station(1)),
        options: options
            .iter()
            .map(|(code, value)| (*code, value.to_vec()))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn from_client(message: &Message) -> Vec<u8> {
    udp(
        (station(1), Ipv4Addr::UNSPECIFIED, 68),
        (BROADCAST, Ipv4Addr::BROADCAST, 67),
        &message.encode(),
    )
}

/// The DHCP message of a server in a frame, if there is one of this kind.
fn from_server(frame: &[u8], kind: MessageType) -> Option<Message> {
    let is_udp = frame.get(12..14)? == [8, 0] && *frame.get(23)? == 17;
    let ports = frame.get(34..38)? == [0, 67, 0, 68];
    let message = Message::decode(frame.get(42..).filter(|_| is_udp && ports)?)?;
    (message.kind == kind).then_some(message)
}

/// Gets an address as any client does.
async fn acquire(peer: &mut Peer) -> Ipv4Addr {
    let name = (option::HOST_NAME, b"alices-pc".as_slice());
    peer.send([from_client(&message(Op::Request, MessageType::Discover, &[name]))]);
    let offer = peer
        .receive_such(|frame| from_server(frame, MessageType::Offer))
        .await;
    let server = offer.address(option::SERVER_ID).unwrap();
    let request = message(
        Op::Request,
        MessageType::Request,
        &[
            name,
            (option::REQUESTED_ADDRESS, &offer.yiaddr.octets()),
            (option::SERVER_ID, &server.octets()),
        ],
    );
    peer.send([from_client(&request)]);
    let ack = peer
        .receive_such(|frame| from_server(frame, MessageType::Ack))
        .await;
    ack.yiaddr
}

/// The first lease that was reported: session, address, name.
async fn reported(site: &Site) -> (Option<String>, Ipv4Addr, String) {
    site.event(|event| match event {
        Event::LeaseGiven {
            session,
            address,
            host_name,
            ..
        } => Some((session.clone(), *address, host_name.clone())),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_securenat_is_listed_and_reported_once() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let hub = HubRequest {
        hub_name: "lab".to_owned(),
    };
    admin.call::<EnableSecureNAT>(&hub).await.unwrap();
    let mut alice = enter(&site, login("alice")).await.unwrap();
    let address = acquire(&mut alice).await;
    let table = admin.call::<EnumDHCP>(&hub).await.unwrap();
    assert_eq!(table.leases.len(), 1);
    let lease = &table.leases[0];
    assert_eq!(
        (lease.mac_address, lease.ip_address, lease.hostname.as_str()),
        (station(1), IpAddr::from(address), "alices-pc")
    );
    assert!(lease.leased_time < lease.expire_time);
    assert_eq!(
        reported(&site).await,
        (
            Some(alice.welcome.session_name.clone()),
            address,
            "alices-pc".to_owned()
        )
    );
    // What the hub itself saw of it is no second lease.
    site.server.hubs.named("lab").unwrap().look().await;
    let leases = site.count(|event| matches!(event, Event::LeaseGiven { .. }));
    assert_eq!(leases, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_somebody_elses_dhcp_server_is_reported_too() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "router"]).await;
    let mut alice = enter(&site, login("alice")).await.unwrap();
    let router = enter(&site, login("router")).await.unwrap();
    alice.send([from_client(&message(Op::Request, MessageType::Discover, &[]))]);
    let ack = Message {
        yiaddr: CLIENT,
        ..message(
            Op::Reply,
            MessageType::Ack,
            &[
                (option::SERVER_ID, &SERVER.octets()),
                (option::LEASE_TIME, &3600_u32.to_be_bytes()),
            ],
        )
    };
    // The hub must know the client by then, or it does not know whose lease it is.
    let hub = HubRequest {
        hub_name: "lab".to_owned(),
    };
    let lab = site.server.hubs.named("lab").unwrap();
    while lab
        .switch
        .with(|hub| hub.mac_table(std::time::Instant::now()).is_empty())
    {
        tokio::task::yield_now().await;
    }
    router.send([udp(
        (station(9), SERVER, 67),
        (BROADCAST, Ipv4Addr::BROADCAST, 68),
        &ack.encode(),
    )]);
    alice
        .receive_such(|frame| from_server(frame, MessageType::Ack))
        .await;
    let session = Some(alice.welcome.session_name.clone());
    assert_eq!(reported(&site).await, (session, CLIENT, String::new()));
    let ips = admin.call::<EnumIpTable>(&hub).await.unwrap().entries;
    let leased = ips.iter().find(|entry| entry.ip == IpAddr::from(CLIENT)).unwrap();
    assert!(leased.dhcp_allocated);
}
