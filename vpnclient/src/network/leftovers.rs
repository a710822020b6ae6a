//! What killed clients left on this machine, found by its numbers and names, and taken away.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use netdev::{Links, Route, Rule};

use super::dns;
use super::kill_switch::{self, KillSwitch};
use super::lasting::Lasting;
use super::table;

/// One thing that a killed client left behind.
#[derive(Debug)]
pub struct Leftover(What);

#[derive(Debug)]
enum What {
    Rule(Rule),
    Route(Route),
    Dns(dns::Leftover),
    Device(Box<Lasting>),
    Switch(String),
}

/// Looks for it; changes nothing. A kill switch is left behind on purpose: it is among the finds only with `switches`.
///
/// # Errors
/// When rules and routes cannot be listed.
pub async fn find(links: &Links, resolv_conf: &Path, switches: bool) -> netdev::Result<Vec<Leftover>> {
    find_beside(links, resolv_conf, switches, None).await
}

/// The same for a client that has set nothing yet: what is in its table `own`, another one left.
async fn find_beside(
    links: &Links,
    resolv_conf: &Path,
    switches: bool,
    own: Option<u32>,
) -> netdev::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let is_dead = |table: u32| table::is_ours(table) && (own == Some(table) || !table::is_held(table));
    // A rule is taken away before what it leads to.
    let rules = links.our_rules().await?;
    let dead = rules
        .into_iter()
        .filter(|rule| table::of_rule(rule).is_some_and(is_dead));
    found.extend(dead.map(What::Rule));
    let routes = links.our_routes().await?;
    let dead = routes
        .into_iter()
        .filter(|route| route.table.is_some_and(is_dead));
    found.extend(dead.map(What::Route));
    let devices = links.list().await?;
    let noted = devices.iter().filter_map(Lasting::at);
    let dead: Vec<_> = noted.filter(|lasting| is_dead(lasting.table)).collect();
    let names: Vec<_> = dead.iter().map(|lasting| lasting.device.clone()).collect();
    let dns = dns::leftovers(resolv_conf, own, &names);
    found.extend(dns.into_iter().map(What::Dns));
    found.extend(dead.into_iter().map(|lasting| What::Device(Box::new(lasting))));
    if switches {
        let devices = kill_switch::left_behind().await;
        found.extend(devices.into_iter().map(What::Switch));
    }
    Ok(found.into_iter().map(Leftover).collect())
}

/// Waits until a table is nobody's any more: tasks of a connection that was dropped end a moment after it.
pub async fn released(table: u32) {
    const LOOK: Duration = Duration::from_millis(20);
    const LOOKS: u32 = 100;
    for _ in 0..LOOKS {
        if !table::is_held(table) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Takes away everything that was left behind but kill switches; what resists is told in the log.
pub async fn clear(links: &Links, resolv_conf: &Path) {
    clear_before(links, resolv_conf, None).await;
}

/// The same for a client that has set nothing yet in its table `own`.
pub(super) async fn clear_before(links: &Links, resolv_conf: &Path, own: Option<u32>) {
    let found = match find_beside(links, resolv_conf, false, own).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "what a killed client left behind is not known");
            return;
        }
    };
    for leftover in found {
        tracing::info!(%leftover, "taking away what a killed client left behind");
        let what = leftover.to_string();
        if let Err(error) = leftover.remove(links).await {
            tracing::warn!(%error, what, "it could not be taken away");
        }
    }
}

impl Leftover {
    /// Takes it away.
    ///
    /// # Errors
    /// One line that says what stays, and why.
    pub async fn remove(self, links: &Links) -> Result<(), String> {
        let absent_is_well = |done: netdev::Result<()>| match done {
            // Another client may have been faster.
            Err(error) if !error.is_absent() => Err(error.to_string()),
            _ => Ok(()),
        };
        match &self.0 {
            What::Rule(rule) => absent_is_well(links.delete_rule(rule).await),
            What::Route(route) => absent_is_well(links.delete_route(route).await),
            What::Dns(leftover) => leftover.remove().await.map_err(|e| e.to_string()),
            What::Device(lasting) => absent_is_well(lasting.put_back(links).await),
            What::Switch(device) => KillSwitch::of(device).lift().await.map_err(|e| e.to_string()),
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            What::Rule(rule) => write!(f, "rule {} for table {}", rule.priority, rule.table),
            What::Route(route) => write!(
                f,
                "route to {route} in table {}",
                route.table.unwrap_or(Rule::MAIN)
            ),
            What::Dns(leftover) => leftover.fmt(f),
            What::Device(lasting) => write!(f, "settings of {}", lasting.device),
            What::Switch(device) => write!(f, "kill switch of {device}"),
        }
    }
}
