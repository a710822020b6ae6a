//! `vpnclient status`: asks every running client of this user, once or again and again.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tokio::io::BufReader;
use tokio::time::{sleep, timeout};

use super::show::{Rates, show};
use super::{State, Status};
use crate::control::{Folder, Request};
use crate::failure::Failure;
use crate::stop::Stop;

/// How often the live screen is drawn.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one client may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the status is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// As JSON.
    pub json: bool,
    /// Again and again.
    pub watch: bool,
}

/// Shows the status; whether anything is connected.
///
/// # Errors
/// There is no place where clients would be found.
pub async fn status(folder: &Folder, asked: Asked) -> Result<bool, Failure> {
    let clients = ask_all(folder).await;
    if !asked.watch {
        print(&mut io::stdout(), asked, &clients, &[]).unwrap_or_default();
        return Ok(any_connected(&clients));
    }
    let mut stop = Stop::on_signals()?;
    let mut screen = Screen::open(!asked.json && io::stdout().is_terminal());
    let mut before = Before::default();
    let mut clients = clients;
    loop {
        let rates = before.rates(&clients);
        // A reader that has gone away has seen enough.
        if screen.draw(asked, &clients, &rates).is_err() {
            break;
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = stop.came() => break,
        }
        clients = ask_all(folder).await;
    }
    drop(screen);
    Ok(any_connected(&clients))
}

fn any_connected(clients: &[Status]) -> bool {
    clients.iter().any(|status| status.state == State::Connected)
}

/// What all running clients say; one that does not answer is left out.
async fn ask_all(folder: &Folder) -> Vec<Status> {
    let mut clients = Vec::new();
    for name in folder.names() {
        let asked = timeout(PATIENCE, async {
            let mut stream = BufReader::new(folder.call(Some(&name)).await.ok()?);
            let answer = Request::Status.ask(&mut stream).await.ok()?;
            serde_json::from_value::<Vec<Status>>(answer["clients"].clone()).ok()
        });
        clients.extend(asked.await.ok().flatten().unwrap_or_default());
    }
    clients
}

fn print(out: &mut impl Write, asked: Asked, clients: &[Status], rates: &[Option<Rates>]) -> io::Result<()> {
    if asked.json {
        return writeln!(out, "{}", json!({ "clients": clients }));
    }
    if clients.is_empty() {
        return writeln!(out, "no vpnclient of this user runs");
    }
    write!(out, "{}", show(clients, rates, SystemTime::now()))
}

/// What was carried when it was looked last, for throughput.
#[derive(Default)]
struct Before {
    at: Option<Instant>,
    carried: HashMap<(u32, String), (u64, u64)>,
}

impl Before {
    fn rates(&mut self, clients: &[Status]) -> Vec<Option<Rates>> {
        let now = Instant::now();
        let seconds = self.at.replace(now).map(|at| (now - at).as_secs_f64());
        let rates = clients.iter().map(|status| {
            let (received, sent) = self.carried.get(&(status.pid, status.name.clone()))?;
            Some(rate(seconds?, status, *received, *sent))
        });
        let rates = rates.collect();
        let key = |status: &Status| (status.pid, status.name.clone());
        self.carried = clients
            .iter()
            .map(|status| (key(status), (status.bytes_received, status.bytes_sent)))
            .collect();
        rates
    }
}

#[allow(clippy::cast_precision_loss)] // three digits are shown
fn rate(seconds: f64, status: &Status, received: u64, sent: u64) -> Rates {
    let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds.max(0.001);
    (
        per_second(status.bytes_received, received),
        per_second(status.bytes_sent, sent),
    )
}

/// A terminal that is drawn on and given back as it was; or what is no terminal, which gets line after line.
struct Screen {
    terminal: bool,
}

impl Screen {
    const OPEN: &str = "\x1b[?1049h\x1b[?25l";
    const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

    fn open(terminal: bool) -> Self {
        if terminal {
            print_now(Self::OPEN);
        }
        Self { terminal }
    }

    fn draw(&mut self, asked: Asked, clients: &[Status], rates: &[Option<Rates>]) -> io::Result<()> {
        let mut page = Vec::new();
        print(&mut page, asked, clients, rates)?;
        let mut out = io::stdout().lock();
        if self.terminal {
            out.write_all(&redrawn(&page))?;
        } else {
            out.write_all(&page)?;
        }
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            print_now(Self::CLOSE);
        }
    }
}

fn print_now(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The page over the one before: each line up to its end, and nothing of the old one below.
fn redrawn(page: &[u8]) -> Vec<u8> {
    let mut drawn = b"\x1b[H".to_vec();
    for line in page.split_inclusive(|byte| *byte == b'\n') {
        drawn.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        drawn.extend_from_slice(b"\x1b[K\r\n");
    }
    drawn.extend_from_slice(b"\x1b[J");
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_what_came_since_the_last_look() {
        let mut before = Before::default();
        let at = |bytes| Status {
            name: "lab".into(),
            bytes_received: bytes,
            ..Status::default()
        };
        assert_eq!(before.rates(&[at(1000)]), [None]);
        let rates = before.rates(&[at(3000)]);
        assert!(rates[0].is_some_and(|(received, sent)| received > 0.0 && sent == 0.0));
        assert_eq!(rate(2.0, &at(3000), 1000, 0), (1000.0, 0.0));
    }

    #[test]
    fn a_page_is_drawn_over_the_one_before() {
        assert_eq!(redrawn(b"one\ntwo\n"), b"\x1b[Hone\x1b[K\r\ntwo\x1b[K\r\n\x1b[J");
    }
}
