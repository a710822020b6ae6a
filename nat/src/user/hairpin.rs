//! Published hosts that are stations of the same hub: the virtual host turns the client's packets round.
//!
//! No socket of this machine reaches into the hub, so addresses and ports are rewritten and the packets sent back. The
//! private host sees the virtual host as its client and answers it; else it would answer the client directly, who knows it by
//! another address.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use smoltcp::wire::{Ipv4Packet, TcpPacket, UdpPacket};

use super::flows::Flow;
use crate::dnat::Grant;
use crate::packet::{Outgoing, Packet, TCP, UDP};

/// The virtual host's ports for it: those that nobody is assigned (RFC 6335 §6).
const FIRST_PORT: u16 = 49_152;
/// How long a connection that both sides have finished is remembered, for segments that are sent again.
const LINGER: Duration = Duration::from_secs(10);

/// The protocol, the client, and whom it asked for.
type Asked = (u8, SocketAddrV4, SocketAddrV4);

/// The connections that are turned round.
#[derive(Debug, Default)]
pub(crate) struct Hairpins {
    /// The virtual host's port for each.
    ports: HashMap<Asked, u16>,
    open: HashMap<(u8, u16), Hairpin>,
    next: u16,
}

#[derive(Debug)]
struct Hairpin {
    client: SocketAddrV4,
    known_as: SocketAddrV4,
    grant: Grant,
    flow: Flow,
    /// Which sides have sent all they have: the client, the private host.
    finished: [bool; 2],
    ends: Instant,
}

/// How long connections live without a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) tcp: Duration,
    pub(crate) udp: Duration,
}

impl Patience {
    fn of(self, protocol: u8) -> Duration {
        if protocol == TCP { self.tcp } else { self.udp }
    }
}

impl Hairpins {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Turns a packet of a known connection round. The virtual host is `own`. What comes back is the packet to send;
    /// `None` if it belongs to none, or to one that is no longer granted.
    pub(crate) fn turn(
        &mut self,
        now: Instant,
        own: Ipv4Addr,
        packet: &Packet,
        patience: Patience,
    ) -> Option<Outgoing> {
        if packet.protocol != TCP && packet.protocol != UDP {
            return None;
        }
        let asked = (packet.protocol, packet.client(), packet.target());
        let (port, inwards) = match self.ports.get(&asked) {
            Some(port) => (*port, true),
            None => (packet.target().port(), false),
        };
        let key = (packet.protocol, port);
        let hairpin = self.open.get_mut(&key)?;
        let is_answer = packet.client() == hairpin.grant.target() && packet.destination == own;
        if !inwards && !is_answer {
            return None;
        }
        if !hairpin.grant.holds() {
            self.close(key);
            return None;
        }
        let over = hairpin.note(now, packet, inwards, patience);
        let turned = if inwards {
            rewrite(packet, SocketAddrV4::new(own, port), hairpin.grant.target())
        } else {
            rewrite(packet, hairpin.known_as, hairpin.client)
        };
        if over {
            self.close(key);
        }
        turned
    }

    /// Opens a connection; `false` when every port is in use.
    pub(crate) fn open(&mut self, now: Instant, packet: &Packet, grant: Grant, flow: Flow) -> bool {
        let free = |port: &u16| !self.open.contains_key(&(packet.protocol, *port));
        let from = self.next.max(FIRST_PORT);
        let Some(port) = (from..=u16::MAX).chain(FIRST_PORT..from).find(free) else {
            return false;
        };
        self.next = port.wrapping_add(1);
        let asked = (packet.protocol, packet.client(), packet.target());
        self.ports.insert(asked, port);
        let hairpin = Hairpin {
            client: packet.client(),
            known_as: packet.target(),
            grant,
            flow,
            finished: [false; 2],
            ends: now,
        };
        self.open.insert((packet.protocol, port), hairpin);
        true
    }

    fn close(&mut self, key: (u8, u16)) {
        if let Some(hairpin) = self.open.remove(&key) {
            self.ports.remove(&(key.0, hairpin.client, hairpin.known_as));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.open.values().map(|hairpin| hairpin.ends).min()
    }

    /// Forgets what has been silent for too long.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let silent = self.open.iter().filter(|(_, hairpin)| hairpin.ends <= now);
        let silent: Vec<_> = silent.map(|(key, _)| *key).collect();
        silent.into_iter().for_each(|key| self.close(key));
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        *self = Hairpins::default();
    }
}

impl Hairpin {
    /// Notes a packet in either direction; whether it was the last one.
    fn note(&mut self, now: Instant, packet: &Packet, inwards: bool, patience: Patience) -> bool {
        let bytes = packet.payload().len();
        if inwards {
            self.flow.sent(now, bytes);
        } else {
            self.flow.received(now, bytes);
        }
        let mut reset = false;
        if packet.protocol == TCP
            && let Ok(segment) = TcpPacket::new_checked(packet.payload())
        {
            reset = segment.rst();
            if segment.syn() && inwards {
                // The client's next connection from the same port.
                self.finished = [false; 2];
            }
            self.finished[usize::from(!inwards)] |= segment.fin();
        }
        self.ends = now
            + if self.finished == [true; 2] {
                LINGER
            } else {
                patience.of(packet.protocol)
            };
        reset
    }
}

/// The packet with other ends, one hop further on its way. `None` for one whose payload is no whole segment.
fn rewrite(packet: &Packet, from: SocketAddrV4, to: SocketAddrV4) -> Option<Outgoing> {
    let mut turned = Outgoing::zeroed(packet.bytes.len());
    turned.ip_mut().copy_from_slice(&packet.bytes);
    let mut header = Ipv4Packet::new_checked(turned.ip_mut()).ok()?;
    header.set_src_addr(*from.ip());
    header.set_dst_addr(*to.ip());
    header.set_hop_limit(packet.hop_limit.checked_sub(1).filter(|left| *left > 0)?);
    header.fill_checksum();
    let (source, destination) = ((*from.ip()).into(), (*to.ip()).into());
    let payload = turned.ip_mut().get_mut(packet.payload_at..)?;
    if packet.protocol == TCP {
        let mut segment = TcpPacket::new_checked(payload).ok()?;
        segment.set_src_port(from.port());
        segment.set_dst_port(to.port());
        segment.fill_checksum(&source, &destination);
    } else {
        let mut datagram = UdpPacket::new_checked(payload).ok()?;
        datagram.set_src_port(from.port());
        datagram.set_dst_port(to.port());
        datagram.fill_checksum(&source, &destination);
    }
    Some(turned)
}
