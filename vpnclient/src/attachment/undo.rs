//! What takes back the changes of a connection that was dropped in the middle: nobody waits for it any more, and so nothing of it
//! may stay.

use std::path::Path;
use std::time::Duration;

use netdev::Links;
use tokio::time::timeout;

use crate::network::kill_switch::KillSwitch;
use crate::network::{RESOLV_CONF, leftovers};

/// How long taking back may take; who drops a connection waits for that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes back what the connection with a device has changed when it is dropped, unless it was disarmed before.
#[derive(Debug)]
pub(super) struct Undo {
    device: String,
    table: u32,
    switch: bool,
    is_armed: bool,
}

impl Undo {
    /// For this device, whose routes are in this table; with its kill switch, if it turns one.
    pub(super) fn of(device: &str, table: u32, switch: bool) -> Self {
        Self {
            device: device.to_owned(),
            table,
            switch,
            is_armed: true,
        }
    }

    /// The connection has ended by itself; what is still there is meant to stay.
    pub(super) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // A program that fails inside must not open what was closed on purpose.
        if !self.is_armed || std::thread::panicking() {
            return;
        }
        let (device, table, switch) = (std::mem::take(&mut self.device), self.table, self.switch);
        // What is dropped cannot wait for tasks, and its runtime may be ending.
        let undoing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let done = runtime.map(|runtime| {
                runtime.block_on(async { timeout(PATIENCE, take_back(&device, table, switch)).await })
            });
            if !matches!(done, Ok(Ok(()))) {
                tracing::warn!(
                    device,
                    "what the connection has changed could not be taken back; `vpnclient cleanup` does it"
                );
            }
        });
        let _ = undoing.join();
    }
}

async fn take_back(device: &str, table: u32, switch: bool) {
    if switch && let Err(error) = KillSwitch::of(device).lift().await {
        tracing::warn!(device, %error, "the kill switch stays on; `vpnclient cleanup` turns it off");
    }
    match Links::new() {
        Ok(links) => {
            leftovers::released(table).await;
            leftovers::clear(&links, Path::new(RESOLV_CONF)).await;
        }
        Err(error) => tracing::warn!(device, %error, "rules and routes cannot be taken back"),
    }
}
