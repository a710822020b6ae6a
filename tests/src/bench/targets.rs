//! What is promised: as ratios of medians of one run, and a few things as they are.

use super::Contestant;
use super::idle::Idle;
use super::measure::Figure;
use super::rest::Rest;
use super::results::Results;
use super::table::markdown;

/// A bound on a ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One promise: `figures` of `ours` divided by those of `stock`, each within `bound`.
struct Target {
    what: &'static str,
    ours: Contestant,
    stock: Contestant,
    figures: &'static [Figure],
    bound: Bound,
}

const BOTH_WAYS: &[Figure] = &[Figure::Up, Figure::Down];

const TARGETS: [Target; 9] = [
    Target {
        what: "TCP up and down, to SoftEther at its fastest",
        ours: Contestant::Ours,
        stock: Contestant::Stock,
        figures: BOTH_WAYS,
        bound: Bound::AtLeast(2.5),
    },
    Target {
        what: "TCP up and down, to SoftEther as it comes",
        ours: Contestant::Ours,
        stock: Contestant::StockDefault,
        figures: BOTH_WAYS,
        bound: Bound::AtLeast(4.5),
    },
    Target {
        what: "stock client on vpnserver, to SoftEther at its fastest",
        ours: Contestant::StockOnOurs,
        stock: Contestant::Stock,
        figures: BOTH_WAYS,
        bound: Bound::AtLeast(1.2),
    },
    Target {
        what: "64-byte frames a second, to SoftEther at its fastest",
        ours: Contestant::Ours,
        stock: Contestant::Stock,
        figures: &[Figure::Frames],
        bound: Bound::AtLeast(1.6),
    },
    Target {
        what: "RTT under one TCP stream, to SoftEther at its fastest",
        ours: Contestant::Ours,
        stock: Contestant::Stock,
        figures: &[Figure::Loaded],
        bound: Bound::AtMost(0.6),
    },
    Target {
        what: "SecureNAT by the kernel, up, stock client, to SoftEther's",
        ours: Contestant::StockOnKernelNat,
        stock: Contestant::StockNat,
        figures: &[Figure::Up],
        bound: Bound::AtLeast(8.0),
    },
    Target {
        what: "SecureNAT by the kernel, down, stock client, to SoftEther's",
        ours: Contestant::StockOnKernelNat,
        stock: Contestant::StockNat,
        figures: &[Figure::Down],
        bound: Bound::AtLeast(2.0),
    },
    Target {
        what: "SecureNAT without privileges, up, stock client, to SoftEther's",
        ours: Contestant::StockOnUserNat,
        stock: Contestant::StockNat,
        figures: &[Figure::Up],
        bound: Bound::AtLeast(4.0),
    },
    Target {
        what: "SecureNAT without privileges, down, stock client, to SoftEther's",
        ours: Contestant::StockOnUserNat,
        stock: Contestant::StockNat,
        figures: &[Figure::Down],
        bound: Bound::AtLeast(1.3),
    },
];

/// What a stream through SOCKS5 carries at least, each way, in Mbit/s.
const SOCKS5_MEGABITS: f64 = 500.0;
/// What a round trip at rest may take, as a multiple of what it takes through the stock software.
const REST: f64 = 0.8;
/// What an idle server may take: percent of a core, MiB.
const IDLE_PERCENT: f64 = 0.3;
const IDLE_MEBIBYTES: f64 = 30.0;

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => ratio >= bound,
            Bound::AtMost(bound) => ratio <= bound,
        }
    }

    fn shown(self) -> String {
        match self {
            Bound::AtLeast(bound) => format!("at least {bound}"),
            Bound::AtMost(bound) => format!("at most {bound}"),
        }
    }
}

/// The row of a target whose figures were all measured.
fn row(target: &Target, results: &Results) -> Option<Vec<String>> {
    let ratio = |figure: &Figure| {
        Some(results.median(target.ours, *figure)? / results.median(target.stock, *figure)?)
    };
    let ratios: Vec<f64> = target.figures.iter().map(ratio).collect::<Option<_>>()?;
    let met = ratios.iter().all(|ratio| target.bound.holds(*ratio));
    let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    Some(vec![
        target.what.to_owned(),
        target.bound.shown(),
        shown.join(" / "),
        verdict(met),
    ])
}

/// The row of the one promise that is not about anybody else's program.
fn socks5(results: &Results) -> Option<Vec<String>> {
    let median = |figure: &Figure| results.median(Contestant::Socks5, *figure);
    let medians: Vec<f64> = BOTH_WAYS.iter().map(median).collect::<Option<_>>()?;
    let shown: Vec<String> = medians.iter().map(|median| format!("{median:.0}")).collect();
    Some(vec![
        "SOCKS5 of vpnclient, one stream up and down".to_owned(),
        format!("at least {SOCKS5_MEGABITS} Mbit/s"),
        shown.join(" / "),
        verdict(medians.iter().all(|median| *median >= SOCKS5_MEGABITS)),
    ])
}

fn verdict(met: bool) -> String {
    if met { "met" } else { "MISSED" }.to_owned()
}

/// The table of promises, as far as they were measured.
pub fn render(results: &Results, idle: Option<Idle>, rest: Option<&Rest>) -> String {
    let mut rows = vec![["target", "bound", "measured", ""].map(str::to_owned).to_vec()];
    rows.extend(TARGETS.iter().filter_map(|target| row(target, results)));
    rows.extend(socks5(results));
    if let Some(rest) = rest {
        rows.push(vec![
            "RTT at rest, to SoftEther at its fastest".to_owned(),
            format!("at most {REST}"),
            format!("{:.2}", rest.ratio()),
            verdict(rest.ratio() <= REST),
        ]);
    }
    if let Some(idle) = idle {
        rows.push(vec![
            "idle server, one hub with SecureNAT".to_owned(),
            format!("under {IDLE_PERCENT} % of a core, {IDLE_MEBIBYTES} MiB"),
            format!("{:.2} %, {:.1} MiB", idle.percent, idle.mebibytes),
            verdict(idle.percent < IDLE_PERCENT && idle.mebibytes < IDLE_MEBIBYTES),
        ]);
    }
    if rows.len() == 1 {
        String::new()
    } else {
        markdown(&rows)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::ping::RoundTrips;

    #[test]
    fn target_is_met_only_when_every_figure_is_within_its_bound() {
        let mut results = Results::default();
        for (contestant, figure, value) in [
            (Contestant::Stock, Figure::Up, 3000.0),
            (Contestant::Stock, Figure::Down, 2900.0),
            (Contestant::Ours, Figure::Up, 7600.0),
        ] {
            results.add(contestant, figure, value);
        }
        assert_eq!(row(&TARGETS[0], &results), None, "one way is not measured");
        results.add(Contestant::Ours, Figure::Down, 7000.0);
        assert_eq!(
            row(&TARGETS[0], &results).unwrap()[2..],
            ["2.53 / 2.41", "MISSED"]
        );
        results.add(Contestant::Ours, Figure::Down, 8000.0);
        assert_eq!(row(&TARGETS[0], &results).unwrap()[2..], ["2.53 / 2.59", "met"]);
    }

    #[test]
    fn socks5_is_judged_by_what_it_carries_each_way() {
        let carrying = |up, down| {
            let mut results = Results::default();
            results.add(Contestant::Socks5, Figure::Up, up);
            results.add(Contestant::Socks5, Figure::Down, down);
            render(&results, None, None)
        };
        assert!(carrying(500.0, 3190.0).contains(" met "));
        assert!(carrying(2837.0, 499.0).contains("MISSED"));
    }

    #[test]
    fn round_trips_at_rest_are_judged_by_their_medians() {
        let taking = |milliseconds| RoundTrips::new(vec![Duration::from_millis(milliseconds); 3], 3);
        let rest = |ours, stock| Rest {
            ours: taking(ours),
            stock: taking(stock),
        };
        let results = Results::default();
        assert!(render(&results, None, Some(&rest(8, 10))).contains(" met "));
        assert!(render(&results, None, Some(&rest(9, 10))).contains("MISSED"));
    }

    #[test]
    fn idle_server_is_judged_by_both_its_bounds() {
        let idle = |percent, mebibytes| Some(Idle { percent, mebibytes });
        let results = Results::default();
        assert!(render(&results, idle(0.1, 29.0), None).contains(" met "));
        assert!(render(&results, idle(0.4, 29.0), None).contains("MISSED"));
        assert!(render(&results, idle(0.1, 31.0), None).contains("MISSED"));
        assert_eq!(render(&results, None, None), "");
    }
}
