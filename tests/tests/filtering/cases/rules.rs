//! Access rules.

use protocol::rpc::access::AccessRule;

use super::super::bench::MarkKind;
use super::super::frames::{ACK, PUSH, SYN, mac};
use super::{Case, Cases};

pub(super) fn all(cases: &mut Cases) {
    rules(cases);
    redirects(cases);
    treatments(cases);
}

/// What makes a rule another one.
type Change = fn(&mut AccessRule);

fn rule(priority: u32, discard: bool, change: impl FnOnce(&mut AccessRule)) -> AccessRule {
    let mut rule = AccessRule {
        active: true,
        priority,
        discard,
        src_ip_address: std::net::Ipv4Addr::UNSPECIFIED.into(),
        src_subnet_mask: std::net::Ipv4Addr::UNSPECIFIED.into(),
        dest_ip_address: std::net::Ipv4Addr::UNSPECIFIED.into(),
        dest_subnet_mask: std::net::Ipv4Addr::UNSPECIFIED.into(),
        ..AccessRule::default()
    };
    change(&mut rule);
    rule
}

fn rules(cases: &mut Cases) {
    let mut list = |name, rules: fn(&Case) -> Vec<AccessRule>, expected: [&'static str; 10]| {
        cases.case(name, |case| {
            case.rules = rules(case);
            case.mark = MarkKind::V6;
            let frames = [
                ("UDP", 'S', case.udp('S', 'A')),
                (
                    "UDP to all",
                    'S',
                    case.all('S').udp4(case.ip('S', 0), [255; 4], (4000, 5000), b"x"),
                ),
                (
                    "SYN",
                    'S',
                    case.way('S', 'A')
                        .tcp4(case.ip('S', 0), case.ip('A', 0), (5000, 80), SYN, b""),
                ),
                (
                    "ACK",
                    'S',
                    case.way('S', 'A')
                        .tcp4(case.ip('S', 0), case.ip('A', 0), (5000, 80), ACK, b""),
                ),
                ("ARP", 'S', case.all('S').arp(1, case.ip('S', 0), case.ip('A', 0))),
                (
                    "something else",
                    'S',
                    case.way('S', 'A')
                        .ethernet(0x88b5, b"something else, long enough for a wire"),
                ),
                (
                    "a later piece",
                    'S',
                    case.way('S', 'A')
                        .ipv4_piece(case.ip('S', 0), case.ip('A', 0), 17, 100, &[0x13; 24]),
                ),
                (
                    "TCP over IPv6",
                    'S',
                    case.way('S', 'A')
                        .tcp6(case.ip6('S', 0), case.ip6('A', 0), (5000, 80), SYN, b""),
                ),
                ("another's UDP", 'B', case.udp('B', 'A')),
                (
                    "another's UDP to all",
                    'B',
                    case.all('B').udp4(case.ip('B', 0), [255; 4], (4000, 5000), b"x"),
                ),
            ];
            for ((what, from, frame), expected) in frames.into_iter().zip(expected) {
                case.step(what, from, frame, expected);
            }
        });
    };
    const ALL: [&str; 10] = ["A", "AB", "A", "A", "AB", "A", "A", "A", "A", "SA"];
    list(
        "a rule for one source address",
        |case| {
            let own = case.ip('S', 0);
            vec![rule(10, true, |rule| {
                rule.src_ip_address = std::net::Ipv4Addr::from(own).into();
                rule.src_subnet_mask = std::net::Ipv4Addr::BROADCAST.into();
            })]
        },
        ["", "", "", "", "AB", "A", "", "A", "A", "SA"],
    );
    list(
        "a rule for one destination address",
        |case| {
            let own = case.ip('A', 0);
            vec![rule(10, true, |rule| {
                rule.dest_ip_address = std::net::Ipv4Addr::from(own).into();
                rule.dest_subnet_mask = std::net::Ipv4Addr::BROADCAST.into();
            })]
        },
        ["", "AB", "", "", "AB", "A", "", "A", "", "SA"],
    );
    list(
        "a rule for UDP",
        |_| vec![rule(10, true, |rule| rule.protocol = 17)],
        ["", "", "A", "A", "AB", "A", "", "A", "", ""],
    );
    list(
        "a rule for a port",
        |_| {
            vec![rule(10, true, |rule| {
                (rule.dest_port_start, rule.dest_port_end) = (5000, 5000);
            })]
        },
        ["", "", "A", "A", "AB", "A", "A", "A", "", ""],
    );
    list(
        "a rule for a range of ports",
        |_| {
            vec![rule(10, true, |rule| {
                (rule.src_port_start, rule.src_port_end) = (3999, 5000);
            })]
        },
        ["", "", "", "", "AB", "A", "A", "A", "", ""],
    );
    list(
        "a rule for a port without end",
        |_| vec![rule(10, true, |rule| rule.dest_port_start = 5000)],
        ["", "", "A", "A", "AB", "A", "A", "A", "", ""],
    );
    list(
        "a rule for ports without start",
        |_| vec![rule(10, true, |rule| rule.dest_port_end = 5000)],
        ["", "", "", "", "AB", "A", "A", "A", "", ""],
    );
    list(
        "a rule for ports that end before they start",
        |_| {
            vec![rule(10, true, |rule| {
                (rule.dest_port_start, rule.dest_port_end) = (6000, 4000);
            })]
        },
        ALL,
    );
    list(
        "a rule for new connections",
        |_| vec![rule(10, true, |rule| rule.check_tcp_state = true)],
        ["A", "AB", "", "A", "AB", "A", "A", "A", "A", "SA"],
    );
    list(
        "a rule for established connections",
        |_| {
            vec![rule(10, true, |rule| {
                (rule.check_tcp_state, rule.established) = (true, true);
            })]
        },
        ["A", "AB", "A", "", "AB", "A", "A", "A", "A", "SA"],
    );
    list(
        "a rule for a sender",
        |_| {
            vec![rule(10, true, |rule| {
                rule.src_username = "S".to_owned();
                rule.protocol = 17;
            })]
        },
        ["", "", "A", "A", "AB", "A", "", "A", "A", "SA"],
    );
    list(
        "a rule for a receiver",
        |_| {
            vec![rule(10, true, |rule| {
                rule.dest_username = "A".to_owned();
                rule.protocol = 17;
            })]
        },
        ["", "B", "A", "A", "AB", "A", "", "A", "", "S"],
    );
    list(
        "pass for a receiver before discard for all",
        |_| {
            vec![
                rule(10, false, |rule| {
                    rule.dest_username = "A".to_owned();
                    rule.protocol = 17;
                }),
                rule(20, true, |rule| rule.protocol = 17),
            ]
        },
        ["A", "A", "A", "A", "AB", "A", "A", "A", "A", "A"],
    );
    list(
        "pass for a sender before discard for a receiver",
        |_| {
            vec![
                rule(10, false, |rule| {
                    rule.src_username = "S".to_owned();
                    rule.protocol = 17;
                }),
                rule(20, true, |rule| {
                    rule.dest_username = "A".to_owned();
                    rule.protocol = 17;
                }),
            ]
        },
        ["A", "AB", "A", "A", "AB", "A", "A", "A", "", "S"],
    );
    list(
        "discard before pass by priority",
        |_| {
            vec![
                rule(20, false, |rule| rule.protocol = 17),
                rule(10, true, |rule| rule.protocol = 17),
            ]
        },
        ["", "", "A", "A", "AB", "A", "", "A", "", ""],
    );
    list(
        "pass before discard of one priority",
        |_| {
            vec![
                rule(10, true, |rule| rule.protocol = 17),
                rule(10, false, |rule| rule.protocol = 17),
            ]
        },
        ALL,
    );
    list(
        "an inactive rule",
        |_| {
            vec![rule(10, true, |rule| {
                rule.active = false;
                rule.protocol = 17;
            })]
        },
        ALL,
    );
    list(
        "a rule for a source MAC",
        |case| {
            let own = mac('S', case.number);
            vec![rule(10, true, |rule| {
                rule.check_src_mac = true;
                rule.src_mac_address = own;
                rule.src_mac_mask = [0xff; 6];
                rule.protocol = 17;
            })]
        },
        ["", "", "A", "A", "AB", "A", "", "A", "A", "SA"],
    );
    list(
        "a rule for a masked destination MAC",
        |_| {
            vec![rule(10, true, |rule| {
                rule.check_dest_mac = true;
                rule.dest_mac_address = [0x02, b'A', 0, 0, 0, 0];
                rule.dest_mac_mask = [0xff, 0xff, 0, 0, 0, 0];
                rule.protocol = 17;
            })]
        },
        ["", "AB", "A", "A", "AB", "A", "", "A", "", "SA"],
    );
    list(
        "a rule for ICMPv6 only",
        |_| {
            vec![rule(10, true, |rule| {
                rule.is_ipv6 = true;
                rule.protocol = 58;
            })]
        },
        ALL,
    );
    list(
        "a rule for TCP over IPv6",
        |_| {
            vec![rule(10, true, |rule| {
                rule.is_ipv6 = true;
                rule.protocol = 6;
            })]
        },
        ["A", "AB", "A", "A", "AB", "A", "A", "", "A", "SA"],
    );
    let all_of: [(&str, Change); 5] = [
        ("a rule without conditions", |_| {}),
        ("an IPv6 rule without conditions", |rule| rule.is_ipv6 = true),
        ("a rule for all frames of a station", |rule| {
            rule.check_src_mac = true;
            rule.src_mac_address = [0x02, b'S', 0, 0, 0, 0];
            rule.src_mac_mask = [0xff, 0xff, 0, 0, 0, 0];
        }),
        ("a rule for all frames of a sender", |rule| {
            rule.src_username = "S".to_owned();
        }),
        ("a rule for all frames to a receiver", |rule| {
            rule.dest_username = "A".to_owned();
        }),
    ];
    for (name, change) in all_of {
        cases.case(name, |case| {
            let marks = rule(10, false, |rule| {
                rule.is_ipv6 = true;
                rule.protocol = 17;
            });
            case.rules = vec![marks, rule(20, true, change)];
            case.mark = MarkKind::V6;
            let frames = [
                ("UDP", case.udp('S', 'A'), ""),
                (
                    "ARP",
                    case.all('S').arp(1, case.ip('S', 0), case.ip('A', 0)),
                    "AB",
                ),
                (
                    "something else",
                    case.way('S', 'A')
                        .ethernet(0x88b5, b"something else, long enough for a wire"),
                    "",
                ),
                (
                    "TCP over IPv6",
                    case.way('S', 'A')
                        .tcp6(case.ip6('S', 0), case.ip6('A', 0), (5000, 80), SYN, b""),
                    "",
                ),
            ];
            for (what, frame, expected) in frames {
                case.step(what, 'S', frame, expected);
            }
        });
    }
    cases.case("ApplyIPv4AccessListOnArpPacket", |case| {
        case.option("ApplyIPv4AccessListOnArpPacket", 1);
        let own = case.ip('S', 0);
        case.rules = vec![rule(10, true, |rule| {
            rule.src_ip_address = std::net::Ipv4Addr::from(own).into();
            rule.src_subnet_mask = std::net::Ipv4Addr::BROADCAST.into();
        })];
        let frames = [
            (
                "ARP with the address",
                case.all('S').arp(1, own, case.ip('A', 0)),
                "",
            ),
            (
                "ARP with another",
                case.all('S').arp(1, case.ip('S', 1), case.ip('A', 0)),
                "AB",
            ),
            (
                "ARP for the address",
                case.all('S').arp(1, case.ip('S', 1), own),
                "AB",
            ),
        ];
        for (what, frame, expected) in frames {
            case.step(what, 'S', frame, expected);
        }
    });
    cases.case("ApplyIPv4AccessListOnArpPacket with a protocol", |case| {
        case.option("ApplyIPv4AccessListOnArpPacket", 1);
        case.rules = vec![rule(10, true, |rule| rule.protocol = 17)];
        let frame = case.all('S').arp(1, case.ip('S', 0), case.ip('A', 0));
        case.step("ARP", 'S', frame, "AB");
    });
}

fn redirects(cases: &mut Cases) {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example\r\nUser-Agent: test\r\n\r\n";
    let portal = |change: fn(&mut AccessRule)| {
        vec![rule(10, false, |rule| {
            rule.redirect_url = "http://portal.example/".to_owned();
            change(rule);
        })]
    };
    cases.case("a rule that redirects", |case| {
        case.rules = portal(|rule| rule.protocol = 6);
        let tcp = |case: &Case, from, to, ports, flags, payload: &[u8]| {
            case.way(from, to)
                .tcp4(case.ip(from, 0), case.ip(to, 0), ports, flags, payload)
        };
        let frames = [
            ("SYN", 'S', tcp(case, 'S', 'A', (5000, 80), SYN, b""), "A"),
            (
                "SYN+ACK",
                'A',
                tcp(case, 'A', 'S', (80, 5000), SYN | ACK, b""),
                "S",
            ),
            ("ACK", 'S', tcp(case, 'S', 'A', (5000, 80), ACK, b""), "A"),
            (
                "a request",
                'S',
                tcp(case, 'S', 'A', (5000, 80), ACK | PUSH, GET),
                "S*",
            ),
            (
                "a request to another port",
                'S',
                tcp(case, 'S', 'A', (5000, 8080), ACK | PUSH, GET),
                "S*",
            ),
            (
                "another protocol",
                'S',
                tcp(case, 'S', 'A', (5003, 22), ACK | PUSH, b"SSH-2.0-x\r\n"),
                "S*",
            ),
            ("UDP", 'S', case.udp('S', 'A'), "A"),
        ];
        for (what, from, frame, expected) in frames {
            case.step(what, from, frame, expected);
        }
    });
    cases.case("an IPv6 rule that redirects", |case| {
        case.rules = portal(|rule| rule.is_ipv6 = true);
        let request =
            case.way('S', 'A')
                .tcp6(case.ip6('S', 0), case.ip6('A', 0), (5000, 80), ACK | PUSH, GET);
        case.step("a request", 'S', request, "S*");
    });
    cases.case("a rule for a receiver that redirects", |case| {
        case.rules = portal(|rule| rule.dest_username = "A".to_owned());
        let request = case
            .way('S', 'A')
            .tcp4(case.ip('S', 0), case.ip('A', 0), (5000, 80), ACK | PUSH, GET);
        case.step("a request", 'S', request, "A");
    });
}

fn treatments(cases: &mut Cases) {
    cases.case("a rule that loses everything", |case| {
        case.rules = vec![rule(10, false, |rule| (rule.protocol, rule.loss) = (17, 100))];
        let frame = case.udp('S', 'A');
        case.step("UDP", 'S', frame, "");
    });
    cases.case("a rule that delays", |case| {
        case.rules = vec![rule(10, false, |rule| (rule.protocol, rule.delay) = (17, 1000))];
        let frame = case.udp('S', 'A');
        case.step("UDP, before a mark that is not delayed", 'S', frame, "")
            .wait("and then", "A");
    });
}
