//! Where our server does not answer as the stock one does: what it does not have, and what is not there yet.

/// Commands whose function we do not have: the code with which they end at our server, and why. They are not given to
/// the stock server.
pub const REFUSED: &[(&str, i32, &str)] = &[
    ("PortsUDPSet", 33, "nothing of ours is reached by UDP"),
    ("ProtoOptionsGet", 33, "no OpenVPN and no SSTP"),
    ("ProtoOptionsSet", 33, "no OpenVPN and no SSTP"),
    ("OpenVpnMakeConfig", 33, "no OpenVPN"),
    ("IPsecEnable", 33, "no IPsec"),
    ("IPsecGet", 33, "no IPsec"),
    ("EtherIpClientAdd", 33, "no EtherIP"),
    ("EtherIpClientDelete", 33, "no EtherIP"),
    ("EtherIpClientList", 33, "no EtherIP"),
    ("VpnOverIcmpDnsEnable", 33, "no tunnels over ICMP and DNS"),
    ("DynamicDnsGetStatus", 33, "no dynamic DNS"),
    ("VpnAzureGetStatus", 33, "no VPN Azure"),
    ("VpnAzureSetEnable", 33, "no VPN Azure"),
    ("ClusterSettingController", 33, "no clusters"),
    ("ClusterMemberList", 33, "no clusters"),
    ("ClusterMemberInfoGet", 33, "no clusters"),
    ("ClusterConnectionStatusGet", 33, "no clusters"),
    ("HubCreateStatic", 46, "no clusters"),
    ("HubCreateDynamic", 46, "no clusters"),
];

/// Single lines that end otherwise on purpose: the number, the code, and why.
pub const ON_PURPOSE: &[(u32, i32, &str)] = &[(
    35,
    51,
    "a hub without a password is administered by nobody but the server's administrator",
)];

/// Single lines that our tool prints otherwise on purpose, and why.
pub const TOOLS_DIFFER: &[(u32, &str)] = &[(
    78,
    "in a rule for IPv6 the stock tool takes `established` for its opposite",
)];

/// Whether and how our server refuses line `number`, a call of `command`.
pub fn refusal(number: u32, command: &str) -> Option<i32> {
    let of_line = ON_PURPOSE.iter().find(|row| row.0 == number).map(|row| row.1);
    of_line.or_else(|| REFUSED.iter().find(|row| row.0 == command).map(|row| row.1))
}

/// Lines that our server answers otherwise, until it has what they need. The test fails when a line of this list
/// passes, so that the list only shrinks.
pub const NOT_YET_IN_OUR_SERVER: &[u32] = &[
    1, 4, 15, 16, 17, 21, 24, 32, 34, 66, 68, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87,
    88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 116, 117, 123, 124, 125, 127, 128, 129,
    131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 145, 146, 147, 149, 150, 153, 154,
    155, 156, 160, 168, 172, 179, 180, 183, 184, 188, 191, 192, 197, 198, 199, 200, 205, 206, 207, 208, 209,
    210, 211, 215, 216, 217, 218, 219, 220, 221, 222, 223, 224, 225, 228, 230, 231,
];

/// Lines that our tool does not print as the stock tool does, both at the stock server, yet.
pub const NOT_YET_IN_OUR_TOOL: &[u32] = &[
    84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 131, 132, 133, 134, 135,
    136, 137, 138, 148, 156, 157, 158, 172, 179, 180, 191, 192, 206, 207, 208, 209, 210, 218, 219, 220, 221,
    223,
];
