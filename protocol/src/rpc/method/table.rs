//! The table itself.

use super::{Codec, Method, Right, Row};
use crate::rpc::access::{AccessKey, AccessList, NewAccessRule, SourceRules};
use crate::rpc::audit::{AuditList, AuditRequest};
use crate::rpc::backup::{BackupKey, BackupList};
use crate::rpc::bridge::{BridgeSupport, EthernetList, LocalBridge, LocalBridgeList, VlanAdapterList};
use crate::rpc::caps::Caps;
use crate::rpc::cascade::{Link, LinkList, LinkName, LinkRename, LinkRequest, LinkStatus};
use crate::rpc::certificate::{Authority, AuthorityList, KeyPair, NewAuthority};
use crate::rpc::cluster::{FarmConnection, FarmMember, FarmMemberList, FarmMemberRequest, FarmSetting};
use crate::rpc::connection::{ConnectionInfo, ConnectionList};
use crate::rpc::dnat::{Dnat, DnatList, DnatSwitch, DnatVerdict};
use crate::rpc::doors::{
    EtherIp, EtherIpList, EtherIpRequest, IpsecServices, OpenVpnSstp, ProtocolOptions, ProtocolRequest,
    WireGuardKeys,
};
use crate::rpc::group::{Group, GroupList};
use crate::rpc::hub::{HubList, HubMessage, HubOnline, HubRadius, HubSettings, HubStatus};
use crate::rpc::keep::Keep;
use crate::rpc::listener::{Listener, ListenerList, SpecialListener, UdpPorts};
use crate::rpc::log::{HubLog, LogFileList, LogPiece, Syslog};
use crate::rpc::option::HubOptions;
use crate::rpc::revocation::{Revocation, RevocationList};
use crate::rpc::router::{SwitchInterface, SwitchInterfaceList, SwitchList, SwitchRoute, SwitchRouteList};
use crate::rpc::securenat::{
    DhcpReservation, DhcpReservationList, DhcpTable, NatTable, SecureNatIpv6, SecureNatOption,
    SecureNatRequest, SecureNatStatus,
};
use crate::rpc::server::{Config, ConfigTaken, ServerInfo, ServerPassword, ServerStatus};
use crate::rpc::session::{SessionList, SessionStatus};
use crate::rpc::table::{IpTable, MacTable};
use crate::rpc::user::{User, UserList};
use crate::rpc::vendor::{AzureStatus, DdnsStatus, InternetSetting, LicenseKeyList, LicenseStatus};
use crate::rpc::{HubKey, HubObject, HubRequest, Named, Nothing, Text, Values};

/// Defines the methods: `Name(Request) -> Response, RIGHT;` where `RIGHT` is `any`, `server` or `hub(FIELD)`, the
/// field of the request that names the hub, perhaps followed by `unless "option"` for [`Method::FORBIDDEN_BY`].
macro_rules! methods {
    ($(
        $(#[doc = $doc:literal])+
        $method:ident ( $request:ident ) -> $response:ident, $right:ident $( ( $hub:ident ) )? $( unless $option:literal )? ;
    )+) => {
        $(
            $(#[doc = $doc])+
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
            summary: concat!($($doc),+),
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
    SetConfig(Config) -> ConfigTaken, server;
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
    /// Changes its settings for IPv6.
    SetSecureNATIPv6(SecureNatIpv6) -> SecureNatIpv6, hub(hub_name) unless "no_securenat";
    /// Its settings for IPv6, and what becomes of them.
    GetSecureNATIPv6(HubRequest) -> SecureNatIpv6, hub(hub_name);
    /// Counters of SecureNAT.
    GetSecureNATStatus(HubRequest) -> SecureNatStatus, hub(hub_name);
    /// The sessions of its NAT.
    EnumNAT(HubRequest) -> NatTable, hub(hub_name);
    /// The leases of its DHCP server.
    EnumDHCP(HubRequest) -> DhcpTable, hub(hub_name);
    /// Keeps an address for one client.
    AddDhcpReservation(DhcpReservation) -> DhcpReservation, hub(hub_name) unless "no_securenat";
    /// Ends that; the address says which.
    DeleteDhcpReservation(DhcpReservation) -> DhcpReservation, hub(hub_name) unless "no_securenat";
    /// The addresses that are kept.
    EnumDhcpReservation(HubRequest) -> DhcpReservationList, hub(hub_name);

    /// The Ethernet devices that can be bridged.
    EnumEthernet(Nothing) -> EthernetList, server;
    /// Bridges a hub to a device.
    AddLocalBridge(LocalBridge) -> LocalBridge, server;
    /// Gives the TAP device of a bridge another address, or none; ours.
    SetLocalBridge(LocalBridge) -> LocalBridge, server;
    /// Ends a bridge.
    DeleteLocalBridge(LocalBridge) -> LocalBridge, server;
    /// All bridges.
    EnumLocalBridge(Nothing) -> LocalBridgeList, any;
    /// Whether this system can bridge.
    GetBridgeSupport(Nothing) -> BridgeSupport, any;

    /// The adapters of a Windows server that can pass VLAN tags.
    EnumEthVLan(Nothing) -> VlanAdapterList, server;
    /// Lets the adapter named in the text pass them, or not, by the integer.
    SetEnableEthVLan(Values) -> Values, server;

    /// Publishes a host behind this machine.
    AddDnat(Dnat) -> Dnat, server;
    /// Changes that: the rule of the name becomes this one.
    SetDnat(Dnat) -> Dnat, server;
    /// Puts it into force or out of it.
    EnableDnat(DnatSwitch) -> DnatSwitch, server;
    /// Why a rule would be refused, in words. It is added or changed as the name is new or not.
    TestDnat(Dnat) -> DnatVerdict, server;
    /// Ends that.
    DeleteDnat(Named) -> Named, server;
    /// All published hosts.
    EnumDnat(Nothing) -> DnatList, server;
    /// Former states of the settings.
    EnumBackup(Nothing) -> BackupList, server;
    /// Puts a former state back in place of all settings.
    RestoreBackup(BackupKey) -> BackupKey, server;

    /// The newest lines of the audit log; to a hub's administrator those of the hub.
    EnumAudit(AuditRequest) -> AuditList, any;

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

    /// Ends the trust in certificates that look so.
    AddCrl(Revocation) -> Revocation, hub(hub_name) unless "no_change_crl_list";
    /// Changes such an entry.
    SetCrl(Revocation) -> Revocation, hub(hub_name) unless "no_change_crl_list";
    /// Such an entry.
    GetCrl(HubKey) -> Revocation, hub(hub_name);
    /// Deletes such an entry.
    DelCrl(HubKey) -> HubKey, hub(hub_name) unless "no_change_crl_list";
    /// All such entries of a hub.
    EnumCrl(HubRequest) -> RevocationList, hub(hub_name);

    /// Adds a rule to the access list of a hub.
    AddAccess(NewAccessRule) -> NewAccessRule, hub(hub_name) unless "no_change_access_list";
    /// Deletes a rule.
    DeleteAccess(AccessKey) -> AccessKey, hub(hub_name) unless "no_change_access_list";
    /// The access list of a hub.
    EnumAccess(HubRequest) -> AccessList, hub(hub_name);
    /// Replaces the access list of a hub.
    SetAccessList(AccessList) -> AccessList, hub(hub_name) unless "no_change_access_list";
    /// The rules about addresses that clients come from.
    GetAcList(HubRequest) -> SourceRules, hub(hub_name);
    /// Replaces them.
    SetAcList(SourceRules) -> SourceRules, hub(hub_name) unless "no_change_access_control_list";

    /// Makes a cascade.
    CreateLink(Link) -> Link, hub(hub_name) unless "no_cascade";
    /// Changes a cascade.
    SetLink(Link) -> Link, hub(hub_name) unless "no_cascade";
    /// A cascade.
    GetLink(LinkRequest) -> Link, hub(hub_name);
    /// All cascades of a hub.
    EnumLink(HubRequest) -> LinkList, hub(hub_name);
    /// Starts a cascade.
    SetLinkOnline(LinkName) -> LinkName, hub(hub_name) unless "no_cascade";
    /// Stops a cascade.
    SetLinkOffline(LinkName) -> LinkName, hub(hub_name) unless "no_cascade";
    /// Deletes a cascade.
    DeleteLink(LinkName) -> LinkName, hub(hub_name) unless "no_cascade";
    /// Gives a cascade another name.
    RenameLink(LinkRename) -> LinkRename, hub(hub_name) unless "no_cascade";
    /// The state of a cascade's connection.
    GetLinkStatus(LinkRequest) -> LinkStatus, hub(hub_name);

    /// Makes a layer 3 switch.
    AddL3Switch(Named) -> Named, server;
    /// Deletes it.
    DelL3Switch(Named) -> Named, server;
    /// All layer 3 switches.
    EnumL3Switch(Nothing) -> SwitchList, any;
    /// Starts one.
    StartL3Switch(Named) -> Named, server;
    /// Stops one.
    StopL3Switch(Named) -> Named, server;
    /// Gives one an interface.
    AddL3If(SwitchInterface) -> SwitchInterface, server;
    /// Takes it away.
    DelL3If(SwitchInterface) -> SwitchInterface, server;
    /// All interfaces of one.
    EnumL3If(Named) -> SwitchInterfaceList, any;
    /// Gives one a route.
    AddL3Table(SwitchRoute) -> SwitchRoute, server;
    /// Takes it away.
    DelL3Table(SwitchRoute) -> SwitchRoute, server;
    /// All routes of one.
    EnumL3Table(Named) -> SwitchRouteList, any;

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

    /// The options of a protocol.
    GetProtoOptions(ProtocolRequest) -> ProtocolOptions, any;
    /// Changes the options that are named.
    SetProtoOptions(ProtocolOptions) -> ProtocolOptions, server;
    /// A ZIP file of sample settings for OpenVPN clients.
    MakeOpenVpnConfigFile(Nothing) -> LogPiece, server;
    /// Switches OpenVPN and SSTP.
    SetOpenVpnSstpConfig(OpenVpnSstp) -> OpenVpnSstp, server;
    /// Whether OpenVPN and SSTP are on.
    GetOpenVpnSstpConfig(Nothing) -> OpenVpnSstp, any;
    /// Switches L2TP, IPsec and EtherIP.
    SetIPsecServices(IpsecServices) -> IpsecServices, server;
    /// Whether L2TP, IPsec and EtherIP are on.
    GetIPsecServices(Nothing) -> IpsecServices, server;
    /// Lets an EtherIP client in.
    AddEtherIpId(EtherIp) -> EtherIp, server;
    /// An EtherIP client.
    GetEtherIpId(EtherIpRequest) -> EtherIp, server;
    /// Shuts an EtherIP client out.
    DeleteEtherIpId(EtherIp) -> EtherIp, server;
    /// All EtherIP clients.
    EnumEtherIpId(Nothing) -> EtherIpList, server;
    /// Lets WireGuard peers in.
    AddWgk(WireGuardKeys) -> WireGuardKeys, server;
    /// Shuts WireGuard peers out.
    DeleteWgk(WireGuardKeys) -> WireGuardKeys, server;
    /// All WireGuard peers.
    EnumWgk(Nothing) -> WireGuardKeys, server;

    /// Changes what the server is to a cluster, and restarts it.
    SetFarmSetting(FarmSetting) -> FarmSetting, server;
    /// What the server is to a cluster.
    GetFarmSetting(Nothing) -> FarmSetting, any;
    /// A member of the cluster.
    GetFarmInfo(FarmMemberRequest) -> FarmMember, any;
    /// All members of the cluster.
    EnumFarmMember(Nothing) -> FarmMemberList, any;
    /// A member's connection to its controller.
    GetFarmConnectionStatus(Nothing) -> FarmConnection, any;

    /// Dynamic DNS.
    GetDDnsClientStatus(Nothing) -> DdnsStatus, server;
    /// Changes the name in dynamic DNS to the one in the text.
    ChangeDDnsClientHostname(Values) -> Values, server;
    /// The proxy on the way to dynamic DNS; misspelt in version 5.01.
    GetDDnsInternetSettng(Nothing) -> InternetSetting, server;
    /// The same in version 5.02.
    GetDDnsInternetSetting(Nothing) -> InternetSetting, server;
    /// Changes the proxy on the way to dynamic DNS; misspelt in version 5.01.
    SetDDnsInternetSettng(InternetSetting) -> InternetSetting, server;
    /// The same in version 5.02.
    SetDDnsInternetSetting(InternetSetting) -> InternetSetting, server;
    /// Relay through the cloud.
    GetAzureStatus(Nothing) -> AzureStatus, server;
    /// Switches it.
    SetAzureStatus(AzureStatus) -> AzureStatus, server;
    /// Adds the licence key in the text.
    AddLicenseKey(Values) -> Values, any;
    /// Deletes the licence key with the number in the integer.
    DelLicenseKey(Values) -> Values, any;
    /// All licence keys.
    EnumLicenseKey(Nothing) -> LicenseKeyList, any;
    /// What the licences allow.
    GetLicenseStatus(Nothing) -> LicenseStatus, any;
    /// Something for the vendor, by its number.
    Debug(Values) -> Values, server;
    /// Ends the process at once.
    Crash(Values) -> Values, server;
}
