//! Leases are kept where SecureNAT was told to keep them before they are acknowledged, and go on when that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use hub_core::frame::Frame;
use hub_core::{MacAddr, Port};
use nat::dhcp::message::{Message, MessageType, Op, option};
use nat::{KeptLease, LeaseStore, Mode, SecureNat, Setup, Tag};
use support::{GATEWAY, config, hub, session};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 50];

/// A store in memory, which fails while it is told to.
#[derive(Clone, Default)]
struct Memory {
    leases: Arc<Mutex<BTreeMap<Ipv4Addr, KeptLease>>>,
    fails: Arc<AtomicBool>,
}

impl Memory {
    fn store(&self) -> LeaseStore {
        let memory = self.clone();
        LeaseStore::new(move |changes| {
            let memory = memory.clone();
            async move {
                if memory.fails.load(Ordering::Relaxed) {
                    return Err("the disk is full".to_owned());
                }
                let mut leases = memory.leases.lock().unwrap();
                for (ip, kept) in changes {
                    match kept {
                        Some(kept) => leases.insert(ip, kept),
                        None => leases.remove(&ip),
                    };
                }
                Ok(())
            }
        })
    }

    fn kept(&self) -> Vec<KeptLease> {
        self.leases.lock().unwrap().values().cloned().collect()
    }
}

/// A station that asks for an address.
struct Client(Port);

impl Client {
    fn message(kind: MessageType) -> Message {
        Message {
            op: Op::Request,
            kind,
            xid: 7,
            broadcast: true,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: MacAddr::new(MAC),
            options: BTreeMap::new(),
        }
    }

    /// What the server answers.
    async fn ask(&self, message: &Message) -> Message {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(MAC, [0xff; 6])
            .ipv4([0; 4], [255; 4], 64)
            .udp(68, 67)
            .write(&mut bytes, &message.encode())
            .unwrap();
        self.0
            .send(Instant::now(), &mut std::iter::once(Frame::new(bytes)));
        let mut batch = Vec::new();
        loop {
            let received = self.0.recv(&mut batch, 1 << 16);
            tokio::time::timeout(Duration::from_secs(30), received)
                .await
                .expect("no answer")
                .unwrap();
            if let Some(answer) = batch.drain(..).find_map(|frame| answer(&frame)) {
                return answer;
            }
        }
    }

    async fn lease(&self) -> Ipv4Addr {
        let offer = self.ask(&Self::message(MessageType::Discover)).await;
        assert_eq!(offer.kind, MessageType::Offer);
        let mut request = Self::message(MessageType::Request);
        request
            .options
            .insert(option::SERVER_ID, GATEWAY.octets().to_vec());
        request
            .options
            .insert(option::REQUESTED_ADDRESS, offer.yiaddr.octets().to_vec());
        let answer = self.ask(&request).await;
        assert_eq!((answer.kind, answer.yiaddr), (MessageType::Ack, offer.yiaddr));
        answer.yiaddr
    }
}

fn answer(frame: &Frame) -> Option<Message> {
    let packet = SlicedPacket::from_ethernet(&frame.bytes).ok()?;
    match packet.transport? {
        TransportSlice::Udp(udp) if udp.destination_port() == 68 => Message::decode(udp.payload()),
        _ => None,
    }
}

/// A SecureNAT that keeps its leases in `memory`, and a station on its hub.
async fn begin(memory: &Memory) -> (SecureNat, Client) {
    let (switch, port) = hub();
    let client = Client(session(&switch));
    let mut setup = Setup::new(port, config(), Mode::User, Tag::new("leases"));
    setup.leases = Some((memory.kept(), memory.store()));
    (SecureNat::start(setup).await.unwrap(), client)
}

fn block_on(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(body);
}

#[test]
fn what_was_acknowledged_is_kept_and_known_to_the_next_server() {
    block_on(async {
        let memory = Memory::default();
        let (nat, client) = begin(&memory).await;
        let address = client.lease().await;
        // Nothing was waited for: a server that is killed now leaves just this behind.
        let kept = memory.kept();
        assert_eq!(
            (kept.len(), kept[0].ip, kept[0].mac),
            (1, address, MacAddr::new(MAC))
        );
        drop(nat);
        let (nat, client) = begin(&memory).await;
        assert_eq!(nat.dhcp_table()[0].ip, address);
        assert_eq!(client.lease().await, address);
        nat.stop().await.unwrap();
    });
}

#[test]
fn leases_go_on_while_they_cannot_be_kept_and_are_kept_at_the_end() {
    block_on(async {
        let memory = Memory::default();
        memory.fails.store(true, Ordering::Relaxed);
        let (nat, client) = begin(&memory).await;
        let address = client.lease().await;
        assert_eq!(nat.dhcp_table()[0].ip, address);
        assert_eq!(memory.kept(), []);
        memory.fails.store(false, Ordering::Relaxed);
        nat.stop().await.unwrap();
        assert_eq!(memory.kept()[0].ip, address);
    });
}
