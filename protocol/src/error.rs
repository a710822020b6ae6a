//! The protocol's error numbers (protocol §5.3), one row each.

use std::fmt;

macro_rules! codes {
    ($($code:literal $name:ident $text:literal)+) => {
        /// Why a peer refuses, or why a connection failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $text] $name,)+
            /// A number this table does not know (including 0, which no refusal carries).
            Other(u32),
        }

        impl ErrorCode {
            /// Every named code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The number on the wire.
            #[must_use]
            pub fn code(self) -> u32 {
                match self {
                    $(Self::$name => $code,)+
                    Self::Other(code) => code,
                }
            }

            /// The code of a number; unknown numbers are kept.
            #[must_use]
            pub fn from_code(code: u32) -> Self {
                match code {
                    $($code => Self::$name,)+
                    other => Self::Other(other),
                }
            }

            fn text(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)+
                    Self::Other(_) => None,
                }
            }
        }
    };
}

codes! {
    1 ConnectFailed "The server cannot be reached."
    2 NotVpnServer "The other side is not a VPN server of this protocol."
    3 Disconnected "The connection was closed, or a message was not understood."
    4 Protocol "The message lacks a field or has a wrong one."
    5 NotVpnClient "The other side is not a VPN client of this protocol."
    6 Cancelled "The user cancelled."
    7 AuthTypeNotSupported "This kind of authentication is not supported."
    8 HubNotFound "There is no such virtual hub."
    9 AuthFailed "User name or credentials are wrong."
    10 HubStopped "The virtual hub is offline."
    11 SessionRemoved "The session was removed by an administrator or the system."
    12 AccessDenied "Access is denied."
    13 SessionTimeout "The session is over or unknown."
    14 InvalidProtocol "The session does not use this kind of connection."
    15 TooManyConnections "The session has too many TCP connections."
    16 TooManySessions "The hub or server has too many sessions."
    17 ProxyConnectFailed "The proxy cannot be reached."
    18 ProxyError "The proxy reported an error."
    19 ProxyAuthFailed "The proxy refused the credentials."
    20 TooManyUserSessions "The user has too many sessions."
    21 License "The licence does not allow this."
    22 DeviceDriver "The virtual network device failed."
    23 Internal "Internal error."
    24 SmartCardOpenFailed "The smart card or token cannot be opened."
    25 SmartCardPinWrong "The PIN of the smart card is wrong."
    26 SmartCardNoCertificate "The smart card does not hold that certificate."
    27 SmartCardNoKey "The smart card does not hold that private key."
    28 SmartCardWriteFailed "The smart card cannot be written."
    29 ObjectNotFound "The object does not exist."
    30 AdapterExists "A virtual network adapter of this name exists already."
    31 AdapterInstallFailed "The virtual network adapter cannot be created."
    32 AdapterBadName "The name of the virtual network adapter is not allowed."
    33 NotSupported "This is not supported here."
    34 AccountExists "A connection setting of this name exists already."
    35 AccountActive "The connection setting is in use."
    36 AccountNotFound "There is no such connection setting."
    37 AccountInactive "The connection setting is not connected."
    38 InvalidParameter "A parameter is invalid."
    39 SmartCard "The smart card failed."
    40 SmartCardNotChosen "No smart card has been chosen."
    41 AdapterInUse "The virtual network adapter is in use."
    42 AdapterNotFound "There is no such virtual network adapter."
    43 AdapterUsed "The virtual network adapter of this setting is used by another one."
    44 AdapterDisabled "The virtual network adapter is disabled."
    45 InvalidValue "A value is invalid."
    46 NotFarmController "This server is not a cluster controller."
    47 Connecting "The connection is still being made."
    48 FarmConnectFailed "The cluster controller cannot be reached."
    49 FarmHubFailed "The cluster cannot host the hub."
    50 FarmMemberAdmin "A hub cannot be administered on a cluster member."
    51 EmptyPasswordLocalOnly "An empty password is allowed only from the machine itself."
    52 NotEnoughRights "You may not do this."
    53 ListenerNotFound "There is no such listener."
    54 ListenerExists "The listener exists already."
    55 NotFarmMember "This server is not a cluster member."
    56 CipherNotSupported "The cipher is not supported."
    57 HubExists "A hub of this name exists already."
    58 TooManyHubs "There are too many hubs."
    59 LinkExists "A cascade connection of this name exists already."
    60 LinkOnFarm "A cluster cannot have cascade connections."
    61 LinkOffline "The cascade connection is offline."
    62 TooManyAccessLists "The access list has too many entries."
    63 TooManyUsers "There are too many users."
    64 TooManyGroups "There are too many groups."
    65 GroupNotFound "There is no such group."
    66 UserExists "A user of this name exists already."
    67 GroupExists "A group of this name exists already."
    68 NotPasswordUser "The user does not log in with a password of this server."
    69 OldPasswordWrong "There is no such user, or the old password is wrong."
    73 LinkCannotDisconnect "A cascade session cannot be disconnected."
    74 AccountIncomplete "The connection setting is not complete."
    75 AlreadyOnline "It is online already."
    76 Offline "It is offline."
    77 NotRsa1024 "The certificate does not have an RSA key of a supported size."
    78 SecureNatCannotDisconnect "A SecureNAT session cannot be disconnected."
    79 SecureNatStandaloneOnly "SecureNAT works on a stand-alone server only."
    80 SecureNatNotRunning "SecureNAT is not running."
    81 Blocked "A firewall or filter blocked the connection."
    82 BridgeCannotDisconnect "A local bridge session cannot be disconnected."
    83 BridgeStopped "The local bridge is not running."
    84 BridgeNotSupported "Local bridges are not supported on this system."
    85 CertificateNotTrusted "The server's certificate is not trusted."
    86 ProductCodeInvalid "The product does not match."
    87 VersionTooOld "The client's version is too old."
    88 CaptureDeviceAdd "The capture device cannot be added."
    89 CaptureDeviceExists "The capture device exists already."
    90 VpnCodeInvalid "The product of the other side does not match."
    91 L3CannotDisconnect "A session of a virtual layer 3 switch cannot be disconnected."
    92 L3SwitchExists "A virtual layer 3 switch of this name exists already."
    93 L3SwitchNotFound "There is no such virtual layer 3 switch."
    94 InvalidName "The name is not allowed."
    95 L3InterfaceAdd "The interface cannot be added."
    96 L3InterfaceDelete "The interface cannot be deleted."
    97 L3InterfaceExists "An interface in this hub exists already."
    98 L3RouteAdd "The route cannot be added."
    99 L3RouteDelete "The route cannot be deleted."
    100 L3RouteExists "The route exists already."
    101 BadClock "The clocks of the two sides differ too much."
    102 L3SwitchStart "The virtual layer 3 switch cannot start: it needs an interface, and its hubs must exist."
    103 ClientLicenses "The client connection licences are used up."
    104 BridgeLicenses "The bridge connection licences are used up."
    105 NotAccepting "The server cannot accept connections at present."
    106 CertificateExpired "The server's certificate has expired."
    107 MonitorDenied "Monitoring mode is not allowed for this user."
    108 BridgeDenied "Bridge or router mode is not allowed for this user."
    109 AddressDenied "Connections from this address are not allowed."
    110 TooManyItems "There are too many items."
    111 OutOfMemory "Memory is exhausted."
    112 ObjectExists "The object exists already."
    113 Fatal "A fatal error happened."
    114 ServerLicense "The server's licence does not allow this."
    115 InternetFailure "The server has lost its connection to the Internet."
    116 ClientLicense "The client's licence does not allow this."
    117 BadCommand "The command or one of its parameters is wrong."
    118 LicenseKeyInvalid "The licence key is invalid."
    119 NoServerLicense "The server has no valid licence."
    120 NoClusterLicense "The server's licence does not include clusters."
    121 NotAdminPackServer "The server is not of the kind this tool administers."
    122 NotAdminPackServerNet "The server is not of the kind this network tool administers."
    123 BetaExpired "The trial version has expired."
    124 BrandingRefusedByServer "The server accepts only its own branded clients."
    125 BrandingRefusedByClient "The client accepts only its own branded servers."
    126 AutoDisconnected "The session's time is up."
    127 ClientIdRequired "The hub accepts only clients with a certain identifier."
    128 TooManyUsersCreated "The product's limit of users is reached."
    129 SubscriptionExpired "The subscription ended before this version was built."
    130 IllegalTrial "Trial licences cannot be used on this server again and again."
    131 NatTraversalAmbiguous "Several servers share the address behind which this one was looked for."
    132 DdnsKeyDuplicate "The dynamic DNS key is used by another server."
    133 DdnsNameExists "The dynamic DNS name is taken."
    134 DdnsBadCharacter "The dynamic DNS name has a character that is not allowed."
    135 DdnsNameTooLong "The dynamic DNS name is too long."
    136 DdnsNameEmpty "The dynamic DNS name is empty."
    137 DdnsNameTooShort "The dynamic DNS name is too short."
    138 MsChapNeedsPasswordReset "The user's password must be set again before this kind of login works."
    139 DdnsDisconnected "The dynamic DNS service cannot be reached."
    140 IcmpListener "The ICMP listener cannot start."
    141 DnsListener "The DNS listener cannot start."
    142 OpenVpnNotEnabled "OpenVPN is not enabled on this server."
    143 AuthTypeNotInThisBuild "This build does not have that kind of authentication."
    144 RelayNotRunning "The relay service is not running."
    145 RelayStopped "The relay service has stopped."
    146 RelayDenied "The relay service refused."
    147 NotInThisBuild "This build does not have that function."
    148 Suspending "The system is going to sleep."
    149 TlsHostName "The server's certificate is for another host name."
    150 TlsVersion "The two sides share no version of TLS."
    151 TlsCipher "The two sides share no TLS cipher."
    152 TlsHandshake "The TLS handshake failed."
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "Unknown error {}.", self.code()),
        }
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn every_number_survives_the_way_there_and_back() {
        for number in (0..=200).chain([u32::MAX]) {
            assert_eq!(ErrorCode::from_code(number).code(), number);
        }
    }

    #[test]
    fn numbers_rise_without_repeating() {
        assert!(
            ErrorCode::ALL
                .windows(2)
                .all(|pair| pair[0].code() < pair[1].code())
        );
    }

    #[test]
    fn unknown_numbers_name_themselves() {
        assert_eq!(ErrorCode::from_code(4711).to_string(), "Unknown error 4711.");
    }
}
