//! Packets of one connection that wait for its task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes of headers that a segment has about, which do not count: a station's window speaks of payload.
const HEADERS: usize = 52;
/// What a packet counts at least, so that many without payload are bounded, too.
const LEAST: usize = 256;

/// A queue with one receiver. It holds what a station may send at one time by the window that it was told, and drops the
/// rest: TCP repeats it.
#[derive(Debug)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    limit: usize,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    packets: Vec<Bytes>,
    bytes: usize,
    closed: bool,
}

impl Inbox {
    /// One that holds `limit` bytes of payload.
    pub(crate) fn new(limit: usize) -> Self {
        Inbox {
            waiting: Mutex::default(),
            limit,
            news: Notify::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a packet; whether it is the first one, so that [`announce`](Self::announce) is called for.
    pub(crate) fn push(&self, packet: Bytes) -> bool {
        let counted = packet.len().saturating_sub(HEADERS).max(LEAST);
        let mut waiting = self.waiting();
        // One that is alone is taken whatever it is.
        if waiting.bytes > 0 && waiting.bytes + counted > self.limit {
            return false;
        }
        waiting.bytes += counted;
        waiting.packets.push(packet);
        waiting.packets.len() == 1
    }

    /// Wakes the receiver, once for all that was pushed.
    pub(crate) fn announce(&self) {
        self.news.notify_one();
    }

    /// No packets come any more.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.news.notify_one();
    }

    /// Waits for packets and moves them to `batch`, which is empty; `false` if none come any more.
    pub(crate) async fn receive(&self, batch: &mut Vec<Bytes>) -> bool {
        loop {
            {
                let mut waiting = self.waiting();
                if !waiting.packets.is_empty() {
                    waiting.bytes = 0;
                    std::mem::swap(&mut waiting.packets, batch);
                    return true;
                }
                if waiting.closed {
                    return false;
                }
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_window_of_packets_fits_and_the_first_one_calls() {
        let inbox = Inbox::new(4000);
        let packet = Bytes::from(vec![0; 1052]);
        let pushed: Vec<bool> = (0..6).map(|_| inbox.push(packet.clone())).collect();
        assert_eq!(pushed, [true, false, false, false, false, false]);
        let mut batch = Vec::new();
        assert!(inbox.receive(&mut batch).await);
        assert_eq!(batch.len(), 4);
        batch.clear();
        assert!(inbox.push(packet), "there is room again");
        inbox.close();
        assert!(inbox.receive(&mut batch).await, "what came before the end");
        batch.clear();
        assert!(!inbox.receive(&mut batch).await);
    }

    #[test]
    fn empty_packets_do_not_fill_the_memory() {
        let inbox = Inbox::new(8192);
        for _ in 0..1000 {
            inbox.push(Bytes::from_static(&[0; 40]));
        }
        assert_eq!(inbox.waiting().packets.len(), 8192 / LEAST);
        let one = Inbox::new(8192);
        assert!(
            one.push(Bytes::from(vec![0; 60_000])),
            "one super-frame that is alone"
        );
    }

    #[tokio::test]
    async fn a_receiver_that_waits_is_called() {
        let inbox = std::sync::Arc::new(Inbox::new(4000));
        let waits = std::sync::Arc::clone(&inbox);
        let receiver = tokio::spawn(async move {
            let mut batch = Vec::new();
            waits.receive(&mut batch).await.then_some(batch)
        });
        tokio::task::yield_now().await;
        if inbox.push(Bytes::from_static(b"x")) {
            inbox.announce();
        }
        assert_eq!(receiver.await.unwrap(), Some(vec![Bytes::from_static(b"x")]));
    }
}
