//! The virtual hubs as they run: switch, SecureNAT and bridges of each, brought to what the store says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hub_core::MacAddr;
use hub_core::access::Rule;
use hub_core::hub::{Hub, HubConfig, PortConfig, PortKind};
use hub_core::switch::{Port, Switch};
use nat::dnat::Published;
use nat::{
    LeaseEntry, LeaseStore, NatEntry, SecureNat, SecureNatConfig, Setup, Station, Stations, Status, Tag,
};

use crate::access_list;
use crate::bridge::{self, Bridge};
use crate::enforcement::{hub_with, nat_limits, nat_modes, port_of_bridge, port_of_secure_nat};
use crate::events::{Event, Events};
use crate::packet_log;
use crate::privileges::descriptors_for_nat;
use crate::releaser::Releaser;
use crate::store::{self, Db, HubOption, LocalBridge, StoreError, folded};

/// Bytes that may wait for SecureNAT or a device.
const PART_QUEUE_BYTES: usize = 4 << 20;
/// How bridges and their addresses are called in the log.
const BRIDGE_PART: &str = "bridge to ";
const ADDRESS_PART: &str = "address of ";

/// One hub as it runs.
pub struct VirtualHub {
    /// Its name as it was made.
    pub name: String,
    /// The switch that its ports are plugged into.
    pub switch: Switch,
    /// When it began to run.
    pub since: SystemTime,
    /// Whether it takes sessions.
    open: AtomicBool,
    /// Whether its switch forwards; what was last reported.
    online: AtomicBool,
    /// What its packet log may still have this minute.
    pub(crate) packet_budget: packet_log::Budget,
    next_session: AtomicU32,
    activity: Mutex<Activity>,
    parts: tokio::sync::Mutex<Parts>,
    events: Events,
}

/// When frames last passed, as far as has been looked.
struct Activity {
    frames: u64,
    at: SystemTime,
}

/// What is plugged into a hub beside sessions.
#[derive(Default)]
struct Parts {
    secure_nat: Option<SecureNat>,
    /// The modes that it was started under.
    nat_modes: Vec<nat::Mode>,
    bridges: BTreeMap<String, RunningBridge>,
    access_list: access_list::InForce,
    releaser: Option<Releaser>,
    /// What there should be.
    wanted: Option<Wanted>,
    /// What was last said about parts that cannot work.
    troubles: BTreeMap<String, String>,
}

/// A bridge, and the TAP device that it was made with.
struct RunningBridge {
    tap: Option<[u8; 6]>,
    bridge: Bridge,
}

/// What one hub should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its record.
    pub hub: store::Hub,
    /// Its bridges.
    pub bridges: Vec<LocalBridge>,
    /// Its access list.
    pub access_rules: Vec<Rule>,
    /// Where the lists of users are that access rules name.
    pub user_lists: PathBuf,
    /// Where SecureNAT works.
    pub nat_mode: nat::Mode,
    /// Whether that mode alone will do.
    pub nat_mode_is_forced: bool,
    /// Whether its devices may leave frames unfinished.
    pub offload: bool,
    /// Tells devices and tables of this installation from others'.
    pub tag: String,
    /// The published hosts, which clients of SecureNAT reach too.
    pub published: Published,
    /// Where leases are kept.
    pub db: Db,
}

impl VirtualHub {
    fn new(name: String, events: Events) -> Self {
        Self {
            name,
            switch: Switch::new(Hub::new(HubConfig::new(rand::random()))),
            since: SystemTime::now(),
            open: AtomicBool::new(false),
            online: AtomicBool::new(false),
            packet_budget: packet_log::Budget::default(),
            next_session: AtomicU32::new(1),
            activity: Mutex::new(Activity {
                frames: 0,
                at: SystemTime::now(),
            }),
            parts: tokio::sync::Mutex::default(),
            events,
        }
    }

    /// Whether it takes sessions.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Takes no sessions from now on; [`VirtualHub::bring_to`] does the rest.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// A name for the next session: `SID-USER-n` (protocol §9).
    #[must_use]
    pub fn session_name(&self, user: &str) -> String {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        format!("SID-{}-{number}", user.to_ascii_uppercase())
    }

    /// Plugs something in.
    #[must_use]
    pub fn plug(&self, config: PortConfig, queue_bytes: usize) -> Port {
        self.switch.attach(Instant::now(), config, queue_bytes)
    }

    /// The state of its SecureNAT, while it runs.
    pub async fn secure_nat_status(&self) -> Option<Status> {
        match &self.parts.lock().await.secure_nat {
            Some(nat) => Some(nat.status().await),
            None => None,
        }
    }

    /// What the IPv6 router of its SecureNAT does, while it runs.
    pub async fn ipv6_condition(&self) -> Option<nat::ipv6::Condition> {
        let parts = self.parts.lock().await;
        parts.secure_nat.as_ref().map(SecureNat::ipv6_condition)
    }

    /// The flows of its SecureNAT, while it runs.
    pub async fn nat_table(&self) -> Option<Vec<NatEntry>> {
        match &self.parts.lock().await.secure_nat {
            Some(nat) => Some(nat.nat_table().await),
            None => None,
        }
    }

    /// The leases of its SecureNAT, while it runs.
    pub async fn dhcp_table(&self) -> Option<Vec<LeaseEntry>> {
        self.parts
            .lock()
            .await
            .secure_nat
            .as_ref()
            .map(SecureNat::dhcp_table)
    }

    /// The devices of this machine through which the kernel sees its stations.
    pub(crate) async fn devices(&self) -> Vec<String> {
        let parts = self.parts.lock().await;
        let nat = parts.secure_nat.as_ref().and_then(SecureNat::device);
        let wanted = parts.wanted.iter().flat_map(|wanted| &wanted.bridges);
        let taps = wanted
            .filter(|bridge| bridge.tap.is_some() && parts.bridges.contains_key(&bridge.device))
            .map(|bridge| crate::bridge::tap_device(&bridge.device));
        nat.into_iter().chain(taps).collect()
    }

    /// Whether the bridge to this device works.
    pub async fn bridge_is_working(&self, device: &str) -> bool {
        self.parts
            .lock()
            .await
            .bridges
            .get(device)
            .is_some_and(|running| running.bridge.is_working())
    }

    /// Why the bridge with this record, or its address, does not work, as it was last said.
    pub async fn bridge_trouble(&self, record: &LocalBridge) -> Option<String> {
        let troubles = &self.parts.lock().await.troubles;
        let trouble = |part: &str| troubles.get(part).cloned();
        trouble(&part_of(record)).or_else(|| trouble(&address_part_of(record)))
    }

    /// When frames last passed, to the second; when it began to run, if none has.
    #[must_use]
    pub fn last_active(&self) -> SystemTime {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner).at
    }

    /// Looks at what has happened since the last time: whether frames passed, and which DHCP servers other than
    /// SecureNAT (which tells of its leases itself) gave which addresses.
    pub async fn look(&self) {
        let (frames, seen) = self.switch.with(|hub| {
            let seen: Vec<_> = std::iter::from_fn(|| hub.poll_event()).collect();
            (hub.counters().received.frames(), seen)
        });
        {
            let mut activity = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
            if activity.frames != frames {
                *activity = Activity {
                    frames,
                    at: SystemTime::now(),
                };
            }
        }
        if seen.is_empty() {
            return;
        }
        let parts = self.parts.lock().await;
        let own = parts.secure_nat.as_ref().map(|nat| nat.config().ip);
        drop(parts);
        for event in seen {
            self.report_lease(&event, own);
        }
    }

    fn report_lease(&self, event: &hub_core::hub::Event, own: Option<Ipv4Addr>) {
        let hub_core::hub::Event::AddressLeased {
            port,
            client,
            address,
            server,
            ..
        } = *event
        else {
            return;
        };
        if own.is_some() && server == own {
            return;
        }
        let session = self
            .switch
            .with(|hub| hub.port(port).map(|port| port.config.name.clone()));
        self.events.report(&Event::LeaseGiven {
            hub: self.name.clone(),
            session,
            mac: client,
            address,
            host_name: String::new(),
        });
    }

    /// Brings it to what it should be. Parts that cannot start are reported and leave the others alone.
    pub async fn bring_to(&self, wanted: &Wanted) {
        let mut parts = self.parts.lock().await;
        let online = wanted.hub.online;
        let options = &wanted.hub.options;
        self.switch
            .with(|hub| hub.set_config(hub_with(*hub.config(), options)));
        let switch = &self.switch;
        parts
            .releaser
            .get_or_insert_with(|| Releaser::start(switch.clone()));
        if self.online.swap(online, Ordering::AcqRel) != online {
            self.switch.with(|hub| hub.set_online(online));
            let hub = self.name.clone();
            self.events.report(&if online {
                Event::HubOnline { hub }
            } else {
                Event::HubOffline { hub }
            });
        }
        self.switch.with(|hub| hub.set_tap(packet_log::tap(&wanted.hub)));
        self.open.store(online, Ordering::Release);
        self.bring_access_list(&mut parts, wanted).await;
        self.bring_secure_nat(&mut parts, wanted).await;
        self.bring_bridges(&mut parts, wanted).await;
        parts.wanted = Some(wanted.clone());
    }

    /// Tries again what could not start or has ended since: a device may come, or come back.
    pub async fn mend(&self) {
        let mut parts = self.parts.lock().await;
        let Some(wanted) = parts.wanted.clone() else {
            return;
        };
        self.bring_access_list(&mut parts, &wanted).await;
        self.bring_secure_nat(&mut parts, &wanted).await;
        self.bring_bridges(&mut parts, &wanted).await;
    }

    async fn bring_access_list(&self, parts: &mut Parts, wanted: &Wanted) {
        let lifetime = wanted
            .hub
            .options
            .get(HubOption::AccessListIncludeFileCacheLifetime);
        let list = parts
            .access_list
            .bring_to(
                wanted.access_rules.clone(),
                &wanted.user_lists,
                Duration::from_secs(lifetime.into()),
            )
            .await;
        let Some(list) = list else { return };
        self.switch.with(|hub| hub.set_access_list(list));
        let troubles: Vec<_> = parts
            .access_list
            .troubles()
            .map(|(name, why)| (format!("the list of users {name:?}"), why.to_owned()))
            .collect();
        for (part, reason) in troubles {
            self.report_failure(parts, part, reason);
        }
    }

    fn report_start(&self, parts: &mut Parts, part: String) {
        parts.troubles.remove(&part);
        let hub = Some(self.name.clone());
        self.events.report(&Event::PartStarted { hub, part });
    }

    /// Says why a part cannot work, unless just that was said before.
    fn report_failure(&self, parts: &mut Parts, part: String, reason: String) {
        let before = parts.troubles.insert(part.clone(), reason.clone());
        if before.as_ref() != Some(&reason) {
            let hub = Some(self.name.clone());
            self.events.report(&Event::PartFailed { hub, part, reason });
        }
    }

    async fn bring_secure_nat(&self, parts: &mut Parts, wanted: &Wanted) {
        let options = &wanted.hub.options;
        let modes = nat_modes(options, wanted.nat_mode, wanted.nat_mode_is_forced);
        let mut config = wanted.hub.secure_nat.config.clone();
        // Without a mode there is still a virtual host, as in the stock server: it answers and leases addresses.
        let is_stranded = config.use_nat && modes.is_empty();
        config.use_nat &= !is_stranded;
        if let Some(running) = &parts.secure_nat {
            running.set_limits(nat_limits(options, descriptors_for_nat()));
        }
        let is_wanted = wanted.hub.online && wanted.hub.secure_nat.enabled;
        let is_over = !is_wanted || parts.nat_modes != modes;
        if let Some(running) = parts.secure_nat.take_if(|_| is_over)
            && let Err(error) = running.stop().await
        {
            self.report_failure(parts, part_in(wanted.nat_mode), error.to_string());
        }
        if !is_wanted {
            return;
        }
        let part = part_in(modes.first().copied().unwrap_or(nat::Mode::User));
        let outcome = match &parts.secure_nat {
            Some(running) if running.config() == config => return,
            Some(running) => running.set_config(&config).await,
            None => match self.start_secure_nat(wanted, &config, &modes).await {
                Ok(started) => {
                    let part = part_in(started.mode());
                    parts.secure_nat = Some(started);
                    parts.nat_modes = modes;
                    if is_stranded {
                        return self.report_failure(parts, part, stranded(wanted));
                    }
                    return self.report_start(parts, part);
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = outcome {
            self.report_failure(parts, part, error.to_string());
        }
    }

    /// The kernel can have a network once. A second hub with the same one, and that is what new hubs have, works in user
    /// space where that is allowed.
    async fn start_secure_nat(
        &self,
        wanted: &Wanted,
        config: &SecureNatConfig,
        modes: &[nat::Mode],
    ) -> Result<SecureNat, nat::StartError> {
        let (first, second) = match modes {
            [first, second, ..] => (*first, Some(*second)),
            [only] => (*only, None),
            [] => (nat::Mode::User, None),
        };
        match (
            SecureNat::start(self.secure_nat_setup(wanted, config, first).await).await,
            second,
        ) {
            (Err(nat::StartError::NetworkTaken { .. }), Some(second)) => {
                SecureNat::start(self.secure_nat_setup(wanted, config, second).await).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn secure_nat_setup(&self, wanted: &Wanted, config: &SecureNatConfig, mode: nat::Mode) -> Setup {
        let name = self.session_name("SecureNAT");
        let port = self.plug(port_of_secure_nat(name), PART_QUEUE_BYTES);
        let tag = Tag::new(&format!("{}{}", wanted.tag, short(&self.name)));
        let mut setup = Setup::new(port, config.clone(), mode, tag);
        setup.limits = nat_limits(&wanted.hub.options, descriptors_for_nat());
        setup.published = Some(wanted.published.clone());
        setup.events = self.nat_events();
        setup.stations = self.stations();
        let hub = self.name.clone();
        let kept = wanted.db.run(move |store| store.leases(&hub)).await;
        let kept = kept.unwrap_or_else(|error| {
            tracing::warn!(hub = self.name, %error, "the leases of before are not known; addresses in use are found by asking");
            Vec::new()
        });
        setup.leases = Some((kept, lease_store(self.name.clone(), wanted.db.clone())));
        setup.offload = wanted.offload;
        setup
    }

    /// What SecureNAT reports, with what the hub knows of the client added.
    fn nat_events(&self) -> nat::Events {
        let (events, hub, switch) = (self.events.clone(), self.name.clone(), self.switch.clone());
        nat::Events::new(move |event| match event {
            nat::Event::LeaseGiven { mac, ip, host_name } => {
                let session = session_of(&switch, mac);
                events.report(&Event::LeaseGiven {
                    hub: hub.clone(),
                    session,
                    mac,
                    address: ip,
                    host_name,
                });
            }
            nat::Event::PoolExhausted { mac, pool } => {
                events.report(&Event::PoolExhausted {
                    hub: hub.clone(),
                    mac,
                    pool,
                });
            }
            nat::Event::PoolAvailable { turned_away } => {
                events.report(&Event::PoolAvailable {
                    hub: hub.clone(),
                    turned_away,
                });
            }
            nat::Event::AddressInUse { mac, ip } | nat::Event::LeaseDeclined { mac, ip } => {
                events.report(&Event::AddressInUse {
                    hub: hub.clone(),
                    session: session_of(&switch, mac),
                    mac,
                    address: ip,
                });
            }
            nat::Event::RoutesLeftOut { mac, limit } => {
                events.report(&Event::RoutesLeftOut {
                    hub: hub.clone(),
                    session: session_of(&switch, mac),
                    mac,
                    limit,
                });
            }
            _ => {}
        })
    }

    /// Who is behind a hardware address, as the hub has heard it.
    fn stations(&self) -> Stations {
        let switch = self.switch.clone();
        Stations::new(move |mac| {
            switch.with(|hub| {
                let port = hub.port(hub.port_of(Instant::now(), mac)?)?;
                let is_session = port.config.kind == PortKind::Session;
                Some(Station {
                    user: port.config.user.clone().filter(|_| is_session),
                })
            })
        })
    }

    async fn bring_bridges(&self, parts: &mut Parts, wanted: &Wanted) {
        let wanted_bridges = if wanted.hub.online {
            wanted.bridges.as_slice()
        } else {
            &[]
        };
        // What is wanted no more is no trouble any more.
        parts.troubles.retain(|part, _| {
            let is_bridges = part.starts_with(BRIDGE_PART) || part.starts_with(ADDRESS_PART);
            let mut wanted = wanted_bridges.iter();
            !is_bridges || wanted.any(|record| *part == part_of(record) || *part == address_part_of(record))
        });
        for (device, running) in std::mem::take(&mut parts.bridges) {
            let stays = running.bridge.is_working()
                && wanted_bridges
                    .iter()
                    .any(|record| record.device == device && record.tap == running.tap);
            if stays {
                parts.bridges.insert(device, running);
            } else {
                running.bridge.end().await;
            }
        }
        for record in wanted_bridges {
            if !parts.bridges.contains_key(&record.device) {
                self.start_bridge(parts, record, wanted.offload).await;
            }
            if let Some(mut running) = parts.bridges.remove(&record.device) {
                self.set_address(parts, &mut running.bridge, record, &wanted.tag)
                    .await;
                parts.bridges.insert(record.device.clone(), running);
            }
        }
    }

    async fn start_bridge(&self, parts: &mut Parts, record: &LocalBridge, offload: bool) {
        let config = port_of_bridge(self.session_name("LOCALBRIDGE"));
        let port = self.plug(config, PART_QUEUE_BYTES);
        match Bridge::start(port, record, offload).await {
            Ok(bridge) => {
                if let Some(advice) = bridge.advice() {
                    tracing::warn!(hub = self.name, advice, "a bridge leaves this machine out");
                }
                self.report_start(parts, part_of(record));
                let tap = record.tap;
                parts
                    .bridges
                    .insert(record.device.clone(), RunningBridge { tap, bridge });
            }
            Err(error) => self.report_failure(parts, part_of(record), error.to_string()),
        }
    }

    /// Brings a bridge's address to that of its record. Without it the bridge carries frames all the same.
    async fn set_address(&self, parts: &mut Parts, bridge: &mut Bridge, record: &LocalBridge, tag: &str) {
        let part = address_part_of(record);
        let station = record
            .address
            .filter(|address| bridge.address() != Some(*address))
            .and_then(|address| self.station_with(address.ip(), bridge.mac()));
        if let Some(mac) = station {
            let reason = match bridge.set_address(None, tag).await {
                Ok(_) => format!("the station {mac} of this hub has that address"),
                Err(error) => error.to_string(),
            };
            return self.report_failure(parts, part, reason);
        }
        match (bridge.set_address(record.address, tag).await, record.address) {
            (Ok(true), Some(address)) => {
                parts.troubles.remove(&part);
                self.report_start(parts, format!("{part} ({address})"));
            }
            (Ok(_), None) => drop(parts.troubles.remove(&part)),
            (Ok(false), Some(_)) => {}
            (Err(error), _) => self.report_failure(parts, part, error.to_string()),
        }
    }

    /// The station that was seen with this address, other than `own`.
    fn station_with(&self, ip: Ipv4Addr, own: Option<[u8; 6]>) -> Option<MacAddr> {
        let seen = self.switch.with(|hub| hub.ip_table(Instant::now()));
        let entry = seen
            .into_iter()
            .find(|entry| entry.ip == ip && Some(entry.mac.octets()) != own)?;
        Some(entry.mac)
    }

    /// Ends its parts; sessions are ended by who knows them.
    pub async fn shut_down(&self) {
        self.close();
        let mut parts = self.parts.lock().await;
        parts.wanted = None;
        for (_, running) in std::mem::take(&mut parts.bridges) {
            running.bridge.end().await;
        }
        parts.releaser = None;
        if let Some(Err(error)) = match parts.secure_nat.take() {
            Some(running) => Some(running.stop().await),
            None => None,
        } {
            tracing::warn!(hub = self.name, %error, "SecureNAT could not be taken back");
        }
    }
}

/// All hubs that run, by name without regard to case.
#[derive(Default)]
pub struct Hubs(Mutex<BTreeMap<String, Arc<VirtualHub>>>);

impl Hubs {
    /// A hub.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<VirtualHub>> {
        self.lock().get(&folded(name)).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<VirtualHub>> {
        self.lock().values().cloned().collect()
    }

    /// A hub, begun if it is not there.
    #[must_use]
    pub fn begin(&self, name: &str, events: &Events) -> Arc<VirtualHub> {
        self.lock()
            .entry(folded(name))
            .or_insert_with(|| Arc::new(VirtualHub::new(name.to_owned(), events.clone())))
            .clone()
    }

    /// Takes a hub away from those that can be found.
    pub fn forget(&self, name: &str) -> Option<Arc<VirtualHub>> {
        self.lock().remove(&folded(name))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<VirtualHub>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a bridge is called in the log.
fn part_of(record: &LocalBridge) -> String {
    format!("{BRIDGE_PART}{}", bridge::device_of(record))
}

/// What its address is called there.
fn address_part_of(record: &LocalBridge) -> String {
    format!("{ADDRESS_PART}{}", bridge::device_of(record))
}

fn part_in(mode: nat::Mode) -> String {
    format!("SecureNAT in {mode} mode")
}

/// Why SecureNAT reaches nothing outside.
fn stranded(wanted: &Wanted) -> String {
    let offered = match (wanted.nat_mode_is_forced, wanted.nat_mode) {
        (true, mode) => format!("the server was started with --nat-mode {mode}, which"),
        (false, nat::Mode::User) => "the server may use user mode only, which".to_owned(),
        (false, nat::Mode::Kernel) => "both modes are what".to_owned(),
    };
    format!(
        "{offered} the hub's options forbid (DisableKernelModeSecureNAT, DisableUserModeSecureNAT): stations get addresses \
         and reach nothing outside; set the option to 0 (ExtOptionSet)"
    )
}

/// The name of the port that a station is behind.
fn session_of(switch: &Switch, mac: MacAddr) -> Option<String> {
    switch.with(|hub| {
        let port = hub.port(hub.port_of(Instant::now(), mac)?)?;
        Some(port.config.name.clone())
    })
}

/// Keeps the leases of a hub.
fn lease_store(hub: String, db: Db) -> LeaseStore {
    LeaseStore::new(move |changes| {
        let (hub, db) = (hub.clone(), db.clone());
        async move {
            match db.run(move |store| store.put_leases(&hub, &changes)).await {
                // Its leases are gone with it.
                Ok(()) | Err(StoreError::HubNotFound(_)) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
    })
}

/// Six hexadecimal digits for a hub's name: device names have no room for more (15 characters).
fn short(name: &str) -> String {
    let hash = folded(name).bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193) // FNV-1a
    });
    format!("{:06x}", hash & 0x00ff_ffff)
}
