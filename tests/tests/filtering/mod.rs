//! The same frames through the stock server and through ours: who gets what under each policy, hub option and kind of
//! access rule. What a case expects is what the stock server does.

mod bench;
mod cases;
mod frames;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours;
use protocol::handshake::SessionOptions;
use protocol::rpc::access::AccessRule;

use bench::{Admin, Mark, PATIENCE, Peer, Place};
use cases::{Case, Step};

/// What a step came to: the letters of the sessions that got the frame, with `*` where it had been changed.
type Outcome = String;

#[test]
fn the_same_frames_reach_the_same_sessions_through_either_server() {
    lab::run_with_stock(|lab, stock| {
        let (their_host, our_host) = (lab.host("stock")?, lab.host("ours")?);
        let _their_server = stock.server(&their_host)?;
        let our_server = ours::Server::start(&our_host, &["--listen", "127.0.0.1:443"])?;
        ours::administer(&our_host, "", &["ServerPasswordSet secret"])?;
        // For whoever looks into one case: FILTERING=NoServer and the like.
        let only = std::env::var("FILTERING").unwrap_or_default();
        let cases: Vec<Case> = cases::all()
            .into_iter()
            .filter(|case| case.name.contains(&only))
            .collect();
        let theirs = Place {
            port: 443,
            password: "",
        };
        let ours = Place {
            port: 443,
            password: "secret",
        };
        let theirs = run_all(&their_host, &theirs, &cases).context("the stock server")?;
        let ours = run_all(&our_host, &ours, &cases).context("our server")?;
        our_server.stop()?;
        let differences = differences(&cases, &theirs, &ours);
        ensure!(differences.is_empty(), "{differences}");
        Ok(())
    });
}

/// Runs all cases on the server of one host.
fn run_all(host: &Host, place: &Place, cases: &[Case]) -> Result<Vec<Vec<Outcome>>> {
    host.within(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut admin = place.administer().await?;
            admin.make_hub().await?;
            let mut outcomes = Vec::new();
            for case in cases {
                let outcome = run(place, &mut admin, case).await;
                outcomes.push(outcome.with_context(|| case.name)?);
            }
            anyhow::Ok(outcomes)
        })
    })?
}

/// Runs one case with sessions and addresses of its own.
async fn run(place: &Place, admin: &mut Admin, case: &Case) -> Result<Vec<Outcome>> {
    admin.set_options(&case.options).await?;
    let number = case.number;
    let mut users = Vec::new();
    let mut peers = Vec::new();
    for (letter, policy) in ['S', 'A', 'B'].into_iter().zip(&case.policies) {
        let user = admin.add_user(policy).await?;
        let options = SessionOptions {
            bridge: !(case.no_bridge && letter == 'S'),
            monitor: case.monitor && letter == 'S',
            ..SessionOptions::default()
        };
        peers.push(Peer::enter(place, &user, letter, number, options).await?);
        users.push((letter, user));
    }
    let mut marks = 0;
    marks += 1;
    meet(&mut peers, case, Mark::new(number << 16 | marks, case.mark)).await?;
    if !case.rules.is_empty() {
        admin
            .set_rules(case.rules.iter().map(|rule| named(rule, &users)).collect())
            .await?;
    }
    let mut outcomes = Vec::new();
    for wanted in &case.steps {
        marks += 1;
        let from = |peer: &Peer| peer.letter == wanted.from;
        let sender = peers.iter().position(from).context("who?")?;
        let mark = Mark::new(number << 16 | marks, case.mark);
        let outcome = match wanted.times {
            0 => late(&mut peers, wanted).await,
            1 => step(&mut peers, case, sender, &wanted.frame, mark).await,
            _ => burst(&mut peers, case, sender, wanted, mark).await,
        };
        outcomes.push(outcome.with_context(|| wanted.what)?);
    }
    for peer in peers {
        peer.leave().await;
    }
    if !case.rules.is_empty() {
        admin.set_rules(Vec::new()).await?;
    }
    let reset: Vec<(&str, u32)> = case
        .options
        .iter()
        .map(|(name, _)| (*name, default_of(name)))
        .collect();
    admin.set_options(&reset).await?;
    Ok(outcomes)
}

/// Everybody shows where they are until everybody has heard of everybody: a session is on the hub a moment after its
/// welcome.
async fn meet(peers: &mut [Peer], case: &Case, mark: Mark) -> Result<()> {
    for sender in 0..peers.len() {
        let heard = |receiver: &usize| *receiver != sender && !case.keeps_apart(sender, *receiver);
        for receiver in (0..peers.len()).filter(heard) {
            eventually_heard(peers, sender, receiver, mark).await?;
        }
    }
    Ok(())
}

async fn eventually_heard(peers: &mut [Peer], sender: usize, receiver: usize, mark: Mark) -> Result<()> {
    heard_before(peers, sender, receiver, mark).await.map(drop)
}

/// What came to the receiver before it heard the sender, who says it until it is heard.
async fn heard_before(peers: &mut [Peer], sender: usize, receiver: usize, mark: Mark) -> Result<Vec<Bytes>> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = Vec::new();
    while Instant::now() < deadline {
        let from = &peers[sender];
        from.send([mark.frame(from, &peers[receiver])]);
        let soon = Duration::from_millis(50);
        if peers[receiver].collects_until(&mark, &mut before, soon).await {
            return Ok(before);
        }
    }
    anyhow::bail!(
        "{} does not hear {}",
        peers[receiver].letter,
        peers[sender].letter
    )
}

/// The rule with the names of the sessions' users in place of their letters.
fn named(rule: &AccessRule, users: &[(char, String)]) -> AccessRule {
    let name = |letter: &str| {
        let user = users.iter().find(|(of, _)| letter.starts_with(*of));
        user.map_or_else(String::new, |(_, user)| user.clone())
    };
    AccessRule {
        src_username: name(&rule.src_username),
        dest_username: name(&rule.dest_username),
        ..rule.clone()
    }
}

/// Sends a frame and then a mark to everybody else, and says who got what before the mark.
async fn step(peers: &mut [Peer], case: &Case, sender: usize, frame: &[u8], mark: Mark) -> Result<Outcome> {
    let hears = |receiver: usize| receiver != sender && !case.keeps_apart(sender, receiver);
    let direct: Vec<usize> = (0..peers.len()).filter(|receiver| hears(*receiver)).collect();
    let from = &peers[sender];
    let marks = direct.iter().map(|to| mark.frame(from, &peers[*to]));
    from.send(std::iter::once(frame.to_vec()).chain(marks));
    let mut got = vec![Vec::new(); peers.len()];
    for place in &direct {
        got[*place] = peers[*place].until(&mark).await?;
    }
    // Whoever does not hear the sender, the sender included, hears one who has heard the mark.
    let others = (0..peers.len()).filter(|place| !direct.contains(place));
    for place in others {
        let witness = direct.iter().find(|witness| !case.keeps_apart(**witness, place));
        got[place] = match witness {
            Some(witness) => {
                peers[*witness].send([mark.frame(&peers[*witness], &peers[place])]);
                peers[place].until(&mark).await?
            }
            None => peers[place].for_a_while().await,
        };
    }
    let mut outcome = String::new();
    for (peer, received) in peers
        .iter()
        .zip(&got)
        .flat_map(|(peer, got)| got.iter().map(move |one| (peer, one)))
    {
        outcome.push(peer.letter);
        if frame != &received[..] {
            outcome.push('*');
        }
    }
    Ok(outcome)
}

/// Sends a frame many times, and says who got all of them, and who got only some before the sender was heard again.
async fn burst(peers: &mut [Peer], case: &Case, sender: usize, step: &Step, mark: Mark) -> Result<Outcome> {
    peers[sender].send(std::iter::repeat_n(step.frame.clone(), step.times));
    let mut outcome = String::new();
    for receiver in 0..peers.len() {
        let got = if receiver == sender || case.keeps_apart(sender, receiver) {
            peers[receiver].for_a_while().await
        } else {
            heard_before(peers, sender, receiver, mark).await?
        };
        let letter = peers[receiver].letter;
        let _ = match got.len() {
            0 => Ok(()),
            all if all == step.times => write!(outcome, "{letter}{all}"),
            _ => write!(outcome, "{letter}<{}", step.times),
        };
    }
    Ok(outcome)
}

/// Sends nothing, and says who gets what comes late: those who should as soon as it is there.
async fn late(peers: &mut [Peer], step: &Step) -> Result<Outcome> {
    let mut outcome = String::new();
    for peer in peers.iter_mut() {
        let mut got = Vec::new();
        if step.expected.contains(peer.letter) {
            got.push(peer.next().await?);
        }
        got.extend(peer.for_a_while().await);
        outcome.extend(got.iter().map(|_| peer.letter));
    }
    Ok(outcome)
}

fn default_of(option: &str) -> u32 {
    match option {
        "DropBroadcastsInPrivacyFilterMode"
        | "DropArpInPrivacyFilterMode"
        | "ManageOnlyPrivateIP"
        | "ManageOnlyLocalUnicastIPv6"
        | "NoIPv6DefaultRouterInRAWhenIPv6" => 1,
        "VlanTypeId" => 0x8100,
        _ => 0,
    }
}

/// One line for every step that one of the servers did otherwise than expected.
fn differences(cases: &[Case], theirs: &[Vec<Outcome>], ours: &[Vec<Outcome>]) -> String {
    let mut text = String::new();
    for (case, (theirs, ours)) in cases.iter().zip(theirs.iter().zip(ours)) {
        for (step, (theirs, ours)) in case.steps.iter().zip(theirs.iter().zip(ours)) {
            let ours_expected = step.ours.unwrap_or(step.expected);
            if theirs != step.expected || ours != ours_expected {
                let _ = writeln!(
                    text,
                    "{}, {}: expected {:?}, the stock server {theirs:?}, ours {ours:?}",
                    case.name, step.what, step.expected
                );
            }
        }
    }
    text
}
