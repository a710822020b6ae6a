//! A TAP device: the kernel is on the hub, with address, routes and name servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use netdev::{Links, Tap, TapOptions, VnetHeader};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use transport::tunnel::{Inbound, Tunnel};

use super::Attachment;
use super::held::Held;
use super::pump::{self, Routers};
use super::routers::{self, OnLine, Six};
use super::undo::Undo;
use crate::attempt::Wish;
use crate::connection::{self, Settings};
use crate::dhcp::Lease;
use crate::failure::Failure;
use crate::network::kill_switch::KillSwitch;
use crate::network::{
    self, Lan, Network, Plan, PlannedRoute, RouteMode, Surroundings, Wishes, advertisement, plan,
};
use crate::report::{Event, Reporter};
use crate::stop::Stop;

/// Advertisements that may wait to be read.
const BACKLOG: usize = 4;
/// A router of the hub that has said nothing for so long after a lease is not there.
const NO_ROUTER: Duration = Duration::from_secs(10);
/// How long tasks that end may have the device for longer than the connection.
const LET_GO: Duration = Duration::from_secs(2);

/// What a device is to be.
#[derive(Debug, Clone)]
pub struct DeviceSettings {
    /// The name of the TAP device.
    pub tap: String,
    /// Its hardware address, if it is to have a certain one.
    pub mac: Option<[u8; 6]>,
    /// Whether the device may leave frames unfinished.
    pub offload: bool,
    /// Whether to ask for an address.
    pub dhcp: bool,
    /// Whether to have IPv6.
    pub ipv6: bool,
    /// Which routes lead into the VPN.
    pub routes: RouteMode,
    /// Whether to set name servers.
    pub dns: bool,
    /// What stays local.
    pub lan: Lan,
    /// Whether nothing may leave this machine but the tunnel (and what stays local), as long as the client is wanted.
    pub kill_switch: bool,
}

/// An ordinary device.
impl Default for DeviceSettings {
    fn default() -> Self {
        Self {
            tap: "hubward0".to_owned(),
            mac: None,
            offload: true,
            dhcp: true,
            ipv6: true,
            routes: RouteMode::default(),
            dns: true,
            lan: Lan::default(),
            kill_switch: false,
        }
    }
}

impl DeviceSettings {
    fn wishes(&self) -> Wishes {
        Wishes {
            routes: self.routes,
            dns: self.dns,
            lan: self.lan,
        }
    }
}

/// Connects a device and stays connected until stopped or refused, as [`connection::run`] does. A kill switch is on meanwhile,
/// and stays on unless the end was wanted: by `stop`, or because nobody waits for this any more.
pub async fn run(
    wish: &Wish,
    settings: &Settings,
    device: &DeviceSettings,
    reporter: &Reporter,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let attachment = Device::open(device, reporter).await?;
    let table = attachment.shared.network.lock().await.table();
    let undo = Undo::of(attachment.name(), table, device.kill_switch);
    // What is declared after `undo` is dropped before it, and has let go of device and table then.
    let mut attachment = attachment;
    let shared = attachment.shared.clone();
    let (name, end) = (attachment.name().to_owned(), attachment.tap.end());
    let guarded = tokio::select! {
        guarded = attachment.guard(&wish.target.host) => guarded.map(Some),
        () = stop.came() => Ok(None),
    };
    let done = match guarded {
        Ok(Some(switch)) => {
            let done = connection::run(wish, settings, attachment, reporter, stop).await;
            let done = release(switch, done, reporter).await;
            undo.disarm();
            done
        }
        // `undo` takes back what was begun.
        Ok(None) => {
            drop(attachment);
            Ok(())
        }
        Err(failure) => {
            drop(attachment);
            undo.disarm();
            Err(failure)
        }
    };
    shared.network.lock().await.leave().await;
    // The next connection may want the device at once.
    if !end.within(LET_GO).await {
        reporter.show(&Event::Note(format!(
            "this program has not let go of the device {name} within {} seconds; should the next connection find it busy, start \
             the program again",
            LET_GO.as_secs()
        )));
    }
    done
}

/// Turns the kill switch off after a wanted end.
async fn release(
    switch: Option<Arc<Mutex<KillSwitch>>>,
    done: Result<(), Failure>,
    reporter: &Reporter,
) -> Result<(), Failure> {
    if let Some(switch) = switch {
        let mut switch = switch.lock().await;
        match &done {
            Ok(()) => switch.lift().await.map_err(|e| Failure::Local(e.to_string()))?,
            Err(_) => reporter.show(&Event::Note(format!(
                "the kill switch stays on until the next connection ends as it should, {}`vpnclient cleanup`",
                match reporter.board().status().account {
                    true => "`vpnclient down`, or ",
                    false => "or ",
                }
            ))),
        }
    }
    done
}

/// A TAP device and what a lease has set up for it. The device vanishes with this value.
pub struct Device {
    settings: DeviceSettings,
    tap: Arc<Held<Tap>>,
    shared: Arc<Shared>,
    switch: Option<Arc<Mutex<KillSwitch>>>,
    routers: Arc<Routers>,
    heard: Option<mpsc::Receiver<Bytes>>,
    /// The lease in use, and where the server is.
    lease: Option<(Lease, IpAddr)>,
    /// They end with this value.
    tasks: JoinSet<()>,
    /// The look for IPv6 that goes beside; there is one at a time, and it ends with the lease.
    beside: JoinSet<()>,
}

/// What tasks beside the connection change, too.
pub(super) struct Shared {
    pub(super) wishes: Wishes,
    pub(super) network: Mutex<Network>,
    pub(super) reporter: Reporter,
    /// Whether everything of IPv6 goes into the VPN.
    pub(super) full6: AtomicBool,
    pub(super) six: Six,
}

impl Device {
    /// Makes the device; nothing goes through it yet. What killed clients left is taken away.
    pub async fn open(settings: &DeviceSettings, reporter: &Reporter) -> Result<Self, Failure> {
        let options = TapOptions {
            mac: settings.mac,
            offload: settings.offload,
            ..TapOptions::new(&settings.tap)
        };
        let tap = Arc::new(Held::new(Tap::create(&options)?));
        let mut network = Network::new(Links::new()?, tap.name(), tap.index());
        network.prepare().await;
        if tap.was_there() {
            network.keep_settings().await?;
        }
        let (reader, heard) = mpsc::channel(BACKLOG);
        let mac = tap.mac();
        Ok(Self {
            settings: settings.clone(),
            tap,
            shared: Arc::new(Shared {
                wishes: settings.wishes(),
                network: Mutex::new(network),
                reporter: reporter.clone(),
                full6: AtomicBool::new(false),
                six: Six::new(mac),
            }),
            switch: None,
            routers: Arc::new(Routers {
                kernel: AtomicBool::new(false),
                reader,
            }),
            heard: Some(heard),
            lease: None,
            tasks: JoinSet::new(),
            beside: JoinSet::new(),
        })
    }

    /// Turns the kill switch on, if there is to be one, for a server of this name.
    async fn guard(&mut self, host: &str) -> Result<Option<Arc<Mutex<KillSwitch>>>, Failure> {
        let mut switch = KillSwitch::of(self.tap.name());
        if !self.settings.kill_switch {
            if switch.recall().await.is_some() {
                self.shared.reporter.show(&Event::Note(format!(
                    "the kill switch of an earlier client on {} is on; `vpnclient cleanup` turns it off",
                    self.tap.name()
                )));
            }
            return Ok(None);
        }
        let around = self.around(Ipv4Addr::UNSPECIFIED.into()).await?;
        switch.remember(host).await;
        switch.allow(self.local(&around));
        switch.engage().await.map_err(|e| Failure::Local(e.to_string()))?;
        let switch = Arc::new(Mutex::new(switch));
        self.switch = Some(switch.clone());
        Ok(Some(switch))
    }

    fn local<'a>(&self, around: &'a Surroundings) -> &'a [network::LocalNetwork] {
        match self.settings.lan {
            Lan::Private => &around.networks,
            Lan::Nothing => &[],
        }
    }

    async fn around(&self, server: IpAddr) -> Result<Surroundings, Failure> {
        Ok(self.shared.network.lock().await.surroundings(server).await?)
    }

    /// Says after a while that IPv6 goes beside a VPN that takes everything else, if it does.
    fn look_for_ipv6_beside(&mut self) {
        let (shared, switch) = (self.shared.clone(), self.settings.kill_switch);
        self.beside.spawn(async move {
            tokio::time::sleep(NO_ROUTER).await;
            let around = shared.network.lock().await.surroundings(Ipv4Addr::UNSPECIFIED.into()).await;
            let has_ipv6 = around.is_ok_and(|around| around.has_ipv6());
            if has_ipv6 && !switch && !shared.full6.load(Ordering::Relaxed) {
                shared.reporter.show(&Event::Note(
                    "the hub has no way out for IPv6: what this machine sends by IPv6 goes beside the VPN; --kill-switch lets \
                     nothing out but the tunnel"
                        .to_owned(),
                ));
            }
        });
    }
}

impl Attachment for Device {
    fn mac(&self) -> [u8; 6] {
        self.tap.mac()
    }

    fn name(&self) -> &str {
        self.tap.name()
    }

    fn device(&self) -> Option<u32> {
        Some(self.tap.index())
    }

    fn wants_address(&self) -> bool {
        self.settings.dhcp
    }

    fn inbound(&self, dhcp: Option<mpsc::Sender<Bytes>>) -> Inbound {
        pump::inbound(self.tap.clone(), dhcp, self.routers.clone())
    }

    fn outbound(&self, tunnel: Tunnel) -> impl Future<Output = io::Error> + Send + 'static {
        let on_line = OnLine::with(self.shared.clone(), &tunnel);
        let pump = pump::outbound(self.tap.clone(), tunnel);
        async move {
            let _on_line = on_line;
            pump.await
        }
    }

    fn return_answer(&self, frame: &[u8]) {
        let _ = self.tap.try_send(&VnetHeader::NONE, frame);
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        let hears = self.shared.network.lock().await.up(self.settings.ipv6).await?;
        self.routers.kernel.store(hears, Ordering::Relaxed);
        if let Some(heard) = self.heard.take() {
            self.tasks
                .spawn(routers::follow(self.shared.clone(), heard, self.tap.clone()));
        }
        Ok(())
    }

    async fn take(&mut self, lease: &Lease, server: IpAddr, reporter: &Reporter) -> Result<(), Failure> {
        let around = self.around(server).await?;
        let mut network = self.shared.network.lock().await;
        network.clear_lease().await;
        self.lease = None;
        self.beside = JoinSet::new();
        let plan = match plan(lease, &self.shared.wishes, &around) {
            Ok(plan) => plan,
            Err(refused) => {
                reporter.show(&Event::NoAddress(refused.to_string()));
                return Ok(());
            }
        };
        let notes = network.apply(&plan, server).await?;
        let table = network.table();
        drop(network);
        self.lease = Some((lease.clone(), server));
        reporter.show(&address_event(self.tap.name(), lease, &plan));
        if !plan.routes.is_empty() {
            reporter.show(&routes_event(self.tap.name(), table, &around, &plan));
        }
        for note in notes {
            reporter.show(&Event::Note(note));
        }
        if plan.is_full() {
            self.look_for_ipv6_beside();
        }
        Ok(())
    }

    /// What the lease says is as before; only what was let go of meanwhile has to be taken up again.
    async fn renewed(&mut self) {
        self.shared.network.lock().await.resume_dns().await;
    }

    async fn clear(&mut self) {
        self.lease = None;
        self.beside = JoinSet::new();
        self.shared.full6.store(false, Ordering::Relaxed);
        routers::give_back(&self.shared).await;
        self.shared.network.lock().await.clear().await;
    }

    /// This machine may have moved: what is local now stays local now.
    async fn find_server(&mut self, server: IpAddr) -> Result<(), Failure> {
        let around = self.around(server).await?;
        if let Some(switch) = &self.switch {
            let mut switch = switch.lock().await;
            if switch.allow(self.local(&around)) {
                switch.engage().await.map_err(|e| Failure::Local(e.to_string()))?;
            }
        }
        let mut network = self.shared.network.lock().await;
        network.find_server_again(server).await?;
        if let Some((lease, _)) = &self.lease
            && let Ok(plan) = plan(lease, &self.shared.wishes, &around)
        {
            network.spare(&plan).await?;
        }
        let local = advertisement::local(&self.shared.wishes, &around);
        network.spare6(&local).await?;
        Ok(())
    }

    async fn suspend_names(&mut self) {
        self.shared.network.lock().await.suspend_dns().await;
    }
}

fn address_event(device: &str, lease: &Lease, plan: &Plan) -> Event {
    Event::Address {
        device: device.to_owned(),
        address: lease.address.into(),
        prefix: plan.prefix,
        server: lease.server.into(),
        term: lease.term,
        routes: plan.routes.iter().map(shown).collect(),
        dns: plan.dns.iter().flat_map(|dns| dns.servers.clone()).collect(),
    }
}

fn shown(route: &PlannedRoute) -> String {
    match route.router {
        Some(router) => format!("{}/{} via {router}", route.network, route.prefix),
        None => format!("{}/{}", route.network, route.prefix),
    }
}

fn routes_event(device: &str, table: u32, around: &Surroundings, plan: &Plan) -> Event {
    Event::Routes {
        device: device.to_owned(),
        table,
        before: around.defaults.clone(),
        through: plan.routes.iter().map(shown).collect(),
        local: plan
            .spared
            .iter()
            .map(|(net, prefix)| format!("{net}/{prefix}"))
            .collect(),
        full: plan.is_full(),
    }
}
