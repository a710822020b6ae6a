//! Commands as the stock tool ran them against a stock server: for the same words and the same answers of the server,
//! ours makes the same calls, prints the same tables and ends with the same code.
//!
//! `captures.bin` holds the calls, `captures.txt` the words and what of the stock tool's output is format: tables,
//! names and numbers, not its prose.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use protocol::error::ErrorCode;
use protocol::pack::{Kind, Limits, Pack};
use protocol::rpc::client;
use vpncmd::console::Style;
use vpncmd::shell::Server;

const RECORDS: &[u8] = include_bytes!("data/captures.bin");
const OUTPUTS: &str = include_str!("data/captures.txt");
/// What the stock tool exported, with other bytes for the private key.
const ACCOUNT: &str = include_str!("data/acc2.vpn");

/// Elements that are random in both tools: the password of a user who has just been made.
const RANDOM: &[&str] = &["HashedKey", "NtLmSecureHash"];

/// In a rule for IPv6 the stock tool sends leftovers as IPv4 addresses, and it takes `established` for its opposite.
const OF_IPV6_RULES: &[&str] = &[
    "SrcIpAddress",
    "SrcSubnetMask",
    "DestIpAddress",
    "DestSubnetMask",
    "Established",
];

/// In its list of users the stock tool adds the bytes of sent broadcasts (796) to the frames, instead of their number
/// (10). Ours counts frames. In its list of cascades it leaves the other hub's name out.
const MISTAKEN: &[(u32, &str, &str)] = &[
    (173, "Transfer Packets|1,044", "Transfer Packets|258"),
    (92, "Virtual Hub           |\n", "Virtual Hub           |HUB2\n"),
];

struct Capture {
    number: u32,
    exit: u32,
    hub: Option<String>,
    /// Of the client service, not of a server.
    client: bool,
    words: Vec<String>,
    output: String,
    calls: VecDeque<(Pack, Pack)>,
}

/// Sections of `=== NUMBER exit CODE hub HUB`, a word per line, `---`, and the output; `client -` instead of the hub
/// for commands of the client service.
fn captures() -> Vec<Capture> {
    let sections = OUTPUTS.split("=== ").filter(|section| !section.is_empty());
    let read = |section: &str| {
        let (head, rest) = section.split_once('\n').unwrap();
        let [number, "exit", exit, kind @ ("hub" | "client"), hub] = head.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{head}")
        };
        let (words, output) = rest.split_once("\n---\n").unwrap();
        let number = number.parse().unwrap();
        Capture {
            number,
            exit: exit.parse().unwrap(),
            hub: (hub != "-").then(|| hub.to_owned()),
            client: kind == "client",
            words: words.lines().map(str::to_owned).collect(),
            output: output.to_owned(),
            calls: calls(number),
        }
    };
    sections.map(read).collect()
}

/// Records of `C` or `S`, the capture's number, a length, and a PACK.
fn calls(wanted: u32) -> VecDeque<(Pack, Pack)> {
    let mut rest = RECORDS;
    let (mut calls, mut request) = (VecDeque::new(), None);
    while let Some((head, tail)) = rest.split_first_chunk::<9>() {
        let number = u32::from_be_bytes(head[1..5].try_into().unwrap());
        let length = u32::from_be_bytes(head[5..9].try_into().unwrap()) as usize;
        let pack = || Pack::decode(&tail[..length], &Limits::ADMIN).unwrap();
        match head[0] {
            _ if number != wanted => {}
            b'C' => request = Some(pack()),
            _ => calls.push_back((request.take().unwrap(), pack())),
        }
        rest = &tail[length..];
    }
    calls
}

/// Answers as the stock server did, and complains when it is asked something else.
struct Replay {
    calls: VecDeque<(Pack, Pack)>,
    but: &'static [&'static str],
}

impl Server for Replay {
    fn call(&mut self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        // The stock tool looks at the server's information before some commands, and asks a client service for its
        // version on every connection; here the shell has been connected already.
        let (asked, answer) = loop {
            let (asked, answer) = self
                .calls
                .pop_front()
                .unwrap_or_else(|| panic!("{method} was not called at this point"));
            match asked.str("function_name").unwrap() {
                name if name == method => break (asked, answer),
                "GetServerInfo" | "GetClientVersion" => {}
                other => panic!("{method} is called instead of {other}"),
            }
        };
        let changes = !method.starts_with("Get") && !method.starts_with("Enum");
        compare(request, &asked, changes, self.but);
        client::refused(&answer).map_or(Ok(answer), Err)
    }
}

/// What we send is what the stock tool sent; what we leave out of a change is empty there.
fn compare(ours: &Pack, stock: &Pack, changes: bool, but: &[&str]) {
    let skipped = |name: &str| name == "function_name" || but.contains(&name);
    for (name, kind, count) in ours.elements().filter(|(name, ..)| !skipped(name)) {
        if !stock.contains(name) {
            assert!(is_empty(ours, name), "the stock tool does not send {name}");
            continue;
        }
        assert_eq!(
            (stock.kind(name), stock.count(name)),
            (Some(kind), count),
            "{name}"
        );
        // An IPv6 address travels with an IPv4 one beside it, into which stock software puts what it likes.
        let filler = (0..count).any(|i| stock.bool_at(&format!("{name}@ipv6_bool"), i));
        if filler {
            continue;
        }
        // An address that is IPv4 travels with parts for IPv6, in which stock software leaves what it had there.
        if changes || !is_empty(ours, name) {
            assert_eq!(values(ours, name), values(stock, name), "{name}");
        }
    }
    for (name, ..) in stock.elements().filter(|(name, ..)| changes && !skipped(name)) {
        assert!(ours.contains(name) || is_empty(stock, name), "{name} is missing");
    }
}

fn values(pack: &Pack, name: &str) -> Vec<String> {
    let value = |i| match pack.kind(name).unwrap() {
        Kind::Int => pack.int_at(name, i).unwrap().to_string(),
        Kind::Int64 => pack.int64_at(name, i).unwrap().to_string(),
        Kind::Str => pack.str_at(name, i).unwrap().to_owned(),
        Kind::UniStr => pack.unistr_at(name, i).unwrap().to_owned(),
        Kind::Data => vpncmd::text::hex(pack.data_at(name, i).unwrap()),
    };
    (0..pack.count(name)).map(value).collect()
}

fn is_empty(pack: &Pack, name: &str) -> bool {
    values(pack, name)
        .iter()
        .all(|value| value.bytes().all(|byte| byte == b'0'))
}

/// Of an output, what scripts parse: the rest is prose, in which the tools differ. The table of policies has prose in
/// its middle.
fn format_lines(output: &str) -> String {
    let (mut kept, mut in_policy) = (String::new(), false);
    for line in output.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        in_policy = cells[0] == "Policy name" || in_policy && cells.len() > 1 || in_policy && is_rule(line);
        if in_policy {
            if cells.len() > 1 {
                let _ = writeln!(kept, "{}|{}", cells[0], cells.get(2).unwrap_or(&""));
            }
        } else if let Some((command, _)) = line.split_once(" command - ") {
            let _ = writeln!(kept, "{command} command -");
        } else if is_format(line) && !line.starts_with("VPN Server") {
            let _ = writeln!(kept, "{line}");
        }
    }
    kept
}

fn is_rule(line: &str) -> bool {
    line.starts_with('-') && line.bytes().all(|byte| matches!(byte, b'-' | b'+'))
}

fn is_format(line: &str) -> bool {
    const STARTS: [&str; 5] = [
        "Error occurred. (",
        "The command completed",
        "Options Setting List",
        "The Virtual Hub \"",
        "Saving completed",
    ];
    let listed = line.starts_with(' ') && !line.starts_with("  ") && !line.contains(" - ");
    let word = !line.is_empty() && !line.contains(' ');
    line.contains('|') || listed || word || STARTS.iter().any(|start| line.starts_with(start))
}

#[test]
fn every_captured_command_does_the_same_and_prints_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let captures = captures();
    assert!(captures.len() > 100);
    let different: Vec<String> = captures
        .iter()
        .filter(|capture| catch_unwind(AssertUnwindSafe(|| replay(capture, folder.path()))).is_err())
        .map(|capture| format!("{} {}", capture.number, capture.words.join(" ")))
        .collect();
    assert_eq!(different, [""; 0]);
}

fn replay(capture: &Capture, folder: &Path) {
    let mut words = capture.words.clone();
    for word in &mut words {
        prepare_file(word, &capture.calls, folder);
    }
    let but = match capture.words[0].as_str() {
        "UserCreate" => RANDOM,
        "AccessAdd6" => OF_IPV6_RULES,
        _ => &[],
    };
    let server = Replay {
        calls: capture.calls.clone(),
        but,
    };
    let (mut shell, screen) = if capture.client {
        common::client_shell(server, Style::default(), "")
    } else {
        common::shell(server, capture.hub.as_deref(), Style::default(), "")
    };
    shell.run_once(&words);
    assert_eq!(shell.last(), capture.exit, "{}", screen.text());
    let expected = MISTAKEN
        .iter()
        .fold(capture.output.clone(), |output, (number, stock, right)| {
            if *number == capture.number {
                output.replace(stock, right)
            } else {
                output
            }
        });
    assert_eq!(
        without_digests(&format_lines(&screen.text())),
        without_digests(&expected)
    );
}

/// Files that a command reads or writes: a certificate to load is the one that was sent.
fn prepare_file(word: &mut String, calls: &VecDeque<(Pack, Pack)>, folder: &Path) {
    let (switch, name) = match word.split_once(':') {
        Some((switch @ ("/LOADCERT" | "/SAVECERT" | "/SAVEPATH"), name)) => (format!("{switch}:"), name),
        _ if word.ends_with(".crt") || word.ends_with(".vpn") => (String::new(), word.as_str()),
        _ => return,
    };
    let path = folder.join(name);
    let sent = calls.iter().find_map(|(request, _)| {
        let mut elements = ["UserX", "Cert", "ServerCert", "x"].into_iter();
        elements.find_map(|element| request.data(element))
    });
    if name.ends_with(".vpn") {
        std::fs::write(&path, ACCOUNT).unwrap();
    } else if let Some(sent) = sent {
        std::fs::write(&path, sent).unwrap();
    }
    // An absolute path starts like a switch; doubling says that it is none.
    let doubled = if switch.is_empty() { "/" } else { "" };
    *word = format!("{switch}{doubled}{}", path.display());
}

/// Certificates are shown with SHA-256, where the stock tool shows MD5 and SHA-1: neither digest nor width compare.
fn without_digests(text: &str) -> String {
    if !text.contains("(Digest: ") {
        return text.to_owned();
    }
    let line = |line: &str| match line.split_once(" (Digest: ") {
        Some((start, _)) => start.to_owned(),
        None if is_rule(line) => "---".to_owned(),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
