//! Ten thousand published hosts cost a packet what ten do, are put into force at once or not at all, and leave nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nat::Tag;
use nat::dnat::{DnatRule, Publisher};
use support::hosts::Host;
use support::{in_namespace, ruleset, run, setting};

/// Rules of every shape: one port, several sources, a range, an address, ports that change their numbers.
fn rules(count: u16) -> Vec<DnatRule> {
    let rule = |i: u16| {
        let (name, port) = (format!("rule-{i}"), 10_000 + i * 4);
        let to = format!("10.0.{}.{}:80", 1 + i / 200, 10 + i % 200);
        let host = to.trim_end_matches(":80").to_owned();
        let (ports, to, sources, dest) = match i % 10 {
            1 => (format!("{port}-{}", port + 3), host, "", ""),
            2 => (format!("{port}"), to, "203.0.113.0/25,198.51.100.0/24", ""),
            3 => (format!("{port}"), to, "", "203.0.113.1"),
            4 => (format!("{port}-{}", port + 2), to, "", ""),
            _ => (format!("{port}"), to, "", ""),
        };
        DnatRule::parse(&name, "tcp", &ports, &to, sources, dest).unwrap()
    };
    (0..count).map(rule).collect()
}

/// One port each, from 1000 on.
fn many(count: u32) -> Vec<DnatRule> {
    let rule = |i: u32| {
        let (name, port) = (format!("rule-{i}"), (1000 + i).to_string());
        DnatRule::parse(&name, "tcp", &port, "10.0.1.26:80", "", "").unwrap()
    };
    (0..count).map(rule).collect()
}

/// Lines of chains by chain: what a packet may have to pass.
fn chains(listing: &str) -> BTreeMap<String, usize> {
    let mut chains = BTreeMap::new();
    let mut chain = None;
    for line in listing.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ") {
            chain = Some(name.to_owned());
        } else if line == "}" {
            chain = None;
        } else if let Some(chain) = &chain {
            *chains.entry(chain.clone()).or_default() += 1;
        }
    }
    chains
}

#[test]
fn a_packet_passes_the_same_lines_whether_there_are_ten_rules_or_many() {
    in_namespace(|| async {
        let publisher = Publisher::kernel(Tag::new("t1"));
        publisher.apply(&rules(10)).await.unwrap();
        let few = chains(&run("nft", "-t list ruleset"));
        publisher.apply(&rules(400)).await.unwrap();
        let terse = run("nft", "-t list ruleset");
        assert_eq!(chains(&terse), few);
        assert!(few.values().sum::<usize>() < 60, "{few:?}");
        // The most common kind is looked up in hash tables, which are no slower when they are full.
        let hash = |map: &str| {
            let (_, rest) = terse.split_once(&format!("map {map} {{")).unwrap();
            !rest.split_once('}').unwrap().0.contains("interval")
        };
        assert!(hash("public.any.port") && hash("public.at.port") && hash("public.any.flow"));
        assert!(!hash("public.any.range") && !hash("public.any.sources"));
    });
}

/// What the lookup of a new connection costs, for whoever runs this with `--no-capture`.
fn connections_a_second(client: &Host) -> u64 {
    const COUNT: u32 = 3000;
    let to: SocketAddr = "203.0.113.1:1005".parse().unwrap();
    client.call(move || {
        let began = Instant::now();
        for _ in 0..COUNT {
            TcpStream::connect(to).unwrap();
        }
        (f64::from(COUNT) / began.elapsed().as_secs_f64()) as u64
    })
}

#[test]
fn ten_thousand_rules_are_one_transaction_and_one_more_is_a_small_one() {
    in_namespace(|| async {
        let client = Host::join("wan0", "203.0.113.1", "203.0.113.10", true);
        let server = Host::join("lan0", "10.0.1.1", "10.0.1.26", true);
        server.serve("10.0.1.26:80");
        let publisher = Publisher::kernel(Tag::new("t1"));
        publisher.apply(&many(10)).await.unwrap();
        let few = connections_a_second(&client);
        let mut rules = many(10_001);
        let last = rules.pop().unwrap();
        let elements = || {
            run("nft", "list map ip hubward_t1.dnat public.any.port")
                .matches("comment")
                .count()
        };
        let began = Instant::now();
        match publisher.apply(&rules).await {
            // In a user namespace `nft` cannot make its socket as large as this takes.
            Err(error) if !support::is_privileged() => {
                assert!(error.to_string().contains("net.core.wmem_default"), "{error}");
                assert_eq!(elements(), 10, "all or nothing: what was in force still is");
                return;
            }
            applied => drop(applied.unwrap()),
        }
        println!("10,000 rules in {:?}", began.elapsed());
        assert_eq!(elements(), 10_000);
        assert!(client.who_am_i("203.0.113.1:1999").is_some());
        assert!(client.who_am_i("203.0.113.1:10999").is_some());
        assert!(client.who_am_i("203.0.113.1:11000").is_none());
        let handle = || run("nft", "-a list tables");
        println!(
            "{few} connections a second with ten rules, {} with ten thousand",
            connections_a_second(&client)
        );
        let before = handle();
        rules.push(last);
        let began = Instant::now();
        publisher.apply(&rules).await.unwrap();
        println!("one more in {:?}", began.elapsed());
        assert_eq!(handle(), before, "the table was not made anew");
        assert!(client.who_am_i("203.0.113.1:11000").is_some());
        assert_eq!(publisher.counters().await.unwrap()["rule-999"].connections, 1);
        publisher.clear().await.unwrap();
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn a_process_killed_while_it_applies_leaves_all_rules_or_none() {
    const PART: &str = "HUBWARD_TEST_APPLIES";
    const RULES: u32 = 400;
    if std::env::var_os(PART).is_some() {
        // The process that is killed. It has the namespace of the one that started it.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let publisher = Publisher::kernel(Tag::new("t1"));
            loop {
                publisher.apply(&many(RULES)).await.unwrap();
                publisher.apply(&many(1)).await.unwrap();
            }
        });
        return;
    }
    in_namespace(|| async {
        netdev::sysctl::write("net.ipv4.ip_forward", "0").unwrap();
        let before = ruleset();
        for round in 0..12_u64 {
            let mut victim = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "a_process_killed_while_it_applies_leaves_all_rules_or_none",
                ])
                .env(PART, "1")
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            // Not to wait for anything, but to be somewhere else each time.
            tokio::time::sleep(Duration::from_millis(30 + round * 67)).await;
            victim.kill().unwrap();
            victim.wait().unwrap();
            let listing = Command::new("nft")
                .args(["list", "map", "ip", "hubward_t1.dnat", "public.any.port"])
                .output()
                .unwrap();
            let elements = String::from_utf8_lossy(&listing.stdout)
                .matches("comment")
                .count();
            assert!(
                [0, 1, RULES as usize].contains(&elements),
                "{elements} in round {round}"
            );
            // The next start takes it over, or away.
            Publisher::kernel(Tag::new("t1")).clear().await.unwrap();
            assert_eq!(
                (ruleset(), setting("net.ipv4.ip_forward")),
                (before.clone(), "0".to_owned())
            );
        }
    });
}

#[test]
fn a_missing_or_failing_nft_is_named_and_nothing_is_left_behind() {
    const PART: &str = "HUBWARD_TEST_WITHOUT_NFT";
    if let Some(words) = std::env::var_os(PART) {
        // The process whose PATH has no nft, or another one.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let said = runtime.block_on(async {
            let publisher = Publisher::kernel(Tag::new("t1"));
            let said = publisher.apply(&many(1)).await.unwrap_err().to_string();
            assert!(
                publisher.rules().is_empty(),
                "what is not in force is not shown as such"
            );
            said
        });
        assert!(said.contains(words.to_str().unwrap()), "{said}");
        return;
    }
    in_namespace(|| async {
        netdev::sysctl::write("net.ipv4.ip_forward", "0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run_with_path = |words: &str| {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "a_missing_or_failing_nft_is_named_and_nothing_is_left_behind",
                ])
                .env(PART, words)
                .env("PATH", folder.path())
                .status()
                .unwrap()
                .success()
        };
        assert!(run_with_path("install the package `nftables`"));
        // One that lists, and fails to change anything.
        let script = "#!/bin/sh\ncase \"$*\" in *'list table '*) echo 'Error: No such file or directory' >&2; exit 1;; \
                      *list*) echo '{\"nftables\": []}'; exit 0;; esac\n\
                      echo 'Error: Could not process rule: Out of luck' >&2\nexit 1\n";
        let nft = folder.path().join("nft");
        std::fs::write(&nft, script).unwrap();
        std::fs::set_permissions(&nft, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(run_with_path("Out of luck"));
        assert_eq!(
            (ruleset(), setting("net.ipv4.ip_forward")),
            (String::new(), "0".to_owned())
        );
    });
}
