//! Administration: one connection, one administrator, one call after the other.
//!
//! The messages and who may call what are defined in `protocol::rpc`; here is what each method does. A method that
//! changes something writes it to the store; what runs follows from that ([`Server::apply`]), in one place, before the
//! caller is told.

mod access_rule;
mod audit;
mod authority;
mod backup;
mod bridge;
mod caps;
mod cascade;
mod certificate;
mod cluster;
mod config;
mod connection;
mod dnat;
mod group;
mod hub;
mod ipv6;
mod layer3;
mod listener;
mod log_file;
mod options;
mod radius;
mod reservation;
mod restriction;
mod revocation;
mod securenat;
mod server;
mod session;
mod settings;
mod source_rule;
mod table;
mod user;

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::dispatch;
use protocol::error::ErrorCode;
use protocol::handshake::AdminLogin;
use protocol::pack::{Limits, Pack};
use protocol::rpc::method::{
    self, Answered, Answering, Caller, Encoding, FUNCTION_NAME, Handle, Method, Right, Role, Row,
};
use protocol::rpc::{Subject, Timestamp, frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use transport::accept::Negotiation;
use transport::records::Records;

use crate::audit::{Doing, Who};
use crate::control::ControlSocket;
use crate::events::Event;
use crate::gate::Pass;
use crate::login::{AdminRole, Credential, Refused};
use crate::server::Server;
use crate::store::{AdminOption, AdminOptions, StoreError};

/// An answer, or what the caller is told instead.
type Reply<T> = Result<T, ErrorCode>;

/// How long the first record on the local socket may take.
const LOCAL_LOGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Who calls, and from where.
#[derive(Clone, Debug)]
pub struct Administrator {
    role: AdminRole,
    /// Nothing for the local socket.
    peer: Option<SocketAddr>,
    transport: Transport,
    /// Of a hub's administrator, when the call began.
    restrictions: AdminOptions,
}

/// How a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over the local socket.
    Local,
    /// As administration records over TLS.
    Rpc,
    /// As JSON-RPC over HTTPS.
    Json,
}

impl Transport {
    /// Its name in the audit log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Rpc => "rpc",
            Self::Json => "json",
        }
    }
}

/// The body of a call in one of its encodings.
pub trait Body: Encoding + Send + Sync + 'static {}

impl<B: Encoding + Send + Sync + 'static> Body for B {}

impl Administrator {
    /// One who came over the network.
    pub(crate) fn remote(role: AdminRole, peer: SocketAddr, transport: Transport) -> Self {
        Self {
            role,
            peer: Some(peer),
            transport,
            restrictions: AdminOptions::default(),
        }
    }

    /// One who may open the local socket, or write to the folder.
    fn local(role: AdminRole) -> Self {
        Self {
            role,
            peer: None,
            transport: Transport::Local,
            restrictions: AdminOptions::default(),
        }
    }

    /// How the calls come.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// What the audit log says about a change of theirs.
    fn doing(&self, method: &str, subject: Subject, result: Result<(), ErrorCode>) -> Doing {
        Doing {
            who: match &self.role {
                AdminRole::Server => Who::Server,
                AdminRole::Hub(hub) => Who::Hub(hub.clone()),
            },
            from: self.peer.map_or("local".to_owned(), |peer| peer.to_string()),
            transport: self.transport.name(),
            method: method.to_owned(),
            hub: subject.hub,
            name: subject.name,
            result,
            left_out: 0,
        }
    }

    /// The event of the login.
    pub(crate) fn opened(&self) -> Event {
        Event::AdminOpened {
            peer: self.peer,
            hub: self.hub(),
        }
    }

    /// Whether this administrator may know of a hub.
    fn sees(&self, hub: &str) -> bool {
        match &self.role {
            AdminRole::Server => true,
            AdminRole::Hub(own) => own.eq_ignore_ascii_case(hub),
        }
    }

    /// The hub, of a hub's administrator.
    pub(crate) fn hub(&self) -> Option<String> {
        match &self.role {
            AdminRole::Server => None,
            AdminRole::Hub(hub) => Some(hub.clone()),
        }
    }
}

impl Caller for Administrator {
    fn role(&self) -> Role<'_> {
        match &self.role {
            AdminRole::Server => Role::Server,
            AdminRole::Hub(hub) => Role::Hub(hub),
        }
    }

    fn is_option_set(&self, option: &str) -> bool {
        AdminOption::by_name(option).is_some_and(|option| self.is_restricted(option))
    }
}

/// The server as its administrators see it.
struct Administration(Arc<Server>);

/// Says which function answers which method; the list is complete, others are answered with "not supported".
macro_rules! methods {
    ($($method:ident => $function:path,)+) => {
        $(
            impl Handle<method::$method, Administrator> for Administration {
                async fn handle(
                    &self,
                    caller: &Administrator,
                    request: <method::$method as Method>::Request,
                ) -> Reply<<method::$method as Method>::Response> {
                    $function(&self.0, caller, request).await
                }
            }
        )+

        fn route<'a, B: Body>(
            server: &'a Administration,
            caller: &'a Administrator,
            name: &str,
            call: &'a B,
        ) -> Answering<'a, B> {
            use method::{$($method),+};
            dispatch!(server, caller, name, call; $($method),+)
        }

        /// Whether the server has the method of this name.
        #[must_use]
        pub fn has(name: &str) -> bool {
            [$(<method::$method as Method>::NAME),+]
                .iter()
                .any(|have| have.eq_ignore_ascii_case(name))
        }
    };
}

methods! {
    GetServerInfo => server::info,
    GetServerStatus => server::status,
    GetCaps => caps::list,
    SetServerPassword => server::set_password,
    Flush => server::flush,
    GetConfig => config::get,
    SetConfig => config::set,
    RebootServer => server::restart,
    Test => server::echo,
    GetAdminMsg => server::message,
    CreateListener => listener::create,
    EnumListener => listener::list,
    DeleteListener => listener::delete,
    EnableListener => listener::enable,
    GetPortsUDP => listener::udp_ports,
    GetSpecialListener => listener::special,
    CreateHub => hub::create,
    SetHub => hub::set,
    GetHub => hub::get,
    EnumHub => hub::list,
    DeleteHub => hub::delete,
    GetHubStatus => hub::status,
    SetHubOnline => hub::set_online,
    SetHubMsg => hub::set_message,
    GetHubMsg => hub::message,
    GetHubExtOptions => options::list,
    SetHubExtOptions => options::set,
    GetHubAdminOptions => restriction::list,
    SetHubAdminOptions => restriction::set,
    GetDefaultHubAdminOptions => restriction::defaults,
    SetHubRadius => radius::set,
    GetHubRadius => radius::get,
    AddAccess => access_rule::add,
    DeleteAccess => access_rule::delete,
    EnumAccess => access_rule::list,
    SetAccessList => access_rule::set,
    GetAcList => source_rule::list,
    SetAcList => source_rule::set,
    AddCa => authority::add,
    EnumCa => authority::list,
    GetCa => authority::get,
    DeleteCa => authority::delete,
    AddCrl => revocation::add,
    SetCrl => revocation::set,
    GetCrl => revocation::get,
    DelCrl => revocation::delete,
    EnumCrl => revocation::list,
    CreateUser => user::create,
    SetUser => user::set,
    GetUser => user::get,
    DeleteUser => user::delete,
    EnumUser => user::list,
    CreateGroup => group::create,
    SetGroup => group::set,
    GetGroup => group::get,
    DeleteGroup => group::delete,
    EnumGroup => group::list,
    EnumSession => session::list,
    GetSessionStatus => session::status,
    DeleteSession => session::end,
    EnumMacTable => table::macs,
    DeleteMacTable => table::forget_mac,
    EnumIpTable => table::ips,
    DeleteIpTable => table::forget_ip,
    EnumConnection => connection::list,
    GetConnectionInfo => connection::info,
    DisconnectConnection => connection::hang_up,
    EnableSecureNAT => securenat::enable,
    DisableSecureNAT => securenat::disable,
    SetSecureNATOption => securenat::set,
    GetSecureNATOption => securenat::get,
    SetSecureNATIPv6 => ipv6::set,
    GetSecureNATIPv6 => ipv6::get,
    GetSecureNATStatus => securenat::status,
    EnumNAT => securenat::nat_table,
    EnumDHCP => securenat::dhcp_table,
    AddDhcpReservation => reservation::create,
    DeleteDhcpReservation => reservation::delete,
    EnumDhcpReservation => reservation::list,
    EnumEthernet => bridge::devices,
    AddLocalBridge => bridge::create,
    SetLocalBridge => bridge::set,
    DeleteLocalBridge => bridge::delete,
    EnumLocalBridge => bridge::list,
    GetBridgeSupport => bridge::support,
    AddDnat => dnat::create,
    SetDnat => dnat::set,
    EnableDnat => dnat::enable,
    TestDnat => dnat::test,
    DeleteDnat => dnat::delete,
    EnumDnat => dnat::list,
    EnumAudit => audit::list,
    EnumBackup => backup::list,
    RestoreBackup => backup::restore,
    CreateLink => cascade::create,
    SetLink => cascade::set,
    GetLink => cascade::get,
    EnumLink => cascade::list,
    SetLinkOnline => cascade::set_online,
    SetLinkOffline => cascade::set_offline,
    DeleteLink => cascade::delete,
    RenameLink => cascade::rename,
    GetLinkStatus => cascade::status,
    AddL3Switch => layer3::create,
    DelL3Switch => layer3::delete,
    EnumL3Switch => layer3::list,
    StartL3Switch => layer3::start,
    StopL3Switch => layer3::stop,
    AddL3If => layer3::add_interface,
    DelL3If => layer3::delete_interface,
    EnumL3If => layer3::interfaces,
    AddL3Table => layer3::add_route,
    DelL3Table => layer3::delete_route,
    EnumL3Table => layer3::routes,
    SetFarmSetting => cluster::set,
    GetFarmSetting => cluster::setting,
    GetFarmInfo => cluster::member,
    EnumFarmMember => cluster::members,
    GetFarmConnectionStatus => cluster::connection,
    SetServerCert => certificate::set,
    GetServerCert => certificate::get,
    RegenerateServerCert => certificate::regenerate,
    SetServerCipher => certificate::set_cipher,
    GetServerCipher => certificate::cipher,
    GetServerCipherList => certificate::ciphers,
    SetKeep => settings::set_keep,
    GetKeep => settings::keep,
    SetSysLog => settings::set_syslog,
    GetSysLog => settings::syslog,
    GetHubLog => settings::hub_log,
    SetHubLog => settings::set_hub_log,
    EnumLogFile => log_file::list,
    ReadLogFile => log_file::read,
}

/// Takes an administrator in from the network, then serves until it hangs up.
pub async fn serve(
    server: &Arc<Server>,
    mut negotiation: Negotiation,
    login: AdminLogin,
    peer: SocketAddr,
    pass: Pass,
) {
    let credential = Credential::Proof {
        random: negotiation.random(),
        proof: &login.proof.0,
    };
    let role = match server.logins.admin(login.hub.as_deref(), &credential, peer).await {
        Ok(role) => role,
        Err(refused) => {
            let code = refused.code;
            report_refused(server, peer, Transport::Rpc, login.hub, &refused).await;
            return negotiation.refuse(code).await;
        }
    };
    if negotiation.reply(&Pack::new()).await.is_err() {
        return;
    }
    drop(pass);
    let (stream, early) = negotiation.into_stream();
    let administrator = Administrator::remote(role, peer, Transport::Rpc);
    serve_calls(server, &administrator, Records::new(stream, &early, frame::LIMIT)).await;
}

/// Tells of an administrator who was not let in.
pub(crate) async fn report_refused(
    server: &Server,
    peer: SocketAddr,
    transport: Transport,
    hub: Option<String>,
    refused: &Refused,
) {
    server.events.report(&Event::AdminRefused {
        peer,
        hub: hub.clone(),
        code: refused.code,
        reason: refused.reason.clone(),
    });
    let attempt = Doing {
        who: Who::Stranger,
        from: peer.to_string(),
        transport: transport.name(),
        method: "Login".to_owned(),
        hub,
        name: None,
        result: Err(refused.code),
        left_out: 0,
    };
    server.audit.refused_login(attempt).await;
}

/// Serves the local socket for ever. Its administrators are hung up on when this ends.
pub async fn serve_locally(server: Arc<Server>, control: ControlSocket) {
    let mut administrators = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = control.accept() => stream,
            Some(_) = administrators.join_next() => continue,
        };
        let Ok(stream) = stream else {
            return;
        };
        let server = server.clone();
        administrators.spawn(async move {
            let mut records = Records::new(stream, &[], frame::LIMIT);
            let login = timeout(LOCAL_LOGIN_TIMEOUT, local_login(&server, &mut records)).await;
            if let Ok(Some(administrator)) = login {
                serve_calls(&server, &administrator, records).await;
            }
        });
    }
}

/// The first record says which hub is meant, if one is; the socket's owner may administer all of them.
async fn local_login(server: &Server, records: &mut Records<UnixStream>) -> Option<Administrator> {
    let login = Pack::decode(&records.next().await.ok()??, &Limits::BEFORE_LOGIN).ok()?;
    let hub = login.str("hubname").filter(|hub| !hub.is_empty());
    let role = match hub {
        None => Ok(AdminRole::Server),
        Some(hub) => server
            .hubs
            .named(hub)
            .map(|hub| AdminRole::Hub(hub.name.clone()))
            .ok_or(ErrorCode::HubNotFound),
    };
    let answer = role
        .as_ref()
        .map_or_else(|code| method::refusal(*code), |_| Pack::new());
    records.send(&answer).await.ok()?;
    Some(Administrator::local(role.ok()?))
}

async fn serve_calls<S>(server: &Arc<Server>, administrator: &Administrator, mut records: Records<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    server.events.report(&administrator.opened());
    while let Ok(Some(record)) = records.next().await {
        let answer = match Pack::decode(&record, &Limits::ADMIN) {
            Ok(pack) => {
                let name = pack.str(FUNCTION_NAME).unwrap_or_default().to_owned();
                call::<Pack>(server, administrator, &name, pack).await
            }
            Err(_) => Err(ErrorCode::Protocol),
        };
        if records
            .send(&answer.unwrap_or_else(method::refusal))
            .await
            .is_err()
        {
            return;
        }
    }
    records.close().await;
}

/// One call, in either encoding. What it changed is in force, and in the audit log, before the answer goes out.
///
/// A change runs to its end also when the caller does not wait for it.
///
/// # Errors
/// What the caller is told instead of an answer.
pub async fn call<B: Body>(
    server: &Arc<Server>,
    caller: &Administrator,
    name: &str,
    body: impl Borrow<B> + Send + Sync + 'static,
) -> Result<B, ErrorCode> {
    let method = method::find(name).ok_or(ErrorCode::NotSupported)?;
    let administration = Administration(server.clone());
    let caller = caller.as_of_now(server).await?;
    if !method.is_change() {
        return answer(&administration, &caller, method, body.borrow())
            .await
            .outcome;
    }
    let (done, answer) = oneshot::channel();
    server.tasks.spawn(async move {
        let outcome = change(&administration, &caller, method, body.borrow(), InForce::Now).await;
        // Nobody may be waiting any more.
        let _ = done.send(outcome);
    });
    answer.await.unwrap_or(Err(ErrorCode::Internal))
}

/// One call on a server that does not run, of whoever may write to its folder. What it changed is in the store and in the audit log.
///
/// # Errors
/// What the caller is told instead of an answer.
pub async fn settle(server: &Arc<Server>, name: &str, body: Pack) -> Result<Pack, ErrorCode> {
    let method = method::find(name).ok_or(ErrorCode::NotSupported)?;
    let administration = Administration(server.clone());
    let caller = Administrator::local(AdminRole::Server);
    if method.is_change() {
        change(&administration, &caller, method, &body, InForce::AtStart).await
    } else {
        answer(&administration, &caller, method, &body).await.outcome
    }
}

/// When a change begins to matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InForce {
    /// Before its caller is told.
    Now,
    /// At the next start: this server does not run.
    AtStart,
}

/// What a method answers. To one that is not there, as the stock server: first whether the caller may, then that it is not there.
async fn answer<B: Body>(
    administration: &Administration,
    caller: &Administrator,
    method: &Row,
    body: &B,
) -> Answered<B> {
    if method.right == Right::Server
        && !has(method.name)
        && let Err(code) = Right::Server.check(caller.role(), None)
    {
        return Answered {
            subject: Subject::default(),
            outcome: Err(code),
        };
    }
    route(administration, caller, method.name, body).await
}

/// A call that changes something, with its line in the audit log.
async fn change<B: Body>(
    administration: &Administration,
    caller: &Administrator,
    method: &'static Row,
    body: &B,
    from: InForce,
) -> Reply<B> {
    let server = &administration.0;
    let slot = server.audit.reserve().await.map_err(|error| {
        tracing::error!(%error, method = method.name, "no change without its line in the audit log, and that cannot be written");
        ErrorCode::Internal
    })?;
    let Answered { subject, outcome } = answer(administration, caller, method, body).await;
    let outcome = match outcome {
        Ok(answer) if from == InForce::AtStart => Ok(answer),
        Ok(answer) => server.apply().await.map(|()| answer).map_err(ErrorCode::from),
        Err(code) => Err(code),
    };
    if outcome.is_ok() {
        server.events.report(&Event::Changed {
            peer: caller.peer,
            hub: subject.hub.clone(),
            method: method.name,
        });
    }
    let result = outcome.as_ref().map(|_| ()).map_err(|code| *code);
    slot.write(caller.doing(method.name, subject, result)).await;
    outcome
}

impl From<StoreError> for ErrorCode {
    fn from(error: StoreError) -> Self {
        let code = error.code();
        if code == Self::Internal {
            tracing::error!(%error, "the store failed");
        }
        code
    }
}

/// A time of the store or the wall clock as the protocol has it.
fn time(of: impl Into<SystemTime>) -> Timestamp {
    let since = of
        .into()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A number of things; the protocol has 32 bits for it.
fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
