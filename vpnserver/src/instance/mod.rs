//! `vpnserver nat-instance`: this machine translates for the networks of its cloud, from the start of the service to its end.

mod metadata;

use std::time::Duration;

use nat::Ipv4Net;
use nat::instance::{NatInstance, TAG, Translation, default_device};
use nat::leftovers::Presence;
use netdev::News;
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep};

pub use self::metadata::{Metadata, MetadataError, Surroundings};
use crate::run::{Signals, reassure};
use crate::{cli, log};

/// How long the metadata service may take to be there when a machine starts, and when there is something to go on with.
const WAIT: Duration = Duration::from_secs(30);
const WAIT_WITH_CIDR: Duration = Duration::from_secs(5);
/// Pauses before it is asked again: the first, and the longest at the start.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Translates until it is told to end.
///
/// # Errors
/// When it cannot begin, or not take everything back; nothing is left behind but what the error names.
pub async fn run(options: &cli::NatInstance) -> anyhow::Result<()> {
    log::begin(options.log_format);
    netdev::capability::probe().require_nft()?;
    let Some(_presence) = Presence::announce(TAG) else {
        anyhow::bail!("this machine is a NAT instance already: another `vpnserver nat-instance` runs");
    };
    let mut signals = Signals::new()?;
    let mut source = Source::new(options);
    let begun = tokio::select! {
        begun = begin(options, &mut source) => begun?,
        _ = signals.next() => return Ok(()),
    };
    tokio::spawn(reassure());
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut instance = begun;
    let reason = tokio::select! {
        reason = signals.next() => reason,
        () = follow(options, &mut source, &mut instance) => "nothing to follow",
    };
    tracing::info!(reason, "ending");
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    Ok(instance.stop().await?)
}

async fn begin(options: &cli::NatInstance, source: &mut Source) -> anyhow::Result<NatInstance> {
    let out = public_interface(options).await?;
    let networks = source.first().await?;
    let instance = NatInstance::start(Translation::new(networks, &out)).await?;
    for warning in instance.warnings().await {
        tracing::warn!("the networks may not reach the outside: {warning}");
    }
    tell(&instance, "ready");
    Ok(instance)
}

fn tell(instance: &NatInstance, what: &'static str) {
    let Translation { networks, out } = instance.translation();
    let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
    tracing::info!(networks = networks.join(","), out, "{what}");
}

async fn public_interface(options: &cli::NatInstance) -> anyhow::Result<String> {
    match &options.out {
        Some(out) => Ok(out.clone()),
        None => default_device()
            .await
            .map_err(|error| anyhow::anyhow!("{error}; or name the public interface with --out")),
    }
}

/// Looks again by the clock and when devices change; what cannot be known stays as it is in force.
async fn follow(options: &cli::NatInstance, source: &mut Source, instance: &mut NatInstance) {
    let interval = Duration::from_secs(options.interval);
    let mut news = News::listen().ok();
    let mut due = Instant::now() + interval;
    let mut trouble = None;
    loop {
        let by_clock = tokio::select! {
            () = tokio::time::sleep_until(due) => true,
            heard = crate::upkeep::hear(&mut news) => !heard,
        };
        instance.look_after().await;
        let mut wanted = instance.translation().clone();
        if let Ok(out) = public_interface(options).await {
            wanted.out = out;
        }
        if by_clock {
            due = Instant::now() + interval;
            match source.again().await {
                Ok(networks) => wanted.networks = Translation::new(networks, "").networks,
                Err(error) => complain(&mut trouble, &error.to_string(), "the networks stay as they are"),
            }
        }
        if wanted == *instance.translation() {
            continue;
        }
        match instance.set(wanted).await {
            Ok(()) => {
                trouble = None;
                tell(instance, "the networks or the public interface changed");
            }
            Err(error) => complain(&mut trouble, &error.to_string(), "the change is tried again"),
        }
    }
}

/// Says each trouble once.
fn complain(before: &mut Option<String>, reason: &str, what: &str) {
    if before.as_deref() != Some(reason) {
        tracing::warn!(reason, "{what}");
        *before = Some(reason.to_owned());
    }
}

/// Where the networks are known from.
struct Source {
    metadata: Option<Metadata>,
    given: Vec<Ipv4Net>,
    wait: Duration,
}

impl Source {
    fn new(options: &cli::NatInstance) -> Self {
        let usual = if options.cidr.is_empty() {
            WAIT
        } else {
            WAIT_WITH_CIDR
        };
        Self {
            metadata: (!options.no_metadata).then(|| Metadata::at(options.metadata)),
            given: options.cidr.clone(),
            wait: options.wait.map_or(usual, Duration::from_secs),
        }
    }

    /// Waits for the metadata service, which may come up after this program; then what was given has to do.
    async fn first(&mut self) -> Result<Vec<Ipv4Net>, MetadataError> {
        let Some(metadata) = &mut self.metadata else {
            tracing::info!("no metadata service is asked; the networks are those of --cidr");
            return Ok(self.given.clone());
        };
        let end = Instant::now() + self.wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match metadata.surroundings().await {
                Ok(found) => {
                    tell_of(&found);
                    return Ok(found.networks);
                }
                Err(error) => error,
            };
            if Instant::now() + pause > end {
                if self.given.is_empty() {
                    return Err(error);
                }
                tracing::warn!(%error, "the networks are those of --cidr");
                return Ok(self.given.clone());
            }
            tracing::debug!(%error, "the metadata service is asked again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks again. Where nobody answered at the start either, what was given still holds.
    async fn again(&mut self) -> Result<Vec<Ipv4Net>, MetadataError> {
        match &mut self.metadata {
            None => Ok(self.given.clone()),
            Some(metadata) => Ok(metadata.surroundings().await?.networks),
        }
    }
}

fn tell_of(found: &Surroundings) {
    let text = |networks: &[Ipv4Net]| {
        networks
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    tracing::info!(
        networks = text(&found.networks),
        subnets = text(&found.subnets),
        "the metadata service has answered"
    );
}
