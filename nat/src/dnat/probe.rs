//! Looks whether private hosts answer. Only rules with a check have any of it.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::part::Check;
use super::rule::DnatRule;

/// Looks of all rules at one time. The others wait for their turn, so that a thousand dead hosts cost no thousand sockets.
const MAX_OPEN: usize = 64;

/// Whether a private host answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It takes connections.
    Up,
    /// It does not, in words.
    Down(String),
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Unknown => f.write_str("not known yet"),
            Health::Up => f.write_str("up"),
            Health::Down(reason) => write!(f, "down: {reason}"),
        }
    }
}

/// A private host that answers now and did not, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// The rule.
    pub rule: String,
    /// Where the looks go.
    pub target: SocketAddrV4,
    /// What is so now.
    pub health: Health,
}

/// Who hears of changes. It must not block.
pub(super) type Listener = Arc<dyn Fn(HealthChange) + Send + Sync>;

/// The looks of all rules.
pub(super) struct Probes {
    running: Mutex<HashMap<String, Probe>>,
    room: Arc<Semaphore>,
}

struct Probe {
    check: Check,
    target: SocketAddrV4,
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Default for Probes {
    fn default() -> Self {
        Probes {
            running: Mutex::default(),
            room: Arc::new(Semaphore::new(MAX_OPEN)),
        }
    }
}

impl Probes {
    /// Looks for these rules from now on, and for no others. Those that stay as they are are not disturbed.
    pub(super) fn set(&self, rules: &[DnatRule], listener: &Listener) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *running);
        for rule in rules.iter().filter(|rule| rule.enabled) {
            let Some(check) = rule.check else { continue };
            let target = rule.target_of(rule.ports.first());
            let same = |probe: &Probe| probe.check == check && probe.target == target;
            let probe = before
                .remove(&rule.name)
                .filter(same)
                .unwrap_or_else(|| self.start(rule.name.clone(), check, target, listener));
            running.insert(rule.name.clone(), probe);
        }
    }

    fn start(&self, rule: String, check: Check, target: SocketAddrV4, listener: &Listener) -> Probe {
        let health = Arc::new(Mutex::default());
        let (known, room, listener) = (Arc::clone(&health), Arc::clone(&self.room), Arc::clone(listener));
        let task = tokio::spawn(async move {
            // A thousand rules that begin together shall not look together.
            let mut due = Instant::now() + rand::random_range(Duration::ZERO..check.interval().min(SPREAD));
            loop {
                sleep_until(due).await;
                let Ok(_turn) = room.acquire().await else { return };
                due = Instant::now() + check.interval();
                let now = look(target, check.timeout()).await;
                let news = {
                    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                    let news = std::mem::discriminant(&*known) != std::mem::discriminant(&now);
                    *known = now.clone();
                    news
                };
                if news {
                    let rule = rule.clone();
                    listener(HealthChange {
                        rule,
                        target,
                        health: now,
                    });
                }
            }
        });
        Probe {
            check,
            target,
            health,
            task,
        }
    }

    /// What is known of each rule that is looked for.
    pub(super) fn health(&self) -> HashMap<String, Health> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |probe: &Probe| {
            probe
                .health
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        running
            .iter()
            .map(|(rule, probe)| (rule.clone(), known(probe)))
            .collect()
    }
}

/// How far the first looks are spread.
const SPREAD: Duration = Duration::from_secs(1);

async fn look(target: SocketAddrV4, patience: Duration) -> Health {
    match timeout(patience, TcpStream::connect(target)).await {
        Ok(Ok(_)) => Health::Up,
        Ok(Err(error)) => Health::Down(match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("{target} refuses connections"),
            std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                format!("there is no way to {target}")
            }
            _ => error.to_string(),
        }),
        Err(_) => Health::Down(format!("{target} did not answer within {} s", patience.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    fn checked(name: &str, port: u16) -> DnatRule {
        // Loopback is no target of a rule; for a look it does.
        let mut rule = DnatRule::parse(name, "tcp", "80", "10.0.1.26", "", "").unwrap();
        rule.to = super::super::Target {
            host: [127, 0, 0, 1].into(),
            port: Some(port),
        };
        rule.check = Some(Check::new(1, 1).unwrap());
        rule
    }

    #[tokio::test]
    async fn a_change_is_told_once_and_rules_without_a_check_are_left_alone() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let (tell, mut heard) = mpsc::unbounded_channel();
        let listener: Listener = Arc::new(move |change| drop(tell.send(change)));
        let probes = Probes::default();
        let rules = [
            checked("web", port),
            DnatRule {
                check: None,
                ..checked("quiet", port)
            },
        ];
        probes.set(&rules, &listener);
        let first = heard.recv().await.unwrap();
        assert_eq!((first.rule.as_str(), first.health), ("web", Health::Up));
        probes.set(&rules, &listener);
        drop(server);
        let second = heard.recv().await.unwrap();
        let Health::Down(reason) = second.health else {
            panic!()
        };
        assert!(reason.contains("refuses connections"), "{reason}");
        assert_eq!(probes.health().keys().collect::<Vec<_>>(), ["web"]);
        probes.set(&[], &listener);
        assert!(probes.health().is_empty());
    }
}
