//! What is around the service on a real machine: the folder, the clock, and the connections of the accounts, a task each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::error::ErrorCode;
use protocol::rpc::Timestamp;
use protocol::rpc::client::service::ServiceConfig;
use protocol::rpc::session::LinkState;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::account;
use super::answer::World;
use super::book::{Book, Entry};
use super::link;
use super::store::Store;
use crate::control::{ControlSocket, Folder};
use crate::network::kill_switch::KillSwitch;
use crate::profile::{Presence, Profile};
use crate::report::{Event, Reporter, Style};
use crate::status::{Board, Head, State, Status, millis};
use crate::stop::{self, Stop, Stopper};

/// How long the connections may take to give back what they have, at the end.
const GOODBYE: Duration = Duration::from_secs(8);

/// What a connection has to tell the service.
#[derive(Debug)]
pub(super) enum News {
    /// A session of the account stands; whether its password was forgotten, as the server's policy wants.
    Connected { key: String, forget_password: bool },
    /// It has come further, or ended.
    Moved,
}

/// The machine.
pub(super) struct Machine {
    store: Store,
    sockets: Folder,
    /// Accounts for which something is being done.
    running: HashMap<String, Running>,
    /// How the connections stand, or stood last.
    boards: HashMap<String, Arc<Board>>,
    /// Who waits for a device until the one before has given it back.
    devices: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    tasks: JoinSet<()>,
    changes: watch::Sender<u64>,
    config: watch::Sender<ServiceConfig>,
    news: mpsc::UnboundedSender<News>,
}

struct Running {
    name: String,
    stopper: Stopper,
    board: Arc<Board>,
    /// The kill switch that the connection turns, which stays on when it fails.
    switch: Option<Switch>,
}

/// A kill switch: its device, and what whoever uses the device holds.
struct Switch {
    device: String,
    alone: Arc<tokio::sync::Mutex<()>>,
}

impl Switch {
    /// Turns it off, if a connection that failed has left it on.
    async fn lift(self) {
        let _alone = self.alone.lock().await;
        let mut switch = KillSwitch::of(&self.device);
        if switch.recall().await.is_none() {
            return;
        }
        match switch.lift().await {
            Ok(()) => tracing::info!(device = self.device, "the kill switch is off"),
            Err(error) => {
                tracing::warn!(device = self.device, %error, "the kill switch stays on; `vpnclient cleanup` turns it off");
            }
        }
    }
}

impl Machine {
    pub(super) fn new(store: Store, sockets: Folder, book: &Book, news: mpsc::UnboundedSender<News>) -> Self {
        Self {
            store,
            sockets,
            running: HashMap::new(),
            boards: HashMap::new(),
            devices: HashMap::new(),
            tasks: JoinSet::new(),
            changes: watch::Sender::new(0),
            config: watch::Sender::new(book.config.clone()),
            news,
        }
    }

    /// A number that grows with every change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What the service does by itself, and every change of that.
    pub(super) fn config(&self) -> watch::Receiver<ServiceConfig> {
        self.config.subscribe()
    }

    /// Where the connection of an account notes how it stands, if there ever was one.
    pub(super) fn board(&self, key: &str) -> Option<Arc<Board>> {
        self.boards.get(key).cloned()
    }

    /// How an account stands.
    pub(super) fn status(&self, entry: &Entry) -> Status {
        match self.boards.get(&entry.key()) {
            Some(board) => board.status(),
            None => Board::new(head(entry)).status(),
        }
    }

    /// Ends all connections; the tasks are to be waited for.
    pub(super) fn stop(&mut self) -> JoinSet<()> {
        for (_, running) in std::mem::take(&mut self.running) {
            self.end(running);
        }
        std::mem::take(&mut self.tasks)
    }

    /// Ends what is being done for an account; `false` when it had ended already, and left nothing.
    fn end(&mut self, running: Running) -> bool {
        running.stopper.stop();
        let state = running.board.status().state;
        let left = running.switch.filter(|_| state == State::Failed);
        let is_left = left.is_some();
        if let Some(switch) = left {
            self.tasks.spawn(switch.lift());
        }
        state.is_active() || is_left
    }
}

/// Waits until all connections have given back what they have.
pub(super) async fn farewell(mut tasks: JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, all).await.is_err() {
        tracing::warn!("a connection has not ended in time");
        tasks.shutdown().await;
    }
}

/// What is known of an account without asking anybody.
fn head(entry: &Entry) -> Head {
    let option = &entry.account.option;
    Head {
        name: entry.account.account_name.clone(),
        account: true,
        server: format!("{}:{}", option.hostname, option.port),
        hub: option.hub_name.clone(),
        user: entry.account.auth.username.clone(),
    }
}

impl World for Machine {
    fn keep(&mut self, book: &Book) -> Result<(), ErrorCode> {
        self.store.keep(book).map_err(|error| {
            tracing::error!(%error, "the settings cannot be written; what was asked for is not done");
            ErrorCode::Internal
        })
    }

    fn changed(&mut self, book: &Book) {
        let differs = |config: &mut ServiceConfig| {
            let differs = *config != book.config;
            if differs {
                config.clone_from(&book.config);
            }
            differs
        };
        self.config.send_if_modified(differs);
        self.changes.send_modify(|number| *number += 1);
        self.boards.retain(|key, _| book.account(key).is_some());
        let is_gone = |key: &String, _: &mut Running| book.account(key).is_none();
        let gone: Vec<_> = self.running.extract_if(is_gone).collect();
        for (_, running) in gone {
            self.end(running);
        }
    }

    fn renamed(&mut self, from: &str, to: &str) {
        if let Some(board) = self.boards.remove(from) {
            self.boards.insert(to.to_owned(), board);
        }
        if let Some(running) = self.running.remove(from) {
            self.running.insert(to.to_owned(), running);
        }
    }

    fn connect(
        &mut self,
        book: &Book,
        entry: &Entry,
        password: Option<Zeroizing<String>>,
    ) -> Result<(), ErrorCode> {
        let name = entry.account.account_name.clone();
        let profile = account::profile(book, entry, password).map_err(|unusable| {
            tracing::warn!(connection = name, "{unusable}");
            unusable.code()
        })?;
        let key = entry.key();
        let board = Arc::new(Board::new(head(entry)));
        board.begin();
        let (stopper, stop) = stop::pair();
        // One after the other: the device, or the ports, may still be those of the connection before.
        let claimed = match &profile.presence {
            Presence::Device(device) => device.tap.clone(),
            Presence::Rootless(_) | Presence::Segment { .. } => format!("account {key}"),
        };
        let alone = self.devices.entry(claimed).or_default().clone();
        let switch = match &profile.presence {
            Presence::Device(device) if device.kill_switch => Some(Switch {
                device: device.tap.clone(),
                alone: alone.clone(),
            }),
            _ => None,
        };
        let task = Carrier {
            key: key.clone(),
            name: name.clone(),
            profile,
            board: board.clone(),
            sockets: self.sockets.clone(),
            alone,
            news: self.news.clone(),
        };
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task.run(stop));
        self.boards.insert(key.clone(), board.clone());
        let running = Running {
            name,
            stopper,
            board,
            switch,
        };
        self.running.insert(key, running);
        Ok(())
    }

    fn disconnect(&mut self, key: &str) -> bool {
        let running = self.running.remove(key);
        running.is_some_and(|running| self.end(running))
    }

    fn state(&self, key: &str) -> Option<LinkState> {
        let running = self.running.get(key)?;
        link::state(&running.name, &running.board)
    }

    fn now(&self) -> Timestamp {
        Timestamp(millis(SystemTime::now()))
    }

    fn random(&mut self) -> [u8; 20] {
        rand::random()
    }
}

/// The task of one connection.
struct Carrier {
    key: String,
    name: String,
    profile: Profile,
    board: Arc<Board>,
    sockets: Folder,
    alone: Arc<tokio::sync::Mutex<()>>,
    news: mpsc::UnboundedSender<News>,
}

impl Carrier {
    async fn run(self, mut stop: Stop) {
        let reporter = Reporter::of(Style::Log, &self.name, self.board.clone());
        tokio::select! {
            () = self.connect(&reporter, &mut stop) => {}
            () = self.follow() => {}
        }
        let _ = self.news.send(News::Moved);
    }

    async fn connect(&self, reporter: &Reporter, stop: &mut Stop) {
        let _alone = tokio::select! {
            alone = self.alone.lock() => alone,
            () = stop.came() => return self.closed(),
        };
        // Programs reach the hub through a connection without a device by a socket of its own.
        let control = match &self.profile.presence {
            Presence::Rootless(_) => ControlSocket::bind_free(&self.sockets, &self.name).map(Some),
            Presence::Device(_) | Presence::Segment { .. } => Ok(None),
        };
        let done = match control {
            Ok(control) => self.profile.run(control, reporter, stop).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => self.closed(),
            Err(failure) => reporter.show(&Event::Failed(failure)),
        }
    }

    /// It ended as it should, also where it had not begun.
    fn closed(&self) {
        if self.board.status().state.is_active() {
            self.board.tell(&Event::Closed {
                received: 0,
                sent: 0,
                lasted: Duration::ZERO,
            });
        }
    }

    /// Tells the service what becomes of it, as long as it lives.
    async fn follow(&self) {
        let mut state = self.board.watch();
        while state.changed().await.is_ok() {
            let news = match *state.borrow_and_update() {
                State::Connected => News::Connected {
                    key: self.key.clone(),
                    forget_password: self.board.password_is_forgotten(),
                },
                _ => News::Moved,
            };
            let _ = self.news.send(news);
        }
    }
}
