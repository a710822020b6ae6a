//! What the server does by itself, now and then.

use std::time::Duration;

use netdev::News;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::events::Event;
use crate::packet_log;
use crate::server::Server;

/// How often what users have used is written to the store.
const USAGE_INTERVAL: Duration = Duration::from_secs(10);
/// How often parts of hubs that do not work are tried again.
const MENDING_INTERVAL: Duration = Duration::from_secs(10);
/// The least time between two looks that news of devices caused.
const MENDING_REST: Duration = Duration::from_millis(200);
/// How often it is said that log lines were lost, if any were.
const LOST_LINES_INTERVAL: Duration = Duration::from_secs(60);
/// How often the store is asked for passwords that another process imported.
const IMPORT_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked whether what sessions rest on has run out.
const JUDGING_INTERVAL: Duration = Duration::from_secs(30);
/// How often a state is kept at most, and how long after a change.
const BACKUP_INTERVAL: Duration = Duration::from_secs(300);
const BACKUP_DELAY: Duration = Duration::from_secs(10);
/// How often hubs are asked what they saw.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Server {
    /// Follows the store, counts what users use, watches the hubs and mends them, for ever.
    pub async fn tend(&self) {
        tokio::join!(
            self.follow(),
            self.count_usage(),
            self.watch_hubs(),
            self.follow_members(),
            self.mend_hubs(),
            self.keep_packet_logs(),
            self.tell_of_lost_lines(),
            self.make_records(),
            self.judge_sessions(),
            self.keep_states()
        );
    }

    async fn count_usage(&self) {
        let mut ticks = interval(USAGE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.settle_usage().await {
                tracing::warn!(%error, "what users have used could not be written; it is tried again");
            }
        }
    }

    /// Makes the Argon2 records of imported passwords, whenever there are any.
    async fn make_records(&self) {
        let mut news = self.db.blocking().watch();
        loop {
            match self.logins.make_records().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(refused) => {
                    tracing::warn!(
                        reason = refused.reason,
                        "imported passwords wait for their records"
                    );
                }
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = sleep(IMPORT_INTERVAL) => {}
            }
        }
    }

    /// Users and certificates expire without anybody changing anything.
    async fn judge_sessions(&self) {
        let mut ticks = interval(JUDGING_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.judge_again().await {
                tracing::warn!(%error, "sessions could not be judged again; it is tried again");
            }
        }
    }

    /// Keeps former states: what is new at the start, then a little after a change, when a burst of them is over.
    async fn keep_states(&self) {
        let mut news = self.db.blocking().watch();
        loop {
            if let Err(error) = self.db.run(|store| store.back_up()).await {
                tracing::warn!(%error, "the state could not be kept; it is tried again");
            }
            sleep(BACKUP_INTERVAL).await;
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = sleep(BACKUP_INTERVAL) => {} // for changes of other processes
            }
            sleep(BACKUP_DELAY).await;
        }
    }

    async fn watch_hubs(&self) {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for hub in self.hubs.all() {
                hub.look().await;
            }
        }
    }

    async fn keep_packet_logs(&self) {
        let mut ticks = interval(packet_log::INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.log_packets();
        }
    }

    async fn tell_of_lost_lines(&self) {
        let mut ticks = interval(LOST_LINES_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let lines = self.logs.take_lost();
            if lines > 0 {
                self.events.report(&Event::LogLinesLost { lines });
            }
        }
    }

    /// By the clock, and at once when a device of this machine came, went or changed.
    async fn mend_hubs(&self) {
        let mut ticks = interval(MENDING_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = News::listen()
            .inspect_err(|error| tracing::warn!(%error, "devices that come back are found by the clock"))
            .ok();
        loop {
            let is_news = tokio::select! {
                _ = ticks.tick() => false,
                heard = hear(&mut news) => heard,
            };
            for hub in self.hubs.all() {
                hub.mend().await;
            }
            if is_news {
                // Mending makes news itself, and what fails would make them for ever.
                sleep(MENDING_REST).await;
            }
        }
    }
}

/// Waits for news of devices; for ever when there are none to be had.
pub(crate) async fn hear(news: &mut Option<News>) -> bool {
    if let Some(listening) = news {
        if listening.changed().await {
            return true;
        }
        *news = None;
    }
    std::future::pending().await
}
