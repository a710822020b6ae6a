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
];

/// Single lines that end otherwise on purpose: the number, the code, and why.
pub const ON_PURPOSE: &[(u32, i32, &str)] = &[
    (
        35,
        51,
        "a hub without a password is administered by nobody but the server's administrator",
    ),
    (94, 61, CASCADES),
    (180, 61, CASCADES),
];

const CASCADES: &str = "cascades do not connect yet, and say that they are offline";

/// Single lines that our tool prints otherwise on purpose, and why.
pub const TOOLS_DIFFER: &[(u32, &str)] = &[
    (315, STATES),
    (331, STATES),
    (
        78,
        "in a rule for IPv6 the stock tool takes `established` for its opposite",
    ),
    (
        85,
        "the stock tool takes every part of a name for the common name",
    ),
    (
        172,
        "the stock tool takes every part of a name for the common name",
    ),
    (92, "the stock tool leaves the name of the other hub out"),
];

const STATES: &str = "in a rule for IPv6 the stock tool takes `established` for its opposite";

/// Lines at which our tool shows the words of the server, which are each server's own, and why.
pub const WORDS_OF_THE_SERVER: &[(u32, &str)] = &[(CAPS, "what a server can do, it says itself")];

/// What a server can do, the machine that it runs on among it.
pub const CAPS: u32 = 4;

/// Lines that tell whether the server runs in a virtual machine. The stock server reads that in the kernel's log, which it does not
/// find as an ordinary user, nor after a long time; where it does not know, only exit codes are compared.
pub const OF_VIRTUAL_MACHINES: &[u32] = &[CAPS, 128, 129, 188];

/// Whether and how our server refuses line `number`, a call of `command`.
pub fn refusal(number: u32, command: &str) -> Option<i32> {
    let of_line = ON_PURPOSE.iter().find(|row| row.0 == number).map(|row| row.1);
    of_line.or_else(|| REFUSED.iter().find(|row| row.0 == command).map(|row| row.1))
}

/// Lines that our server answers otherwise, until it has what they need. The test fails when a line of this list
/// passes, so that the list only shrinks.
pub const NOT_YET_IN_OUR_SERVER: &[u32] = &[];

/// Lines that our tool does not print as the stock tool does, both at the stock server, yet.
pub const NOT_YET_IN_OUR_TOOL: &[u32] = &[];
