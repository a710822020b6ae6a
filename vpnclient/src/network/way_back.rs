//! Who on this machine is strict about the way back: packets are dropped that come in where their answers would not go out.
//!
//! They look for that way without the tunnel's mark, and would find it in the tunnel.

use netdev::capability::find_program;
use netdev::sysctl;

use super::program::run;
use super::setting;

/// The value of `rp_filter` by which the kernel is.
const STRICT: u8 = 1;
/// Matches of the older tables of firewalls, where there are any.
const MATCHES: [&str; 2] = ["/proc/net/ip_tables_matches", "/proc/net/ip6_tables_matches"];

/// Whether the kernel is, of packets that come in at this device. With IPv6 it never is.
pub(super) fn kernel_is_strict(device: &str) -> bool {
    let of = |name: &str| {
        sysctl::read(&setting("ipv4", name, "rp_filter"))
            .ok()
            .and_then(|value| value.parse::<u8>().ok())
            .unwrap_or(0)
    };
    of("all").max(of(device)) == STRICT
}

/// Whether a firewall may be, as firewalld is with IPv6 unless told otherwise.
pub(super) async fn firewall_is_strict() -> bool {
    let is_loaded =
        |file: &&str| std::fs::read_to_string(file).is_ok_and(|matches| matches.contains("rpfilter"));
    if MATCHES.iter().any(is_loaded) {
        return true;
    }
    let Some(nft) = find_program("nft") else {
        return false;
    };
    let ruleset = run(&nft, &["--terse", "list", "ruleset"], "").await;
    ruleset.is_ok_and(|ruleset| asks_for_the_way_back(&ruleset))
}

fn asks_for_the_way_back(ruleset: &str) -> bool {
    let mut lines = ruleset.lines();
    lines.any(|line| line.contains("fib saddr") || line.contains("rpfilter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firewall_that_looks_for_the_way_back_is_known_by_its_rules() {
        let firewalld = "table inet firewalld {\n\tchain filter_PREROUTING {\n\
                         \t\tmeta nfproto ipv6 fib saddr . mark . iif oif missing drop\n\t}\n}\n";
        assert!(asks_for_the_way_back(firewalld));
        let older = "table ip6 raw {\n\tchain PREROUTING {\n\t\txt match \"rpfilter\" counter drop\n\t}\n}\n";
        assert!(asks_for_the_way_back(older));
        let other = "table inet filter {\n\tchain input {\n\t\tfib daddr type local ip saddr 10.0.0.0/8 accept\n\t}\n}\n";
        assert!(!asks_for_the_way_back(other));
    }
}
