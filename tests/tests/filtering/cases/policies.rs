//! Policies of one session.

use super::super::frames::{ACK, SYN, Way, mac};
use super::{Case, Cases, everybody6};

pub(super) fn all(cases: &mut Cases) {
    nothing(cases);
    dhcp(cases);
    routing(cases);
    broadcasts(cases);
    privacy(cases);
    servers(cases);
    ipv6(cases);
    rates(cases);
    monitor(cases);
}

fn nothing(cases: &mut Cases) {
    cases.case("no policy", |case| {
        let frames = [
            ("UDP to one", case.udp('S', 'A'), "A"),
            (
                "ARP",
                case.all('S').arp(1, case.ip('S', 0), case.ip('A', 0)),
                "AB",
            ),
            ("a DHCP request", case.all('S').dhcp_request(1), "AB"),
            (
                "SYN+ACK",
                case.way('S', 'A')
                    .tcp4(case.ip('S', 0), case.ip('A', 0), (80, 5000), SYN | ACK, b""),
                "A",
            ),
            (
                "a spanning tree frame",
                Way {
                    destination: [1, 0x80, 0xc2, 0, 0, 0],
                    ..case.all('S')
                }
                .ethernet(38, &[0x42; 38]),
                "AB",
            ),
            (
                "a pause frame",
                Way {
                    destination: [1, 0x80, 0xc2, 0, 0, 1],
                    ..case.all('S')
                }
                .ethernet(0x8808, &[0; 46]),
                "AB",
            ),
            (
                "a frame to its own session",
                Way {
                    destination: mac('S', case.number),
                    source: mac('T', case.number),
                }
                .ethernet(0x88b5, b"self"),
                "",
            ),
        ];
        for (what, frame, expected) in frames {
            case.step(what, 'S', frame, expected);
        }
    });
}

fn dhcp(cases: &mut Cases) {
    cases.case("DHCPFilter", |case| {
        case.policy("DHCPFilter");
        let request = case.all('S').dhcp_request(1);
        let reply = case
            .way('S', 'A')
            .dhcp_reply(2, mac('A', case.number), case.ip('S', 0), case.ip('A', 9));
        let from_a =
            case.way('A', 'S')
                .dhcp_reply(2, mac('S', case.number), case.ip('A', 0), case.ip('S', 9));
        let fake = case
            .way('S', 'A')
            .udp4(case.ip('S', 0), case.ip('A', 0), (68, 67), b"not DHCP at all");
        let udp = case.udp('S', 'A');
        case.step("its request", 'S', request, "")
            .step("its reply", 'S', reply, "")
            .step("another's reply to it", 'A', from_a, "")
            .step("something else between the ports", 'S', fake, "A")
            .step("UDP", 'S', udp, "A");
    });
    cases.case("DHCPNoServer", |case| {
        case.policy("DHCPNoServer");
        let request = case.all('S').dhcp_request(1);
        let reply = case
            .way('S', 'A')
            .dhcp_reply(2, mac('A', case.number), case.ip('S', 0), case.ip('A', 9));
        let from_a =
            case.way('A', 'S')
                .dhcp_reply(2, mac('S', case.number), case.ip('A', 0), case.ip('S', 9));
        let fake = case
            .way('S', 'A')
            .udp4(case.ip('S', 0), case.ip('A', 0), (67, 68), b"not DHCP at all");
        case.step("its request", 'S', request, "AB")
            .step("its reply", 'S', reply, "")
            .step("another's reply to it", 'A', from_a, "S")
            .step("something else between the ports", 'S', fake, "A");
    });
    cases.case("DHCPForce", |case| {
        case.policy("DHCPForce");
        let leased = case.ip('S', 9);
        let from = |case: &Case, ip| case.way('S', 'A').udp4(ip, case.ip('A', 0), (4000, 5000), b"x");
        let before = from(case, leased);
        let ack = case
            .way('A', 'S')
            .dhcp_reply(5, mac('S', case.number), case.ip('A', 0), leased);
        let other = from(case, case.ip('S', 1));
        let arp = case.all('S').arp(1, case.ip('S', 1), case.ip('A', 0));
        let arp_leased = case.all('S').arp(1, leased, case.ip('A', 0));
        let probe = case.all('S').arp(1, [0; 4], case.ip('A', 0));
        let public = from(case, [203, 0, 113, 7]);
        let link_local = from(case, [169, 254, 1, 7]);
        let station = mac('S', case.number);
        let public_ack = case
            .way('A', 'S')
            .dhcp_reply(5, station, case.ip('A', 0), [203, 0, 113, 8]);
        let from_public = from(case, [203, 0, 113, 8]);
        let to_a = case.way('A', 'S').udp4(case.ip('A', 0), leased, (1, 2), b"x");
        let request = case.all('S').dhcp_request(1);
        case.step("an address before its lease", 'S', before.clone(), "")
            .step("a DHCP request", 'S', request, "AB")
            .step("the lease", 'A', ack, "S")
            .step("the leased address", 'S', before, "A")
            .step("another address", 'S', other, "")
            .step("ARP for another address", 'S', arp, "")
            .step("ARP for the leased address", 'S', arp_leased, "AB")
            .step("an ARP probe", 'S', probe, "AB")
            .step("a public address", 'S', public, "")
            .step("a link-local address", 'S', link_local, "")
            .step("to the leased address", 'A', to_a, "S")
            .step("a public lease", 'A', public_ack, "S")
            .step("the leased public address", 'S', from_public, "A");
    });
}

fn routing(cases: &mut Cases) {
    for (name, setting, v4, v6, macs) in [
        ("MaxIP below its least", ("MaxIP", 1), 4, 20, 8),
        ("MaxIP", ("MaxIP", 6), 6, 20, 8),
        ("MaxIPv6 below its least", ("MaxIPv6", 1), 8, 5, 8),
        ("MaxIPv6", ("MaxIPv6", 7), 8, 7, 8),
        ("MaxMac below its least", ("MaxMac", 1), 8, 20, 2),
        ("MaxMac", ("MaxMac", 5), 8, 20, 4),
        ("NoRouting", ("NoRouting", 1), 8, 20, 8),
        ("NoRoutingV6", ("NoRoutingV6", 1), 8, 15, 8),
        ("NoBridge", ("NoBridge", 1), 8, 20, 8),
    ] {
        cases.case(name, |case| addresses(case, setting, (v4, v6, macs)));
    }
    cases.case("CheckMac", |case| {
        case.policy("CheckMac");
        let stolen = Way {
            source: mac('A', case.number),
            ..case.way('S', 'B')
        };
        let back = case.way('B', 'A').ethernet(0x88b5, b"to A");
        case.step("in another's name", 'S', stolen.ethernet(0x88b5, b"stolen"), "")
            .step("to the owner", 'B', back, "A");
    });
    cases.case("a stolen MAC without CheckMac", |case| {
        let stolen = Way {
            source: mac('C', case.number),
            ..case.way('A', 'B')
        };
        let thief = Way {
            source: mac('C', case.number),
            ..case.way('S', 'B')
        };
        let back = Way {
            destination: mac('C', case.number),
            ..case.way('B', 'A')
        };
        case.step("it is A's", 'A', stolen.ethernet(0x88b5, b"mine"), "B")
            .step("in another's name", 'S', thief.ethernet(0x88b5, b"stolen"), "B")
            .step("to the thief", 'B', back.ethernet(0x88b5, b"to C"), "S");
    });
    for (name, arp) in [("CheckIP", false), ("CheckIP and ARP", true)] {
        cases.case(name, |case| {
            case.policy("CheckIP");
            let shared = case.ip('C', 0);
            let frame = |case: &Case, from: char| {
                if arp {
                    case.all(from).arp(1, shared, case.ip('B', 0))
                } else {
                    case.way(from, 'B')
                        .udp4(shared, case.ip('B', 0), (4000, 5000), b"x")
                }
            };
            let (owner, thief) = (frame(case, 'A'), frame(case, 'S'));
            let public = |case: &Case, from| {
                case.way(from, 'B')
                    .udp4([203, 0, 113, 77], case.ip('B', 0), (4000, 5000), b"x")
            };
            let (public_owner, public_thief) = (public(case, 'A'), public(case, 'S'));
            case.step("the owner's", 'A', owner, if arp { "SB" } else { "B" })
                .step("another's with the same address", 'S', thief, "")
                .step("a public address", 'A', public_owner, "B")
                .step("the same public address", 'S', public_thief, "B");
        });
    }
    cases.case("CheckIPv6", |case| {
        case.policy("CheckIPv6");
        let shared = case.ip6('C', 0);
        let frame = |case: &Case, from: char| {
            case.way(from, 'B')
                .udp6(shared, case.ip6('B', 0), (4000, 5000), b"x")
        };
        let (owner, thief) = (frame(case, 'A'), frame(case, 'S'));
        case.step("the owner's", 'A', owner, "B")
            .step("another's with the same address", 'S', thief, "");
    });
}

/// How many addresses a session may have of each kind, beside that of its station: 8 IPv4, 20 IPv6 and 8 MAC addresses are
/// tried.
fn addresses(case: &mut Case, setting: (&'static str, u32), (v4, v6, macs): (u8, u8, u8)) {
    case.policies[0].push(setting);
    case.no_bridge = setting.0 == "NoBridge";
    // The stock server leaves these to its client.
    let (our_v4, our_v6, our_macs) = match setting.0 {
        "NoRouting" => (4, v6, macs),
        "NoBridge" => (4, v6, 2),
        _ => (v4, v6, macs),
    };
    let reached = |allowed: bool| if allowed { "A" } else { "" };
    for n in 0..8 {
        let frame = case
            .way('S', 'A')
            .udp4(case.ip('S', n), case.ip('A', 0), (4000, 5000), b"x");
        case.step("an IPv4 address", 'S', frame, reached(n < v4))
            .ours(reached(n < our_v4));
    }
    for n in 0..20 {
        let frame = case
            .way('S', 'A')
            .udp6(case.ip6('S', n), case.ip6('A', 0), (4000, 5000), b"x");
        case.step("an IPv6 address", 'S', frame, reached(n < v6))
            .ours(reached(n < our_v6));
    }
    for n in 0..8 {
        let way = Way {
            source: mac('T', case.number << 8 | u32::from(n)),
            ..case.way('S', 'A')
        };
        case.step(
            "a station",
            'S',
            way.ethernet(0x88b5, b"station"),
            reached(n < macs),
        )
        .ours(reached(n < our_macs));
    }
}

fn broadcasts(cases: &mut Cases) {
    cases.case("ArpDhcpOnly", |case| {
        case.policy("ArpDhcpOnly");
        let v6 = |case: &Case, from| {
            case.nodes(from)
                .udp6(case.ip6(from, 0), everybody6(), (1, 2), b"x")
        };
        let frames = [
            (
                "ARP",
                'S',
                case.all('S').arp(1, case.ip('S', 0), case.ip('A', 0)),
                "AB",
            ),
            ("a DHCP request", 'S', case.all('S').dhcp_request(1), "AB"),
            (
                "UDP to all",
                'S',
                case.all('S').udp4(case.ip('S', 0), [255; 4], (1, 2), b"x"),
                "",
            ),
            (
                "UDP to a group",
                'S',
                Way {
                    destination: [1, 0, 0x5e, 0, 0, 251],
                    ..case.all('S')
                }
                .udp4(case.ip('S', 0), [224, 0, 0, 251], (5353, 5353), b"x"),
                "",
            ),
            (
                "something else to all",
                'S',
                case.all('S').ethernet(0x88b5, b"x"),
                "",
            ),
            (
                "an echo request to all",
                'S',
                case.nodes('S')
                    .icmpv6(case.ip6('S', 0), everybody6(), &[128, 0, 0, 0, 0, 0, 0, 0]),
                "AB",
            ),
            (
                "a multicast listener's report",
                'S',
                case.nodes('S')
                    .icmpv6(case.ip6('S', 0), everybody6(), &[143, 0, 0, 0, 0, 0, 0, 0]),
                "AB",
            ),
            (
                "an IPv4 echo request to all",
                'S',
                case.all('S')
                    .ipv4(case.ip('S', 0), [255; 4], 1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
                "",
            ),
            ("UDP over IPv6 to all", 'S', v6(case, 'S'), ""),
            (
                "DHCPv6 to all",
                'S',
                case.nodes('S')
                    .udp6(case.ip6('S', 0), everybody6(), (546, 547), &[1, 1, 2, 3]),
                "AB",
            ),
            ("UDP to one", 'S', case.udp('S', 'A'), "A"),
            (
                "another's UDP to all",
                'A',
                case.all('A').udp4(case.ip('A', 0), [255; 4], (1, 2), b"x"),
                "B",
            ),
            (
                "another's ARP",
                'A',
                case.all('A').arp(1, case.ip('A', 0), case.ip('S', 0)),
                "SB",
            ),
            (
                "another's frame to all",
                'A',
                case.all('A').ethernet(0x88b5, b"x"),
                "B",
            ),
            ("another's UDP over IPv6 to all", 'A', v6(case, 'A'), "B"),
        ];
        for (what, from, frame, expected) in frames {
            case.step(what, from, frame, expected);
        }
    });
}

fn privacy(cases: &mut Cases) {
    for (name, drop_broadcasts, drop_arp) in [
        ("PrivacyFilter", 1, 1),
        ("PrivacyFilter and broadcasts", 0, 1),
        ("PrivacyFilter and ARP", 1, 0),
        ("PrivacyFilter and broadcasts and ARP", 0, 0),
    ] {
        cases.case(name, |case| {
            case.policy("PrivacyFilter");
            case.policies[1].push(("PrivacyFilter", 1));
            case.option("DropBroadcastsInPrivacyFilterMode", drop_broadcasts);
            case.option("DropArpInPrivacyFilterMode", drop_arp);
            let broadcast = if drop_broadcasts == 1 { "B" } else { "AB" };
            let arp_broadcast = if drop_arp == 1 { broadcast } else { "AB" };
            let arp = if drop_arp == 1 { "" } else { "A" };
            let frames = [
                ("to one who has it", 'S', case.udp('S', 'A'), ""),
                ("to one without", 'S', case.udp('S', 'B'), "B"),
                ("from one without", 'B', case.udp('B', 'S'), "S"),
                (
                    "to all",
                    'S',
                    case.all('S').udp4(case.ip('S', 0), [255; 4], (1, 2), b"x"),
                    broadcast,
                ),
                (
                    "ARP to all",
                    'S',
                    case.all('S').arp(1, case.ip('S', 0), case.ip('A', 0)),
                    arp_broadcast,
                ),
                (
                    "ARP to one who has it",
                    'S',
                    case.way('S', 'A').arp(2, case.ip('S', 0), case.ip('A', 0)),
                    arp,
                ),
                ("a DHCP request", 'S', case.all('S').dhcp_request(1), broadcast),
                (
                    "a neighbour solicitation",
                    'S',
                    case.nodes('S')
                        .icmpv6(case.ip6('S', 0), everybody6(), &[128, 0, 0, 0, 0, 0, 0, 0]),
                    broadcast,
                ),
            ];
            for (what, from, frame, expected) in frames {
                case.step(what, from, frame, expected);
            }
        });
    }
}

fn servers(cases: &mut Cases) {
    for name in ["NoServer", "NoServerV6"] {
        cases.case(name, |case| {
            case.policy(name);
            let v4 = name == "NoServer";
            let four = |case: &Case, from: char, to: char, flags| {
                case.way(from, to)
                    .tcp4(case.ip(from, 0), case.ip(to, 0), (80, 5000), flags, b"")
            };
            let six = |case: &Case, from: char, to: char, flags| {
                case.way(from, to)
                    .tcp6(case.ip6(from, 0), case.ip6(to, 0), (80, 5000), flags, b"")
            };
            let mut tiny = four(case, 'S', 'A', SYN | ACK);
            tiny.truncate(14 + 20 + 8);
            tiny[16..18].copy_from_slice(&28_u16.to_be_bytes());
            tiny[20] = 0x20;
            let frames = [
                ("SYN", 'S', four(case, 'S', 'A', SYN), "A"),
                (
                    "SYN+ACK",
                    'S',
                    four(case, 'S', 'A', SYN | ACK),
                    if v4 { "" } else { "A" },
                ),
                ("ACK", 'S', four(case, 'S', 'A', ACK), "A"),
                ("SYN to it", 'A', four(case, 'A', 'S', SYN), "S"),
                ("SYN+ACK to it", 'A', four(case, 'A', 'S', SYN | ACK), "S"),
                ("IPv6 SYN", 'S', six(case, 'S', 'A', SYN), "A"),
                (
                    "IPv6 SYN+ACK",
                    'S',
                    six(case, 'S', 'A', SYN | ACK),
                    if v4 { "A" } else { "" },
                ),
                ("IPv6 SYN to it", 'A', six(case, 'A', 'S', SYN), "S"),
                ("a first piece too short to tell", 'S', tiny, ""),
            ];
            for (what, from, frame, expected) in frames {
                case.step(what, from, frame, expected);
            }
        });
    }
}

fn ipv6(cases: &mut Cases) {
    // What becomes of S' solicitation and advertisement, and of A's.
    for (name, expected) in [
        ("RSandRAFilter", ["", "", "B", "B"]),
        ("RAFilter", ["AB", "", "SB", "SB"]),
        ("NoIPv6DefaultRouterInRA", ["AB", "AB", "SB", "S*B"]),
        ("NoIPv6DefaultRouterInRAWhenIPv6", ["AB", "AB", "SB", "S*B"]),
    ] {
        cases.case(name, |case| {
            case.policy(name);
            case.option("NoIPv6DefaultRouterInRAWhenIPv6", 0);
            let [
                solicitation,
                advertisement,
                others_solicitation,
                others_advertisement,
            ] = expected;
            let solicit = |case: &Case, from| {
                case.nodes(from)
                    .icmpv6(case.ip6(from, 0), everybody6(), &[133, 0, 0, 0, 0, 0, 0, 0])
            };
            let advertise = |case: &Case, from, lifetime| {
                case.nodes(from)
                    .router_advertisement(case.ip6(from, 0), everybody6(), lifetime)
            };
            let mut hidden = super::super::frames::icmpv6(
                case.ip6('S', 0),
                everybody6(),
                &[134, 0, 0, 0, 64, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            );
            hidden.splice(..0, [58, 0, 1, 4, 0, 0, 0, 0]);
            let hidden = case.nodes('S').ipv6(case.ip6('S', 0), everybody6(), 60, &hidden);
            let frames = [
                ("its solicitation", 'S', solicit(case, 'S'), solicitation),
                (
                    "its advertisement",
                    'S',
                    advertise(case, 'S', 1800),
                    advertisement,
                ),
                (
                    "its advertisement behind an option header",
                    'S',
                    hidden,
                    advertisement,
                ),
                (
                    "its echo request",
                    'S',
                    case.nodes('S')
                        .icmpv6(case.ip6('S', 0), everybody6(), &[128, 0, 0, 0, 0, 0, 0, 0]),
                    "AB",
                ),
                (
                    "another's solicitation",
                    'A',
                    solicit(case, 'A'),
                    others_solicitation,
                ),
            ];
            for (what, from, frame, expected) in frames {
                case.step(what, from, frame, expected);
            }
            let frame = advertise(case, 'A', 1800);
            case.step("another's advertisement", 'A', frame, others_advertisement);
            if name == "NoIPv6DefaultRouterInRAWhenIPv6" {
                // It came over IPv4.
                case.ours("SB");
            }
        });
    }
    // By ports: from client to server and back, to a server, to a client, from a server; and what another's reply comes to.
    for (name, expected) in [
        ("DHCPv6Filter", ["", "", "", "", "", "AB", "B"]),
        ("DHCPv6NoServer", ["AB", "", "", "AB", "", "", "SB"]),
    ] {
        cases.case(name, |case| {
            case.policy(name);
            let datagram = |case: &Case, from, ports| {
                case.nodes(from)
                    .udp6(case.ip6(from, 0), everybody6(), ports, &[1, 1, 2, 3])
            };
            let frames = [
                ("its request", 'S', (546, 547)),
                ("its reply", 'S', (547, 546)),
                ("its relay", 'S', (547, 547)),
                ("from any port to a server", 'S', (1000, 547)),
                ("from any port to a client", 'S', (1000, 546)),
                ("from a server's port", 'S', (547, 1000)),
                ("another's reply", 'A', (547, 546)),
            ];
            for ((what, from, ports), expected) in frames.into_iter().zip(expected) {
                let frame = datagram(case, from, ports);
                case.step(what, from, frame, expected);
            }
        });
    }
}

fn rates(cases: &mut Cases) {
    for (name, from, to) in [("MaxUpload", 'S', 'A'), ("MaxDownload", 'A', 'S')] {
        cases.case(name, |case| {
            case.policies[0].push((name, 100_000));
            let frame = case
                .way(from, to)
                .udp4(case.ip(from, 0), case.ip(to, 0), (4000, 5000), &[7; 1000]);
            // 100,000 bits are 12 frames of 1,042 bytes; all of them would take 16 seconds.
            case.burst(
                "200 frames at once",
                from,
                frame,
                if to == 'A' { "A<200" } else { "S<200" },
            );
        });
    }
    cases.case("a short storm", |case| {
        let frame = case.all('S').udp4(case.ip('S', 0), [255; 4], (4000, 5000), b"x");
        case.burst("200 broadcasts at once", 'S', frame, "A200B200");
    });
}

fn monitor(cases: &mut Cases) {
    cases.case("MonitorPort", |case| {
        case.policy("MonitorPort");
        case.monitor = true;
        let frames = [
            ("to another", 'A', case.udp('A', 'B'), "SB"),
            ("to all", 'A', case.all('A').ethernet(0x88b5, b"to all"), "SB"),
            ("its own", 'S', case.udp('S', 'A'), ""),
        ];
        for (what, from, frame, expected) in frames {
            case.step(what, from, frame, expected);
        }
    });
    cases.case("NoBroadcastLimiter", |case| {
        case.policy("NoBroadcastLimiter");
        let frame = case.all('S').udp4(case.ip('S', 0), [255; 4], (4000, 5000), b"x");
        // A storm would be over after the third.
        for _ in 0..6 {
            case.burst("200 broadcasts at once", 'S', frame.clone(), "A200B200");
        }
    });
    for (name, public4, public6) in [
        ("ManageOnlyPrivateIP", "", "B"),
        ("ManageOnlyLocalUnicastIPv6", "B", ""),
    ] {
        cases.case(name, |case| {
            case.policy("CheckIP").policy("CheckIPv6").option(name, 0);
            let mut global = case.ip6('C', 0);
            global[..2].copy_from_slice(&[0x20, 0x01]);
            let v4 = |case: &Case, from| {
                case.way(from, 'B')
                    .udp4([203, 0, 113, case.number as u8], case.ip('B', 0), (1, 2), b"x")
            };
            let v6 = |case: &Case, from| case.way(from, 'B').udp6(global, case.ip6('B', 0), (1, 2), b"x");
            let frames = [
                ("a public address", 'A', v4(case, 'A'), "B"),
                ("the same of another", 'S', v4(case, 'S'), public4),
                ("a global IPv6 address", 'A', v6(case, 'A'), "B"),
                ("the same of another, IPv6", 'S', v6(case, 'S'), public6),
            ];
            for (what, from, frame, expected) in frames {
                case.step(what, from, frame, expected);
            }
        });
    }
}
