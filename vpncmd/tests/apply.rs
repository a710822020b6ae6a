//! `Apply` and `Export` against a server in memory: a declared state is reached, or the server is as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/model.rs"]
mod model;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use model::{Hub, Manner, Model, State, hub_named, sorted};
use protocol::error::ErrorCode;
use protocol::policy::Policy;
use protocol::rpc::Secret;
use protocol::rpc::access::SourceRule;
use protocol::rpc::bridge::LocalBridge;
use protocol::rpc::dnat::{Dnat, DnatProtocol};
use protocol::rpc::group::Group;
use protocol::rpc::user::{AuthType, User};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::NamedTempFile;
use vpncmd::console::Style;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/example.toml");

/// A declaration that ends with the test.
fn declaration(text: &str) -> NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

/// Runs a command; returns its code and what was printed.
fn run(model: &Model, words: &[&str]) -> (u32, String) {
    let (mut shell, screen) = common::shell(model.clone(), None, Style::default(), "");
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    shell.run(&words);
    (shell.last(), screen.text())
}

fn apply(model: &Model, text: &str, flags: &[&str]) -> (u32, String) {
    let file = declaration(text);
    // A path that starts with a slash is a value, since no switch has a second one.
    let path = file.path().to_str().unwrap();
    run(model, &[&["Apply", path], flags].concat())
}

fn export(model: &Model) -> String {
    let file = declaration("");
    let (code, said) = run(model, &["Export", file.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    fs::read_to_string(file.path()).unwrap()
}

fn user(hub: &str, name: &str, auth_type: AuthType) -> User {
    User {
        hub_name: hub.to_owned(),
        name: name.to_owned(),
        auth_type,
        ..User::default()
    }
}

fn with_password(hub: &str, name: &str, password: &str) -> User {
    let hash = protocol::password::user_hash(password.as_bytes(), name);
    User {
        hashed_key: Some(Secret::new(hash.as_bytes().to_vec())),
        nt_lm_secure_hash: Some(Secret::new(vec![7; 16])),
        ..user(hub, name, AuthType::Password)
    }
}

/// A server with one hub, two users and a group.
fn small() -> State {
    let mut hub = hub_named("Office");
    hub.groups.push(Group {
        hub_name: "Office".to_owned(),
        name: "staff".to_owned(),
        ..Group::default()
    });
    let bob = with_password("Office", "bob", "before");
    hub.users.push(User {
        group_name: "staff".to_owned(),
        ..bob
    });
    hub.users.push(user("Office", "eve", AuthType::Anonymous));
    State {
        hubs: vec![hub],
        listeners: vec![(443, true), (992, false)],
        ..State::default()
    }
}

#[test]
fn the_example_is_reached_and_stays() {
    // The example names them; nothing else in this process reads the environment meanwhile.
    let text = fs::read_to_string(EXAMPLE)
        .unwrap()
        .replace("{ env = \"OFFICE_PASSWORD\" }", "\"hunter2\"")
        .replace("{ env = \"ANNA_PASSWORD\" }", "\"hunter3\"")
        .replace("{ env = \"RADIUS_SECRET\" }", "\"hunter4\"");
    let model = Model::with(small());
    let (code, said) = apply(&model, &text, &["--dry-run"]);
    assert_eq!(code, 200, "{said}");
    assert_eq!(*model.state.borrow(), small());
    let (code, said) = apply(&model, &text, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("hunter"), "{said}");
    let hub = model.state.borrow().hubs[0].clone();
    assert_eq!((hub.users.len(), hub.groups.len(), hub.access.len()), (5, 2, 2));
    assert!(hub.nat_on && hub.nat.dhcp_push_routes == "10.0.0.0/255.0.0.0/192.168.30.1");
    assert!(hub.ipv6.enabled && hub.ipv6.prefix == "fd5e:0:1e::/64");
    assert_eq!(hub.message, b"Welcome to the office.");
    assert_eq!(
        (hub.radius.radius_port, hub.radius.radius_secret.as_str()),
        (1812, "hunter4")
    );
    assert_eq!(hub.sources.len(), 1);
    let anna = hub.users.iter().find(|user| user.name == "anna").unwrap();
    let hash = protocol::password::user_hash(b"hunter3", "anna");
    assert_eq!(anna.hashed_key, Some(Secret::new(hash.as_bytes().to_vec())));

    for flags in [&[][..], &["--dry-run"]] {
        let done = model.changes.borrow().len();
        let (code, said) = apply(&model, &text, flags);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("Nothing to do"), "{said}");
        assert_eq!(model.changes.borrow().len(), done);
    }
}

#[test]
fn the_plan_says_old_and_new() {
    let model = Model::with(small());
    let text = "[hubs.office]\nmax-sessions = 7\n[hubs.office.users.bob]\nfull-name = \"Bob\"\nexpires = 2030-01-02T03:04:05Z\n\
                policy = { MaxConnection = 4 }\n[hubs.office.users.zoe]\nauth = \"anonymous\"\n";
    let (code, said) = apply(&model, text, &["--dry-run"]);
    assert_eq!(code, 200);
    for line in [
        "~ hub Office\n    max-sessions: 0 -> 7\n",
        "~ user bob of hub Office\n    full-name: (none) -> Bob\n    expires: (never) -> 2030-01-02",
        "    policy.MaxConnection: (default) -> 4\n",
        "+ user zoe of hub Office\n    auth: anonymous\n",
        "Note: 1 other user of hub Office stays; --prune would delete it.\n",
        "Not done: 1 to create, 2 to change, 0 to delete.\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn mistakes_are_told_with_their_lines_and_nothing_is_changed() {
    let cases = [
        ("hbus = 1", 1, "unknown key \"hbus\" here; did you mean \"hubs\"?"),
        (
            "[hubs.office]\nmax-session = 1",
            2,
            "unknown key \"max-session\" in hubs.office; did you mean \"max-sessions\"?",
        ),
        ("\n\n[hubs.office", 3, "not TOML"),
        ("[hubs.office]\nonline = \"yes\"", 2, "online is true or false"),
        ("[hubs.office]\nmax-sessions = -1", 2, "max-sessions is a number"),
        (
            "[hubs.office.users.bob]\npolicy = { MaxUplaod = 1 }",
            2,
            "did you mean \"MaxUpload\"?",
        ),
        (
            "[hubs.office.users.bob]\npolicy = { TimeOut = 1 }",
            2,
            "policy.TimeOut is a number from 5 to 60",
        ),
        (
            "[hubs.office.users.bob]\nauth = \"magic\"",
            2,
            "auth is one of password",
        ),
        (
            "[hubs.office.users.bob]\nauth = \"anonymous\"\npassword = \"x\"",
            3,
            "password of user bob goes with auth = \"password\"",
        ),
        (
            "[hubs.office.users.bob]\ngroup = \"stafff\"",
            2,
            "there is no group stafff",
        ),
        (
            "[hubs.office.users.zoe]\nnote = \"x\"",
            1,
            "user zoe is new and needs a password",
        ),
        (
            "[hubs.office.users.eve]\nauth = \"password\"",
            1,
            "user eve needs a password",
        ),
        (
            "[hubs.office.users.a]\n[hubs.office.users.A]",
            2,
            "A is declared twice",
        ),
        (
            "[hubs.office.options]\nNoIpTabel = 1",
            2,
            "did you mean NoIpTable?",
        ),
        (
            "[hubs.office.users.bob]\npassword = { env = \"VPNCMD_NOT_SET\" }",
            2,
            "no variable VPNCMD_NOT_SET",
        ),
        (
            "[[hubs.office.access]]\naction = \"pass\"",
            1,
            "needs \"priority\"",
        ),
        (
            "[[hubs.office.access]]\naction = \"pass\"\npriority = 1\nsource = \"10.0.0.0/8\"\ndestination = \"::1\"",
            5,
            "destination is an IPv4 network",
        ),
        (
            "[[bridges]]\nhub = \"office\"\ndevice = \"eth7\"",
            1,
            "no Ethernet device eth7",
        ),
        (
            "[[bridges]]\nhub = \"office\"\ndevice = \"lab\"\ntap = true\nip = \"10.9.0.0/24\"",
            1,
            "such as \"192.168.30.1/24\"",
        ),
        ("listeners = [0]", 1, "a list of ports"),
        ("listeners = [\n443,\n443]", 3, "port 443 is declared twice"),
        ("[dnat.web]\nport = 80\nprotocol = \"tcp\"", 1, "web needs \"to\""),
        (
            "[hubs.office.secure-nat]\nmtu = 9000",
            2,
            "mtu is a number from 62 to 1500",
        ),
        (
            "[hubs.office.secure-nat]\nroutes = [\"10.0.0.0/8\"]",
            2,
            "routes is a list of routes",
        ),
    ];
    for (text, line, said) in cases {
        let model = Model::with(small());
        let (code, output) = apply(&model, text, &["--prune"]);
        assert_eq!(code, 38, "{text}: {output}");
        assert!(output.contains(&format!(".toml:{line}: ")), "{text}: {output}");
        assert!(output.contains(said), "{text}: {output}");
        assert!(model.changes.borrow().is_empty(), "{text}");
    }
}

#[test]
fn a_server_that_only_says_yes_is_found_out() {
    struct Yes(Model);
    impl vpncmd::shell::Server for Yes {
        fn call(
            &mut self,
            method: &str,
            request: &protocol::pack::Pack,
        ) -> Result<protocol::pack::Pack, ErrorCode> {
            match method {
                "SetHubMsg" => Ok(protocol::pack::Pack::new()),
                _ => self.0.call(method, request),
            }
        }
    }
    let file = declaration("[hubs.office]\nmessage = \"x\"\n");
    let (mut shell, screen) = common::shell(Yes(Model::with(small())), None, Style::default(), "");
    shell.run(&["Apply".to_owned(), file.path().to_str().unwrap().to_owned()]);
    assert_eq!(shell.last(), 23, "{}", screen.text());
    let said = screen.text();
    assert!(
        said.contains("still is not as declared") && said.contains("change message of hub Office"),
        "{said}"
    );
}

#[test]
fn json_is_one_value_whatever_happens() {
    let text = "[hubs.office]\nmessage = \"x\"\n";
    for (fails_after, flags, code) in [
        (None, &["--dry-run"][..], 200),
        (Some(0), &[], 23),
        (None, &[], 0),
        (None, &[], 0),
    ] {
        let model = Model::with(small());
        model.manner.borrow_mut().fails_after = fails_after;
        let (last, said) = apply(&model, text, &[&["--json"], flags].concat());
        assert_eq!(last, code, "{said}");
        let value: serde_json::Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        if code == 23 {
            assert_eq!(value["error"]["code"], 23);
        } else {
            assert_eq!(value["steps"][0]["object"], "message of hub Office");
            assert_eq!(value["steps"][0]["changes"][0]["new"], "x");
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "[hubs.office]\nonlin = true\nmax-sessions = \"x\"\n";
    let (_, said) = apply(&Model::with(small()), text, &[]);
    assert!(said.contains(".toml:2: ") && said.contains(".toml:3: "), "{said}");
}

#[test]
fn a_password_is_not_taken_from_a_file_that_others_can_read() {
    let file = declaration("[hubs.office.users.bob]\npassword = \"hunter2\"\n");
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = run(&Model::with(small()), &["Apply", file.path().to_str().unwrap()]);
    assert_eq!(code, 38);
    assert!(
        said.contains("others can read this file") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn what_is_not_named_is_deleted_only_when_that_is_wished() {
    let text = "listeners = [443]\n[hubs.office.users.bob]\n[hubs.office.groups]\n";
    let model = Model::with(small());
    let (code, said) = apply(&model, text, &[]);
    assert_eq!((code, said.contains("Nothing to do")), (0, true), "{said}");
    for (prefix, flags) in [("", &["--prune"][..]), ("exclusive = true\n", &[])] {
        let model = Model::with(small());
        let (code, said) = apply(&model, &format!("{prefix}{text}"), flags);
        assert_eq!(code, 0, "{said}");
        let state = model.state.borrow();
        let users: Vec<&str> = state.hubs[0]
            .users
            .iter()
            .map(|user| user.name.as_str())
            .collect();
        assert_eq!(users, ["bob"]);
        assert!(state.hubs[0].groups.is_empty() && state.hubs[0].users[0].group_name.is_empty());
        assert_eq!(state.listeners, [(443, true)]);
    }
    // A section that is not there is nobody's business.
    let model = Model::with(small());
    apply(&model, "[hubs.office]\nonline = true\n", &["--prune"]);
    assert_eq!(*model.state.borrow(), small());
}

#[test]
fn a_password_that_the_server_shows_is_compared() {
    let text = |password: &str| format!("[hubs.office.users.bob]\npassword = \"{password}\"\n");
    let model = Model::with(small());
    let (code, said) = apply(&model, &text("before"), &["--dry-run"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = apply(&model, &text("after"), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("~ user bob of hub Office\n    password: (set)\n"),
        "{said}"
    );
    assert_eq!(apply(&model, &text("after"), &["--dry-run"]).0, 0);
}

#[test]
fn a_password_that_the_server_hides_is_set_only_when_that_is_wished() {
    let text = "[hubs.office.users.bob]\npassword = \"after\"\n";
    let model = Model::with(small());
    model.manner.borrow_mut().shows_hashes = false;
    let (code, said) = apply(&model, text, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("--set-passwords") && model.changes.borrow().is_empty(),
        "{said}"
    );
    let (code, said) = apply(&model, text, &["--set-passwords"]);
    assert_eq!(code, 0, "{said}");
    let after = with_password("Office", "bob", "after").hashed_key;
    assert_eq!(model.state.borrow().hubs[0].users[0].hashed_key, after);
}

#[test]
fn a_server_without_a_function_is_left_alone() {
    let model = Model::with(small());
    model.manner.borrow_mut().has_dnat = false;
    let text = "[hubs.new]\n[dnat.web]\nprotocol = \"tcp\"\nport = 80\nto = \"10.0.0.1:80\"\n";
    let (code, said) = apply(&model, text, &[]);
    assert_eq!(code, 33, "{said}");
    assert!(
        said.contains("no published hosts") && model.changes.borrow().is_empty(),
        "{said}"
    );
}

#[test]
fn a_failure_at_any_change_leaves_the_server_as_it_was() {
    let wanted = fs::read_to_string(EXAMPLE)
        .unwrap()
        .replace("password = { env = ", "# ")
        .replace("secret = { env = ", "# ")
        .replace(
            "[hubs.office.users.anna]",
            "[hubs.office.users.eve]\nauth = \"radius\"",
        );
    let wanted =
        format!("{wanted}\n[hubs.second]\nmessage = \"x\"\n[hubs.second.users.u]\nauth = \"anonymous\"\n");
    let mut failed = 0;
    for (late, with) in [(false, ErrorCode::Internal), (true, ErrorCode::Disconnected)] {
        for number in 0.. {
            let model = Model::with(small());
            *model.manner.borrow_mut() = Manner {
                fails_after: Some(number),
                fails_with: with,
                fails_late: late,
                ..Manner::default()
            };
            let (code, said) = apply(&model, &wanted, &["--prune"]);
            if code == 0 {
                break;
            }
            failed += 1;
            assert_eq!(code, with.code(), "{said}");
            // What has no way back is named; here that is nothing.
            assert!(
                said.contains("the server is as it was"),
                "change {number}, late {late}: {said}"
            );
            assert_eq!(
                sorted(&model.state.borrow()),
                sorted(&small()),
                "change {number}, late {late}: {said}"
            );
        }
    }
    assert!(failed > 25, "{failed}");
}

#[test]
fn what_cannot_be_taken_back_is_named() {
    let mut state = small();
    state.hubs[0].users.push(with_password("Office", "carol", "x"));
    let model = Model::with(state);
    *model.manner.borrow_mut() = Manner {
        shows_hashes: false,
        fails_after: Some(2),
        ..Manner::default()
    };
    // The message is set, bob is deleted for good, and then carol cannot be.
    let text = "[hubs.office]\nmessage = \"x\"\n[hubs.office.users.eve]\n";
    let (code, said) = apply(&model, text, &["--prune"]);
    assert_eq!(code, 23, "{said}");
    assert!(
        said.contains("This stays changed and could not be taken back:\n  delete user bob of hub Office"),
        "{said}"
    );
    let state = model.state.borrow();
    assert!(state.hubs[0].message.is_empty());
    assert_eq!(state.hubs[0].users.len(), 2);
}

/// A server like none: every part there or not, every setting this or that.
fn random_state(rng: &mut StdRng) -> State {
    let mut state = State::default();
    for name in ["a", "b", "c"] {
        if rng.random_bool(0.6) {
            state.hubs.push(random_hub(name, rng));
        }
    }
    for port in [443, 992, 5555] {
        if rng.random_bool(0.5) {
            state.listeners.push((port, true));
        }
    }
    for (name, port) in [("web", 80), ("mail", 25)] {
        if rng.random_bool(0.5) {
            state.dnat.push(Dnat {
                name: name.to_owned(),
                protocol: DnatProtocol::Tcp,
                port_start: port,
                port_end: port + rng.random_range(0..2),
                to_ip_address: "10.0.1.26".parse().unwrap(),
                to_port: port,
                dest_ip_address: "0.0.0.0".parse().unwrap(),
                ..Dnat::default()
            });
        }
    }
    for device in ["eth0", "eth1"] {
        if rng.random_bool(0.5) {
            state.bridges.push(LocalBridge {
                device_name: device.to_owned(),
                hub_name: "a".to_owned(),
                tap_mode: false,
                ..LocalBridge::default()
            });
        }
    }
    state
}

fn random_hub(name: &str, rng: &mut StdRng) -> Hub {
    let mut hub = hub_named(name);
    let policy = |rng: &mut StdRng| {
        rng.random_bool(0.5).then(|| Policy {
            max_connection: rng.random_range(1..33),
            ..Policy::default()
        })
    };
    hub.settings.online = rng.random_bool(0.5);
    hub.settings.max_session = rng.random_range(0..3);
    hub.nat_on = rng.random_bool(0.5);
    hub.nat.mtu = rng.random_range(1400..1402);
    hub.ipv6.enabled = rng.random_bool(0.5);
    hub.ipv6.name_servers = ["auto", "none", "fd00::53, 2001:db8::53"][rng.random_range(0..3)].to_owned();
    hub.ipv6.valid_lifetime = rng.random_range(5400..5402);
    hub.nat.dhcp_domain_name = ["", "one", "two \"three\""][rng.random_range(0..3)].to_owned();
    hub.message = [&b""[..], b"a\nb", "\u{fc}\u{7}\\".as_bytes()][rng.random_range(0..3)].to_vec();
    hub.options[0].1 = rng.random_range(0..2);
    for group in ["g", "h h"] {
        if rng.random_bool(0.5) {
            hub.groups.push(Group {
                hub_name: name.to_owned(),
                name: group.to_owned(),
                realname: ["", "G"][rng.random_range(0..2)].to_owned(),
                policy: policy(rng),
                ..Group::default()
            });
        }
    }
    for who in ["u", "v.w", "*"] {
        if rng.random_bool(0.7) {
            let auth = [AuthType::Anonymous, AuthType::Radius, AuthType::SignedCertificate];
            let auth = auth[rng.random_range(0..3)];
            let mut user = user(name, who, auth);
            match auth {
                AuthType::Radius => user.radius_username = Some(String::new()),
                AuthType::SignedCertificate => user.common_name = Some("cn".to_owned()),
                _ => {}
            }
            user.policy = policy(rng);
            let group = rng.random_range(0..=hub.groups.len());
            user.group_name = hub
                .groups
                .get(group)
                .map_or_else(String::new, |group| group.name.clone());
            hub.users.push(user);
        }
    }
    for priority in 1..4 {
        if rng.random_bool(0.3) {
            hub.sources.push(SourceRule {
                priority,
                deny: rng.random_bool(0.5),
                ip_address: "2001:db8::".parse().unwrap(),
                masked: true,
                subnet_mask: "ffff:ffff::".parse().unwrap(),
                ..SourceRule::default()
            });
        }
        if rng.random_bool(0.5) {
            hub.access.push(protocol::rpc::access::AccessRule {
                priority,
                discard: rng.random_bool(0.5),
                dest_port_start: 25,
                dest_port_end: 26,
                protocol: 6,
                ..vpncmd::declare::rule::blank()
            });
        }
    }
    hub
}

/// What an export cannot carry over to a hub that is made anew, or shows no difference: passwords, and nothing and
/// the empty text.
fn comparable(state: &State) -> State {
    let mut state = sorted(state);
    for hub in &mut state.hubs {
        (hub.settings.hashed_password, hub.settings.secure_password) = (Secret::default(), Secret::default());
        hub.nat.apply_dhcp_push_routes = true;
        for user in &mut hub.users {
            user.common_name.get_or_insert_default();
            user.radius_username.get_or_insert_default();
        }
    }
    state
}

#[test]
fn any_server_becomes_like_any_other_and_then_there_is_nothing_to_do() {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (from, to) = (random_state(&mut rng), random_state(&mut rng));
        // What an export leaves out because it is empty is nobody's business; the blank says so for the lists.
        let wanted = Model::with(to.clone());
        let mut text = export(&wanted);
        text = with_empty_sections(&text, &to);
        let model = Model::with(from.clone());
        let (code, said) = apply(&model, &text, &["--prune"]);
        assert_eq!(code, 0, "seed {seed}: {said}\n{text}");
        let reached = comparable(&model.state.borrow());
        let mut wanted = comparable(&to);
        keep_empty_texts(&mut wanted, &reached);
        assert_eq!(reached, wanted, "seed {seed}\n{text}");
        let (code, said) = apply(&model, &text, &["--prune", "--dry-run"]);
        assert_eq!(
            (code, said.contains("Nothing to do")),
            (0, true),
            "seed {seed}: {said}"
        );

        // And a failure on the way leaves it where it began, or says what it left.
        let model = Model::with(from.clone());
        model.manner.borrow_mut().fails_after = Some(rng.random_range(0..12));
        let (code, said) = apply(&model, &text, &["--prune"]);
        if code != 0 && said.contains("the server is as it was") {
            assert_eq!(
                sorted(&model.state.borrow()),
                sorted(&from),
                "seed {seed}: {said}"
            );
        }
    }
}

#[test]
fn the_address_of_a_bridge_is_given_changed_and_left_alone() {
    let model = Model::with(small());
    let declared = |ip: &str| format!("[[bridges]]\nhub = \"Office\"\ndevice = \"lab\"\ntap = true\n{ip}");
    for (ip, then) in [
        ("ip = \"10.9.0.1/24\"", "10.9.0.1/24"),
        ("ip = \"10.9.0.2/16\"", "10.9.0.2/16"),
        ("", "10.9.0.2/16"),
    ] {
        let (code, said) = apply(&model, &declared(ip), &[]);
        assert_eq!(code, 0, "{said}");
        let address = model.state.borrow().bridges[0].host_address.clone();
        assert_eq!(address.as_deref(), Some(then), "{said}");
    }
    assert!(export(&model).contains("ip = \"10.9.0.2/16\""));
}

/// Sections that are empty, so that --prune applies to them too.
fn with_empty_sections(text: &str, state: &State) -> String {
    let mut out = String::new();
    if state.listeners.is_empty() {
        out += "listeners = []\n";
    }
    if state.bridges.is_empty() {
        out += "bridges = []\n";
    }
    out += text;
    if state.dnat.is_empty() {
        out += "\n[dnat]\n";
    }
    if state.hubs.is_empty() {
        out += "\n[hubs]\n";
    }
    for hub in &state.hubs {
        let name = &hub.settings.hub_name;
        if hub.users.is_empty() {
            out += &format!("\n[hubs.{name}.users]\n");
        }
        if hub.groups.is_empty() {
            out += &format!("\n[hubs.{name}.groups]\n");
        }
        if hub.sources.is_empty() {
            out = out.replacen(
                &format!("[hubs.{name}]\n"),
                &format!("[hubs.{name}]\nsources = []\n"),
                1,
            );
        }
        if hub.access.is_empty() {
            out = out.replacen(
                &format!("[hubs.{name}]\n"),
                &format!("[hubs.{name}]\naccess = []\n"),
                1,
            );
        }
    }
    out
}

/// Texts and policies that an export leaves out stay as they were.
fn keep_empty_texts(wanted: &mut State, reached: &State) {
    for (hub, known) in wanted.hubs.iter_mut().zip(&reached.hubs) {
        if hub.nat.dhcp_domain_name.is_empty() {
            hub.nat.dhcp_domain_name.clone_from(&known.nat.dhcp_domain_name);
        }
        for (group, known) in hub.groups.iter_mut().zip(&known.groups) {
            if group.realname.is_empty() {
                group.realname.clone_from(&known.realname);
            }
            group.policy = group.policy.clone().or_else(|| known.policy.clone());
        }
        for (user, known) in hub.users.iter_mut().zip(&known.users) {
            if user.group_name.is_empty() {
                user.group_name.clone_from(&known.group_name);
            }
            user.policy = user.policy.clone().or_else(|| known.policy.clone());
        }
    }
}
