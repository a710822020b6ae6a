//! A server in this process, with a folder of its own, and what it reported so far.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::password::{admin_hash, user_hash};
use protocol::rpc::hub::{HubOnline, HubSettings, HubType};
use protocol::rpc::method::{CreateHub, CreateUser, SetHubExtOptions, SetHubOnline};
use protocol::rpc::option::{HubOption, HubOptions};
use protocol::rpc::user::{AuthType, User};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use transport::admin::{AdminClient, AdminError};
use transport::dial::{Dialed, Target, dial};
use transport::tls::Trust;
use vpnserver::admin;
use vpnserver::control::ControlSocket;
use vpnserver::data_dir::DataDir;
use vpnserver::events::{Event, Events};
use vpnserver::identity::Identity;
use vpnserver::server::{Server, Settings};
use vpnserver::store::{DATABASE_FILE, Db, Opened, SqliteStore};

/// What takes longer does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What was reported, and the wish to hear of more.
#[derive(Clone, Default)]
struct Record {
    events: Arc<Mutex<Vec<Event>>>,
    news: Arc<Notify>,
}

impl Record {
    /// A test that failed while it looked must not stop the server from reporting.
    fn all(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server.
pub(crate) struct Site {
    pub(crate) server: Arc<Server>,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    record: Record,
    tasks: Vec<JoinHandle<()>>,
}

impl Site {
    /// Starts the server of a folder on a free port.
    pub(crate) async fn start(folder: &TempDir) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut site = Self::begin(folder, vec![listen]).await;
        site.address = site.server.listeners.local(listen).unwrap();
        site
    }

    /// Starts it with the listeners that its store names.
    pub(crate) async fn start_with_stored_listeners(folder: &TempDir) -> Self {
        Self::begin(folder, Vec::new()).await
    }

    async fn begin(folder: &TempDir, listen: Vec<SocketAddr>) -> Self {
        let record = Record::default();
        let events = Events::default();
        events.read_with({
            let record = record.clone();
            move |event| {
                record.all().push(event.clone());
                record.news.notify_waiters();
            }
        });
        let Opened { store, vault, .. } = SqliteStore::open(folder.path()).unwrap();
        let data_dir = DataDir::locate(Some(folder.path())).unwrap();
        let settings = Settings {
            listen,
            address: Ipv4Addr::LOCALHOST.into(),
            nat_mode: nat::Mode::User,
            nat_mode_is_forced: true,
            offload: true,
            tag: "test".to_owned(),
            database: folder.path().join(DATABASE_FILE),
        };
        let identity = Identity::kept(&store, &vault, &data_dir).unwrap();
        let server = Server::new(Db::new(store), vault, &events, identity, settings);
        let control = ControlSocket::bind(&data_dir.control_socket()).unwrap();
        server.apply().await.unwrap();
        let upkeep = tokio::spawn({
            let server = server.clone();
            async move { server.tend().await }
        });
        let administration = tokio::spawn(admin::serve_locally(server.clone(), control));
        Self {
            server,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            folder: folder.path().to_owned(),
            record,
            tasks: vec![upkeep, administration],
        }
    }

    /// Waits for an event that `wanted` makes something of; it may have been reported already.
    pub(crate) async fn event<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let news = self.record.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if let Some(found) = self.record.all().iter().find_map(&wanted) {
                    return found;
                }
                news.await;
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => panic!(
                "the event did not come; these did: {:#?}",
                self.record.all().clone()
            ),
        }
    }

    /// How many events so far are such.
    pub(crate) fn count(&self, such: impl Fn(&Event) -> bool) -> usize {
        self.record.all().iter().filter(|event| such(event)).count()
    }

    /// Waits until a session of this user has ended, and tells why.
    pub(crate) async fn ended(&self, user: &str) -> &'static str {
        self.event(|event| match event {
            Event::SessionEnded {
                user: whose, reason, ..
            } if whose.eq_ignore_ascii_case(user) => Some(*reason),
            _ => None,
        })
        .await
    }

    /// A connection that has got the server's hello.
    pub(crate) async fn dial(&self) -> Dialed {
        let target: Target = self.address.to_string().parse().unwrap();
        let pin = Trust::Pin(self.server.identity().fingerprint());
        dial(&target, &pin, &mut |_| {}).await.unwrap()
    }

    /// An administrator on the local socket.
    pub(crate) async fn admin(&self) -> AdminClient {
        self.local_admin(None).await.unwrap()
    }

    pub(crate) async fn local_admin(&self, hub: Option<&str>) -> Result<AdminClient, AdminError> {
        let data_dir = DataDir::locate(Some(&self.folder)).unwrap();
        AdminClient::local(&data_dir.control_socket(), hub).await
    }

    /// An administrator who comes over the network.
    pub(crate) async fn remote_admin(
        &self,
        hub: Option<&str>,
        password: &str,
    ) -> Result<AdminClient, AdminError> {
        AdminClient::login(self.dial().await, hub, &admin_hash(password.as_bytes())).await
    }

    /// Ends as `vpnserver run` does.
    pub(crate) async fn stop(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
        self.server.shut_down().await;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A hub that is online.
pub(crate) async fn add_hub(admin: &mut AdminClient, name: &str) {
    admin.call::<CreateHub>(&hub(name)).await.unwrap();
}

pub(crate) fn hub(name: &str) -> HubSettings {
    HubSettings {
        hub_name: name.to_owned(),
        online: true,
        hub_type: HubType::Standalone,
        ..HubSettings::default()
    }
}

/// An anonymous user of a hub.
pub(crate) fn anonymous(hub: &str, name: &str) -> User {
    User {
        hub_name: hub.to_owned(),
        name: name.to_owned(),
        auth_type: AuthType::Anonymous,
        ..User::default()
    }
}

/// A user with a password, as administration tools write one.
pub(crate) fn with_password(hub: &str, name: &str, password: &str) -> User {
    User {
        auth_type: AuthType::Password,
        hashed_key: Some(user_hash(password.as_bytes(), name).as_bytes().to_vec().into()),
        nt_lm_secure_hash: Some(vec![0; 16].into()),
        ..anonymous(hub, name)
    }
}

/// A site with hub `lab` and these anonymous users.
pub(crate) async fn lab(folder: &TempDir, users: &[&str]) -> (Site, AdminClient) {
    let site = Site::start(folder).await;
    let mut admin = site.admin().await;
    add_hub(&mut admin, "lab").await;
    for user in users {
        admin.call::<CreateUser>(&anonymous("lab", user)).await.unwrap();
    }
    (site, admin)
}

pub(crate) async fn set_option(admin: &mut AdminClient, hub: &str, name: &str, value: u32) {
    let options = HubOptions {
        hub_name: hub.to_owned(),
        options: vec![HubOption {
            name: name.to_owned(),
            value,
            ..HubOption::default()
        }],
    };
    admin.call::<SetHubExtOptions>(&options).await.unwrap();
}

pub(crate) async fn set_online(admin: &mut AdminClient, hub: &str, online: bool) {
    let request = HubOnline {
        hub_name: hub.to_owned(),
        online,
    };
    admin.call::<SetHubOnline>(&request).await.unwrap();
}
