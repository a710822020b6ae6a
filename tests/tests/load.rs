//! Many sessions that come and go beside two that talk to each other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::load::client::{Door, PASSWORD, Proof, Visitor};
use hubward_tests::load::crowd::{self, Crowd};
use hubward_tests::load::probe::Pair;
use hubward_tests::ours::{Server, administer};
use hubward_tests::process::IN_TIME;
use tokio::runtime::Builder;

/// Sessions that log in at once.
const CROWD: usize = 20;
/// How often they do, beside one pair.
const CROWDS: usize = 4;

fn set_up(host: &Host, hub: &str) -> Result<()> {
    administer(host, "", &[&format!("HubCreate {hub} /PASSWORD:none")])?;
    for user in [1, 2].map(crowd::user) {
        let create = format!("UserCreate {user} /GROUP:none /REALNAME:none /NOTE:none");
        let password = format!("UserPasswordSet {user} /PASSWORD:{PASSWORD}");
        administer(host, hub, &[&create, &password])?;
    }
    Ok(())
}

/// Crowds log in, and their connections are cut without a word, so that the server keeps their sessions for a while.
async fn come_and_go(door: &Door, hub: &str) -> Result<()> {
    for _ in 0..CROWDS {
        let visitors = (0..CROWD).map(|number| Visitor {
            hub: hub.to_owned(),
            user: crowd::user(1 + number % 2),
            source: crowd::source(number),
            bridge: false,
        });
        let mut crowd = Crowd::default();
        crowd.admit(door, visitors, CROWD, IN_TIME).await?;
        crowd.cut().await;
    }
    Ok(())
}

#[test]
fn no_frame_between_two_sessions_is_lost_while_others_come_and_go() {
    lab::run(|lab| {
        let host = lab.host("server")?;
        let server = Server::start(&host, &[])?;
        let hub = crowd::hub(0);
        set_up(&host, &hub)?;
        let door = Door::to(([127, 0, 0, 1], 443).into(), Proof::Password)?;
        let talk = async {
            // Each pair has the addresses of the one before, whose sessions the server still has.
            for _ in 0..3 {
                let mut pair = Pair::login(&door, &hub).await?;
                let enough = AtomicBool::new(false);
                let talking = async {
                    let mut number = 0;
                    while !enough.load(Relaxed) {
                        number += 1;
                        let passed = pair.pass(number, IN_TIME).await?;
                        ensure!(passed.is_some(), "frame {number} did not arrive");
                    }
                    anyhow::Ok(())
                };
                let others = async {
                    come_and_go(&door, &hub).await?;
                    enough.store(true, Relaxed);
                    anyhow::Ok(())
                };
                tokio::try_join!(talking, others)?;
            }
            anyhow::Ok(())
        };
        host.within(|| Builder::new_current_thread().enable_all().build()?.block_on(talk))??;
        server.stop()
    });
}
