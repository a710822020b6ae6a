//! What several tasks have at once, and word of it when the last of them has let go.

use std::ops::Deref;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// A value that tells of its end.
#[derive(Debug)]
pub(super) struct Held<T> {
    value: T,
    /// Dropped behind the value, in the order of the fields: the word comes when it is gone.
    end: watch::Sender<()>,
}

impl<T> Held<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value,
            end: watch::Sender::new(()),
        }
    }

    /// Hears of its end, and does not put it off.
    pub(super) fn end(&self) -> End {
        End(self.end.subscribe())
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The end of a [`Held`].
#[derive(Debug)]
pub(super) struct End(watch::Receiver<()>);

impl End {
    /// Waits for it, but no longer than this; whether it came.
    pub(super) async fn within(mut self, time: Duration) -> bool {
        // Nothing is ever sent: what ends the wait is that the sender is gone.
        timeout(time, self.0.changed()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Door(Arc<AtomicBool>);

    impl Drop for Door {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn the_end_comes_when_the_last_has_let_go_and_not_before() {
        let closed = Arc::new(AtomicBool::new(false));
        let first = Arc::new(Held::new(Door(closed.clone())));
        let (second, early, end) = (first.clone(), first.end(), first.end());
        drop(first);
        assert!(!early.within(Duration::ZERO).await);
        let letting_go = tokio::spawn(async move { drop(second) });
        assert!(end.within(Duration::from_secs(60)).await);
        assert!(closed.load(Ordering::SeqCst));
        letting_go.await.unwrap();
    }
}
