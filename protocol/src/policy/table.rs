//! The table. A policy is one line here and nothing anywhere else.

use super::{Kind, Row, Unit};

macro_rules! policies {
    (@type flag) => { bool };
    (@type number) => { u32 };
    (@value flag $value:expr) => { $value != 0 };
    (@value number $value:expr) => { $value };
    (@cascade) => { false };
    (@cascade cascade) => { true };
    (@kind flag) => { Kind::Flag };
    (@kind number $min:literal $max:tt $optional:literal $unit:ident) => {
        Kind::Number { min: $min, max: policies!(@max $max), optional: $optional, unit: Unit::$unit }
    };
    (@max any) => { u32::MAX };
    (@max $max:literal) => { $max };

    ($($id:literal $name:ident $field:ident $type:ident($($range:tt)*) = $default:literal $([$cascade:ident])? $about:literal)+) => {
        /// The policy of a session. [`TABLE`] describes each field.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Policy {
            $(#[doc = $about] pub $field: policies!(@type $type),)+
        }

        /// What a user without a policy of their own or of a group gets.
        impl Default for Policy {
            fn default() -> Self {
                Self { $($field: policies!(@value $type $default),)+ }
            }
        }

        /// Every policy, by its number.
        pub static TABLE: &[Row] = &[
            $(Row {
                id: $id,
                name: stringify!($name),
                kind: policies!(@kind $type $($range)*),
                default: $default,
                cascade: policies!(@cascade $($cascade)?),
                about: $about,
                get: |policy| u32::from(policy.$field),
                set: |policy, value| policy.$field = policies!(@value $type value),
            },)+
        ];
    };
}

// number name field type(min max optional unit) = default [cascade] line
policies! {
    0 Access access flag() = 1 "The user may log in."
    1 DHCPFilter dhcp_filter flag() = 0 [cascade] "IPv4 DHCP packets are dropped."
    2 DHCPNoServer dhcp_no_server flag() = 0 [cascade] "The session may not answer as an IPv4 DHCP server."
    3 DHCPForce dhcp_force flag() = 0 [cascade] "Only IPv4 addresses leased on the hub may be used."
    4 NoBridge no_bridge flag() = 0 "Sessions that bridge a network are refused."
    5 NoRouting no_routing flag() = 0 "The session may not route other IPv4 addresses."
    6 CheckMac check_mac flag() = 0 [cascade] "A MAC address in use by another session is refused."
    7 CheckIP check_ip flag() = 0 [cascade] "An IPv4 address in use by another session is refused."
    8 ArpDhcpOnly arp_dhcp_only flag() = 0 [cascade] "Broadcasts other than ARP, DHCP and ICMPv6 are dropped."
    9 PrivacyFilter privacy_filter flag() = 0 [cascade] "Sessions with this policy do not reach each other."
    10 NoServer no_server flag() = 0 [cascade] "Nobody may open TCP connections over IPv4 to the session."
    11 NoBroadcastLimiter no_broadcast_limiter flag() = 0 [cascade] "The broadcast storm limiter does not apply."
    12 MonitorPort monitor_port flag() = 0 "Monitoring sessions are allowed."
    13 MaxConnection max_connection number(1 32 false Count) = 32 "TCP connections of one session."
    14 TimeOut timeout number(5 60 false Seconds) = 20 "How long a silent session lives."
    15 MaxMac max_mac number(1 65535 true Count) = 0 [cascade] "MAC addresses of one session."
    16 MaxIP max_ip number(1 65535 true Count) = 0 [cascade] "IPv4 addresses of one session."
    17 MaxUpload max_upload number(1 any true BitsPerSecond) = 0 [cascade] "Rate from the client to the hub."
    18 MaxDownload max_download number(1 any true BitsPerSecond) = 0 [cascade] "Rate from the hub to the client."
    19 FixPassword fix_password flag() = 0 "The user may not change the password."
    20 MultiLogins multi_logins number(1 65535 true Count) = 0 "Sessions of one user at a time."
    21 NoQoS no_qos flag() = 0 "Priority frames have no connection of their own."
    22 RSandRAFilter rs_and_ra_filter flag() = 0 [cascade] "IPv6 router solicitations and advertisements are dropped."
    23 RAFilter ra_filter flag() = 0 [cascade] "IPv6 router advertisements are dropped."
    24 DHCPv6Filter dhcp_v6_filter flag() = 0 [cascade] "DHCPv6 packets are dropped."
    25 DHCPv6NoServer dhcp_v6_no_server flag() = 0 [cascade] "The session may not answer as a DHCPv6 server."
    26 NoRoutingV6 no_routing_v6 flag() = 0 "The session may not route other IPv6 addresses."
    27 CheckIPv6 check_ip_v6 flag() = 0 [cascade] "An IPv6 address in use by another session is refused."
    28 NoServerV6 no_server_v6 flag() = 0 [cascade] "Nobody may open TCP connections over IPv6 to the session."
    29 MaxIPv6 max_ip_v6 number(1 65535 true Count) = 0 [cascade] "IPv6 addresses of one session."
    30 NoSavePassword no_save_password flag() = 0 "The client may not keep the password."
    31 AutoDisconnect auto_disconnect number(1 any true Seconds) = 0 "How long a session may last."
    32 FilterIPv4 filter_ip_v4 flag() = 0 [cascade] "IPv4 and ARP are dropped."
    33 FilterIPv6 filter_ip_v6 flag() = 0 [cascade] "IPv6 is dropped."
    34 FilterNonIP filter_non_ip flag() = 0 [cascade] "Everything but IPv4, ARP and IPv6 is dropped."
    35 NoIPv6DefaultRouterInRA no_default_router_in_ra flag() = 0 [cascade] "IPv6 router advertisements lose their default route."
    36 NoIPv6DefaultRouterInRAWhenIPv6 no_default_router_in_ra_when_ip_v6 flag() = 0 "The same, when the session itself comes over IPv6."
    37 VLanId vlan_id number(1 4095 true Count) = 0 [cascade] "VLAN in which the session's frames travel."
}
