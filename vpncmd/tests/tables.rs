//! Tables and refusals that no capture shows, as the stock tool prints them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::audit::{AuditList, AuditRow};
use protocol::rpc::dnat::{Dnat, DnatCheck, DnatList, DnatProtocol, DnatRow};
use protocol::rpc::option::{HubOption, HubOptions};
use protocol::rpc::securenat::{
    DhcpReservation, DhcpReservationList, DhcpReservationRow, DhcpRow, DhcpTable, NatProtocol, NatRow,
    NatTable, NatTcpState,
};
use protocol::rpc::{RpcMessage, Timestamp};
use vpncmd::console::Style;

/// Prints what a command makes of an answer, from its table on.
fn printed(command: &str, answer: &impl RpcMessage, style: Style) -> String {
    let (mut shell, screen) = common::answering(answer.to_pack(), style);
    shell.run(&common::words(command));
    assert_eq!(shell.last(), 0, "{}", screen.text());
    screen.text()
}

fn time(text: &str) -> Timestamp {
    vpncmd::calendar::Calendar::utc().parse(text).unwrap()
}

fn leases() -> DhcpTable {
    let lease = DhcpRow {
        id: 1,
        leased_time: time("2026-11-23 15:08:41"),
        expire_time: time("2026-11-23 17:08:41"),
        mac_address: [0x5e, 0x81, 0xb6, 0xbe, 0xbe, 0x58],
        ip_address: "192.168.30.10".parse().unwrap(),
        hostname: "laptop".to_owned(),
        ..DhcpRow::default()
    };
    DhcpTable {
        hub_name: "HUB1".to_owned(),
        leases: vec![lease],
    }
}

/// Calls of a server with one reservation, which refuses another one.
fn with_a_reservation(line: &str) -> (u32, String) {
    let list = DhcpReservationList {
        hub_name: "HUB1".to_owned(),
        reservations: vec![DhcpReservationRow {
            ip_address: "192.168.30.50".parse().unwrap(),
            user_name: "alice".to_owned(),
            leased: true,
            leased_to: [0x5e, 0x81, 0xb6, 0xbe, 0xbe, 0x58],
            ..DhcpReservationRow::default()
        }],
    };
    let answer = move |method: &str, request: &Pack| match method {
        "EnumDhcpReservation" => Ok(list.to_pack()),
        "DeleteDhcpReservation" => {
            let named = DhcpReservation::from_pack(request).unwrap();
            assert_eq!(named.ip_address, list.reservations[0].ip_address);
            Ok(request.clone())
        }
        _ => Err(ErrorCode::ObjectExists),
    };
    let hub = Some("HUB1");
    let (mut shell, screen) = common::shell(common::Answers(answer), hub, Style::default(), "");
    shell.run(&common::words(line));
    (shell.last(), screen.text())
}

#[test]
fn a_clash_of_reservations_names_the_other() {
    let (code, text) = with_a_reservation("DhcpReserveAdd 192.168.30.50 /USER:bob");
    assert_eq!(code, ErrorCode::ObjectExists.code());
    assert!(
        text.contains(
            "192.168.30.50 is reserved for the user alice already. DhcpReserveDelete 192.168.30.50"
        ),
        "{text}"
    );
    let (_, text) = with_a_reservation("DhcpReserveAdd 192.168.30.51 /USER:Alice");
    assert!(
        text.contains("the user alice has 192.168.30.50 reserved already."),
        "{text}"
    );
    for line in [
        "DhcpReserveAdd 192.168.30.51",
        "DhcpReserveAdd 192.168.30.51 /USER:bob /MAC:5E-00-00-00-00-01",
    ] {
        let (code, text) = with_a_reservation(line);
        assert!(code == 38 && text.contains("Say whose the address is"), "{text}");
    }
}

#[test]
fn a_reservation_is_deleted_by_its_address_or_by_its_holder() {
    for line in ["DhcpReserveDelete 192.168.30.50", "DhcpReserveDelete ALICE"] {
        let (code, text) = with_a_reservation(line);
        assert_eq!(code, 0, "{text}");
    }
    let (code, _) = with_a_reservation("DhcpReserveDelete bob");
    assert_eq!(code, ErrorCode::ObjectNotFound.code());
}

#[test]
fn reservations_say_who_has_them() {
    let (_, text) = with_a_reservation("DhcpReserveList");
    assert!(
        text.contains("alice") && text.contains("Leased to 5E-81-B6-BE-BE-58"),
        "{text}"
    );
}

#[test]
fn leases_are_printed_as_blocks() {
    let expected = "\
Item            |Value
----------------+-------------------------
ID              |1
Leased at       |2026-11-23 (Mon) 15:08:41
Expires at      |2026-11-23 (Mon) 17:08:41
MAC Address     |5E-81-B6-BE-BE-58
Allocated IP    |192.168.30.10
Client Host Name|laptop
";
    assert!(printed("DhcpTable", &leases(), Style::default()).contains(expected));
}

#[test]
fn csv_has_a_row_per_lease_and_nothing_else() {
    let expected = "\
ID,Leased at,Expires at,MAC Address,Allocated IP,Client Host Name
1,2026-11-23 (Mon) 15:08:41,2026-11-23 (Mon) 17:08:41,5E-81-B6-BE-BE-58,192.168.30.10,laptop
";
    assert_eq!(
        printed(
            "DhcpTable",
            &leases(),
            Style {
                csv: true,
                ..Style::default()
            }
        ),
        expected
    );
}

#[test]
fn json_is_the_answer_and_nothing_else() {
    for (command, style) in [
        (
            "DhcpTable",
            Style {
                json: true,
                ..Style::default()
            },
        ),
        (
            "DhcpTable --json",
            Style {
                csv: true,
                ..Style::default()
            },
        ),
    ] {
        let value: serde_json::Value = serde_json::from_str(&printed(command, &leases(), style)).unwrap();
        assert_eq!(value["DhcpTable"][0]["Hostname_str"], "laptop");
        assert_eq!(value["DhcpTable"][0]["IpAddress_ip"], "192.168.30.10");
    }
}

#[test]
fn nat_sessions_show_a_state_for_tcp_only() {
    let session = |id, protocol, tcp_state| NatRow {
        id,
        protocol,
        src_host: "192.168.30.10".to_owned(),
        src_port: 50568,
        dest_host: "10.99.0.1".to_owned(),
        dest_port: 7777,
        created_time: time("2026-11-23 15:08:41"),
        last_comm_time: time("2026-11-23 15:08:41"),
        send_size: 1234,
        recv_size: 5,
        tcp_state,
        ..NatRow::default()
    };
    let table = NatTable {
        hub_name: "HUB1".to_owned(),
        sessions: vec![
            session(1, NatProtocol::Tcp, NatTcpState::Established),
            session(2, NatProtocol::Udp, NatTcpState::Established),
        ],
    };
    let text = printed("NatTable", &table, Style::default());
    assert!(
        text.contains("Receive / Send Size    |5 / 1,234\nTCP Connection Status  |Running\n---"),
        "{text}"
    );
    assert!(
        text.contains("Protocol               |UDP/IP\n") && text.contains("TCP Connection Status  |\n"),
        "{text}"
    );
}

#[test]
fn published_hosts_are_printed_as_a_table() {
    let any = "0.0.0.0".parse().unwrap();
    let rule = Dnat {
        name: "web".to_owned(),
        protocol: DnatProtocol::Tcp,
        port_start: 80,
        port_end: 80,
        to_ip_address: "10.0.1.26".parse().unwrap(),
        to_port: 80,
        dest_ip_address: any,
        check: DnatCheck::Tcp,
        host_name: "web.private".to_owned(),
        ..Dnat::default()
    };
    let limited = Dnat {
        name: "games".to_owned(),
        protocol: DnatProtocol::Udp,
        port_start: 8000,
        port_end: 8010,
        sources: "198.51.100.9/32,203.0.113.0/24".to_owned(),
        dest_ip_address: "203.0.113.1".parse().unwrap(),
        to_port: 0,
        group: "office/staff".to_owned(),
        host_name: String::new(),
        ..rule.clone()
    };
    let active = DnatRow {
        rule,
        active: true,
        flows: 12,
        packets: 1234,
        bytes: 1_234_567,
        health: "up".to_owned(),
        ..DnatRow::default()
    };
    let broken = DnatRow {
        rule: limited,
        problem: "no nft here".to_owned(),
        ..DnatRow::default()
    };
    let text = printed(
        "DnatList",
        &DnatList {
            rules: vec![active, broken],
        },
        Style::default(),
    );
    let expected = "\
Name |Protocol|Port     |Destination |Source                         |Address    |Group       |Host Name  |Flows|Packets|Bytes    |Health|Status
-----+--------+---------+------------+-------------------------------+-----------+------------+-----------+-----+-------+---------+------+------------------
web  |tcp     |80       |10.0.1.26:80|Any                            |Any        |Any         |web.private|12   |1,234  |1,234,567|up    |Operating
games|udp     |8000-8010|10.0.1.26   |198.51.100.9/32, 203.0.113.0/24|203.0.113.1|office/staff|           |0    |0      |0        |      |Error: no nft here
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_audit_log_is_printed_as_a_table() {
    let made = AuditRow {
        id: 12,
        time: Timestamp(1_900_000_000_000),
        who: "hub".to_owned(),
        who_name: "lab".to_owned(),
        from: "203.0.113.9:4711".to_owned(),
        transport: "json".to_owned(),
        method: "CreateUser".to_owned(),
        hub: "lab".to_owned(),
        object: "ann".to_owned(),
        ..AuditRow::default()
    };
    let refused = AuditRow {
        id: 11,
        who: "stranger".to_owned(),
        who_name: String::new(),
        method: "Login".to_owned(),
        hub: String::new(),
        object: String::new(),
        result: 12,
        left_out: 1234,
        ..made.clone()
    };
    let list = AuditList {
        lines: vec![made, refused],
    };
    let text = printed("AuditList /MAX:2 /BEFORE:13", &list, Style::default());
    for line in [
        "|Administrator of lab|203.0.113.9:4711 (json)|CreateUser|lab|ann   |Done\n",
        "|Nobody known        |203.0.113.9:4711 (json)|Login     |   |      |Refused (12), after 1,234 more\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let calls = calls("AuditList /MAX:2 /BEFORE:13", &list.to_pack());
    assert_eq!(calls[0].0, "EnumAudit");
    assert_eq!(
        (
            calls[0].1.str("HubName"),
            calls[0].1.int("Max"),
            calls[0].1.int64s("Before")
        ),
        (Some("HUB1"), Some(2), &[13][..])
    );
}

/// Runs a command and returns the calls it makes, each with its request.
fn calls(line: &str, answer: &Pack) -> Vec<(String, Pack)> {
    let seen: Rc<RefCell<Vec<(String, Pack)>>> = Rc::default();
    let (log, answer) = (Rc::clone(&seen), answer.clone());
    let server = common::Answers(move |method: &str, request: &Pack| {
        log.borrow_mut().push((method.to_owned(), request.clone()));
        Ok(answer.clone())
    });
    let (mut shell, screen) = common::shell(server, Some("HUB1"), Style::default(), "");
    shell.run(&common::words(line));
    assert_eq!(shell.last(), 0, "{line}: {}", screen.text());
    seen.take()
}

#[test]
fn a_published_host_is_sent_as_it_was_typed() {
    let line = "DnatAdd web /PROTO:tcp /DPORT:8000-8010 /TO:10.0.1.26:80 /SOURCE:203.0.113.0/24 /DEST:203.0.113.1 \
         /GROUP:office/staff /NAME:web.private /CHECK:tcp /INTERVAL:10";
    let [(method, request)] = &calls(line, &Pack::new())[..] else {
        panic!()
    };
    assert_eq!(method, "AddDnat");
    let rule = Dnat::from_pack(request).unwrap();
    assert_eq!((rule.port_start, rule.port_end, rule.to_port), (8000, 8010, 80));
    assert_eq!(rule.sources, "203.0.113.0/24");
    assert_eq!(
        (rule.group.as_str(), rule.host_name.as_str()),
        ("office/staff", "web.private")
    );
    assert_eq!(
        (rule.check, rule.check_interval, rule.check_timeout),
        (DnatCheck::Tcp, 10, 0)
    );
    assert_eq!(rule.dest_ip_address.to_string(), "203.0.113.1");
}

#[test]
fn one_option_is_changed_among_the_others() {
    let option = |name: &str, value| HubOption {
        name: name.to_owned(),
        value,
        ..HubOption::default()
    };
    let options = HubOptions {
        hub_name: "HUB1".to_owned(),
        options: vec![option("NoIpTable", 0), option("AdjustTcpMssValue", 0)],
    };
    let seen = calls("ExtOptionSet adjusttcpmssvalue /VALUE:1300", &options.to_pack());
    let sent = HubOptions::from_pack(&seen[1].1).unwrap();
    assert_eq!(
        sent.options.iter().map(|option| option.value).collect::<Vec<_>>(),
        [0, 1300]
    );
}

#[test]
fn a_lost_connection_is_the_stock_number_three() {
    let (mut shell, screen) = common::shell(
        common::Answers(|_: &str, _: &Pack| Err(ErrorCode::Disconnected)),
        None,
        Style::default(),
        "",
    );
    shell.run(&common::words("HubList"));
    assert_eq!(shell.last(), 3);
    assert!(
        screen.text().contains("Error occurred. (Error code: 3)\n"),
        "{}",
        screen.text()
    );
}

#[test]
fn json_errors_are_objects_with_the_stock_number() {
    let style = Style {
        json: true,
        ..Style::default()
    };
    let (mut shell, screen) = common::shell(
        common::Answers(|_: &str, _: &Pack| Err(ErrorCode::HubNotFound)),
        None,
        style,
        "",
    );
    shell.run(&common::words("Hub NOHUB"));
    let value: serde_json::Value = serde_json::from_str(&screen.text()).unwrap();
    assert_eq!(value["error"]["code"], 8);
}

#[test]
fn the_end_of_the_input_ends_a_command_that_asks() {
    let (mut shell, screen) = common::answering(Pack::new(), Style::default());
    shell.run(&common::words("UserCreate"));
    assert_eq!(shell.last(), 38);
    assert!(screen.text().ends_with("User Name: \n"), "{}", screen.text());
}

#[test]
fn a_password_is_never_shown_again() {
    for line in [
        "UserPasswordSet bob /PASSWORD:hunter2",
        "ServerPasswordSet hunter2",
        "ServerPasswordSet //hunter2",
        "ServerPasswordSet /hunter2",
        "HubCreate X -pass=hunter2",
    ] {
        let (mut shell, screen) = common::answering(Pack::new(), Style::default());
        shell.run_once(&common::words(line));
        assert!(!screen.text().contains("hunter2"), "{}", screen.text());
        assert!(screen.text().contains("********"), "{}", screen.text());
    }
}

#[test]
fn a_script_goes_on_after_an_error_and_ends_with_the_last_result() {
    let script = "Foo\nHub HUB2\nexit\nFoo\n";
    let status = protocol::rpc::hub::HubStatus {
        hub_name: "HUB2".to_owned(),
        ..Default::default()
    }
    .to_pack();
    let (mut shell, screen) = common::shell(
        common::Answers(move |_: &str, _: &Pack| Ok(status.clone())),
        None,
        Style::default(),
        script,
    );
    shell.interact();
    assert_eq!(shell.last(), 0);
    let text = screen.text();
    assert!(
        text.starts_with("VPN Server>Foo\n\"Foo\": Command not found."),
        "{text}"
    );
    assert!(
        text.contains("VPN Server>Hub HUB2\n") && text.ends_with("VPN Server/HUB2>exit\n"),
        "{text}"
    );
}

#[test]
fn programming_prompts_carry_the_last_code_and_nothing_is_asked() {
    let style = Style {
        programming: true,
        ..Style::default()
    };
    let (mut shell, screen) = common::shell(
        common::Answers(|_: &str, _: &Pack| Ok(Pack::new())),
        None,
        style,
        "Foo\nListenerCreate\n",
    );
    shell.interact();
    assert_eq!(shell.last(), 38);
    let text = screen.text();
    assert!(
        text.starts_with("[PROMPT:0:VPN Server>]\nFoo\n") && text.contains("[PROMPT:117:VPN Server>]\n"),
        "{text}"
    );
    assert!(!text.contains("Port number of"), "{text}");
}
