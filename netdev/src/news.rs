//! News of links, addresses and routes, over rtnetlink's multicast groups.

use futures_util::{FutureExt, Stream, StreamExt};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::AbortHandle;

use crate::{Error, Result};

/// Hears of what comes, goes or changes in one network namespace: every link and IPv4 address, and more where asked for.
pub struct News {
    messages: Box<dyn Stream<Item = ()> + Send + Unpin>,
    /// Without anybody who could ask, the task that reads the socket ends.
    _handle: Handle,
    connection: AbortHandle,
}

impl std::fmt::Debug for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("News").finish_non_exhaustive()
    }
}

impl News {
    /// Begins to listen in the network namespace of the calling thread. Needs no privilege.
    ///
    /// Must be called within a tokio runtime.
    pub fn listen() -> Result<Self> {
        Self::of(&[MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr])
    }

    /// As [`News::listen`], and hears of IPv6 addresses and of routes as well.
    pub fn listen_to_routes() -> Result<Self> {
        Self::of(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])
    }

    fn of(groups: &[MulticastGroup]) -> Result<Self> {
        let (connection, handle, messages) = rtnetlink::new_multicast_connection(groups)
            .map_err(|e| Error::from_io("listening for news of network devices", e))?;
        let connection = tokio::spawn(connection).abort_handle();
        Ok(Self {
            messages: Box::new(messages.map(drop)),
            _handle: handle,
            connection,
        })
    }

    /// Waits until something has changed since the last call; what came since is one piece of news. That messages were lost is
    /// news as well. `false` when there will be no more.
    pub async fn changed(&mut self) -> bool {
        if self.messages.next().await.is_none() {
            return false;
        }
        while let Some(Some(())) = self.messages.next().now_or_never() {}
        true
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
