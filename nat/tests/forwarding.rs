//! Kernel settings that several holders, of several processes, need at the same time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use nat::leftovers::{self, Presence};
use nat::{Forwarding, Tag};
use netdev::sysctl;
use support::{in_namespace, ruleset, run, setting};

const FORWARD: &str = "net.ipv4.ip_forward";
const REDIRECTS: &str = "net.ipv4.conf.all.send_redirects";

fn prepare() {
    sysctl::write(FORWARD, "0").unwrap();
    sysctl::write(REDIRECTS, "1").unwrap();
}

fn settings() -> (String, String) {
    (setting(FORWARD), setting(REDIRECTS))
}

/// Notes as another process has them.
fn notes_of_another(tag: &str) {
    run("nft", &format!("add table ip hubward_{tag}.found"));
    run("nft", &format!("add chain ip hubward_{tag}.found notes"));
    for note in ["net.ipv4.ip_forward=0", "net.ipv4.conf.all.send_redirects=1"] {
        let rule = format!("add rule ip hubward_{tag}.found notes counter comment \"found {note}\"");
        run("nft", &rule);
    }
}

fn both(one: &str, two: &str) -> (String, String) {
    (one.to_owned(), two.to_owned())
}

#[test]
fn the_last_holder_puts_back_what_the_first_found() {
    in_namespace(|| async {
        prepare();
        let first = Forwarding::hold(&Tag::new("a"), &[]).await.unwrap();
        let second = Forwarding::hold(&Tag::new("b"), &[]).await.unwrap();
        first.release().await;
        assert_eq!(settings(), both("1", "0"));
        second.release().await;
        assert_eq!(settings(), both("0", "1"));
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn another_process_that_goes_first_or_last_changes_nothing_of_that() {
    in_namespace(|| async {
        prepare();
        notes_of_another("other");
        sysctl::write(FORWARD, "1").unwrap();
        sysctl::write(REDIRECTS, "0").unwrap();

        let ours = Forwarding::hold(&Tag::new("a"), &[]).await.unwrap();
        ours.release().await;
        assert_eq!(settings(), both("1", "0"), "the other one still needs them");

        let ours = Forwarding::hold(&Tag::new("a"), &[]).await.unwrap();
        run("nft", "delete table ip hubward_other.found");
        ours.release().await;
        assert_eq!(
            settings(),
            both("0", "1"),
            "what the other one found was taken over"
        );
    });
}

#[test]
fn a_device_keeps_its_redirects_off_while_it_is_held() {
    in_namespace(|| async {
        prepare();
        run("ip", "link add dev0.7 type veth peer name peer");
        let own = "net.ipv4.conf.dev0/7.send_redirects";
        assert_eq!(setting(own), "1");
        let held = Forwarding::hold(&Tag::new("a"), &["dev0.7"]).await.unwrap();
        assert_eq!(setting(own), "0");
        held.release().await;
        assert_eq!(setting(own), "1");

        // A device that went in the meantime is no trouble.
        let held = Forwarding::hold(&Tag::new("a"), &["dev0.7"]).await.unwrap();
        run("ip", "link del dev0.7");
        held.release().await;
        assert_eq!(settings(), both("0", "1"));
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn settings_that_are_right_already_need_no_note_and_stay() {
    in_namespace(|| async {
        sysctl::write(FORWARD, "1").unwrap();
        sysctl::write(REDIRECTS, "0").unwrap();
        // The kernel's counters, which not every machine has.
        let _ = sysctl::write("net.netfilter.nf_conntrack_acct", "1");
        let held = Forwarding::hold(&Tag::new("a"), &[]).await.unwrap();
        assert_eq!(ruleset(), "");
        held.release().await;
        assert_eq!(settings(), both("1", "0"));
    });
}

#[test]
fn a_hold_that_ends_late_does_not_end_the_next_one() {
    in_namespace(|| async {
        prepare();
        drop(Forwarding::hold(&Tag::new("a"), &[]).await.unwrap());
        let again = Forwarding::hold(&Tag::new("a"), &[]).await.unwrap();
        tokio::task::yield_now().await;
        let third = Forwarding::hold(&Tag::new("b"), &[]).await.unwrap();
        assert_eq!(settings(), both("1", "0"));
        again.release().await;
        third.release().await;
        assert_eq!(settings(), both("0", "1"));
    });
}

#[test]
fn what_killed_servers_of_any_tag_left_is_found_told_and_removed_and_the_living_keep_theirs() {
    in_namespace(|| async {
        prepare();
        run("nft", "add table inet theirs");
        let before = ruleset();
        notes_of_another("ab12");
        notes_of_another("instance");
        run("nft", "add table ip hubward_ab12000001");
        run("nft", "add table ip6 hubward_ab12.dnat");
        run("ip", "link add hwn_ab12000001 type veth peer name peer");
        sysctl::write(FORWARD, "1").unwrap();
        let presence = Presence::announce("cd34").unwrap();
        assert!(Presence::announce("cd34").is_none(), "it is there once");
        run("nft", "add table ip hubward_cd34000001");

        let found = leftovers::find().await.unwrap();
        let told: Vec<_> = found.leftovers.iter().map(ToString::to_string).collect();
        for part in [
            "ip hubward_ab12.found, setting net.ipv4.conf.all.send_redirects (back to 1), setting net.ipv4.ip_forward (back to 0)",
            "ip hubward_instance.found",
            "ip hubward_ab12000001",
            "ip6 hubward_ab12.dnat",
            "device hwn_ab12000001",
        ] {
            assert!(told.iter().any(|line| line.contains(part)), "{part}: {told:?}");
        }
        assert_eq!(told.len(), 5, "{told:?}");
        assert_eq!(found.present, ["cd34000001"]);
        for leftover in found.leftovers {
            leftover.remove().await.unwrap();
        }
        assert_eq!(settings(), both("0", "1"));
        assert!(!run("ip", "-o link").contains("hwn_"));
        assert!(ruleset().contains("hubward_cd34000001"));
        run("nft", "delete table ip hubward_cd34000001");
        assert_eq!(ruleset(), before);
        drop(presence);
        assert!(leftovers::find().await.unwrap().leftovers.is_empty());
    });
}

#[test]
fn a_server_that_starts_again_clears_its_own_and_nobody_elses() {
    in_namespace(|| async {
        prepare();
        notes_of_another("ab12");
        run("nft", "add table ip hubward_ab12000001");
        run("nft", "add table ip hubward_ab12.dnat");
        run("nft", "add table ip hubward_cd34000001");
        sysctl::write(FORWARD, "1").unwrap();
        leftovers::clear("ab12").await.unwrap();
        let tables = ruleset();
        assert!(!tables.contains("hubward_ab12000001"), "{tables}");
        for kept in ["hubward_ab12.dnat", "hubward_ab12.found", "hubward_cd34000001"] {
            assert!(tables.contains(kept), "{kept} is gone: {tables}");
        }
        assert_eq!(setting(FORWARD), "1");
        leftovers::settle("ab12").await.unwrap();
        assert!(!ruleset().contains("hubward_ab12.found"));
        assert_eq!(setting(FORWARD), "0");
    });
}
