//! The rules as one nftables table: its frame of maps and chains, and the elements in them.
//!
//! A rule is an element of a map, or a few, and no line of a chain: a packet is looked up in a fixed number of maps,
//! whether they hold ten rules or ten thousand. Where a rule names one port and no sources its map is a hash table.
//!
//! Every *class* of clients (everybody, and each group) has maps of its own, for rules may share a port when their
//! groups differ. In a class there are, for rules of every local address (`any`) and of one address (`at`):
//!
//! * `port`, `sources`, `range`: where a new connection leads. Their counters count connections.
//! * `flow`, `flows`: the same rules as the packets of their connections show them afterwards: by what the client asked
//!   for and where that leads. Their counters count every packet in both directions.
//!
//! Members of groups are elements as well: by device, hardware address and address in the direction to the private
//! host, by device and address on the way back. A packet of a group's rule that has no such element is dropped: who
//! leaves a group, or the hub, loses what is open too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;

use super::counter::RuleCounter;
use super::members::{Members, Station};
use super::part::{GroupName, Protocol};
use super::rule::DnatRule;
use crate::net::Ipv4Net;
use crate::tag::Tag;

/// The class of rules without a group.
const PUBLIC: &str = "public";
/// Elements of one command; a line of all of them would be megabytes long.
const CHUNK: usize = 512;

/// A place in the table: the map or set, and the key in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    map: String,
    key: String,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    /// What the key leads to; empty in a set.
    data: String,
    /// The rule that it is counted for.
    rule: Option<String>,
}

/// Everything that the table of published hosts holds, as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Book {
    table: String,
    /// The groups that rules name, in order; a group's place here is the number of its class.
    groups: Vec<GroupName>,
    elements: BTreeMap<Place, Content>,
}

impl Book {
    /// The book of `rules` in the table of `tag`.
    ///
    /// `links` are the networks this machine is directly connected to: a client on the same one as the target would
    /// be answered past us, so its connections alone are masqueraded.
    pub(super) fn new(rules: &[DnatRule], members: &Members, tag: &Tag, links: &[Ipv4Net]) -> Self {
        let enabled = || rules.iter().filter(|rule| rule.enabled);
        let groups: BTreeSet<&GroupName> = enabled().filter_map(|rule| rule.group.as_ref()).collect();
        let mut book = Book {
            table: tag.dnat_table(),
            groups: groups.into_iter().cloned().collect(),
            elements: BTreeMap::new(),
        };
        for rule in enabled() {
            book.add_rule(rule);
            book.add_return_path(rule.to.host, links);
        }
        book.add_members(members);
        book
    }

    /// Whether the other book has the same maps and chains, so that elements are all the difference.
    pub(super) fn has_frame_of(&self, other: &Book) -> bool {
        self.table == other.table && self.groups == other.groups
    }

    /// Takes other members.
    pub(super) fn set_members(&mut self, members: &Members) {
        self.elements
            .retain(|place, _| ![ENTER, PASS, BACK].contains(&place.map.as_str()));
        self.add_members(members);
    }

    fn class(&self, group: Option<&GroupName>) -> String {
        match group.and_then(|group| self.groups.binary_search(group).ok()) {
            Some(number) => class_of(number),
            None => PUBLIC.to_owned(),
        }
    }

    fn add_rule(&mut self, rule: &DnatRule) {
        let class = self.class(rule.group.as_ref());
        let place = if rule.dest.is_some() { "at" } else { "any" };
        let dest = rule.dest.map_or(String::new(), |dest| format!(" . {dest}"));
        let everybody = [Ipv4Net::ANY];
        let sources = if rule.sources.is_everybody() {
            &everybody[..]
        } else {
            rule.sources.networks()
        };
        let (first, last) = (rule.ports.first(), rule.ports.last());
        let whole = !rule.ports.is_single() && !rule.moves_ports();
        for protocol in rule.protocols.each().iter().map(|protocol| protocol.as_str()) {
            let (class, rule_name) = (class.as_str(), rule.name.as_str());
            let mut add = |kind: &str, key: String, data: String| {
                let map = format!("{class}.{place}.{kind}");
                if rule.group.is_some() && is_flow(&map) {
                    // So that what is the group's can be told from what is nobody's.
                    self.put(format!("{map}.guard"), key.clone(), String::new(), None);
                }
                self.put(map, key, data, Some(rule_name));
            };
            if whole {
                for source in sources {
                    let key = format!("{protocol} . {first}-{last}{dest} . {source}");
                    add("range", key.clone(), rule.to.host.to_string());
                    let flow = format!("{key} . {} . {first}-{last}", rule.to.host);
                    add("flows", flow, "accept".to_owned());
                }
                continue;
            }
            for port in first..=last {
                let to = rule.target_of(port);
                let to = format!("{} . {}", to.ip(), to.port());
                let key = format!("{protocol} . {port}{dest}");
                if rule.sources.is_everybody() {
                    add("port", key.clone(), to.clone());
                    add("flow", format!("{key} . {to}"), "accept".to_owned());
                    continue;
                }
                for source in sources {
                    add("sources", format!("{key} . {source}"), to.clone());
                    add("flows", format!("{key} . {source} . {to}"), "accept".to_owned());
                }
            }
        }
    }

    /// What brings the answers back through us where the private host would send them elsewhere: to a neighbour on
    /// its own network (hairpin), and to this machine itself when it used a public address of its own. Everybody
    /// else is answered through the private host's default route, and keeps their address.
    fn add_return_path(&mut self, host: Ipv4Addr, links: &[Ipv4Net]) {
        self.put(TARGETS.to_owned(), host.to_string(), String::new(), None);
        for link in links.iter().filter(|link| link.contains(host)) {
            self.put(
                NEIGHBOURS.to_owned(),
                format!("{link} . {host}"),
                String::new(),
                None,
            );
        }
    }

    fn add_members(&mut self, members: &Members) {
        for (number, group) in (0..).zip(self.groups.clone()) {
            let class = class_of(number);
            for Station { device, mac, ip } in members.stations(&group) {
                let octets = mac.octets().map(|octet| format!("{octet:02x}")).join(":");
                let inwards = format!("\"{device}\" . {octets} . {ip}");
                self.put(
                    ENTER.to_owned(),
                    inwards.clone(),
                    format!("jump to.{class}"),
                    None,
                );
                self.put(PASS.to_owned(), inwards, format!("jump pass.{class}"), None);
                let back = format!("\"{device}\" . {ip}");
                self.put(BACK.to_owned(), back, format!("jump pass.{class}"), None);
            }
        }
    }

    fn put(&mut self, map: String, key: String, data: String, rule: Option<&str>) {
        let rule = rule.map(str::to_owned);
        self.elements.insert(Place { map, key }, Content { data, rule });
    }

    /// The transaction that makes this the content of the table, whatever is there, and touches no other table.
    /// `counters` are values to go on from.
    pub(super) fn whole(&self, counters: &HashMap<String, RuleCounter>) -> String {
        let mut script = Script::new(&self.table);
        // Deleting a table that does not exist fails the transaction, so it is added first.
        script.line("add table ip", "");
        script.line("delete table ip", "");
        self.frame(&mut script);
        let mut left = counters.clone();
        script.add(self.elements.iter(), &mut left);
        script.text
    }

    /// The transaction that leads from `before`, which has the same frame, to this. `None` if there is no difference.
    /// `counters` are those of the rules whose elements change.
    pub(super) fn since(&self, before: &Book, counters: &HashMap<String, RuleCounter>) -> Option<String> {
        // A rule goes and comes whole, for its counters are those of all its elements.
        let changed: HashSet<&str> = [(before, self), (self, before)]
            .into_iter()
            .flat_map(|(one, other)| {
                one.elements
                    .iter()
                    .filter(move |(at, content)| other.elements.get(*at) != Some(*content))
            })
            .filter_map(|(_, content)| content.rule.as_deref())
            .collect();
        let goes = |content: &Content| content.rule.as_deref().is_some_and(|rule| changed.contains(rule));
        let gone = before
            .elements
            .iter()
            .filter(|(place, content)| goes(content) || self.elements.get(*place) != Some(*content));
        let new = self
            .elements
            .iter()
            .filter(|(place, content)| goes(content) || before.elements.get(*place) != Some(*content));
        let mut script = Script::new(&self.table);
        script.delete(gone);
        script.add(new, &mut counters.clone());
        (!script.text.is_empty()).then_some(script.text)
    }

    /// Whether the way from `before` to this takes counted elements away.
    pub(super) fn drops_counters_of(&self, before: &Book) -> bool {
        let mut counted = before
            .elements
            .iter()
            .filter(|(_, content)| content.rule.is_some());
        counted.any(|(place, content)| self.elements.get(place) != Some(content))
    }

    /// The maps and chains.
    fn frame(&self, script: &mut Script<'_>) {
        let classes: Vec<String> = (0..self.groups.len()).map(class_of).collect();
        script.begin();
        for (class, group) in classes.iter().zip(&self.groups) {
            let comment: String = format!("{class} is {group}")
                .chars()
                .filter(|c| c.is_ascii() && *c != '"')
                .take(100)
                .collect();
            let _ = writeln!(script.text, "chain notes {{ counter comment \"{comment}\"; }}");
        }
        for class in std::iter::once(PUBLIC).chain(classes.iter().map(String::as_str)) {
            class_frame(&mut script.text, class);
        }
        for class in &classes {
            guard_frame(&mut script.text, class);
        }
        script.text.push_str(MEMBER_MAPS);
        let guards = classes
            .iter()
            .fold(String::new(), |lines, class| lines + "jump guard." + class + "\n");
        let _ = writeln!(script.text, "chain flows {{\n{FLOWS}{guards}}}");
        script.text.push_str(HOOKS);
        script.end();
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole(&HashMap::new()))
    }
}

fn class_of(number: usize) -> String {
    format!("group-{number}")
}

/// Members: where their new connections are looked up, and what of them may pass in either direction.
const ENTER: &str = "members.enter";
const PASS: &str = "members.pass";
const BACK: &str = "members.back";
/// Private hosts, and with the networks of their neighbours.
const TARGETS: &str = "targets";
const NEIGHBOURS: &str = "neighbours";

const MEMBER_MAPS: &str = "\
map members.enter { type ifname . ether_addr . ipv4_addr : verdict; }
map members.pass { type ifname . ether_addr . ipv4_addr : verdict; }
map members.back { type ifname . ipv4_addr : verdict; }
set targets { type ipv4_addr; }
set neighbours { type ipv4_addr . ipv4_addr; flags interval; }
";

/// Packets of translated connections: those of everybody's rules, then those that members may have, then what is a
/// group's and not theirs.
const FLOWS: &str = "\
jump pass.public
ct direction original iifname . ether saddr . ip saddr vmap @members.pass
ct direction reply oifname . ip daddr vmap @members.back
";

/// Without the test of locality a NAT instance would catch everything it forwards for others as well. Loopback only ever
/// means this machine; a rule without a destination leaves its own services alone. The priorities of NAT are `dstnat` and
/// `srcnat` of nft(8).
const HOOKS: &str = "\
chain prerouting {
type nat hook prerouting priority -100; policy accept;
jump to.public
iifname . ether saddr . ip saddr vmap @members.enter
}
chain output {
type nat hook output priority -100; policy accept;
jump to.public
}
chain postrouting {
type nat hook postrouting priority 100; policy accept;
ct status dnat ip saddr . ip daddr @neighbours masquerade
ct status dnat fib saddr type local ip daddr @targets masquerade
}
chain forward { type filter hook forward priority 1; policy accept; ct status dnat jump flows; }
chain sent { type filter hook output priority 1; policy accept; ct status dnat jump pass.public; }
chain received { type filter hook input priority 1; policy accept; ct status dnat jump pass.public; }
";

const LOCAL: &str = "fib daddr type local ip daddr != 127.0.0.0/8 ";

/// The maps of a class and the chains that look into them.
fn class_frame(text: &mut String, class: &str) {
    let mut to = String::new();
    let mut pass = String::new();
    for (place, dest_type, local, dest, asked) in [
        ("any", "", LOCAL, "", ""),
        ("at", " . ipv4_addr", "", " . ip daddr", " . ct original ip daddr"),
    ] {
        let key = format!("inet_proto . inet_service{dest_type}");
        let _ = write!(
            text,
            "\
map {class}.{place}.port {{ type {key} : ipv4_addr . inet_service; counter; }}
map {class}.{place}.sources {{ type {key} . ipv4_addr : ipv4_addr . inet_service; flags interval; counter; }}
map {class}.{place}.range {{ type {key} . ipv4_addr : ipv4_addr; flags interval; counter; }}
map {class}.{place}.flow {{ type {key} . ipv4_addr . inet_service : verdict; counter; }}
map {class}.{place}.flows {{ type {key} . ipv4_addr . ipv4_addr . inet_service : verdict; flags interval; counter; }}
"
        );
        let lookup = format!("meta l4proto {{ tcp, udp }} {local}dnat ip");
        let asked_for = format!("meta l4proto . th dport{dest}");
        let _ = write!(
            to,
            "\
{lookup} addr . port to {asked_for} map @{class}.{place}.port
{lookup} addr . port to {asked_for} . ip saddr map @{class}.{place}.sources
{lookup} to {asked_for} . ip saddr map @{class}.{place}.range
"
        );
        // A port of a connection has a type only where its protocol is known: one line for each.
        for protocol in [Protocol::Tcp, Protocol::Udp].map(Protocol::as_str) {
            let flow = format!("meta l4proto {protocol} meta l4proto . ct original proto-dst{asked}");
            let _ = write!(
                pass,
                "\
{flow} . ct reply ip saddr . ct reply proto-src vmap @{class}.{place}.flow
{flow} . ct original ip saddr . ct reply ip saddr . ct reply proto-src vmap @{class}.{place}.flows
"
            );
        }
    }
    let _ = writeln!(
        text,
        "chain to.{class} {{\n{to}}}\nchain pass.{class} {{\n{pass}}}"
    );
}

/// The sets of what belongs to a group, and the chain that drops what came so far.
fn guard_frame(text: &mut String, class: &str) {
    let mut guard = String::new();
    for (place, dest_type, asked) in [("any", "", ""), ("at", " . ipv4_addr", " . ct original ip daddr")] {
        let key = format!("inet_proto . inet_service{dest_type}");
        let _ = write!(
            text,
            "\
set {class}.{place}.flow.guard {{ type {key} . ipv4_addr . inet_service; }}
set {class}.{place}.flows.guard {{ type {key} . ipv4_addr . ipv4_addr . inet_service; flags interval; }}
"
        );
        for protocol in [Protocol::Tcp, Protocol::Udp].map(Protocol::as_str) {
            let flow = format!("meta l4proto {protocol} meta l4proto . ct original proto-dst{asked}");
            let _ = write!(
                guard,
                "\
{flow} . ct reply ip saddr . ct reply proto-src @{class}.{place}.flow.guard drop
{flow} . ct original ip saddr . ct reply ip saddr . ct reply proto-src @{class}.{place}.flows.guard drop
"
            );
        }
    }
    let _ = writeln!(text, "chain guard.{class} {{\n{guard}}}");
}

/// Commands for one table, in the language of nft(8).
struct Script<'a> {
    table: &'a str,
    text: String,
}

impl<'a> Script<'a> {
    fn new(table: &'a str) -> Self {
        Script {
            table,
            text: String::new(),
        }
    }

    fn line(&mut self, command: &str, rest: &str) {
        let _ = writeln!(self.text, "{command} {} {rest}", self.table);
    }

    fn begin(&mut self) {
        let _ = writeln!(self.text, "table ip {} {{", self.table);
    }

    fn end(&mut self) {
        self.text.push_str("}\n");
    }

    /// Adds elements. What a rule has counted so far goes to its first one of each kind.
    fn add<'b>(
        &mut self,
        elements: impl Iterator<Item = (&'b Place, &'b Content)>,
        counters: &mut HashMap<String, RuleCounter>,
    ) {
        self.each("add", elements, |place, content| {
            let mut text = place.key.clone();
            if let Some(rule) = &content.rule {
                if let Some((packets, bytes)) = counters
                    .get_mut(rule)
                    .and_then(|counter| counter.take(is_flow(&place.map)))
                {
                    let _ = write!(text, " counter packets {packets} bytes {bytes}");
                }
                let _ = write!(text, " comment \"{rule}\"");
            }
            if !content.data.is_empty() {
                let _ = write!(text, " : {}", content.data);
            }
            text
        });
    }

    fn delete<'b>(&mut self, elements: impl Iterator<Item = (&'b Place, &'b Content)>) {
        self.each("delete", elements, |place, content| match content.data.as_str() {
            "" => place.key.clone(),
            data => format!("{} : {data}", place.key),
        });
    }

    fn each<'b>(
        &mut self,
        verb: &str,
        elements: impl Iterator<Item = (&'b Place, &'b Content)>,
        mut write: impl FnMut(&Place, &Content) -> String,
    ) {
        let (mut map, mut count) = ("", 0);
        for (place, content) in elements {
            if map == place.map && count < CHUNK {
                self.text.push_str(",\n");
            } else {
                if count > 0 {
                    self.text.push_str(" }\n");
                }
                let _ = write!(self.text, "{verb} element ip {} {} {{ ", self.table, place.map);
                (map, count) = (place.map.as_str(), 0);
            }
            self.text.push_str(&write(place, content));
            count += 1;
        }
        if count > 0 {
            self.text.push_str(" }\n");
        }
    }
}

/// Whether a map counts packets of connections, and not connections.
pub(super) fn is_flow(map: &str) -> bool {
    map.ends_with(".flow") || map.ends_with(".flows")
}

#[cfg(test)]
mod tests {
    use hub_core::MacAddr;

    use super::*;
    use crate::dnat::{HubMembers, Member};

    fn rule(name: &str, protocols: &str, ports: &str, to: &str, sources: &str, dest: &str) -> DnatRule {
        DnatRule::parse(name, protocols, ports, to, sources, dest).unwrap()
    }

    fn for_staff(rule: DnatRule) -> DnatRule {
        DnatRule {
            group: Some("office/staff".parse().unwrap()),
            ..rule
        }
    }

    fn book(rules: &[DnatRule], members: &Members) -> Book {
        let links = ["10.0.1.0/24".parse().unwrap(), "203.0.113.0/24".parse().unwrap()];
        Book::new(rules, members, &Tag::new("t1"), &links)
    }

    fn members(last: u8) -> Members {
        let mut members = Members::default();
        let station = Member {
            group: "Staff".to_owned(),
            mac: MacAddr::new([2, 0, 0, 0, 0, last]),
            ip: Ipv4Addr::new(192, 168, 30, last),
        };
        let of_hub = HubMembers {
            devices: vec!["hwn_t1".to_owned()],
            stations: vec![station],
        };
        assert!(members.set("office", of_hub));
        members
    }

    #[test]
    fn every_kind_of_rule_has_its_map() {
        let text = book(
            &[
                rule("web", "tcp+udp", "8080", "10.0.1.26:80", "", ""),
                rule("run", "tcp", "9000-9010", "10.0.1.26", "", "203.0.113.1"),
                rule(
                    "near",
                    "udp",
                    "53",
                    "10.0.1.26:5353",
                    "203.0.113.0/24,198.51.100.7",
                    "",
                ),
                rule("moved", "tcp", "20-21", "10.0.1.26:30", "", ""),
            ],
            &Members::default(),
        )
        .to_string();
        for line in [
            "public.any.port { tcp . 20 comment \"moved\" : 10.0.1.26 . 30",
            "tcp . 21 comment \"moved\" : 10.0.1.26 . 31",
            "tcp . 8080 comment \"web\" : 10.0.1.26 . 80",
            "udp . 8080 comment \"web\" : 10.0.1.26 . 80",
            "public.at.range { tcp . 9000-9010 . 203.0.113.1 . 0.0.0.0/0 comment \"run\" : 10.0.1.26",
            "public.any.sources { udp . 53 . 198.51.100.7/32 comment \"near\" : 10.0.1.26 . 5353",
            "udp . 53 . 203.0.113.0/24 comment \"near\" : 10.0.1.26 . 5353",
            "tcp . 8080 . 10.0.1.26 . 80 comment \"web\" : accept",
            "tcp . 9000-9010 . 203.0.113.1 . 0.0.0.0/0 . 10.0.1.26 . 9000-9010 comment \"run\" : accept",
            "neighbours { 10.0.1.0/24 . 10.0.1.26 }",
            "targets { 10.0.1.26 }",
        ] {
            assert!(text.contains(line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn only_our_own_table_is_named() {
        let text = book(
            &[for_staff(rule("web", "tcp", "80", "10.0.1.26", "", ""))],
            &members(10),
        )
        .to_string();
        let commands = ["add ", "delete ", "table ", "flush ", "insert ", "create "];
        let naming = text
            .lines()
            .filter(|line| commands.iter().any(|verb| line.starts_with(verb)));
        assert!(naming.clone().count() > 5);
        for line in naming {
            assert!(line.contains(" ip hubward_t1.dnat "), "{line}");
        }
    }

    #[test]
    fn a_change_is_the_elements_that_differ_and_counters_go_on() {
        let (web, more) = (
            rule("web", "tcp", "80", "10.0.1.26", "", ""),
            rule("more", "tcp", "81", "10.0.1.26:81", "", ""),
        );
        let before = book(std::slice::from_ref(&web), &Members::default());
        let after = book(&[web.clone(), more], &Members::default());
        assert!(after.has_frame_of(&before) && !after.drops_counters_of(&before));
        let script = after.since(&before, &HashMap::new()).unwrap();
        assert!(
            !script.contains("\"web\"") && !script.contains("delete"),
            "{script}"
        );
        assert_eq!(script.matches("\"more\"").count(), 2, "{script}");
        assert_eq!(after.since(&after, &HashMap::new()), None);

        let moved = DnatRule {
            to: "10.0.1.27:80".parse().unwrap(),
            ..web
        };
        let next = book(&[moved], &Members::default());
        assert!(next.drops_counters_of(&before));
        let mut counter = RuleCounter::default();
        (counter.connections, counter.packets, counter.bytes) = (7, 70, 7000);
        let counters = HashMap::from([("web".to_owned(), counter)]);
        let script = next.since(&before, &counters).unwrap();
        assert!(
            script.contains("tcp . 80 counter packets 7 bytes 0 comment \"web\" : 10.0.1.27 . 80"),
            "{script}"
        );
        assert!(
            script.contains(". 10.0.1.27 . 80 counter packets 70 bytes 7000 comment"),
            "{script}"
        );
    }

    #[test]
    fn members_are_elements_and_a_change_of_them_touches_no_rule() {
        let rules = [for_staff(rule("web", "tcp", "80", "10.0.1.26:80", "", ""))];
        let before = book(&rules, &members(10));
        let text = before.to_string();
        assert!(
            text.contains(
                "members.enter { \"hwn_t1\" . 02:00:00:00:00:0a . 192.168.30.10 : jump to.group-0 }"
            )
        );
        assert!(
            text.contains("group-0.any.flow.guard { tcp . 80 . 10.0.1.26 . 80 }"),
            "{text}"
        );
        let mut after = before.clone();
        after.set_members(&members(11));
        assert!(after.has_frame_of(&before));
        let script = after.since(&before, &HashMap::new()).unwrap();
        assert_eq!(
            script.lines().count(),
            6,
            "three elements go and three come:\n{script}"
        );
        assert!(script.lines().all(|line| line.contains(" members.")), "{script}");
        let other_group = [DnatRule {
            group: Some("office/guests".parse().unwrap()),
            ..rules[0].clone()
        }];
        assert!(!book(&other_group, &members(10)).has_frame_of(&before));
    }

    #[test]
    fn a_disabled_rule_is_not_there() {
        let web = DnatRule {
            enabled: false,
            ..for_staff(rule("web", "tcp", "80", "10.0.1.26", "", ""))
        };
        let text = book(&[web], &members(10)).to_string();
        assert!(!text.contains("\"web\"") && !text.contains("group-0"));
    }
}
