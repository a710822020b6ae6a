//! The table of published hosts in the kernel.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netdev::Links;
use tokio::sync::Mutex;

use super::book::Book;
use super::counter::{self, RuleCounter};
use super::members::Members;
use super::publisher::DnatError;
use super::rule::DnatRule;
use crate::forwarding::{self, Forwarding};
use crate::keeper::{self, Keeper};
use crate::net::Ipv4Net;
use crate::nft::{self, NftError};
use crate::tag::Tag;

/// What the kernel has of us.
pub(super) struct Kernel {
    tag: Tag,
    watch: Duration,
    in_force: Option<InForce>,
}

struct InForce {
    /// Held by whoever writes to the table, so that the keeper puts nothing old over something new.
    book: Arc<Mutex<Book>>,
    keeper: Keeper,
    forwarding: Forwarding,
}

impl Kernel {
    pub(super) fn new(tag: Tag, watch: Duration) -> Self {
        Kernel {
            tag,
            watch,
            in_force: None,
        }
    }

    /// Puts the rules into force in one transaction. When it fails what was in force before still is.
    pub(super) async fn apply(&mut self, rules: &[DnatRule], members: &Members) -> Result<(), DnatError> {
        let links = connected_networks().await?;
        let after = Book::new(rules, members, &self.tag, &links);
        if let Some(in_force) = &self.in_force {
            let mut book = in_force.book.lock().await;
            return bring(&mut book, after, &self.tag).await;
        }
        // A table that a killed process left has counted what nobody has read yet.
        let counters = self.counters().await?;
        let forwarding = Forwarding::hold(&self.tag, &[]).await?;
        if let Err(error) = nft::apply_script(&after.whole(&counters)).await {
            forwarding.release().await;
            return Err(error.into());
        }
        let book = Arc::new(Mutex::new(after));
        self.in_force = Some(InForce {
            keeper: keep(Arc::clone(&book), self.tag.dnat_table(), self.watch),
            book,
            forwarding,
        });
        Ok(())
    }

    /// Takes other members of the rules' groups, in one transaction.
    pub(super) async fn set_members(&mut self, members: &Members) -> Result<(), DnatError> {
        let Some(in_force) = &self.in_force else {
            return Ok(());
        };
        let mut book = in_force.book.lock().await;
        let mut after = book.clone();
        after.set_members(members);
        if after == *book {
            return Ok(());
        }
        bring(&mut book, after, &self.tag).await
    }

    /// Takes the table away, also one that a killed process left.
    pub(super) async fn clear(&mut self) -> Result<(), DnatError> {
        match self.in_force.take() {
            Some(InForce {
                keeper, forwarding, ..
            }) => {
                keeper.stop().await;
                nft::remove(&self.tag.dnat_table()).await?;
                forwarding.release().await;
                Ok(())
            }
            None => match clear_left_behind(&self.tag).await {
                // Nothing of ours is in force, and what cannot be asked has nothing of ours either.
                Err(NftError::Missing | NftError::Forbidden) => Ok(()),
                outcome => Ok(outcome?),
            },
        }
    }

    /// What the rules of the table have carried.
    pub(super) async fn counters(&self) -> Result<HashMap<String, RuleCounter>, NftError> {
        read_counters(&self.tag).await
    }
}

/// Brings the table from one book to another: by the elements that differ where that is all, and as a whole where it is
/// not, or where somebody has been at the table.
async fn bring(book: &mut Book, after: Book, tag: &Tag) -> Result<(), DnatError> {
    if after.has_frame_of(book) {
        let counters = if after.drops_counters_of(book) {
            read_counters(tag).await?
        } else {
            HashMap::new()
        };
        let Some(script) = after.since(book, &counters) else {
            *book = after;
            return Ok(());
        };
        match nft::apply_script(&script).await {
            Ok(()) => {
                *book = after;
                return Ok(());
            }
            Err(NftError::Refused(reason)) => {
                tracing::debug!(
                    reason,
                    "the table of published hosts is not as it was left; it is made anew"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    let counters = read_counters(tag).await?;
    nft::apply_script(&after.whole(&counters)).await?;
    *book = after;
    Ok(())
}

fn keep(book: Arc<Mutex<Book>>, table: String, every: Duration) -> Keeper {
    Keeper::looking(every, move || {
        let (book, table) = (Arc::clone(&book), table.clone());
        async move {
            let book = book.lock().await;
            keeper::put_back(&table, || nft::Script::Text(book.to_string())).await;
        }
    })
}

/// Takes away what a killed process left.
async fn clear_left_behind(tag: &Tag) -> Result<(), NftError> {
    nft::remove(&tag.dnat_table()).await?;
    for notes in forwarding::unclaimed(|other| other == tag.as_str()).await? {
        notes.settle().await;
    }
    Ok(())
}

async fn read_counters(tag: &Tag) -> Result<HashMap<String, RuleCounter>, NftError> {
    let listing = nft::listing(&tag.dnat_table()).await?;
    Ok(listing.as_ref().map(counter::from_listing).unwrap_or_default())
}

/// The IPv4 networks on this machine's own links, as they are now.
async fn connected_networks() -> Result<Vec<Ipv4Net>, netdev::Error> {
    let links = Links::new()?;
    let mut networks = Vec::new();
    for link in links.list().await?.into_iter().filter(|link| !link.loopback) {
        // A link may vanish between the two questions.
        for address in links.addresses(&link.name).await.unwrap_or_default() {
            if let IpAddr::V4(ip) = address.ip {
                networks.push(Ipv4Net::new(ip, address.prefix));
            }
        }
    }
    networks.sort();
    // nftables takes no two that overlap; the wider one says it all.
    networks.dedup_by(|inner, outer| outer.overlaps(inner));
    Ok(networks)
}
