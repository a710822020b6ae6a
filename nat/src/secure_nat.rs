//! SecureNAT on one hub: the virtual host, its DHCP and its NAT, started, changed and stopped as one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hub_core::Port;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::config::{ConfigError, SecureNatConfig};
use crate::dhcp::{KeptLease, Moment, Stations};
use crate::dnat::Published;
use crate::event::{Events, FlowProtocol};
use crate::forwarding::HoldError;
use crate::host::VirtualHost;
use crate::ipv6::{Condition, Reach};
use crate::keeper;
use crate::kernel::{KernelNat, conntrack};
use crate::lease_store::{self, LeaseStore};
use crate::net::Ipv4Net;
use crate::nft::NftError;
use crate::resolver::Resolvers;
use crate::table::{LeaseEntry, Mode, NatEntry, Status};
use crate::tag::Tag;
use crate::user::{self, Flows, Limits, Shared};

/// What a SecureNAT is started with.
#[derive(Debug)]
pub struct Setup {
    /// Its port on the hub.
    pub port: Port,
    /// The administrator's settings.
    pub config: SecureNatConfig,
    /// How packets reach the outside.
    pub mode: Mode,
    /// Names the device and the nftables table of kernel mode; unique on this machine.
    pub tag: Tag,
    /// Published hosts that clients reach at the virtual host's address as well (user mode; in kernel mode the
    /// kernel's table sees them).
    pub published: Option<Published>,
    /// Bounds of user mode.
    pub limits: Limits,
    /// Where the resolvers of this machine are named.
    pub resolv_conf: PathBuf,
    /// Who hears what happens.
    pub events: Events,
    /// Finds the hub's stations.
    pub stations: Stations,
    /// Leases that were kept, and where they are kept from now on.
    pub leases: Option<(Vec<KeptLease>, LeaseStore)>,
    /// Whether the device of kernel mode may leave frames unfinished (`TapOptions::offload` of `netdev`).
    pub offload: bool,
    /// How often kernel mode looks whether somebody removed its ruleset, to put it back.
    pub watch: Duration,
}

impl Setup {
    /// The usual surroundings: no published hosts, default limits, `/etc/resolv.conf`, nobody listening.
    pub fn new(port: Port, config: SecureNatConfig, mode: Mode, tag: Tag) -> Self {
        Setup {
            port,
            config,
            mode,
            tag,
            published: None,
            limits: Limits::default(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            events: Events::ignored(),
            stations: Stations::unknown(),
            leases: None,
            offload: true,
            watch: keeper::EVERY,
        }
    }
}

/// Why SecureNAT is not in operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The device or a kernel setting of kernel mode.
    #[error(transparent)]
    Device(#[from] netdev::Error),
    /// Kernel mode needs a network that this machine has nowhere else.
    #[error(
        "the network {network} is in use by the device {device}; give this hub's virtual host another one \
         (SecureNatHostSet, DhcpSet), or use user mode"
    )]
    NetworkTaken {
        /// The virtual host's network.
        network: Ipv4Net,
        /// The device that has it.
        device: String,
    },
    /// The ruleset of kernel mode.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The kernel settings of kernel mode.
    #[error(transparent)]
    Forwarding(#[from] HoldError),
}

/// A SecureNAT in operation.
///
/// Call [`stop`](Self::stop) to end it. Merely dropped it ends as well, but in kernel mode its nftables table stays
/// until the next start with the same tag.
pub struct SecureNat {
    shared: Arc<Shared>,
    mode: Mode,
    tag: Tag,
    watch: Duration,
    offload: bool,
    running: Mutex<Running>,
    /// Keeps the leases.
    keeper: Option<(Task, LeaseStore)>,
}

enum Running {
    /// The virtual host answers by itself: user mode, and either mode without NAT.
    Host(Task),
    Kernel(KernelNat),
    /// A change of settings failed, and the way back as well.
    Nothing,
}

/// A task that ends when it is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SecureNat {
    /// Starts SecureNAT. When it fails nothing is left behind.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        setup.config.validate()?;
        let shared = Arc::new(Shared::new(
            VirtualHost::new(&setup.config, setup.stations),
            setup.port,
            Flows::new(setup.limits, setup.events.clone()),
            Resolvers::new(setup.resolv_conf),
            setup.published,
            setup.events,
        ));
        let store = setup.leases.map(|(kept, store)| {
            shared.host().restore_leases(kept, Moment::present());
            store
        });
        let running = begin(&shared, setup.mode, &setup.tag, setup.watch, setup.offload).await?;
        let keeper = store.map(|store| {
            let task = tokio::spawn(lease_store::keep(Arc::clone(&shared), store.clone()));
            (Task(task), store)
        });
        shared.begin_on_hub(Instant::now());
        Ok(SecureNat {
            shared,
            mode: setup.mode,
            tag: setup.tag,
            watch: setup.watch,
            offload: setup.offload,
            running: Mutex::new(running),
            keeper,
        })
    }

    /// The mode it was started in.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The device through which the kernel sees the hub; none in user mode.
    pub fn device(&self) -> Option<String> {
        (self.mode == Mode::Kernel && self.config().use_nat).then(|| self.tag.device())
    }

    /// The settings in force.
    pub fn config(&self) -> SecureNatConfig {
        self.shared.host().config().clone()
    }

    /// The state in numbers.
    pub async fn status(&self) -> Status {
        let (dhcp_clients, pool) = {
            let host = self.shared.host();
            (host.leases().len() as u32, host.pool())
        };
        let (pool, turned_away) = pool.unwrap_or_default();
        let count = |protocol| self.shared.flows.count(protocol);
        let mut status = Status {
            mode: self.mode,
            tcp: count(FlowProtocol::Tcp),
            udp: count(FlowProtocol::Udp),
            icmp: count(FlowProtocol::Icmp),
            dns: count(FlowProtocol::Dns),
            dhcp_clients,
            pool,
            turned_away,
        };
        if self.mode == Mode::Kernel {
            for entry in self.nat_table().await {
                match entry.protocol {
                    FlowProtocol::Tcp => status.tcp += 1,
                    FlowProtocol::Udp => status.udp += 1,
                    FlowProtocol::Icmp => status.icmp += 1,
                    FlowProtocol::Dns => status.dns += 1,
                }
            }
        }
        status
    }

    /// What its IPv6 router does.
    pub fn ipv6_condition(&self) -> Condition {
        self.shared.host().router().condition()
    }

    /// The leases in force, by address.
    pub fn dhcp_table(&self) -> Vec<LeaseEntry> {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let leases = self.shared.host().leases();
        leases
            .into_iter()
            .map(|lease| LeaseEntry::new(lease, now, wall))
            .collect()
    }

    /// The flows. In kernel mode what the kernel shows, which on some machines is nothing.
    pub async fn nat_table(&self) -> Vec<NatEntry> {
        let config = self.config();
        match self.mode {
            Mode::Kernel if config.use_nat => conntrack::entries(config.network()).await,
            _ => self.shared.flows.entries(),
        }
    }

    /// Takes other settings. Leases whose address is still in the pool stay; flows stay unless the virtual host's
    /// address or the NAT itself changes. In kernel mode a change of more than DHCP takes the device down and up. After
    /// an error the former settings are in force.
    pub async fn set_config(&self, config: &SecureNatConfig) -> Result<(), StartError> {
        config.validate()?;
        let mut running = self.running.lock().await;
        let former = self.config();
        let rebuilt = self.mode == Mode::Kernel && device_settings(&former) != device_settings(config)
            || matches!(*running, Running::Nothing);
        if !rebuilt {
            self.shared.set_config(config);
            return Ok(());
        }
        std::mem::replace(&mut *running, Running::Nothing).end().await?;
        self.shared.set_config(config);
        match begin(&self.shared, self.mode, &self.tag, self.watch, self.offload).await {
            Ok(begun) => *running = begun,
            Err(error) => {
                self.shared.set_config(&former);
                *running = begin(&self.shared, self.mode, &self.tag, self.watch, self.offload)
                    .await
                    .unwrap_or(Running::Nothing);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes other bounds of user mode. Flows that are open stay.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.flows.set_limits(limits);
    }

    /// Ends it: every flow, the device, the ruleset and the kernel settings. The port is closed.
    pub async fn stop(self) -> Result<(), StartError> {
        self.shared.say_farewell(Instant::now());
        self.shared.port.close();
        let ended = self.running.into_inner().end().await;
        if let Some((task, store)) = self.keeper {
            drop(task);
            lease_store::finish(&self.shared, &store).await;
        }
        ended
    }
}

async fn begin(
    shared: &Arc<Shared>,
    mode: Mode,
    tag: &Tag,
    watch: Duration,
    offload: bool,
) -> Result<Running, StartError> {
    let use_nat = shared.host().config().use_nat;
    if mode == Mode::Kernel && use_nat {
        return Ok(Running::Kernel(
            KernelNat::start(shared, tag, watch, offload).await?,
        ));
    }
    shared.set_reach(Reach::Link);
    if shared.host().config().ipv6.enabled {
        tracing::info!(
            "stations of this hub get IPv6 addresses and name servers, and no way out by IPv6: that needs kernel mode and NAT"
        );
    }
    Ok(Running::Host(Task(tokio::spawn(user::run(Arc::clone(shared))))))
}

/// What the device and the ruleset depend on.
fn device_settings(config: &SecureNatConfig) -> impl PartialEq + use<> {
    (
        config.mac_address,
        config.ip,
        config.mask,
        config.mtu,
        config.use_nat,
        (config.ipv6.enabled, config.ipv6.prefix),
    )
}

impl Running {
    async fn end(self) -> Result<(), StartError> {
        match self {
            Running::Host(mut task) => {
                task.0.abort();
                // Flows end with the task; waiting means that none is left when this returns.
                let _ = (&mut task.0).await;
                Ok(())
            }
            Running::Kernel(kernel) => kernel.stop().await,
            Running::Nothing => Ok(()),
        }
    }
}
