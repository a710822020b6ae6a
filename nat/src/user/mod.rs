//! NAT without privileges: what stations of the hub send is ended here and carried on by ordinary sockets.
//!
//! One task takes frames from the hub and sorts them; each TCP connection and each station's UDP socket is a task of
//! its own, which sleeps until there is something to do. All write their packets through [`Shared::send`].

mod datagrams;
pub(crate) mod endpoint;
mod flows;
mod hairpin;
mod inbox;
mod proxy;
pub(crate) mod side;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hub_core::Port;
use hub_core::frame::{Checksum, Frame};
use smoltcp::wire::Icmpv4DstUnreachable;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::config::SecureNatConfig;
use crate::device::Finisher;
use crate::dnat::{Grant, Protocol, Published};
use crate::event::{Event, Events, FlowProtocol};
use crate::host::VirtualHost;
use crate::ipv6::{Question, Reach};
use crate::packet::{ICMP, Outgoing, Packet, TCP, UDP};
use crate::refused::is_refused;
use crate::resolver::{DNS_PORT, Resolvers};
use datagrams::{Datagram, Sent, Sockets};
use endpoint::Buffers;
pub(crate) use flows::Flows;
pub use flows::Limits;
use hairpin::{Hairpins, Patience};
use inbox::Inbox;
use proxy::{Connection, Destination};

/// Bytes of frames taken from the hub at one time.
const BATCH: usize = 256 * 1024;

/// Who asks by IPv6: nobody of whom the hub knows an address by IPv4, and so nobody of a group.
pub(crate) const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// What the tasks of one SecureNAT share.
pub(crate) struct Shared {
    pub(crate) host: Mutex<VirtualHost>,
    pub(crate) port: Port,
    pub(crate) flows: Arc<Flows>,
    pub(crate) resolvers: Resolvers,
    pub(crate) published: Option<Published>,
    events: Events,
    sockets: Sockets,
    connections: Mutex<HashMap<(SocketAddrV4, SocketAddrV4), Arc<Inbox>>>,
    /// The host's next time-out may have come nearer.
    sooner: Notify,
    /// Leases are to be kept; a client waits for it.
    leases_changed: Notify,
    client_waits: Notify,
    /// Flows must end: the settings they were opened under are gone.
    reset: Notify,
    ping_reported: std::sync::Once,
}

impl Shared {
    pub(crate) fn new(
        host: VirtualHost,
        port: Port,
        flows: Arc<Flows>,
        resolvers: Resolvers,
        published: Option<Published>,
        events: Events,
    ) -> Self {
        Shared {
            host: Mutex::new(host),
            port,
            flows,
            resolvers,
            published,
            events,
            sockets: Sockets::default(),
            connections: Mutex::default(),
            sooner: Notify::new(),
            leases_changed: Notify::new(),
            client_waits: Notify::new(),
            reset: Notify::new(),
            ping_reported: std::sync::Once::new(),
        }
    }

    pub(crate) fn host(&self) -> MutexGuard<'_, VirtualHost> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<(SocketAddrV4, SocketAddrV4), Arc<Inbox>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends packets to their stations.
    pub(crate) fn send(&self, now: Instant, packets: impl IntoIterator<Item = Outgoing>) {
        let mut packets = packets.into_iter().peekable();
        if packets.peek().is_none() {
            return;
        }
        let mut host = self.host();
        let before = host.poll_timeout();
        packets.for_each(|packet| host.send_packet(now, packet));
        let after = host.poll_timeout();
        self.flush(now, host);
        if after != before {
            self.sooner.notify_one();
        }
    }

    /// Sends the frames that the host has made, and tells its events.
    pub(crate) fn flush(&self, now: Instant, mut host: MutexGuard<'_, VirtualHost>) {
        let frames: Vec<Frame> = std::iter::from_fn(|| host.poll_frame()).collect();
        let is_told = |event: &Event, host: &VirtualHost| host.config().save_log || event.is_trouble();
        let mut events = Vec::new();
        while let Some(event) = host.poll_event() {
            if is_told(&event, &host) {
                events.push(event);
            }
        }
        if let Some(waits) = host.has_lease_changes() {
            self.leases_changed.notify_one();
            if waits {
                self.client_waits.notify_one();
            }
        }
        drop(host);
        if !frames.is_empty() {
            self.port.send(now, &mut frames.into_iter());
        }
        events.into_iter().for_each(|event| self.events.tell(event));
    }

    /// Takes other settings. Flows opened under an address that is gone, or with NAT now off, end.
    pub(crate) fn set_config(&self, config: &SecureNatConfig) {
        let now = Instant::now();
        let mut host = self.host();
        let former = host.config();
        let ends = (former.ip, former.mask, former.mac_address, former.use_nat)
            != (config.ip, config.mask, config.mac_address, config.use_nat);
        host.set_config(config);
        host.router().apply(now, config);
        self.flush(now, host);
        self.sooner.notify_one();
        if ends {
            self.reset.notify_one();
        }
    }

    /// The host appears on its hub.
    pub(crate) fn begin_on_hub(&self, now: Instant) {
        let mut host = self.host();
        host.announce();
        let config = host.config().clone();
        host.router().apply(now, &config);
        self.flush(now, host);
        self.sooner.notify_one();
    }

    /// The host takes back what its stations count on, before it goes.
    pub(crate) fn say_farewell(&self, now: Instant) {
        let mut host = self.host();
        host.router().say_farewell();
        self.flush(now, host);
    }

    /// How far IPv6 leads from now on.
    pub(crate) fn set_reach(&self, reach: Reach) {
        let now = Instant::now();
        let mut host = self.host();
        host.router().set_reach(now, reach);
        self.flush(now, host);
        self.sooner.notify_one();
    }

    /// Answers a question for a name that came by IPv6.
    async fn answer(&self, question: &Question) {
        if let Some(answer) = self.ask(NOBODY, &question.data).await {
            let mut host = self.host();
            host.router().answer(question, &answer);
            self.flush(Instant::now(), host);
        }
    }

    /// Lets the host do what is due.
    pub(crate) fn handle_timeout(&self) {
        let now = Instant::now();
        let mut host = self.host();
        host.handle_timeout(now);
        self.flush(now, host);
    }

    /// Waits until leases are to be kept.
    pub(crate) async fn leases_changed(&self) {
        self.leases_changed.notified().await;
    }

    /// Waits until a client waits for that.
    pub(crate) async fn client_waits(&self) {
        self.client_waits.notified().await;
    }

    /// Waits until the host's next time-out may have come nearer.
    pub(crate) async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Answers a frame if it is for the DHCP server; whether it was.
    pub(crate) fn handle_dhcp_frame(&self, frame: &Frame) -> bool {
        let now = Instant::now();
        let mut host = self.host();
        let taken = host.handle_dhcp_frame(now, frame);
        if taken {
            self.flush(now, host);
        }
        taken
    }

    pub(crate) fn address(&self) -> Ipv4Addr {
        self.host().config().ip
    }

    /// Answers a station's question: about published hosts by ourselves, about all else by the resolvers.
    pub(crate) async fn ask(&self, client: Ipv4Addr, question: &[u8]) -> Option<Vec<u8>> {
        let own = self.address();
        let ours = |published: &Published| published.answer(client, own, question);
        match self.published.as_ref().and_then(ours) {
            Some(answer) => Some(answer),
            None => self.resolvers.ask(own, question).await,
        }
    }

    fn mtu(&self) -> usize {
        self.host().config().mtu as usize
    }

    fn tcp_timeout(&self) -> Duration {
        self.host().config().tcp_timeout()
    }

    fn udp_timeout(&self) -> Duration {
        self.host().config().udp_timeout()
    }
}

/// Takes frames from the hub until the port is closed or the future dropped; then every flow has ended.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut sorter = Sorter {
        shared,
        tasks: JoinSet::new(),
        hairpins: Hairpins::default(),
        finisher: Finisher::default(),
        called: Vec::new(),
    };
    let mut batch = Vec::new();
    loop {
        let due = sorter.poll_timeout();
        let sleep = async {
            match due {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            received = sorter.shared.port.recv(&mut batch, BATCH) => {
                if received.is_err() {
                    return;
                }
                sorter.handle_frames(&mut batch);
            }
            () = sleep => sorter.handle_timeout(),
            () = sorter.shared.sooner() => {}
            () = sorter.shared.reset.notified() => sorter.end_flows().await,
            Some(ended) = sorter.tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!("a NAT flow ended by a programming error; the others go on");
                }
            }
        }
    }
}

/// Gives each packet to its flow.
struct Sorter {
    shared: Arc<Shared>,
    /// The flows; dropping the set ends them.
    tasks: JoinSet<()>,
    /// Connections to published hosts of the hub itself.
    hairpins: Hairpins,
    /// Cuts trains of datagrams, which are passed on one by one. Trains of segments are taken whole.
    finisher: Finisher,
    /// Connections that got packets of the batch, to be woken when all of it is sorted.
    called: Vec<Arc<Inbox>>,
}

/// Where a packet leads.
struct Way {
    destination: Destination,
    /// The rule of published hosts that leads there.
    grant: Option<Grant>,
}

impl From<Destination> for Way {
    fn from(destination: Destination) -> Self {
        Way {
            destination,
            grant: None,
        }
    }
}

impl Sorter {
    fn handle_frames(&mut self, batch: &mut Vec<Frame>) {
        let now = Instant::now();
        self.finisher.finish_datagrams(batch);
        let mut host = self.shared.host();
        let passed: Vec<_> = batch
            .drain(..)
            .filter_map(|frame| host.handle_frame(now, &frame))
            .collect();
        let questions: Vec<_> = std::iter::from_fn(|| host.router().poll_question()).collect();
        self.shared.flush(now, host);
        for (packet, checksum) in passed {
            self.handle_packet(now, &packet, checksum);
        }
        for question in questions {
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(async move { shared.answer(&question).await });
        }
        self.called.drain(..).for_each(|inbox| inbox.announce());
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let host = self.shared.host().poll_timeout();
        [host, self.hairpins.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self) {
        self.hairpins.handle_timeout(Instant::now());
        self.shared.handle_timeout();
    }

    fn handle_packet(&mut self, now: Instant, packet: &Packet, checksum: Checksum) {
        if let Some(turned) = self.turn(now, packet) {
            self.shared.send(now, Some(turned));
            return;
        }
        match packet.protocol {
            TCP => self.handle_tcp(now, packet, checksum),
            UDP => self.handle_udp(now, packet, checksum),
            ICMP => self.handle_ping(now, packet),
            _ => self.refuse(now, packet, Icmpv4DstUnreachable::ProtoUnreachable),
        }
    }

    fn refuse(&self, now: Instant, packet: &Packet, reason: Icmpv4DstUnreachable) {
        self.shared.send(
            now,
            Some(Outgoing::unreachable(self.shared.address(), packet, reason)),
        );
    }

    /// A packet of a connection that is turned round in the hub.
    fn turn(&mut self, now: Instant, packet: &Packet) -> Option<Outgoing> {
        if self.hairpins.is_empty() {
            return None;
        }
        let patience = Patience {
            tcp: self.shared.tcp_timeout(),
            udp: self.shared.udp_timeout(),
        };
        self.hairpins.turn(now, self.shared.address(), packet, patience)
    }

    /// Turns the first packet of a connection round, if its private host is a station of the hub; whether it is.
    fn open_hairpin(&mut self, now: Instant, packet: &Packet, protocol: FlowProtocol, way: &Way) -> bool {
        let network = self.shared.host().config().network();
        let inside = |grant: &&Grant| network.contains(*grant.target().ip());
        let Some(grant) = way.grant.as_ref().filter(inside) else {
            return false;
        };
        let flow = self.shared.flows.open(protocol, packet.client(), packet.target());
        // A station at its limit is not answered.
        if let Some(mut flow) = flow {
            flow.publish(grant);
            if self.hairpins.open(now, packet, grant.clone(), flow) {
                let turned = self.turn(now, packet);
                self.shared.send(now, turned);
            }
        }
        true
    }

    /// Where a packet leads: to a published host, to the name service, or where it says; `None` if nowhere.
    fn way(&self, protocol: Protocol, packet: &Packet) -> Option<Way> {
        let (destination, own) = (packet.target(), packet.destination == self.shared.address());
        let published = self.shared.published.as_ref();
        if let Some(grant) = published.and_then(|p| p.open(protocol, packet.source, destination, own)) {
            return Some(Way {
                destination: Destination::Address(grant.target()),
                grant: Some(grant),
            });
        }
        if own {
            return (destination.port() == DNS_PORT).then_some(Destination::Resolver.into());
        }
        (!is_refused(packet.destination)).then_some(Destination::Address(destination).into())
    }

    fn handle_tcp(&mut self, now: Instant, packet: &Packet, checksum: Checksum) {
        let Some(segment) = packet.tcp(checksum) else {
            return;
        };
        let key = (packet.client(), packet.target());
        if let Some(inbox) = self.shared.connections().get(&key) {
            if inbox.push(packet.bytes.clone()) {
                self.called.push(Arc::clone(inbox));
            }
            return;
        }
        if segment.rst() {
            return;
        }
        let opens =
            segment.syn() && !segment.ack() && packet.client().port() != 0 && packet.target().port() != 0;
        let reset = || self.shared.send(now, Some(Outgoing::reset(packet, &segment)));
        if !opens {
            reset();
            return;
        }
        let Some(way) = self.way(Protocol::Tcp, packet) else {
            if packet.destination == self.shared.address() {
                reset();
            } else {
                self.refuse(now, packet, Icmpv4DstUnreachable::CommProhibited);
            }
            return;
        };
        if !self.open_hairpin(now, packet, FlowProtocol::Tcp, &way) {
            self.open_connection(packet, way);
        }
    }

    /// A station at its limit is not answered: it asks again, and by then an earlier flow may have ended.
    fn open_connection(&mut self, request: &Packet, way: Way) {
        let (client, target) = (request.client(), request.target());
        if self.shared.flows.too_many_connecting(request.source) {
            return;
        }
        let Some(mut flow) = self.shared.flows.open(FlowProtocol::Tcp, client, target) else {
            return;
        };
        if let Some(grant) = &way.grant {
            flow.publish(grant);
        }
        let buffers = Buffers::among(self.shared.flows.count(FlowProtocol::Tcp));
        let inbox = Arc::new(Inbox::new(buffers.receive));
        self.shared
            .connections()
            .insert((client, target), Arc::clone(&inbox));
        let registration = Registration {
            shared: Arc::clone(&self.shared),
            key: (client, target),
        };
        let connection = Connection {
            shared: Arc::clone(&self.shared),
            flow,
            request: request.clone(),
            destination: way.destination,
            inbox,
            buffers,
            seed: rand::random(),
        };
        self.tasks.spawn(async move {
            let _registration = registration;
            match way.grant {
                None => connection.run().await,
                Some(grant) => tokio::select! {
                    () = connection.run() => {}
                    // The station learns it with its next segment, which belongs to no connection.
                    () = grant.revoked() => {}
                },
            }
        });
    }

    fn handle_udp(&mut self, now: Instant, packet: &Packet, checksum: Checksum) {
        let Some(data) = packet.udp(checksum) else { return };
        let (client, destination) = (packet.client(), packet.target());
        if client.port() == 0 || destination.port() == 0 {
            return;
        }
        let way = self.way(Protocol::Udp, packet);
        if let Some(way) = &way
            && self.open_hairpin(now, packet, FlowProtocol::Udp, way)
        {
            return;
        }
        match way {
            Some(Way {
                destination: Destination::Address(target),
                grant,
            }) => {
                let datagram = Datagram {
                    protocol: FlowProtocol::Udp,
                    client,
                    destination,
                    target,
                    grant: grant.as_ref(),
                    data,
                };
                self.send_datagram(now, packet, &datagram);
            }
            Some(_) => self.ask_resolver(client, destination, data),
            None if packet.destination == self.shared.address() => {
                self.refuse(now, packet, Icmpv4DstUnreachable::PortUnreachable);
            }
            None => self.refuse(now, packet, Icmpv4DstUnreachable::CommProhibited),
        }
    }

    fn ask_resolver(&mut self, client: SocketAddrV4, service: SocketAddrV4, question: &[u8]) {
        let Some(flow) = self.shared.flows.open(FlowProtocol::Dns, client, service) else {
            return;
        };
        let (shared, question) = (Arc::clone(&self.shared), question.to_vec());
        self.tasks.spawn(async move {
            flow.sent(Instant::now(), question.len());
            if let Some(answer) = shared.ask(*client.ip(), &question).await {
                let now = Instant::now();
                flow.received(now, answer.len());
                shared.send(now, Some(Outgoing::udp(service, client, &answer)));
            }
        });
    }

    fn handle_ping(&mut self, now: Instant, packet: &Packet) {
        let Some(echo) = packet.echo_request() else { return };
        if is_refused(packet.destination) {
            self.refuse(now, packet, Icmpv4DstUnreachable::CommProhibited);
            return;
        }
        let target = SocketAddrV4::new(packet.destination, 0);
        let datagram = Datagram {
            protocol: FlowProtocol::Icmp,
            client: SocketAddrV4::new(packet.source, echo.ident),
            destination: target,
            target,
            grant: None,
            data: packet.payload(),
        };
        self.send_datagram(now, packet, &datagram);
    }

    fn send_datagram(&mut self, now: Instant, packet: &Packet, datagram: &Datagram<'_>) {
        match self.shared.sockets.send(now, &self.shared, datagram) {
            Sent::Done => {}
            Sent::Opened(socket) => {
                self.tasks.spawn(socket.run(Arc::clone(&self.shared)));
            }
            Sent::Unreachable => self.refuse(now, packet, Icmpv4DstUnreachable::NetUnreachable),
            Sent::Forbidden if datagram.protocol == FlowProtocol::Icmp => {
                self.shared.ping_reported.call_once(|| {
                    tracing::warn!(
                        "pings of hub clients are not passed on: this process may not send any; \
                         allow it with `sysctl net.ipv4.ping_group_range=\"0 2147483647\"`"
                    );
                });
                self.refuse(now, packet, Icmpv4DstUnreachable::CommProhibited);
            }
            Sent::Forbidden => self.refuse(now, packet, Icmpv4DstUnreachable::CommProhibited),
        }
    }

    async fn end_flows(&mut self) {
        self.tasks.shutdown().await;
        self.shared.sockets.clear();
        self.hairpins.clear();
        self.shared
            .connections()
            .drain()
            .for_each(|(_, inbox)| inbox.close());
    }
}

/// A connection's place in the table of connections.
struct Registration {
    shared: Arc<Shared>,
    key: (SocketAddrV4, SocketAddrV4),
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.connections().remove(&self.key);
    }
}
