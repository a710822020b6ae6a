//! Kinds of frames: what policies and hub options keep out, and what is broken.

use super::super::bench::MarkKind;
use super::super::frames::{ACK, SYN, Way};
use super::{Case, Cases, everybody6};

pub(super) fn all(cases: &mut Cases) {
    kinds(cases);
    broken(cases);
    options(cases);
}

fn kinds(cases: &mut Cases) {
    for (name, of_hub) in [
        ("FilterIPv4", false),
        ("FilterIPv6", false),
        ("FilterNonIP", false),
        ("FilterIPv4 of the hub", true),
        ("FilterIPv6 of the hub", true),
        ("FilterNonIP of the hub", true),
    ] {
        cases.case(name, |case| {
            let setting = name.split(' ').next().unwrap_or(name);
            if of_hub {
                case.option(setting, 1);
            } else {
                case.policy(setting);
            }
            if setting == "FilterNonIP" {
                case.mark = MarkKind::V4;
            }
            let unless = |kind: &str, expected: &'static str| if kind == setting { "" } else { expected };
            let (v4, v6, other) = ("FilterIPv4", "FilterIPv6", "FilterNonIP");
            // A policy of S is about S alone.
            let rest = if of_hub { "" } else { "B" };
            let others_arp = if setting == v4 { rest } else { "SB" };
            let frames = [
                ("IPv4", 'S', case.udp('S', 'A'), unless(v4, "A")),
                (
                    "ARP",
                    'S',
                    case.all('S').arp(1, case.ip('S', 0), case.ip('A', 0)),
                    unless(v4, "AB"),
                ),
                (
                    "IPv6",
                    'S',
                    case.way('S', 'A')
                        .udp6(case.ip6('S', 0), case.ip6('A', 0), (1, 2), b"x"),
                    unless(v6, "A"),
                ),
                (
                    "something else",
                    'S',
                    case.way('S', 'A')
                        .ethernet(0x88b5, b"something else, long enough for a wire"),
                    unless(other, "A"),
                ),
                ("another's IPv4", 'A', case.udp('A', 'S'), unless(v4, "S")),
                (
                    "another's ARP",
                    'A',
                    case.all('A').arp(1, case.ip('A', 0), case.ip('S', 0)),
                    others_arp,
                ),
                (
                    "another's IPv6",
                    'A',
                    case.way('A', 'S')
                        .udp6(case.ip6('A', 0), case.ip6('S', 0), (1, 2), b"x"),
                    unless(v6, "S"),
                ),
                (
                    "another's something else",
                    'A',
                    case.way('A', 'S')
                        .ethernet(0x88b5, b"something else, long enough for a wire"),
                    unless(other, "S"),
                ),
            ];
            for (what, from, frame, expected) in frames {
                case.step(what, from, frame, expected);
            }
        });
    }
}

fn broken(cases: &mut Cases) {
    for (name, parsing) in [
        ("broken packets", true),
        ("broken packets and DisableIPParsing", false),
    ] {
        cases.case(name, |case| {
            if !parsing {
                case.option("DisableIPParsing", 1);
            }
            let mut long = case.udp('S', 'A');
            long[16] = 9;
            let mut version = case
                .way('S', 'A')
                .udp6(case.ip6('S', 0), case.ip6('A', 0), (1, 2), b"x");
            version[14] = 0x50;
            let mut sum = case.udp('S', 'A');
            sum[24] ^= 1;
            let four = |case: &Case, protocol, fragment, payload: &[u8]| {
                case.way('S', 'A')
                    .ipv4_piece(case.ip('S', 0), case.ip('A', 0), protocol, fragment, payload)
            };
            let six = |case: &Case, next, payload: &[u8]| {
                case.way('S', 'A')
                    .ipv6(case.ip6('S', 0), case.ip6('A', 0), next, payload)
            };
            // What the stock server does, and what ours does.
            let frames = [
                (
                    "nonsense for IPv4",
                    case.way('S', 'A').ethernet(0x0800, b"nonsense"),
                    "",
                    "",
                ),
                ("IPv4 longer than its frame", long, "A", ""),
                ("a wrong checksum", sum, "A", "A"),
                (
                    "nonsense for IPv6",
                    case.way('S', 'A').ethernet(0x86dd, b"nonsense"),
                    "",
                    "",
                ),
                ("IPv6 of another version", version, "", ""),
                ("half a TCP header", four(case, 6, 0, &[0; 8]), "", ""),
                ("half a UDP header", four(case, 17, 0, &[0; 4]), "", ""),
                ("half an ICMP header", four(case, 1, 0, &[0; 2]), "", ""),
                (
                    "half a TCP header and more to come",
                    four(case, 6, 0x2000, &[0; 8]),
                    "",
                    "",
                ),
                ("a piece over TCP flags", four(case, 6, 1, &[0; 8]), "A", ""),
                ("a first piece", four(case, 6, 0x2000, &[0x50; 24]), "A", "A"),
                ("a later piece", four(case, 6, 100, &[0x50; 24]), "A", "A"),
                ("half a TCP header over IPv6", six(case, 6, &[0; 8]), "", ""),
                (
                    "a dozen option headers",
                    six(case, 60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(12)),
                    "",
                    "",
                ),
                ("no next header", six(case, 59, &[]), "A", "A"),
            ];
            for (what, frame, expected, ours) in frames {
                let (expected, ours) = if parsing { (expected, ours) } else { ("A", "A") };
                case.step(what, 'S', frame, expected).ours(ours);
            }
        });
    }
}

fn options(cases: &mut Cases) {
    // PPPoE, OSPF, OSPF over IPv6, spanning tree, pause.
    for (name, expected) in [
        ("FilterPPPoE", ["", "", "AB", "AB", "AB", "AB"]),
        ("FilterOSPF", ["A", "A", "", "AB", "AB", "AB"]),
        ("FilterBPDU", ["A", "A", "AB", "AB", "", "AB"]),
    ] {
        cases.case(name, |case| {
            case.option(name, 1);
            let to = |destination, case: &Case| Way {
                destination,
                ..case.all('S')
            };
            let frames = [
                (
                    "PPPoE discovery",
                    case.way('S', 'A').ethernet(0x8863, &[0x11; 46]),
                ),
                ("PPPoE session", case.way('S', 'A').ethernet(0x8864, &[0x11; 46])),
                (
                    "OSPF",
                    to([1, 0, 0x5e, 0, 0, 5], case).ipv4(case.ip('S', 0), [224, 0, 0, 5], 89, &[2, 1, 0, 44]),
                ),
                (
                    "OSPF over IPv6",
                    case.nodes('S')
                        .ipv6(case.ip6('S', 0), everybody6(), 89, &[3, 1, 0, 36]),
                ),
                (
                    "a spanning tree frame",
                    to([1, 0x80, 0xc2, 0, 0, 0], case).ethernet(38, &[0x42; 38]),
                ),
                (
                    "a pause frame",
                    to([1, 0x80, 0xc2, 0, 0, 1], case).ethernet(0x8808, &[0; 46]),
                ),
            ];
            for ((what, frame), expected) in frames.into_iter().zip(expected) {
                case.step(what, 'S', frame, expected);
            }
        });
    }
    for name in ["NoIpTable", "DisableIPParsing"] {
        cases.case(name, |case| {
            case.option(name, 1);
            case.policies[0].push(("MaxIP", 4));
            case.policies[0].push(("NoServer", 1));
            for n in 0..6 {
                let frame = case
                    .way('S', 'A')
                    .udp4(case.ip('S', n), case.ip('A', 0), (1, 2), b"x");
                case.step("another address", 'S', frame, "A");
            }
            let grant = case
                .way('S', 'A')
                .tcp4(case.ip('S', 0), case.ip('A', 0), (80, 5000), SYN | ACK, b"");
            case.step("SYN+ACK", 'S', grant, if name == "NoIpTable" { "" } else { "A" });
        });
    }
    cases.case("AdjustTcpMssValue", |case| {
        case.option("AdjustTcpMssValue", 1200);
        let frames = [
            (
                "a larger segment size",
                case.way('S', 'A')
                    .syn_with_mss(case.ip('S', 0), case.ip('A', 0), 1460),
                "A*",
            ),
            (
                "a smaller segment size",
                case.way('S', 'A')
                    .syn_with_mss(case.ip('S', 0), case.ip('A', 0), 1000),
                "A",
            ),
            (
                "no segment size",
                case.way('S', 'A')
                    .tcp4(case.ip('S', 0), case.ip('A', 0), (5000, 80), SYN, b""),
                "A",
            ),
        ];
        for (what, frame, expected) in frames {
            case.step(what, 'S', frame, expected);
        }
    });
    cases.case("DisableAdjustTcpMss", |case| {
        case.option("AdjustTcpMssValue", 1200)
            .option("DisableAdjustTcpMss", 1);
        let frame = case
            .way('S', 'A')
            .syn_with_mss(case.ip('S', 0), case.ip('A', 0), 1460);
        case.step("a larger segment size", 'S', frame, "A");
    });
    cases.case("automatic segment size", |case| {
        let frame = case
            .way('S', 'A')
            .syn_with_mss(case.ip('S', 0), case.ip('A', 0), 1460);
        case.step("a segment size", 'S', frame, "A");
    });
    cases.case("VlanTypeId", |case| {
        case.option("VlanTypeId", 0x9100);
        case.policies[0].push(("VLanId", 7));
        case.policies[2].push(("VLanId", 7));
        let plain = case
            .all('S')
            .ethernet(0x88b5, b"something else, long enough for a wire");
        let tagged = case
            .all('A')
            .ethernet(0x9100, &[&[0, 7, 0x88, 0xb5][..], &[0x33; 46]].concat());
        case.step("its frame", 'S', plain, "A*B")
            .step("a tagged frame", 'A', tagged, "S*B*");
    });
    cases.case("VLanId", |case| {
        case.policies[0].push(("VLanId", 7));
        case.policies[2].push(("VLanId", 7));
        let plain = case
            .all('S')
            .ethernet(0x88b5, b"something else, long enough for a wire");
        let tag = |case: &Case, from, id| {
            case.all(from)
                .ethernet(0x8100, &[&[0, id, 0x88, 0xb5][..], &[0x33; 46]].concat())
        };
        let (own, foreign, double) = (tag(case, 'A', 7), tag(case, 'A', 8), tag(case, 'S', 7));
        let untagged = case
            .all('A')
            .ethernet(0x88b5, b"something else, long enough for a wire");
        case.step("its frame", 'S', plain, "A*B")
            .step("a frame of its VLAN", 'A', own, "S*B*")
            .step("a frame of another", 'A', foreign, "")
            .step("a frame of none", 'A', untagged, "")
            .step("its tagged frame", 'S', double, "A*B")
            .ours("");
    });
}
