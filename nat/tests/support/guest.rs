//! A Linux host of a hub user: a namespace of its own whose device `tap0` is a port of the hub.

use std::sync::Arc;
use std::time::Instant;

use hub_core::Port;
use nat::device::{Reader, join};
use netdev::{Tap, TapOptions};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::hosts::Host;
use super::run;

pub(crate) struct Guest {
    pub(crate) host: Host,
    _pump: JoinSet<()>,
}

impl Guest {
    /// Joins the hub at `port`.
    pub(crate) fn join(port: Port) -> Self {
        let host = Host::alone();
        let runtime = Handle::current();
        let tap = host.call(move || {
            let _runtime = runtime.enter();
            let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
            // The test need not wait until nobody objects to the guest's own addresses.
            netdev::sysctl::write("net.ipv6.conf.tap0.accept_dad", "0").unwrap();
            netdev::sysctl::write("net.ipv6.conf.tap0.router_solicitation_delay", "0").unwrap();
            run("ip", "link set tap0 up");
            tap
        });
        let (tap, port) = (Arc::new(tap), Arc::new(port));
        let mut pump = JoinSet::new();
        pump.spawn(to_hub(Arc::clone(&tap), Arc::clone(&port)));
        pump.spawn(to_device(tap, port));
        Guest { host, _pump: pump }
    }
}

async fn to_hub(tap: Arc<Tap>, port: Arc<Port>) {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    while tap.readable().await.is_ok() && reader.read(&*tap, &mut frames).is_ok() {
        port.send(Instant::now(), &mut frames.drain(..));
    }
}

async fn to_device(tap: Arc<Tap>, port: Arc<Port>) {
    let mut batch = Vec::new();
    let mut joiner = tap.joiner();
    while port.recv(&mut batch, 1 << 20).await.is_ok() {
        join(&mut joiner, batch.drain(..));
        let _ = tap.try_send_joined(&mut joiner);
    }
}
