//! What stands between a client and its session, as one word that stays the same for programs.

use std::io;

use protocol::error::ErrorCode;
use transport::dial::DialError;
use transport::proxy::ProxyError;
use transport::tls::Distrust;

macro_rules! reasons {
    ($($name:ident $word:literal $text:literal)+) => {
        /// Why the other side and this one do not come together.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = $text] $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word for it, which stays the same.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

reasons! {
    CannotResolve "cannot_resolve" "The server's name has no address."
    ConnectionRefused "connection_refused" "Nobody listens at the server's port."
    TimedOut "timed_out" "The server does not answer."
    NoRoute "no_route" "No way leads to the server."
    CannotConnect "cannot_connect" "The server cannot be reached for another reason."
    ConnectionBroke "connection_broke" "The connection broke while it was negotiated."
    ProxyUnreachable "proxy_unreachable" "The proxy cannot be reached."
    ProxyCredentials "proxy_credentials" "The proxy wants another user name or password."
    ProxyRefused "proxy_refused" "The proxy does not connect to this server."
    NotAProxy "not_a_proxy" "What answers is no proxy of this kind."
    BehindProxy "unreachable_behind_proxy" "The proxy cannot reach the server."
    NotAVpnServer "not_a_vpn_server" "What answers is no VPN server."
    Untrusted "untrusted_certificate" "Nobody vouches for the server's certificate."
    Expired "expired_certificate" "The server's certificate has expired."
    NotYetValid "certificate_not_yet_valid" "The server's certificate is not valid yet."
    WrongName "wrong_name" "The server's certificate is for another name."
    NotThePin "not_the_pin" "The server's certificate is not the pinned one."
    Changed "changed_certificate" "The server shows another certificate than before."
    NoSuchHub "no_such_hub" "The server has no such hub."
    HubOffline "hub_offline" "The hub is offline."
    WrongCredentials "wrong_credentials" "User name, password or certificate are wrong."
    AuthType "authentication_type" "This user proves who they are in another way."
    Denied "denied" "The user's or hub's policy says no, or the account has expired."
    DeniedAddress "denied_address" "Nobody may come from this address."
    DeniedMode "denied_mode" "The user may not bridge, route or monitor."
    TooManySessions "too_many_sessions" "The user has as many sessions as allowed."
    ServerFull "server_full" "The hub or the server has as many sessions as allowed."
    Version "version" "The server does not take clients of this version or brand."
    Clear "no_encryption" "The server would send the data in clear."
    Redirected "redirected_in_circles" "The cluster sends its clients in circles."
    Password "password_needed" "The password was forgotten and nobody can be asked."
    Code "code_needed" "A new one-time code is needed and nobody can be asked."
    CannotProve "cannot_prove" "The proof that the server wants cannot be given."
    TimeIsUp "time_is_up" "The session lasted as long as the policy allows."
    SessionOver "session_over" "The session is over, and there is to be no other."
    Refused "refused" "The server refuses for another reason."
    Usage "usage" "The command line, or a file named there, is wrong."
    Local "local" "This machine lacks a privilege, a device or a program."
    Other "other" "The other side, for a reason that has no word."
}

impl Reason {
    /// What a server's number means.
    pub fn of_code(code: ErrorCode) -> Self {
        use ErrorCode as C;
        match code {
            C::HubNotFound => Self::NoSuchHub,
            C::HubStopped => Self::HubOffline,
            C::AuthFailed => Self::WrongCredentials,
            C::AuthTypeNotSupported | C::AuthTypeNotInThisBuild | C::MsChapNeedsPasswordReset => {
                Self::AuthType
            }
            C::AccessDenied | C::NotEnoughRights | C::EmptyPasswordLocalOnly => Self::Denied,
            C::AddressDenied => Self::DeniedAddress,
            C::BridgeDenied | C::MonitorDenied => Self::DeniedMode,
            C::TooManyUserSessions => Self::TooManySessions,
            C::TooManySessions
            | C::TooManyConnections
            | C::License
            | C::ClientLicenses
            | C::BridgeLicenses
            | C::NotAccepting
            | C::ServerLicense
            | C::TooManyUsers
            | C::OutOfMemory => Self::ServerFull,
            C::VersionTooOld
            | C::ProductCodeInvalid
            | C::VpnCodeInvalid
            | C::BetaExpired
            | C::BrandingRefusedByServer
            | C::BrandingRefusedByClient
            | C::ClientIdRequired => Self::Version,
            C::AutoDisconnected => Self::TimeIsUp,
            C::SessionTimeout | C::SessionRemoved | C::Disconnected => Self::SessionOver,
            C::NotVpnServer => Self::NotAVpnServer,
            _ => Self::Refused,
        }
    }

    /// What a failed dial means.
    pub fn of_dial(error: &DialError) -> Self {
        match error {
            DialError::Resolve { .. } => Self::CannotResolve,
            DialError::Connect { source, .. } => Self::of_connect(source),
            DialError::Proxy { source, .. } => Self::of_proxy(source),
            DialError::Untrusted(shown) => Self::of_distrust(&shown.why),
            DialError::Tls { .. } | DialError::NotAVpnServer { .. } => Self::NotAVpnServer,
            DialError::Silent { .. } => Self::TimedOut,
            DialError::Closed { .. } | DialError::Broken { .. } => Self::ConnectionBroke,
            DialError::Certificate(_) => Self::Usage,
        }
    }

    fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Self::NoRoute,
            _ => Self::CannotConnect,
        }
    }

    fn of_proxy(error: &ProxyError) -> Self {
        match error {
            ProxyError::LoginWanted(_) | ProxyError::LoginRefused(_) => Self::ProxyCredentials,
            ProxyError::Forbidden { .. } | ProxyError::Refused(_) => Self::ProxyRefused,
            ProxyError::TargetUnreached { .. } => Self::BehindProxy,
            ProxyError::NotAProxy(_) | ProxyError::Closed => Self::NotAProxy,
            ProxyError::Unspeakable(_) => Self::Usage,
            _ => Self::ProxyUnreachable,
        }
    }

    /// What speaks against a certificate.
    pub fn of_distrust(why: &Distrust) -> Self {
        match why {
            Distrust::NotThePin => Self::NotThePin,
            Distrust::Changed => Self::Changed,
            Distrust::Expired => Self::Expired,
            Distrust::NotYetValid => Self::NotYetValid,
            Distrust::WrongName => Self::WrongName,
            _ => Self::Untrusted,
        }
    }
}

/// What a user can do about a refusal; a sentence, or nothing.
pub fn remedy(code: ErrorCode) -> &'static str {
    match Reason::of_code(code) {
        Reason::NoSuchHub => " Check --hub.",
        Reason::WrongCredentials => " Check --user and the password, code or certificate.",
        Reason::AuthType => " Ask its administrator how this user logs in.",
        Reason::HubOffline => " Ask its administrator to put the hub online.",
        Reason::Denied => " The account may have expired, or its policy says no; ask its administrator.",
        Reason::DeniedAddress => " Ask its administrator from where this user may come.",
        Reason::DeniedMode => {
            " Do without --bridge and --router, or ask its administrator for the right (the policy NoBridge)."
        }
        Reason::TooManySessions => " End another session of this user first.",
        Reason::ServerFull => " Try again later.",
        Reason::Version => " Ask its administrator which clients it takes.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(words.iter().all(|word| word.chars().all(plain)), "{words:?}");
    }

    #[test]
    fn refusals_of_servers_are_told_apart() {
        for (code, word) in [
            (8, "no_such_hub"),
            (9, "wrong_credentials"),
            (7, "authentication_type"),
            (10, "hub_offline"),
            (12, "denied"),
            (109, "denied_address"),
            (108, "denied_mode"),
            (20, "too_many_sessions"),
            (16, "server_full"),
            (87, "version"),
            (4711, "refused"),
        ] {
            assert_eq!(Reason::of_code(ErrorCode::from_code(code)).word(), word, "{code}");
        }
    }
}
