//! A hub's extended options (policies §2): one row each, in the order that stock administration tools list them.

use std::collections::BTreeMap;

/// Whether changing an option changes anything yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The server acts on it.
    InForce,
    /// The value is kept for imported configurations and stock tools; only the default is a promise the server keeps.
    KeptOnly,
}

/// One row of the table.
#[derive(Debug)]
pub struct OptionRow {
    /// Its name on the wire and in vpncmd.
    pub name: &'static str,
    /// The value of a new hub.
    pub default: u32,
    /// Whether the server acts on it.
    pub effect: Effect,
    /// What it does, in one line.
    pub about: &'static str,
}

macro_rules! options {
    ($($option:ident $name:literal = $default:literal $effect:ident $about:literal;)+) => {
        /// An extended option of a hub.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum HubOption {
            $(#[doc = $about] $option,)+
        }

        impl HubOption {
            /// Every option, in listing order.
            pub const ALL: &'static [Self] = &[$(Self::$option),+];

            /// The row of this option.
            #[must_use]
            pub fn row(self) -> &'static OptionRow {
                match self {
                    $(Self::$option => &OptionRow {
                        name: $name,
                        default: $default,
                        effect: Effect::$effect,
                        about: $about,
                    },)+
                }
            }
        }
    };
}

options! {
    NoAddressPollingIPv4 "NoAddressPollingIPv4" = 0 KeptOnly "Do not probe known IPv4 addresses with ARP.";
    NoAddressPollingIPv6 "NoAddressPollingIPv6" = 0 KeptOnly "Do not probe known IPv6 addresses with neighbour solicitations.";
    NoIpTable "NoIpTable" = 0 InForce "Keep no IP address table.";
    NoMacAddressLog "NoMacAddressLog" = 1 KeptOnly "Do not log newly learned MAC addresses.";
    ManageOnlyPrivateIp "ManageOnlyPrivateIP" = 1 InForce "Put only private IPv4 addresses into the IP address table.";
    ManageOnlyLocalUnicastIpv6 "ManageOnlyLocalUnicastIPv6" = 1 InForce "Put only local IPv6 unicast addresses into the IP address table.";
    DisableIpParsing "DisableIPParsing" = 0 InForce "Do not look into IP packets at all.";
    YieldAfterStorePacket "YieldAfterStorePacket" = 0 KeptOnly "Give up the processor after each stored packet.";
    NoSpinLockForPacketDelay "NoSpinLockForPacketDelay" = 0 KeptOnly "Delay packets without busy waiting.";
    BroadcastStormDetectionThreshold "BroadcastStormDetectionThreshold" = 0 InForce "Broadcasts a second that count as a storm; 0 is the built-in limit.";
    ClientMinimumRequiredBuild "ClientMinimumRequiredBuild" = 0 InForce "Refuse clients of an older build than this.";
    FilterPppoe "FilterPPPoE" = 0 InForce "Drop PPPoE frames.";
    FilterOspf "FilterOSPF" = 0 InForce "Drop OSPF packets.";
    FilterIpv4 "FilterIPv4" = 0 InForce "Drop IPv4 and ARP.";
    FilterIpv6 "FilterIPv6" = 0 InForce "Drop IPv6.";
    FilterNonIp "FilterNonIP" = 0 InForce "Drop everything but IP and ARP.";
    NoIpv4PacketLog "NoIPv4PacketLog" = 0 InForce "Leave IPv4 out of the packet log.";
    NoIpv6PacketLog "NoIPv6PacketLog" = 0 InForce "Leave IPv6 out of the packet log.";
    FilterBpdu "FilterBPDU" = 0 InForce "Drop spanning tree frames.";
    NoIpv6DefaultRouterInRaWhenIpv6 "NoIPv6DefaultRouterInRAWhenIPv6" = 1 InForce "Strip the default router from RAs for sessions that came over IPv6.";
    NoLookBpduBridgeId "NoLookBPDUBridgeId" = 0 KeptOnly "Do not detect bridge loops by spanning tree identifiers.";
    NoManageVlanId "NoManageVlanId" = 0 InForce "Do not keep tables apart by VLAN.";
    VlanTypeId "VlanTypeId" = 33024 InForce "EtherType of VLAN tags; 33024 is 802.1Q.";
    FixForDLinkBpdu "FixForDLinkBPDU" = 0 KeptOnly "Work around spanning tree frames of some switches.";
    RequiredClientId "RequiredClientId" = 0 InForce "Refuse clients that do not send this number.";
    AdjustTcpMssValue "AdjustTcpMssValue" = 0 InForce "Clamp the TCP segment size to this; 0 clamps it only where a session needs it.";
    DisableAdjustTcpMss "DisableAdjustTcpMss" = 0 InForce "Never clamp the TCP segment size.";
    NoDhcpPacketLogOutsideHub "NoDhcpPacketLogOutsideHub" = 1 KeptOnly "Leave DHCP from outside the hub out of the packet log.";
    DisableHttpParsing "DisableHttpParsing" = 0 InForce "Do not look for URLs in the packet log.";
    DisableUdpAcceleration "DisableUdpAcceleration" = 0 InForce "Never grant UDP acceleration.";
    DisableUdpFilterForLocalBridgeNic "DisableUdpFilterForLocalBridgeNic" = 0 KeptOnly "Let the server's own UDP traffic pass over a local bridge.";
    ApplyIpv4AccessListOnArp "ApplyIPv4AccessListOnArpPacket" = 0 InForce "Match IPv4 access rules against ARP as well.";
    RemoveDefGwOnDhcpForLocalhost "RemoveDefGwOnDhcpForLocalhost" = 1 KeptOnly "Strip the default gateway from DHCP answers to clients on the server itself.";
    SecureNatMaxTcpSessionsPerIp "SecureNAT_MaxTcpSessionsPerIp" = 0 InForce "TCP connections through SecureNAT per client address; 0 is the built-in limit.";
    SecureNatMaxTcpSynSentPerIp "SecureNAT_MaxTcpSynSentPerIp" = 0 InForce "Half-open TCP connections through SecureNAT per client address; 0 is the built-in limit.";
    SecureNatMaxUdpSessionsPerIp "SecureNAT_MaxUdpSessionsPerIp" = 0 InForce "UDP flows through SecureNAT per client address; 0 is the built-in limit.";
    SecureNatMaxDnsSessionsPerIp "SecureNAT_MaxDnsSessionsPerIp" = 0 InForce "DNS queries through SecureNAT per client address; 0 is the built-in limit.";
    SecureNatMaxIcmpSessionsPerIp "SecureNAT_MaxIcmpSessionsPerIp" = 0 InForce "ICMP flows through SecureNAT per client address; 0 is the built-in limit.";
    AccessListIncludeFileCacheLifetime "AccessListIncludeFileCacheLifetime" = 30 InForce "Seconds a user list read by an access rule is kept.";
    DisableKernelModeSecureNat "DisableKernelModeSecureNAT" = 0 InForce "Do not use kernel mode for SecureNAT.";
    DisableIpRawModeSecureNat "DisableIpRawModeSecureNAT" = 0 InForce "Do not use raw IP mode for SecureNAT (there is none).";
    DisableUserModeSecureNat "DisableUserModeSecureNAT" = 0 InForce "Do not use user mode for SecureNAT.";
    DisableCheckMacOnLocalBridge "DisableCheckMacOnLocalBridge" = 0 InForce "Let a local bridge take over MAC addresses of sessions at once.";
    DisableCorrectIpOffloadChecksum "DisableCorrectIpOffloadChecksum" = 0 KeptOnly "Do not mend checksums that a network card was to fill in.";
    BroadcastLimiterStrictMode "BroadcastLimiterStrictMode" = 0 InForce "Limit broadcasts more strictly.";
    MaxLoggedPacketsPerMinute "MaxLoggedPacketsPerMinute" = 0 InForce "Packets of one session logged a minute; 0 is no limit.";
    DoNotSaveHeavySecurityLogs "DoNotSaveHeavySecurityLogs" = 0 KeptOnly "Leave frequent events out of the security log.";
    DropBroadcastsInPrivacyFilterMode "DropBroadcastsInPrivacyFilterMode" = 1 InForce "The privacy filter drops broadcasts as well.";
    DropArpInPrivacyFilterMode "DropArpInPrivacyFilterMode" = 1 InForce "The privacy filter drops ARP as well.";
    SuppressClientUpdateNotification "SuppressClientUpdateNotification" = 0 KeptOnly "Ask clients not to advertise updates.";
    FloodingSendQueueBufferQuota "FloodingSendQueueBufferQuota" = 33_554_432 KeptOnly "Bytes of flooded frames that may wait in all queues together.";
    AssignVlanIdByRadiusAttribute "AssignVLanIdByRadiusAttribute" = 0 KeptOnly "Take a session's VLAN from the RADIUS answer.";
    DenyAllRadiusLoginWithNoVlanAssign "DenyAllRadiusLoginWithNoVlanAssign" = 0 KeptOnly "Refuse RADIUS users whose answer names no VLAN.";
    SecureNatRandomizeAssignIp "SecureNAT_RandomizeAssignIp" = 0 KeptOnly "Lease addresses in random order.";
    DetectDormantSessionInterval "DetectDormantSessionInterval" = 0 KeptOnly "Seconds of silence after which a session counts as dormant; 0 is never.";
    NoPhysicalIpOnPacketLog "NoPhysicalIPOnPacketLog" = 0 InForce "Leave the clients' own addresses out of the packet log.";
    UseHubNameAsDhcpUserClassOption "UseHubNameAsDhcpUserClassOption" = 0 KeptOnly "Tell DHCP servers the hub's name as user class.";
    UseHubNameAsRadiusNasId "UseHubNameAsRadiusNasId" = 0 InForce "Tell RADIUS servers the hub's name as NAS identifier.";
    AllowStandardPassword "AllowStandardPassword" = 0 InForce "Let stock clients use the standard password type; the server then keeps a hash that is as good as the password.";
}

impl HubOption {
    /// The option of this name, ignoring case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|option| option.row().name.eq_ignore_ascii_case(name))
    }
}

/// The extended options of one hub: the table's defaults, and what was set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubOptions(BTreeMap<HubOption, u32>);

impl HubOptions {
    /// The value in force.
    #[must_use]
    pub fn get(&self, option: HubOption) -> u32 {
        self.0.get(&option).copied().unwrap_or(option.row().default)
    }

    /// Whether a yes-or-no option is on.
    #[must_use]
    pub fn is_on(&self, option: HubOption) -> bool {
        self.get(option) != 0
    }

    /// Sets one option.
    pub fn set(&mut self, option: HubOption, value: u32) {
        if value == option.row().default {
            self.0.remove(&option);
        } else {
            self.0.insert(option, value);
        }
    }

    /// The options that differ from the defaults.
    pub fn changed(&self) -> impl Iterator<Item = (HubOption, u32)> + '_ {
        self.0.iter().map(|(option, value)| (*option, *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_the_stock_options_and_ours() {
        assert_eq!(HubOption::ALL.len(), 58 + 1);
        assert_eq!(HubOption::ALL[0].row().name, "NoAddressPollingIPv4");
        assert_eq!(HubOption::ALL[57].row().name, "UseHubNameAsRadiusNasId");
    }

    #[test]
    fn standard_password_is_off_until_it_is_set() {
        let mut options = HubOptions::default();
        assert!(!options.is_on(HubOption::AllowStandardPassword));
        options.set(HubOption::by_name("allowstandardpassword").unwrap(), 1);
        assert!(options.is_on(HubOption::AllowStandardPassword));
        options.set(HubOption::AllowStandardPassword, 0);
        assert_eq!(options.changed().count(), 0);
    }
}
