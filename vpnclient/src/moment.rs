//! Waiting for a moment that may never come.

use std::time::Instant;

use tokio::time::sleep_until;

/// Waits until then, or for ever.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
