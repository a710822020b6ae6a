//! `make bench-scale`: what many sessions cost, on our server and on the stock one.
//!
//! `SCALE_PARTS` picks parts (`idle login crowd storm forward`, all of them unless it is set); `SCALE_OF=ours` leaves the stock server
//! out; `SCALE_SESSIONS` is another number than 10,000; `SCALE_SAVE=FILE` saves the table there. What is none of these is an error.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::load::client::{Door, Visitor};
use hubward_tests::load::crowd::{self, Crowd, HUBS, USERS, visitor};
use hubward_tests::load::figures::{Size, Spent, percentile};
use hubward_tests::load::probe::{Latencies, Pair, Talker, Watch};
use hubward_tests::load::report::{Report, kibibytes, mebibytes, shown};
use hubward_tests::load::request::{Part, Request};
use hubward_tests::load::server::{Kind, Server};
use hubward_tests::ours;
use hubward_tests::stock::Stock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::Builder;

/// Idle sessions on the stock server, which has a thread for each.
const STOCK_SESSIONS: usize = 500;
/// Clients of a storm.
const STORM: usize = 1_000;
/// Logins at once where their rate is measured.
const AT_ONCE: usize = 32;
/// How long a client tries to come in.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long latencies are measured at rest.
const REST: Duration = Duration::from_secs(4);
/// How long processor time of a server is counted that nobody uses.
const UNUSED: Duration = Duration::from_secs(20);
/// How long after their connections were cut all sessions are over, and what they left is cleared away.
const AFTERMATH: Duration = Duration::from_secs(35);
/// How long frames are sent at full speed.
const FLOOD: Duration = Duration::from_secs(3);

fn main() {
    let outcome = if lab::is_inside() { measure() } else { enter() };
    if let Err(error) = outcome {
        eprintln!("bench-scale FAILED: {error:#}");
        std::process::exit(1);
    }
}

/// The same program again, inside of a laboratory.
fn enter() -> Result<()> {
    Request::of(std::env::vars())?;
    lab::check()?;
    Stock::unpacked()?;
    let status = lab::enter(&[])?.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

fn measure() -> Result<()> {
    let request = Request::of(std::env::vars())?;
    // Both ends of every session are descriptors of this machine.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let lab = Lab::open()?;
    let stock = Stock::unpacked()?;
    let mut report = Report::begin();
    for &part in &request.parts {
        let of = |kind| -> Result<Vec<Line>> {
            let server = Server::start(&lab, kind, &stock)?;
            let lines = of_part(part, request.sessions, kind, &server)
                .with_context(|| format!("{}, {}", part.name(), kind.name()));
            server.kill();
            lines
        };
        let ours = of(Kind::Ours)?;
        let theirs = if request.stock && part != Part::Forward {
            of(Kind::Stock)?
        } else {
            Vec::new()
        };
        for (what, figure) in &ours {
            let other = theirs.iter().find(|(other, _)| other == what);
            report.add(what, figure, other.map_or("-", |(_, figure)| figure));
        }
        for (what, figure) in theirs
            .iter()
            .filter(|(what, _)| ours.iter().all(|(other, _)| other != what))
        {
            report.add(what, "-", figure);
        }
    }
    request.save.map_or(Ok(()), |page| report.save(&page))
}

/// What, and the figure.
type Line = (String, String);

fn line(what: impl Into<String>, figure: impl Into<String>) -> Line {
    (what.into(), figure.into())
}

fn of_part(part: Part, sessions: usize, kind: Kind, server: &Server) -> Result<Vec<Line>> {
    let pid = server.pid()?;
    let door = server.door()?;
    let run = || -> Result<Vec<Line>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        match part {
            Part::Idle => idle(pid, server, &door),
            Part::Login => runtime.block_on(login(pid, &door)),
            Part::Crowd => runtime.block_on(crowd(pid, sessions, kind, &door)),
            Part::Storm => runtime.block_on(storm(pid, &door)),
            Part::Forward => runtime.block_on(forward(pid, sessions, server, &door)),
        }
    };
    server.host.within(run)?
}

/// A server that nobody uses, with SecureNAT in one of its hubs: before it ever was used, and after many clients came and went.
fn idle(pid: u32, server: &Server, door: &Door) -> Result<Vec<Line>> {
    server.administer(&crowd::hub(0), &["SecureNatEnable"])?;
    let mut lines = unused(pid, server, "idle server with SecureNAT")?;
    Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut crowd = Crowd::default();
            crowd
                .admit(door, (0..STORM).map(visitor), STORM, PATIENCE)
                .await?;
            crowd.cut().await;
            anyhow::Ok(())
        })?;
    std::thread::sleep(AFTERMATH);
    lines.extend(unused(pid, server, &format!("the same after {STORM} clients"))?);
    Ok(lines)
}

/// What a server costs at rest.
fn unused(pid: u32, server: &Server, what: &str) -> Result<Vec<Line>> {
    server.rests()?;
    let before = Spent::by(pid)?;
    std::thread::sleep(UNUSED);
    let share = Spent::by(pid)?.share_since(&before);
    let size = Size::of(pid)?;
    Ok(vec![
        line(
            format!("{what}: part of a core"),
            format!("{:.2} %", share * 100.0),
        ),
        line(
            format!("{what}: resident memory, PSS"),
            format!("{}, {}", mebibytes(size.rss), mebibytes(size.pss)),
        ),
        line(format!("{what}: threads"), size.threads.to_string()),
    ])
}

/// How many logins a second: users that come for the first time, then the same ones again.
async fn login(pid: u32, door: &Door) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let count = (HUBS * USERS).min(400);
    for when in ["first", "second"] {
        let mut crowd = Crowd::default();
        let before = Spent::by(pid)?;
        let logins = crowd
            .admit(door, (0..count).map(visitor), AT_ONCE, PATIENCE)
            .await?;
        let spent = Spent::by(pid)?.since(&before);
        crowd.cut().await;
        lines.extend([
            line(
                format!("logins a second, {when} time"),
                format!("{:.0}", logins.rate()),
            ),
            line(
                format!("a login, {when} time: median, processor time of the server"),
                format!(
                    "{}, {}",
                    shown(percentile(&logins.each, 50)),
                    shown(spent / count as u32)
                ),
            ),
        ]);
    }
    Ok(lines)
}

/// Sessions that do nothing.
async fn crowd(pid: u32, sessions: usize, kind: Kind, door: &Door) -> Result<Vec<Line>> {
    let count = match kind {
        Kind::Ours => sessions,
        Kind::Stock => STOCK_SESSIONS,
    };
    let empty = Size::of(pid)?;
    let mut crowd = Crowd::default();
    // What is allocated once and not again belongs to no session.
    crowd.admit(door, (0..50).map(visitor), AT_ONCE, PATIENCE).await?;
    let few = Size::of(pid)?;
    let logins = crowd
        .admit(door, (50..count).map(visitor), AT_ONCE, PATIENCE)
        .await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let full = Size::of(pid)?;
    let before = Spent::by(pid)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let share = Spent::by(pid)?.share_since(&before);
    ensure!(crowd.check()? == count, "sessions are missing");
    let of_one = |full: u64, empty: u64| kibibytes((full as f64 - empty as f64) / count as f64);
    Ok(vec![
        line("idle sessions", count.to_string()),
        line("memory of one, resident", of_one(full.rss, empty.rss)),
        line(
            "memory of one, shared pages shared out (PSS)",
            of_one(full.pss, empty.pss),
        ),
        line(
            "threads with 50 sessions, with all",
            format!("{}, {}", few.threads, full.threads),
        ),
        line(
            "part of a core for their keep-alives",
            format!("{:.1} %", share * 100.0),
        ),
        line(
            "logins a second until they were there",
            format!("{:.0}", logins.rate()),
        ),
    ])
}

/// All clients of a server come back at once, beside a tunnel that is used.
async fn storm(pid: u32, door: &Door) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let watch = Watch::begin(door.clone(), crowd::hub(0));
    tokio::time::sleep(REST).await;
    let rest = watch.end()?;
    lines.push(line("a frame at rest: median, p99, lost", told(&rest)));
    for when in ["first", "second"] {
        let watch = Watch::begin(door.clone(), crowd::hub(0));
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut crowd = Crowd::default();
        let logins = crowd
            .admit(door, (0..STORM).map(visitor), STORM, PATIENCE)
            .await?;
        let stormy = watch.end()?;
        crowd.cut().await;
        let what = format!("storm of {STORM} clients, {when} time");
        lines.extend([
            line(format!("{what}: all served after"), shown(logins.took)),
            line(
                format!("{what}: attempts that were turned away"),
                logins.retries.to_string(),
            ),
            line(
                format!("{what}: a frame meanwhile, median, p99, lost"),
                told(&stormy),
            ),
        ]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let size = Size::of(pid)?;
    lines.push(line(
        "resident memory a second after the storms",
        mebibytes(size.rss),
    ));
    Ok(lines)
}

fn told(found: &Latencies) -> String {
    format!(
        "{}, {}, {} of {}",
        shown(percentile(&found.each, 50)),
        shown(percentile(&found.each, 99)),
        found.lost,
        found.each.len()
    )
}

/// What a frame costs when there are many sessions and many stations.
async fn forward(pid: u32, most: usize, server: &Server, door: &Door) -> Result<Vec<Line>> {
    let hub = crowd::hub(0);
    let mut lines = Vec::new();
    let mut pair = Pair::login(door, &hub).await?;
    let mut crowd = Crowd::default();
    let mut there = 2;
    for sessions in [10, 1_000, most] {
        let more = (there..sessions).map(|number| Visitor {
            hub: hub.clone(),
            ..visitor(number)
        });
        tokio::select! {
            admitted = crowd.admit(door, more, AT_ONCE, PATIENCE) => drop(admitted?),
            over = pair.stay() => over?,
        }
        there = sessions;
        lines.push(line(
            format!("{sessions} sessions of one hub"),
            full_speed(pid, &mut pair).await?,
        ));
    }
    let mut stations = Vec::new();
    for number in 0..4 {
        let mut talker = Talker::login(door, &hub, 10 + number).await?;
        talker.populate(&pair.b, 1_000_000 * (number + 1), 15_000).await?;
        stations.push(talker);
    }
    let (answer, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answer.send(ours::administer(&server.host, &hub, &["StatusGet"])));
    });
    let status = told.recv()??;
    let known = status
        .lines()
        .find(|line| line.contains("MAC"))
        .unwrap_or_default();
    lines.push(line(
        format!(
            "the same and 60,000 stations ({})",
            known.split_whitespace().collect::<Vec<_>>().join(" ")
        ),
        full_speed(pid, &mut pair).await?,
    ));
    Ok(lines)
}

/// Frames a second from one session to another, and processor time of the server for each.
async fn full_speed(pid: u32, pair: &mut Pair) -> Result<String> {
    let rest = Spent::by(pid)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = Spent::by(pid)?;
    let idle = before.share_since(&rest);
    let (sent, received) = pair.flood(FLOOD).await?;
    let after = Spent::by(pid)?;
    let spent = after.since(&before).as_secs_f64() - idle * FLOOD.as_secs_f64();
    Ok(format!(
        "{:.0} a second, {:.0} ns each",
        received as f64 / FLOOD.as_secs_f64(),
        spent / sent as f64 * 1e9
    ))
}
