//! Access lists: how administrators write them, and that the hub heeds them at once.

use protocol::rpc::HubRequest;
use protocol::rpc::access::{AccessKey, AccessList, AccessRule, NewAccessRule};
use protocol::rpc::method::{AddAccess, DeleteAccess, EnumAccess, GetHubStatus, SetAccessList};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};
use vpnserver::events::Event;

use crate::frame::{BROADCAST, frame, introduce, station};
use crate::peer::{Peer, enter, login};
use crate::site::lab;

fn of_lab() -> HubRequest {
    HubRequest {
        hub_name: "lab".to_owned(),
    }
}

fn rule(note: &str, priority: u32) -> AccessRule {
    AccessRule {
        note: note.to_owned(),
        active: true,
        priority,
        ..AccessRule::default()
    }
}

async fn add(admin: &mut AdminClient, rule: AccessRule) {
    let request = NewAccessRule {
        hub_name: "lab".to_owned(),
        rule,
    };
    admin.call::<AddAccess>(&request).await.unwrap();
}

async fn delete(admin: &mut AdminClient, id: u32) -> Option<u32> {
    let request = AccessKey {
        hub_name: "lab".to_owned(),
        id,
    };
    refusal(admin.call::<DeleteAccess>(&request).await)
}

async fn list(admin: &mut AdminClient) -> Vec<AccessRule> {
    admin.call::<EnumAccess>(&of_lab()).await.unwrap().rules
}

fn refusal<T>(outcome: Result<T, AdminError>) -> Option<u32> {
    match outcome.err()? {
        AdminError::Refused(code) => Some(code.code()),
        _ => None,
    }
}

fn notes(rules: &[AccessRule]) -> Vec<(u32, &str)> {
    rules.iter().map(|rule| (rule.id, rule.note.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_added_listed_in_order_and_deleted_by_place_or_key() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let drops = AccessRule {
        discard: true,
        ..rule("drop", 10)
    };
    for rule in [rule("last", 50), drops, rule("pass", 10)] {
        add(&mut admin, rule).await;
    }
    let rules = list(&mut admin).await;
    assert_eq!(notes(&rules), [(1, "pass"), (2, "drop"), (3, "last")]);
    assert!(rules.iter().all(|rule| rule.unique_id >= 32_768));
    let status = admin.call::<GetHubStatus>(&of_lab()).await.unwrap();
    assert_eq!(status.num_access_lists, 3);

    assert_eq!(delete(&mut admin, 1).await, None);
    assert_eq!(notes(&list(&mut admin).await), [(2, "drop"), (3, "last")]);
    assert_eq!(delete(&mut admin, rules[2].unique_id).await, None);
    for missing in [0, 1, 3, rules[2].unique_id] {
        assert_eq!(delete(&mut admin, missing).await, Some(29));
    }
    assert_eq!(notes(&list(&mut admin).await), [(2, "drop")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_out_of_range_is_brought_into_it_and_one_that_makes_no_sense_is_refused() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let wild = AccessRule {
        delay: 99_999,
        jitter: 500,
        loss: 101,
        src_port_start: 80,
        src_port_end: 1,
        dest_port_end: 5,
        src_username: " alice ".to_owned(),
        ..rule("wild", 0)
    };
    add(&mut admin, wild).await;
    let kept = list(&mut admin).await.remove(0);
    assert_eq!((kept.delay, kept.jitter, kept.loss), (10_000, 100, 100));
    assert_eq!((kept.src_port_start, kept.src_port_end), (80, 80));
    assert_eq!((kept.dest_port_start, kept.dest_port_end), (0, 5));
    assert_eq!(kept.src_username, "alice");

    let before = list(&mut admin).await;
    let bad = [
        AccessRule {
            src_ip_address: "2001:db8::1".parse().unwrap(),
            ..rule("IPv6 in a rule about IPv4", 1)
        },
        AccessRule {
            src_username: "u".repeat(256),
            ..rule("long", 1)
        },
        AccessRule {
            redirect_url: "u".repeat(256),
            ..rule("long", 1)
        },
    ];
    for rule in bad {
        let request = NewAccessRule {
            hub_name: "lab".to_owned(),
            rule: rule.clone(),
        };
        assert_eq!(refusal(admin.call::<AddAccess>(&request).await), Some(38));
        let request = AccessList {
            hub_name: "lab".to_owned(),
            rules: vec![rule],
        };
        assert_eq!(refusal(admin.call::<SetAccessList>(&request).await), Some(38));
    }
    let too_many = AccessList {
        hub_name: "lab".to_owned(),
        rules: vec![rule("", 1); 32_769],
    };
    assert_eq!(refusal(admin.call::<SetAccessList>(&too_many).await), Some(62));
    assert_eq!(list(&mut admin).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_read_and_written_back_stays_the_same() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let v6 = AccessRule {
        is_ipv6: true,
        src_ip_address6: [0x20; 16],
        src_subnet_mask6: [0xff; 16],
        check_tcp_state: true,
        established: true,
        check_src_mac: true,
        src_mac_address: [1; 6],
        src_mac_mask: [0xff; 6],
        ..rule("IPv6", 7)
    };
    let v4 = AccessRule {
        src_ip_address: "10.0.0.1".parse().unwrap(),
        src_subnet_mask: "255.0.255.0".parse().unwrap(),
        protocol: 17,
        active: false,
        ..rule("IPv4", 3)
    };
    add(&mut admin, v6).await;
    add(&mut admin, v4).await;
    let before = list(&mut admin).await;
    // What stands in the IPv4 fields then is no address of anybody (policies §4).
    assert_eq!(before[1].src_ip_address.to_string(), "223.255.255.253");
    let request = AccessList {
        hub_name: "lab".to_owned(),
        rules: before.clone(),
    };
    admin.call::<SetAccessList>(&request).await.unwrap();
    assert_eq!(list(&mut admin).await, before);
    let nowhere = HubRequest {
        hub_name: "nowhere".to_owned(),
    };
    assert_eq!(refusal(admin.call::<EnumAccess>(&nowhere).await), Some(8));
}

/// Whether a frame from one peer reaches the other.
async fn reaches(from: &Peer, to: &mut Peer, marker: u8) -> bool {
    // The second one comes from a station that no rule is about, and comes after the first.
    let first = frame(station(2), station(1), &[marker]);
    let second = frame(BROADCAST, station(9), &[marker]);
    from.send([first.clone(), second.clone()]);
    let came = to.receive().await;
    if came == second {
        return false;
    }
    assert_eq!(came, first);
    assert_eq!(to.receive().await, second);
    true
}

fn against_station_one(user: &str) -> AccessRule {
    AccessRule {
        discard: true,
        check_src_mac: true,
        src_mac_address: station(1),
        src_mac_mask: [0xff; 6],
        src_username: user.to_owned(),
        ..rule("", 5)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_in_force_when_it_is_acknowledged() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let mut alice = enter(&site, login("alice")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    introduce(&mut alice, &mut bob).await;
    assert!(reaches(&alice, &mut bob, 1).await);
    add(&mut admin, against_station_one("")).await;
    assert!(!reaches(&alice, &mut bob, 2).await);
    assert_eq!(delete(&mut admin, 1).await, None);
    assert!(reaches(&alice, &mut bob, 3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_can_name_users_in_a_file() {
    let folder = TempDir::new().unwrap();
    let lists = folder.path().join("user-lists");
    std::fs::create_dir(&lists).unwrap();
    std::fs::write(lists.join("suspects.txt"), "ALICE\n").unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let mut alice = enter(&site, login("alice")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    introduce(&mut alice, &mut bob).await;
    add(&mut admin, against_station_one("exclude:suspects.txt")).await;
    assert!(reaches(&alice, &mut bob, 1).await);
    add(&mut admin, against_station_one("include:suspects.txt")).await;
    assert!(!reaches(&alice, &mut bob, 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_users_outside_of_its_folder_is_told_of_and_not_read() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    add(&mut admin, against_station_one("include:../secret.key")).await;
    let (part, reason) = site
        .event(|event| match event {
            Event::PartFailed { part, reason, .. } => Some((part.clone(), reason.clone())),
            _ => None,
        })
        .await;
    assert!(part.contains("../secret.key"), "{part}");
    assert!(reason.contains("user-lists"), "{reason}");
}
