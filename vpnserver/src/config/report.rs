//! What was taken of a file, and what was left and why.

use std::fmt;

use protocol::config::{Folder, Value};

use super::place::Seen;

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was taken, a line for each kind of thing and each hub.
    pub taken: Vec<String>,
    /// What was left.
    pub left: Vec<Left>,
    /// What the administrator should know beyond that.
    pub notes: Vec<String>,
}

/// Something of a file that the server did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The key, or the first of several with the number of the others.
    pub what: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for taken in &self.taken {
            writeln!(f, "taken  {taken}")?;
        }
        for left in &self.left {
            writeln!(f, "left   {}: {}", left.what, left.why)?;
        }
        for note in &self.notes {
            writeln!(f, "note   {note}")?;
        }
        Ok(())
    }
}

impl Report {
    pub(super) fn leave(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.left.push(Left {
            what: what.into(),
            why: why.into(),
        });
    }

    /// Adds everything that nobody looked at, what has the same reason together.
    pub(super) fn leave_unseen(&mut self, root: &Folder, seen: &Seen) {
        let mut unseen = Unseen {
            seen,
            by_rule: RULES.iter().map(|_| Vec::new()).collect(),
            unknown: Vec::new(),
        };
        unseen.walk(root, root.name());
        for (rule, keys) in RULES.iter().zip(unseen.by_rule) {
            let (Some(first), Some(why)) = (keys.first(), rule.why) else {
                continue;
            };
            let what = match keys.len() {
                1 => first.clone(),
                many => format!("{first} and {} more", many - 1),
            };
            self.leave(what, why);
        }
        for key in unseen.unknown {
            self.leave(key, "this server knows no such key");
        }
    }
}

struct Unseen<'a> {
    seen: &'a Seen,
    by_rule: Vec<Vec<String>>,
    unknown: Vec<String>,
}

impl Unseen<'_> {
    fn walk(&mut self, folder: &Folder, path: &str) {
        for item in folder.items().filter(|item| !self.seen.contains(item.line())) {
            self.leave(format!("{path}/{}", item.name()), Some(item.value()));
        }
        for inner in folder.folders() {
            let path = format!("{path}/{}", inner.name());
            if inner.is_empty() && !self.seen.contains(inner.line()) {
                self.leave(path.clone(), None);
            }
            self.walk(inner, &path);
        }
    }

    fn leave(&mut self, key: String, value: Option<&Value>) {
        let Some(place) = RULES.iter().position(|rule| rule.fits(&key)) else {
            return self.unknown.push(key);
        };
        if value.is_some_and(|value| !RULES[place].is_usual(value)) {
            self.by_rule[place].push(key);
        }
    }
}

/// Why keys are left.
struct Rule {
    /// Keys below the root; `*` is any one name, `**` at the end any number of them.
    keys: &'static str,
    /// A value that asks for nothing that this server does not do.
    usual: Option<&'static str>,
    /// The reason; none for what carries no setting.
    why: Option<&'static str>,
}

impl Rule {
    fn fits(&self, key: &str) -> bool {
        let mut names = key.split('/').skip(1);
        for wanted in self.keys.split('/') {
            match (wanted, names.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(name)) if matches(wanted, name) => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    fn is_usual(&self, value: &Value) -> bool {
        self.usual.is_some_and(|usual| match value {
            Value::Uint(number) => usual == number.to_string(),
            Value::Uint64(number) => usual == number.to_string(),
            Value::Bool(yes) => usual == yes.to_string(),
            Value::String(text) => usual == text.as_str(),
            Value::Bytes(_) => false,
        })
    }
}

/// A name, or the beginning of one before a `*`.
fn matches(wanted: &str, name: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => name
            .get(..beginning.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(beginning)),
        None => name.eq_ignore_ascii_case(wanted),
    }
}

const fn left(keys: &'static str, why: &'static str) -> Rule {
    Rule {
        keys,
        usual: None,
        why: Some(why),
    }
}

const fn unless(keys: &'static str, usual: &'static str, why: &'static str) -> Rule {
    Rule {
        keys,
        usual: Some(usual),
        why: Some(why),
    }
}

const fn nothing(keys: &'static str) -> Rule {
    Rule {
        keys,
        usual: None,
        why: None,
    }
}

const COUNTERS: &str = "these counters begin anew";
const NEVER: &str = "this server never does that";
const ALWAYS: &str = "this server always does that";
const FIXED: &str = "a fixed number here; docs/architecture.md lists the limits";

/// The keys of the stock server (5.01.9674, and later ones as far as they are known) that have no meaning here; the first
/// that fits counts.
const RULES: &[Rule] = &[
    nothing("ConfigRevision"),
    nothing("IPsecMessageDisplayed"),
    nothing("VgsMessageDisplayed"),
    nothing("Region"),
    unless(
        "DDnsClient/Disabled",
        "true",
        "dynamic DNS is not part of this server",
    ),
    nothing("DDnsClient/**"),
    nothing("IPsec/IPsec_Secret"),
    nothing("IPsec/L2TP_DefaultHub"),
    unless("IPsec/L2TP*", "false", "L2TP is not part of this server"),
    unless(
        "IPsec/EtherIP_IPsec",
        "false",
        "EtherIP is not part of this server",
    ),
    left("IPsec/**", "EtherIP is not part of this server"),
    unless(
        "ListenerList/*/DisableDos",
        "false",
        "the limits for strangers hold on every port",
    ),
    unless("LocalBridgeList/*/NoPromiscuousMode", "false", ALWAYS_PROMISCUOUS),
    unless(
        "LocalBridgeList/*/MonitorMode",
        "false",
        "bridges cannot only listen here",
    ),
    unless(
        "LocalBridgeList/*/LimitBroadcast",
        "false",
        "bridges have no limiter of their own here",
    ),
    nothing("LocalBridgeList/DoNotDisableOffloading"),
    nothing("LocalBridgeList/ShowAllInterfaces"),
    nothing("LocalBridgeList/EnableSoftEtherKernelModeDriver"),
    nothing("ServerConfiguration/AutoSaveConfigSpan"),
    nothing("ServerConfiguration/BackupConfigOnlyWhenModified"),
    unless(
        "ServerConfiguration/DontBackupConfig",
        "false",
        "the last states are always kept",
    ),
    nothing("ServerConfiguration/AutoDeleteCheck*"),
    unless("ServerConfiguration/LoggerMaxLogSize", "1073741823", FIXED),
    unless(
        "ServerConfiguration/ServerLogSwitchType",
        "4",
        "the server's own log goes to standard error",
    ),
    unless(
        "ServerConfiguration/ListenIP",
        "0.0.0.0",
        "say where to listen with --listen",
    ),
    nothing("ServerConfiguration/PortsUDP"),
    nothing("ServerConfiguration/CurrentBuild"),
    nothing("ServerConfiguration/DhParamBits"),
    unless(
        "ServerConfiguration/ServerType",
        "0",
        "clusters are not part of this server; the hubs are taken as stand-alone",
    ),
    left(
        "ServerConfiguration/ControllerOnly",
        "clusters are not part of this server",
    ),
    left(
        "ServerConfiguration/ClusterMemberWeight",
        "clusters are not part of this server",
    ),
    left(
        "ServerConfiguration/ControllerName",
        "clusters are not part of this server",
    ),
    left(
        "ServerConfiguration/ControllerPort",
        "clusters are not part of this server",
    ),
    left(
        "ServerConfiguration/MemberPassword",
        "clusters are not part of this server",
    ),
    left(
        "ServerConfiguration/Public*",
        "clusters are not part of this server",
    ),
    unless(
        "ServerConfiguration/DisableIPv6Listener",
        "false",
        "say where to listen with --listen",
    ),
    nothing("ServerConfiguration/DisableNatTraversal"),
    unless(
        "ServerConfiguration/DisableDosProtection",
        "false",
        "the limits for strangers always hold",
    ),
    nothing("ServerConfiguration/DisableDeadLockCheck"),
    unless(
        "ServerConfiguration/DisableSessionReconnect",
        "false",
        "there are no farms to reconnect within",
    ),
    nothing("ServerConfiguration/DisableGetHostNameWhenAcceptTcp"),
    nothing("ServerConfiguration/DisableIPsecAggressiveMode"),
    nothing("ServerConfiguration/NoLinuxArpFilter"),
    nothing("ServerConfiguration/NoHighPriorityProcess"),
    unless("ServerConfiguration/NoSendSignature", "false", ALWAYS),
    nothing("ServerConfiguration/SaveDebugLog"),
    nothing("ServerConfiguration/DisableCoreDumpOnUnix"),
    unless("ServerConfiguration/DisableJsonRpcWebApi", "false", ALWAYS),
    unless("ServerConfiguration/StrictSyslogDatetimeFormat", "false", NEVER),
    unless("ServerConfiguration/UseWebUI", "false", NEVER),
    unless("ServerConfiguration/UseWebTimePage", "false", NEVER),
    unless(
        "ServerConfiguration/Tls_Disable1_2",
        "false",
        "TLS 1.2 and 1.3 are always spoken here",
    ),
    unless(
        "ServerConfiguration/Tls_Disable1_3",
        "false",
        "TLS 1.2 and 1.3 are always spoken here",
    ),
    unless(
        "ServerConfiguration/Tls_Disable1_*",
        "true",
        "TLS 1.0 and 1.1 are never spoken here",
    ),
    nothing("ServerConfiguration/Override_Security_Level*"),
    unless("ServerConfiguration/MaxConnectionsPerIP", "256", FIXED),
    unless("ServerConfiguration/MaxUnestablishedConnections", "1000", FIXED),
    nothing("ServerConfiguration/MaxConcurrentDnsClientThreads"),
    unless(
        "ServerConfiguration/EnableVpnAzure",
        "false",
        "VPN Azure is not part of this server",
    ),
    unless(
        "ServerConfiguration/EnableVpnOverDns",
        "false",
        "VPN over DNS is not part of this server",
    ),
    unless(
        "ServerConfiguration/EnableVpnOverIcmp",
        "false",
        "VPN over ICMP is not part of this server",
    ),
    unless(
        "ServerConfiguration/UsernameHubSeparator",
        "@",
        "only @ parts a user from a hub here",
    ),
    unless(
        "ServerConfiguration/Proto/OpenVPN/Enabled",
        "false",
        "OpenVPN is not part of this server",
    ),
    nothing("ServerConfiguration/Proto/OpenVPN/**"),
    unless(
        "ServerConfiguration/Proto/SSTP/Enabled",
        "false",
        "SSTP is not part of this server",
    ),
    unless(
        "ServerConfiguration/Proto/WireGuard/Enabled",
        "false",
        "WireGuard is not part of this server",
    ),
    nothing("ServerConfiguration/Proto/WireGuard/**"),
    unless(
        "ServerConfiguration/DisableOpenVPNServer",
        "true",
        "OpenVPN is not part of this server",
    ),
    unless(
        "ServerConfiguration/DisableSSTPServer",
        "true",
        "SSTP is not part of this server",
    ),
    nothing("ServerConfiguration/OpenVPN*"),
    nothing("ServerConfiguration/GlobalParams/**"),
    left("ServerConfiguration/ServerTraffic/**", COUNTERS),
    unless(
        "VirtualHUB/*/Type",
        "0",
        "clusters are not part of this server; the hub is taken as stand-alone",
    ),
    nothing("VirtualHUB/*/LastCommTime"),
    nothing("VirtualHUB/*/LastLoginTime"),
    nothing("VirtualHUB/*/NumLogin"),
    left("VirtualHUB/*/Traffic/**", COUNTERS),
    left(
        "VirtualHUB/*/SecurityAccountDatabase/GroupList/*/Traffic/**",
        COUNTERS,
    ),
    left(
        "VirtualHUB/*/SecurityAccountDatabase/UserList/*/AuthNtLmSecureHash",
        "MS-CHAP and NT logins, which these hashes are for, are not part of this server",
    ),
    nothing("VirtualHUB/*/RadiusServerPort"),
    unless(
        "VirtualHUB/*/RadiusConvertAllMsChapv2AuthRequestToEap",
        "false",
        "EAP is not asked of RADIUS servers here",
    ),
    unless(
        "VirtualHUB/*/RadiusUsePeapInsteadOfEap",
        "false",
        "EAP is not asked of RADIUS servers here",
    ),
    unless(
        "VirtualHUB/*/RadiusRealm",
        "",
        "names go to RADIUS servers as they are",
    ),
    unless(
        "VirtualHUB/*/RadiusSuffixFilter",
        "",
        "names go to RADIUS servers as they are",
    ),
    nothing("VirtualHUB/*/RadiusRetry*"),
    nothing("VirtualHUB/*/DefaultGateway"),
    nothing("VirtualHUB/*/DefaultSubnet"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/AccountName"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/DeviceName"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/Hide*"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/NumRetry"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/RetryInterval"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/NoRoutingTracking"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/RequireBridgeRoutingMode"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/RequireMonitorMode"),
    nothing("VirtualHUB/*/CascadeList/*/ClientOption/BindLocal*"),
    nothing("VirtualHUB/*/CascadeList/*/AddDefaultCA"),
];

const ALWAYS_PROMISCUOUS: &str = "bridges always see every frame of their interface here";

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(keys: &'static str) -> Rule {
        nothing(keys)
    }

    #[test]
    fn stars_stand_for_names() {
        assert!(rule("A/*/B").fits("root/A/x/B") && rule("a/**").fits("root/A/x/B"));
        assert!(rule("A/Pub*").fits("root/A/PublicIp"));
        for key in ["root/A/B", "root/A/x/y/B", "root/A/x/C", "root/B/x/B", "root"] {
            assert!(!rule("A/*/B").fits(key), "{key}");
        }
        assert!(!rule("A/**").fits("root/A") && !rule("A/Pub*").fits("root/A/Pu"));
    }

    #[test]
    fn what_asks_for_nothing_is_not_reported() {
        let file = "declare root\n{\nuint ConfigRevision 3\nuint Odd 1\ndeclare DDnsClient\n{\nbool Disabled true\n}\n\
                    declare ServerConfiguration\n{\nuint MaxConnectionsPerIP 256\nuint MaxUnestablishedConnections 5\n}\n}";
        let root = Folder::parse(file.as_bytes()).unwrap();
        let mut report = Report::default();
        report.leave_unseen(&root, &Seen::default());
        let left: Vec<_> = report.left.iter().map(|left| left.what.as_str()).collect();
        assert_eq!(
            left,
            ["root/ServerConfiguration/MaxUnestablishedConnections", "root/Odd"]
        );
    }
}
