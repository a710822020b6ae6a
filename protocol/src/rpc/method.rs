//! The table of methods: what each takes, what it gives, and who may call it.
//!
//! A client writes `request::<EnumHub>(&Nothing {})` and reads the answer with [`response`]. A server implements
//! [`Handle`] for each method it has and routes calls with [`dispatch!`](crate::dispatch), in either encoding.

use std::future::Future;

use serde_json::Value;

use super::bridge::{BridgeSupport, EthernetList, LocalBridge, LocalBridgeList};
use super::caps::Caps;
use super::certificate::{Authority, AuthorityList, KeyPair, NewAuthority};
use super::connection::{ConnectionInfo, ConnectionList};
use super::dnat::{Dnat, DnatList};
use super::group::{Group, GroupList};
use super::hub::{HubList, HubMessage, HubOnline, HubRadius, HubSettings, HubStatus};
use super::keep::Keep;
use super::listener::{Listener, ListenerList, SpecialListener, UdpPorts};
use super::log::{HubLog, LogFileList, LogPiece, Syslog};
use super::option::HubOptions;
use super::securenat::{DhcpTable, NatTable, SecureNatOption, SecureNatRequest, SecureNatStatus};
use super::server::{Config, ServerInfo, ServerPassword, ServerStatus};
use super::session::{SessionList, SessionStatus};
use super::table::{IpTable, MacTable};
use super::user::{User, UserList};
use super::{HubKey, HubObject, HubRequest, MessageError, Named, Nothing, RpcMessage, Text, Values};
use crate::error::ErrorCode;
use crate::pack::Pack;

/// The element of a request that names the method.
pub const FUNCTION_NAME: &str = "function_name";

/// A method of the administration protocol.
pub trait Method {
    /// Its name on the wire; compared ignoring case.
    const NAME: &'static str;
    /// Who may call it.
    const RIGHT: Right;
    /// The administration option of a hub that, when set, forbids it to that hub's administrator altogether. Options
    /// that look at the parameters (limits, `no_online`) are the server's business.
    const FORBIDDEN_BY: Option<&'static str>;
    /// What it takes.
    type Request: RpcMessage;
    /// What it gives.
    type Response: RpcMessage;

    /// The hub that a request is about, for methods with [`Right::Hub`].
    fn hub(request: &Self::Request) -> Option<&str>;
}

/// Who may call a method (admin RPC §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Every administrator. What a hub's administrator sees may be less.
    Any,
    /// The administrator of the server.
    Server,
    /// The administrator of the server, or of the hub that the request is about.
    Hub,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// The administrator of the server.
    Server,
    /// The administrator of this hub.
    Hub(&'a str),
}

impl Right {
    /// Lets `role` pass, or says why not. `hub` is what [`Method::hub`] found in the request.
    ///
    /// # Errors
    /// [`ErrorCode::NotEnoughRight`] for a stranger, [`ErrorCode::InvalidParameter`] where a hub must be named and is not.
    pub fn check(self, role: Role<'_>, hub: Option<&str>) -> Result<(), ErrorCode> {
        match (self, role, hub.unwrap_or_default()) {
            (Self::Any, ..) | (Self::Server, Role::Server, _) => Ok(()),
            (Self::Server, Role::Hub(_), _) => Err(ErrorCode::NotEnoughRights),
            (Self::Hub, _, "") => Err(ErrorCode::InvalidParameter),
            (Self::Hub, Role::Server, _) => Ok(()),
            (Self::Hub, Role::Hub(own), named) if own.eq_ignore_ascii_case(named) => Ok(()),
            (Self::Hub, Role::Hub(_), _) => Err(ErrorCode::NotEnoughRights),
        }
    }
}

/// One row of [`TABLE`], for those who learn the method's name only at run time.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// [`Method::NAME`].
    pub name: &'static str,
    /// [`Method::RIGHT`].
    pub right: Right,
    /// [`Method::FORBIDDEN_BY`].
    pub forbidden_by: Option<&'static str>,
    /// The encodings of [`Method::Request`].
    pub request: Codec,
    /// The encodings of [`Method::Response`].
    pub response: Codec,
}

/// The two encodings of some message.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Reads a PACK and writes what was understood.
    pub pack_to_pack: fn(&Pack) -> Result<Pack, MessageError>,
    /// Shows a PACK as JSON.
    pub pack_to_json: fn(&Pack) -> Result<Value, MessageError>,
    /// Makes a PACK of JSON.
    pub json_to_pack: fn(&Value) -> Result<Pack, MessageError>,
}

impl Codec {
    const fn of<T: RpcMessage>() -> Self {
        Self {
            pack_to_pack: |pack| Ok(T::from_pack(pack)?.to_pack()),
            pack_to_json: |pack| Ok(T::from_pack(pack)?.to_json()),
            json_to_pack: |json| Ok(T::from_json(json)?.to_pack()),
        }
    }
}

/// The row of a method, by its name ignoring case.
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// Defines the methods: `Name(Request) -> Response, RIGHT;` where `RIGHT` is `any`, `server` or `hub(FIELD)`, the
/// field of the request that names the hub, perhaps followed by `unless "option"` for [`Method::FORBIDDEN_BY`].
macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $method:ident ( $request:ident ) -> $response:ident, $right:ident $( ( $hub:ident ) )? $( unless $option:literal )? ;
    )+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $method {}

            impl Method for $method {
                const NAME: &'static str = stringify!($method);
                const RIGHT: Right = right!($right);
                const FORBIDDEN_BY: Option<&'static str> = maybe!($($option)?);
                type Request = $request;
                type Response = $response;

                fn hub(_request: &$request) -> Option<&str> {
                    maybe!($(&_request.$hub)?)
                }
            }
        )+

        /// Every method, in the order of this file.
        pub const TABLE: &[Row] = &[ $( Row {
            name: $method::NAME,
            right: $method::RIGHT,
            forbidden_by: $method::FORBIDDEN_BY,
            request: Codec::of::<$request>(),
            response: Codec::of::<$response>(),
        } ),+ ];
    };
}

macro_rules! maybe {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

macro_rules! right {
    (any) => {
        Right::Any
    };
    (server) => {
        Right::Server
    };
    (hub) => {
        Right::Hub
    };
}

methods! {
    /// Gives back its values.
    Test(Values) -> Values, any;
    /// Product, version and operating system.
    GetServerInfo(Nothing) -> ServerInfo, any;
    /// Counters of the whole server.
    GetServerStatus(Nothing) -> ServerStatus, any;
    /// What the server can do.
    GetCaps(Nothing) -> Caps, any;
    /// Changes the password of the server's administrator.
    SetServerPassword(ServerPassword) -> ServerPassword, server;
    /// Writes the configuration now; the integer of the answer is its size in bytes.
    Flush(Values) -> Values, server;
    /// The configuration file.
    GetConfig(Nothing) -> Config, server;
    /// Replaces the configuration and restarts.
    SetConfig(Config) -> Config, server;
    /// Restarts; the integer 1 first empties the configuration.
    RebootServer(Values) -> Values, server;
    /// The server's word to its administrators.
    GetAdminMsg(Nothing) -> HubMessage, any;

    /// Opens a TCP port.
    CreateListener(Listener) -> Listener, server;
    /// All TCP ports.
    EnumListener(Nothing) -> ListenerList, any;
    /// Closes a TCP port and forgets it.
    DeleteListener(Listener) -> Listener, server;
    /// Starts or stops a TCP port.
    EnableListener(Listener) -> Listener, server;
    /// Replaces the UDP ports.
    SetPortsUDP(UdpPorts) -> UdpPorts, server;
    /// All UDP ports.
    GetPortsUDP(Nothing) -> UdpPorts, any;
    /// Switches the listeners that hide in ICMP and DNS.
    SetSpecialListener(SpecialListener) -> SpecialListener, server;
    /// The listeners that hide in ICMP and DNS.
    GetSpecialListener(Nothing) -> SpecialListener, server;

    /// Makes a hub.
    CreateHub(HubSettings) -> HubSettings, server;
    /// Changes a hub's own settings.
    SetHub(HubSettings) -> HubSettings, hub(hub_name);
    /// A hub's own settings, without its password.
    GetHub(HubRequest) -> HubSettings, hub(hub_name);
    /// All hubs; to a hub's administrator that one.
    EnumHub(Nothing) -> HubList, any;
    /// Deletes a hub with all it has.
    DeleteHub(HubRequest) -> HubRequest, server;
    /// A hub's state and counters.
    GetHubStatus(HubRequest) -> HubStatus, hub(hub_name);
    /// Puts a hub online, or offline with an end to its sessions.
    SetHubOnline(HubOnline) -> HubOnline, hub(hub_name);
    /// Changes a hub's RADIUS server.
    SetHubRadius(HubRadius) -> HubRadius, hub(hub_name);
    /// A hub's RADIUS server.
    GetHubRadius(HubRequest) -> HubRadius, hub(hub_name);
    /// Changes the text a hub greets users with.
    SetHubMsg(HubMessage) -> HubMessage, hub(hub_name) unless "no_change_msg";
    /// The text a hub greets users with.
    GetHubMsg(HubRequest) -> HubMessage, hub(hub_name);

    /// All extended options of a hub.
    GetHubExtOptions(HubRequest) -> HubOptions, hub(hub_name);
    /// Changes the extended options that are named.
    SetHubExtOptions(HubOptions) -> HubOptions, hub(hub_name) unless "deny_hub_admin_change_ext_option";
    /// The options that restrict a hub's administrator.
    GetHubAdminOptions(HubRequest) -> HubOptions, hub(hub_name);
    /// Changes the options that are named; to a hub's administrator only where `allow_hub_admin_change_option` is set.
    SetHubAdminOptions(HubOptions) -> HubOptions, hub(hub_name);
    /// The options that restrict a hub's administrator, as they are on a new hub.
    GetDefaultHubAdminOptions(HubRequest) -> HubOptions, any;

    /// Makes a user.
    CreateUser(User) -> User, hub(hub_name) unless "no_change_users";
    /// Changes a user.
    SetUser(User) -> User, hub(hub_name) unless "no_change_users";
    /// A user.
    GetUser(HubObject) -> User, hub(hub_name);
    /// Deletes a user.
    DeleteUser(HubObject) -> HubObject, hub(hub_name) unless "no_change_users";
    /// All users of a hub.
    EnumUser(HubRequest) -> UserList, hub(hub_name);

    /// Makes a group.
    CreateGroup(Group) -> Group, hub(hub_name) unless "no_change_groups";
    /// Changes a group.
    SetGroup(Group) -> Group, hub(hub_name) unless "no_change_groups";
    /// A group.
    GetGroup(HubObject) -> Group, hub(hub_name);
    /// Deletes a group; its users stay.
    DeleteGroup(HubObject) -> HubObject, hub(hub_name) unless "no_change_groups";
    /// All groups of a hub.
    EnumGroup(HubRequest) -> GroupList, hub(hub_name);

    /// All sessions of a hub.
    EnumSession(HubRequest) -> SessionList, hub(hub_name) unless "no_enum_session";
    /// A session in detail.
    GetSessionStatus(HubObject) -> SessionStatus, hub(hub_name) unless "no_query_session";
    /// Ends a session.
    DeleteSession(HubObject) -> HubObject, hub(hub_name) unless "no_disconnect_session";
    /// The MAC table of a hub.
    EnumMacTable(HubRequest) -> MacTable, hub(hub_name);
    /// Forgets a line of it.
    DeleteMacTable(HubKey) -> HubKey, hub(hub_name) unless "no_delete_mactable";
    /// The IP table of a hub.
    EnumIpTable(HubRequest) -> IpTable, hub(hub_name);
    /// Forgets a line of it.
    DeleteIpTable(HubKey) -> HubKey, hub(hub_name) unless "no_delete_iptable";

    /// All connections that are no session's.
    EnumConnection(Nothing) -> ConnectionList, server;
    /// One of them in detail.
    GetConnectionInfo(Named) -> ConnectionInfo, server;
    /// Ends one of them.
    DisconnectConnection(Named) -> Named, server;

    /// Switches SecureNAT on.
    EnableSecureNAT(HubRequest) -> HubRequest, hub(hub_name) unless "no_securenat";
    /// Switches SecureNAT off.
    DisableSecureNAT(HubRequest) -> HubRequest, hub(hub_name) unless "no_securenat";
    /// Changes the settings of SecureNAT.
    SetSecureNATOption(SecureNatOption) -> SecureNatOption, hub(hub_name) unless "no_securenat";
    /// The settings of SecureNAT.
    GetSecureNATOption(SecureNatRequest) -> SecureNatOption, hub(hub_name);
    /// Counters of SecureNAT.
    GetSecureNATStatus(HubRequest) -> SecureNatStatus, hub(hub_name);
    /// The sessions of its NAT.
    EnumNAT(HubRequest) -> NatTable, hub(hub_name);
    /// The leases of its DHCP server.
    EnumDHCP(HubRequest) -> DhcpTable, hub(hub_name);

    /// The Ethernet devices that can be bridged.
    EnumEthernet(Nothing) -> EthernetList, server;
    /// Bridges a hub to a device.
    AddLocalBridge(LocalBridge) -> LocalBridge, server;
    /// Ends a bridge.
    DeleteLocalBridge(LocalBridge) -> LocalBridge, server;
    /// All bridges.
    EnumLocalBridge(Nothing) -> LocalBridgeList, any;
    /// Whether this system can bridge.
    GetBridgeSupport(Nothing) -> BridgeSupport, any;

    /// Publishes a host behind this machine.
    AddDnat(Dnat) -> Dnat, server;
    /// Ends that.
    DeleteDnat(Named) -> Named, server;
    /// All published hosts.
    EnumDnat(Nothing) -> DnatList, server;

    /// Changes the server's certificate and key.
    SetServerCert(KeyPair) -> KeyPair, server;
    /// The server's certificate; to its administrator with the key.
    GetServerCert(Nothing) -> KeyPair, any;
    /// Makes a new certificate for the name in the text.
    RegenerateServerCert(Values) -> Values, server;
    /// The TLS ciphers there are, separated by semicolons.
    GetServerCipherList(Nothing) -> Text, any;
    /// The TLS cipher that is preferred.
    GetServerCipher(Nothing) -> Text, any;
    /// Changes the TLS cipher that is preferred.
    SetServerCipher(Text) -> Text, server;
    /// Lets a hub trust an authority.
    AddCa(NewAuthority) -> NewAuthority, hub(hub_name) unless "no_change_cert_list";
    /// The authorities a hub trusts.
    EnumCa(HubRequest) -> AuthorityList, hub(hub_name);
    /// One of them.
    GetCa(HubKey) -> Authority, hub(hub_name);
    /// Ends the trust in one of them.
    DeleteCa(HubKey) -> HubKey, hub(hub_name) unless "no_change_cert_list";

    /// Changes what keeps the Internet line alive.
    SetKeep(Keep) -> Keep, server;
    /// What keeps the Internet line alive.
    GetKeep(Nothing) -> Keep, any;
    /// Changes the log settings of a hub.
    SetHubLog(HubLog) -> HubLog, hub(hub_name) unless "no_change_log_config";
    /// The log settings of a hub.
    GetHubLog(HubRequest) -> HubLog, hub(hub_name);
    /// Changes the syslog server.
    SetSysLog(Syslog) -> Syslog, server;
    /// The syslog server; blank to a hub's administrator.
    GetSysLog(Nothing) -> Syslog, any;
    /// The log files; to a hub's administrator those of the hub.
    EnumLogFile(Nothing) -> LogFileList, any unless "no_read_log_file";
    /// A piece of a log file.
    ReadLogFile(LogPiece) -> LogPiece, any unless "no_read_log_file";
}

/// The request PACK of a call.
pub fn request<M: Method>(parameters: &M::Request) -> Pack {
    let mut pack = parameters.to_pack();
    pack.set_str(FUNCTION_NAME, M::NAME);
    pack
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server refused.
    #[error("{0}")]
    Refused(ErrorCode),
    /// The answer makes no sense.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(#[from] MessageError),
}

/// What a server answered to a call.
///
/// # Errors
/// The server's refusal, or an answer that cannot be read.
pub fn response<M: Method>(answer: &Pack) -> Result<M::Response, CallError> {
    match answer.error() {
        Some(code) => Err(CallError::Refused(code)),
        None => Ok(M::Response::from_pack(answer)?),
    }
}

/// The answer PACK of a call that is refused.
pub fn refusal(code: ErrorCode) -> Pack {
    let mut pack = Pack::new();
    pack.set_int("error", code.code());
    pack
}

/// One of the two encodings; what a call comes in is what its answer goes out in.
pub trait Encoding: Sized {
    /// Encodes a message.
    fn encode<T: RpcMessage>(message: &T) -> Self;
    /// Reads a message.
    ///
    /// # Errors
    /// When it makes no sense.
    fn decode<T: RpcMessage>(&self) -> Result<T, MessageError>;
}

impl Encoding for Pack {
    fn encode<T: RpcMessage>(message: &T) -> Self {
        message.to_pack()
    }

    fn decode<T: RpcMessage>(&self) -> Result<T, MessageError> {
        T::from_pack(self)
    }
}

impl Encoding for Value {
    fn encode<T: RpcMessage>(message: &T) -> Self {
        message.to_json()
    }

    fn decode<T: RpcMessage>(&self) -> Result<T, MessageError> {
        T::from_json(self)
    }
}

/// What the rights of a call depend on.
pub trait Caller {
    /// Who calls.
    fn role(&self) -> Role<'_>;

    /// Whether the caller's hub has this administration option set.
    fn is_option_set(&self, option: &str) -> bool;
}

/// A server's side of method `M`, called only for those who may.
pub trait Handle<M: Method, C> {
    /// Does it.
    fn handle(
        &self,
        caller: &C,
        request: M::Request,
    ) -> impl Future<Output = Result<M::Response, ErrorCode>> + Send;
}

/// Answers one call: reads the request, checks the right, has it handled, encodes the answer.
///
/// # Errors
/// What the caller is told instead of an answer.
pub async fn answer<M, S, C, B>(server: &S, caller: &C, body: &B) -> Result<B, ErrorCode>
where
    M: Method,
    S: Handle<M, C>,
    C: Caller,
    B: Encoding,
{
    let request: M::Request = body.decode()?;
    M::RIGHT.check(caller.role(), M::hub(&request))?;
    if let (Some(option), Role::Hub(_)) = (M::FORBIDDEN_BY, caller.role())
        && caller.is_option_set(option)
    {
        return Err(ErrorCode::NotEnoughRights);
    }
    Ok(B::encode(&server.handle(caller, request).await?))
}

/// Routes a call to the server's [`Handle`] of its method; a future of `Result<Body, ErrorCode>`.
///
/// ```text
/// dispatch!(server, caller, name, body; GetServerInfo, EnumHub, CreateHub)
/// ```
/// Methods that are not listed are answered with [`ErrorCode::NotSupported`].
#[macro_export]
macro_rules! dispatch {
    ($server:expr, $caller:expr, $name:expr, $body:expr; $($method:ident),+ $(,)?) => {
        async {
            let name: &str = $name;
            $(
                if name.eq_ignore_ascii_case(<$method as $crate::rpc::method::Method>::NAME) {
                    return $crate::rpc::method::answer::<$method, _, _, _>($server, $caller, $body).await;
                }
            )+
            Err($crate::error::ErrorCode::NotSupported)
        }
    };
}
