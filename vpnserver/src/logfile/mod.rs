//! Log files as the stock server writes them (policies §6): `server_log`, `security_log/HUB` and `packet_log/HUB` below the
//! data folder, a new file as often as an administrator wants one.
//!
//! Whoever logs hands a line over and goes on: one thread writes the files (`writer`), and what finds no room on the way
//! there is dropped and counted. The same lines go to a syslog server, if one is set ([`crate::syslog`]).

mod archive;
mod eraser;
mod packet;
mod service;
mod stamp;
mod words;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use jiff::ZonedDateTime;

use crate::events::{Event, Events};
use crate::store::{LogSettings, folded};
use crate::syslog::{Origin, SyslogSender};
pub use archive::{LogFile, PIECE_BYTES};
pub use packet::{Addresses, line as packet_line};
pub use stamp::Switch;
pub(crate) use stamp::date_and_time;
pub use writer::Limits;
use writer::Message;

/// Lines that wait for the disk.
const WAITING_LINES: usize = 16_384;

/// Which log a line belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// The server's.
    Server,
    /// What happens in a hub.
    Security(Arc<str>),
    /// The frames of a hub.
    Packet(Arc<str>),
}

/// What one hub logs.
#[derive(Clone, Debug)]
struct Rule {
    /// The hub's name as it is written.
    hub: Arc<str>,
    settings: LogSettings,
    packet: PacketRule,
}

/// What a hub's options say of its packet log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketRule {
    /// Lines name the clients' own addresses (hub option `NoPhysicalIPOnPacketLog` turned round).
    pub physical_addresses: bool,
    /// Lines tell what is asked for by HTTP (hub option `DisableHttpParsing` turned round).
    pub http: bool,
    /// Lines of one session in a minute; 0 is no limit (hub option `MaxLoggedPacketsPerMinute`).
    pub per_minute: u32,
}

/// The log files of a server; clones share them.
#[derive(Clone)]
pub struct LogFiles(Arc<Inner>);

struct Inner {
    root: PathBuf,
    lines: SyncSender<Message>,
    lost: AtomicU64,
    rules: RwLock<HashMap<String, Rule>>,
    syslog: SyslogSender,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LogFiles {
    /// Begins to log what is reported from now on, below `root`.
    #[must_use]
    pub fn begin(root: &Path, events: &Events, limits: Limits) -> Self {
        let (lines, waiting) = sync_channel(WAITING_LINES);
        let thread = writer::start(root, waiting, events.clone(), limits);
        let inner = Arc::new(Inner {
            root: root.to_owned(),
            lines,
            lost: AtomicU64::new(0),
            rules: RwLock::default(),
            syslog: SyslogSender::default(),
            thread: Mutex::new(thread),
        });
        // Not kept alive by what it reads: it goes with the server.
        let reader = Arc::downgrade(&inner);
        events.read_with(move |event| {
            if let Some(inner) = reader.upgrade() {
                Self(inner).record(event);
            }
        });
        Self(inner)
    }

    /// Where log lines go besides.
    #[must_use]
    pub fn syslog(&self) -> &SyslogSender {
        &self.0.syslog
    }

    /// Sets what a hub logs.
    pub fn set_hub(&self, hub: &str, settings: LogSettings, packet: PacketRule) {
        let rule = Rule {
            hub: hub.into(),
            settings,
            packet,
        };
        self.rules_mut().insert(folded(hub), rule);
    }

    /// Forgets what a hub that is gone logs; its files stay.
    pub fn forget_hub(&self, hub: &str) {
        self.rules_mut().remove(&folded(hub));
    }

    /// Lines that found no room since the last call.
    pub fn take_lost(&self) -> u64 {
        self.0.lost.swap(0, Ordering::Relaxed)
    }

    /// Counts lines that found no room elsewhere.
    pub fn add_lost(&self, lines: u64) {
        self.0.lost.fetch_add(lines, Ordering::Relaxed);
    }

    /// How packet lines of this hub are to be, if they are wanted.
    #[must_use]
    pub fn packet_rule(&self, hub: &str) -> Option<PacketRule> {
        let rule = self.rule(hub)?;
        rule.settings.packet.then_some(rule.packet)
    }

    /// Writes a line about a frame, made by [`packet_line`].
    pub fn packet(&self, hub: &str, at: &ZonedDateTime, line: String) {
        if let Some(rule) = self.rule(hub).filter(|rule| rule.settings.packet) {
            let origin = Origin::Packet(&rule.hub);
            self.0.syslog.send(&origin, at, &line);
            let switch = Switch::from_code(rule.settings.packet_switch);
            self.put(Place::Packet(rule.hub), switch, at, line);
        }
    }

    /// Writes what happened into the logs that it belongs to.
    fn record(&self, event: &Event) {
        let Some((hub, text)) = words::of(event) else {
            return;
        };
        let now = ZonedDateTime::now();
        let text = words::clean(&text);
        let Some(hub) = hub else {
            return self.server_line(&now, &text);
        };
        self.server_line(&now, &format!("[HUB \"{hub}\"] {text}"));
        if let Some(rule) = self.rule(hub).filter(|rule| rule.settings.security) {
            self.0.syslog.send(&Origin::Security(&rule.hub), &now, &text);
            let switch = Switch::from_code(rule.settings.security_switch);
            let line = format!("{} {text}", stamp::date_and_time(&now));
            self.put(Place::Security(rule.hub), switch, &now, line);
        }
    }

    fn server_line(&self, now: &ZonedDateTime, text: &str) {
        self.0.syslog.send(&Origin::Server, now, text);
        let line = format!("{} {text}", stamp::date_and_time(now));
        self.put(Place::Server, Switch::Day, now, line);
    }

    fn put(&self, place: Place, switch: Switch, at: &ZonedDateTime, line: String) {
        let stamp = switch.stamp(at);
        let message = Message::Line { place, stamp, line };
        if self.0.lines.try_send(message).is_err() {
            self.add_lost(1);
        }
    }

    /// Waits until what was handed over is in the files.
    pub async fn settle(&self) {
        let (done, settled) = tokio::sync::oneshot::channel();
        let lines = self.0.lines.clone();
        // The queue may be full, and then this waits for its place.
        let handed_over = tokio::task::spawn_blocking(move || lines.send(Message::Settle(done))).await;
        if matches!(handed_over, Ok(Ok(()))) {
            let _ = settled.await;
        }
    }

    /// Writes what is left and ends.
    pub async fn close(&self) {
        let thread = self
            .0
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let lines = self.0.lines.clone();
        let _ = tokio::task::spawn_blocking(move || {
            let _ = lines.send(Message::Stop);
            thread.map(JoinHandle::join)
        })
        .await;
    }

    /// All log files, by path. Blocks.
    #[must_use]
    pub fn list(&self) -> Vec<LogFile> {
        archive::list(&self.0.root)
    }

    /// A piece of one of them, or none when there is no such file. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, path: &str, offset: u64) -> std::io::Result<Option<Vec<u8>>> {
        archive::read(&self.0.root, path, offset)
    }

    fn rule(&self, hub: &str) -> Option<Rule> {
        let rules = self.0.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.get(&folded(hub)).cloned()
    }

    fn rules_mut(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Rule>> {
        self.0.rules.write().unwrap_or_else(PoisonError::into_inner)
    }
}
