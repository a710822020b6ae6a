//! The wish to end a connection: by a signal, or by whoever runs it.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// Hears of the wish to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Says it. Dropping this says it, too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// A wish that is not there yet.
pub fn pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Lets everything that hears of it end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until somebody wants the end.
    pub async fn came(&mut self) {
        // A stopper that is gone cannot keep anything going.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Hears of the signals that end the program: SIGINT, SIGTERM, SIGHUP.
    pub fn on_signals() -> Result<Self, Failure> {
        let watch =
            |kind| signal(kind).map_err(|e| Failure::Local(format!("signals cannot be watched: {e}")));
        let signals = [
            watch(SignalKind::interrupt())?,
            watch(SignalKind::terminate())?,
            watch(SignalKind::hangup())?,
        ];
        let (stopper, stop) = pair();
        tokio::spawn(async move {
            any(signals).await;
            stopper.stop();
            // A second wish adds nothing; the first one must not be taken back by dropping.
            std::future::pending::<()>().await;
        });
        Ok(stop)
    }
}

async fn any([mut interrupt, mut terminate, mut hangup]: [Signal; 3]) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_listens_hears_of_it_also_later() {
        let (stopper, stop) = pair();
        let (mut early, mut late) = (stop.clone(), stop);
        let waiting = tokio::spawn(async move { early.came().await });
        stopper.stop();
        waiting.await.unwrap();
        late.came().await;
    }
}
