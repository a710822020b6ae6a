//! Lets go of the frames that access rules hold back, when their time has come.

use std::future::poll_fn;
use std::time::Instant;

use hub_core::switch::Switch;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

/// The clock of one hub's delays. Dropping it stops it.
#[derive(Debug)]
pub struct Releaser {
    task: JoinHandle<()>,
}

impl Releaser {
    /// Starts the clock of `switch`.
    #[must_use]
    pub fn start(switch: Switch) -> Self {
        let task = tokio::spawn(async move { release(&switch).await });
        Self { task }
    }
}

impl Drop for Releaser {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn release(switch: &Switch) {
    let mut due: Option<Instant> = None;
    loop {
        let another = poll_fn(|cx| switch.poll_release(cx, due));
        due = match due {
            None => another.await,
            Some(time) => tokio::select! {
                next = another => next,
                () = sleep_until(time.into()) => {
                    switch.release(Instant::now());
                    None
                }
            },
        };
    }
}
