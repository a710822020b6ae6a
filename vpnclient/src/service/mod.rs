//! `vpnclient run`: the service, with saved accounts that connect side by side.
//!
//! [`Service`] decides: what it knows is a [`Book`], kept in files by a [`store::Store`]; managers call its methods by TCP (`door`) or by
//! the local socket (`local`), which answers `vpnclient up` and `status` as well. What is around it is its [`World`]: on a
//! machine the tasks of the connections, each the same as a `vpnclient connect` ([`account::profile`] makes what that makes of its
//! options).

pub mod account;
mod answer;
mod ask;
pub mod book;
mod certificate;
mod door;
mod link;
mod local;
mod machine;
mod peer;
pub mod store;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::RpcMessage;
use protocol::rpc::client::PORTS;
use protocol::rpc::client::account::AccountName;
use protocol::rpc::client::method::{Disconnect, Method};
use protocol::rpc::client::refused;
use protocol::rpc::client::service::ServiceConfig;
use tokio::sync::{mpsc, watch};
use transport::tls::Fingerprint;
use zeroize::Zeroizing;

pub use answer::{Service, World};
pub use ask::{accounts, down, import, options, up};
pub use book::{Book, Entry};

use crate::control::{ControlSocket, Folder, SERVICE};
use crate::failure::Failure;
use crate::person;
use crate::status::{Board, Status};
use crate::stop::Stop;
use machine::{Machine, News};
use store::Store;

/// What everybody shares who has to do with the service.
pub(crate) struct Shared {
    service: Mutex<Service<Machine>>,
    room: door::Room,
}

/// Serves until it is to end; then every connection gives back what it has.
///
/// # Errors
/// The folder, the local socket, or the ports cannot be used.
pub async fn run(folder: &Path, sockets: &Folder, tcp: bool, stop: &mut Stop) -> Result<(), Failure> {
    person::leave();
    let (store, book) = Store::open(folder)?;
    let socket = ControlSocket::bind(sockets, SERVICE)?;
    let listener = if tcp {
        let listener = door::listen(book.config.allow_remote, &PORTS).await.map_err(|e| {
            Failure::Local(format!(
                "no TCP port of 9931 to 9935 is free for vpncmd: {e}; end what has them, or do without: --no-tcp"
            ))
        })?;
        door::announce(&listener);
        Some(listener)
    } else {
        None
    };
    tracing::info!(folder = %folder.display(), accounts = book.accounts.len(), "the service runs");
    let (sender, mut news) = mpsc::unbounded_channel();
    let machine = Machine::new(store, sockets.clone(), &book, sender);
    let shared = Arc::new(Shared {
        service: Mutex::new(Service::new(book, machine)),
        room: door::Room::default(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(local::serve(shared.clone(), socket));
    tasks.spawn(keep_alive(shared.config()));
    if let Some(listener) = listener {
        tasks.spawn(door::serve(shared.clone(), listener));
    }
    shared.lock().start();
    // Who waits for us may go on.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        tokio::select! {
            Some(news) = news.recv() => shared.hear(news).await,
            () = stop.came() => break,
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tasks.shutdown().await;
    let connections = shared.lock().world_mut().stop();
    machine::farewell(connections).await;
    tracing::info!("the service has ended");
    Ok(())
}

async fn keep_alive(mut config: watch::Receiver<ServiceConfig>) {
    loop {
        let keep = config.borrow_and_update().keep.clone();
        tokio::select! {
            () = transport::keep_alive::keep_alive(&keep) => {}
            changed = config.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Service<Machine>> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> watch::Receiver<ServiceConfig> {
        self.lock().world().config()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.lock().world().changes()
    }

    /// Does something that may wait for the disk.
    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Service<Machine>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let shared = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut shared.lock())).await;
        done.map_err(|e| Failure::Local(format!("the service failed inside: {e}")))
    }

    /// Answers a call of a manager.
    async fn answer(self: &Arc<Self>, method: String, request: Pack) -> Pack {
        let answer = self.with(move |service| service.answer(&method, &request)).await;
        answer.unwrap_or_else(|_| protocol::rpc::client::refusal(ErrorCode::Internal))
    }

    async fn hear(self: &Arc<Self>, news: News) {
        let heard = match news {
            News::Connected { key, forget_password } => {
                self.with(move |service| service.connected(&key, forget_password))
                    .await
            }
            News::Moved => self.with(Service::moved).await,
        };
        if let Err(failure) = heard {
            tracing::error!("{failure}");
        }
    }

    /// How all accounts stand.
    fn statuses(&self) -> Vec<Status> {
        let service = self.lock();
        let world = service.world();
        service
            .book()
            .accounts
            .iter()
            .map(|entry| world.status(entry))
            .collect()
    }

    /// Begins to connect an account, after having accepted its server's certificate where one is given; where it notes how it
    /// stands, and whether it will ask for an address.
    async fn call_up(
        self: &Arc<Self>,
        name: String,
        password: Option<Zeroizing<String>>,
        pin: Option<Fingerprint>,
    ) -> Result<(Arc<Board>, bool), Failure> {
        self.with(move |service| {
            let refused = |code: ErrorCode| Failure::Usage(format!("{name}: {code}"));
            if let Some(pin) = pin {
                service.accept(&name, pin).map_err(refused)?;
            }
            let entry = service.book().account(&name);
            let entry = entry.ok_or_else(|| refused(ErrorCode::AccountNotFound))?;
            // What managers get a number for has words.
            let profile = account::profile(service.book(), entry, password.clone())
                .map_err(|unusable| Failure::Usage(format!("{name}: {unusable}")))?;
            service.up(&name, password).map_err(refused)?;
            let board = service.world().board(&name.to_lowercase());
            let board = board.ok_or_else(|| refused(ErrorCode::AccountNotFound))?;
            Ok((board, profile.wants_address()))
        })
        .await?
    }

    async fn call_down(self: &Arc<Self>, name: String) -> Result<(), Failure> {
        let request = AccountName {
            account_name: name.clone(),
        };
        let answer = self.answer(Disconnect::NAME.to_owned(), request.to_pack()).await;
        match refused(&answer) {
            Some(code) => Err(Failure::Usage(format!("{name}: {code}"))),
            None => Ok(()),
        }
    }

    async fn set_options(self: &Arc<Self>, name: String, options: Vec<String>) -> Result<(), Failure> {
        account::check_options(&options)?;
        self.with(move |service| {
            let set = service.set_options(&name, options);
            set.map_err(|code| Failure::Usage(format!("{name}: {code}")))
        })
        .await?
    }
}
