//! What killed processes left in the kernel, found by its names, and taken away.
//!
//! The devices go with their process. nftables tables stay, and with them the kernel settings that they remember
//! (`forwarding`). A process that lives says so ([`Presence`]), so that nobody takes its rules for left behind.

use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use netdev::Links;

use crate::forwarding::{self, Unclaimed};
use crate::nft::{self, NftError, OurTable};
use crate::tag::{self, Tag};

/// Says to everybody in this network namespace that a process of this tag lives; ends with the process, whatever ends it.
#[derive(Debug)]
pub struct Presence(
    /// `None` where it could not be said; held for the name alone.
    #[allow(dead_code)]
    Option<UnixDatagram>,
);

impl Presence {
    /// Announces it; `None` when a process of this tag is there already.
    pub fn announce(tag: &str) -> Option<Self> {
        let Ok(name) = name_of(tag) else {
            return Some(Self(None));
        };
        match UnixDatagram::bind_addr(&name) {
            Ok(socket) => Some(Self(Some(socket))),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => None,
            Err(error) => {
                tracing::debug!(%error, "this process cannot say that it lives");
                Some(Self(None))
            }
        }
    }
}

fn name_of(tag: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("hubward/{tag}"))
}

/// Whether a process lives whose tags begin with what this tag begins with. A name that is taken by somebody else counts, too: what
/// is in doubt stays.
fn is_present(tag: &str) -> bool {
    // A server announces the beginning that its tags have in common.
    (1..=tag.len())
        .filter(|end| tag.is_char_boundary(*end))
        .any(|end| {
            name_of(&tag[..end]).is_ok_and(|name| {
                UnixDatagram::bind_addr(&name)
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
            })
        })
}

/// Before a server of this tag starts: takes away the rules of hubs that an earlier one left. Published hosts stay until they are
/// replaced in one transaction, and notes of settings until [`settle`].
///
/// # Errors
/// When nftables cannot be asked.
pub async fn clear(tag: &str) -> Result<(), NftError> {
    for table in nft::tables().await? {
        let of_hub = Tag::of_table(&table.name).is_some_and(|other| {
            other.len() > tag.len() && other.starts_with(tag) && !table.name.contains('.')
        });
        if of_hub {
            table.remove().await?;
        }
    }
    Ok(())
}

/// After a server of this tag has started: puts back settings that an earlier one changed and that this one does not need.
///
/// # Errors
/// When nftables cannot be asked.
pub async fn settle(tag: &str) -> Result<(), NftError> {
    for notes in forwarding::unclaimed(|other| other.starts_with(tag)).await? {
        notes.settle().await;
    }
    Ok(())
}

/// One thing that a killed process left behind.
#[derive(Debug)]
pub struct Leftover(What);

#[derive(Debug)]
enum What {
    Table(OurTable),
    Settings(NamedSettings),
    Device(String),
}

struct NamedSettings(Unclaimed);

impl fmt::Debug for NamedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.table)
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            What::Table(table) => write!(f, "nftables table {} {}", table.family, table.name),
            What::Device(name) => write!(f, "device {name} with its addresses and routes"),
            What::Settings(NamedSettings(Unclaimed { table, notes })) => {
                write!(f, "nftables table ip {table}")?;
                for (key, value) in notes.iter() {
                    write!(f, ", setting {key} (back to {value})")?;
                }
                Ok(())
            }
        }
    }
}

/// What was left behind on this machine, and the tags of processes that live and keep theirs.
#[derive(Debug, Default)]
pub struct Found {
    /// What nobody owns any more. Settings come first: what they say must not be forgotten before they are put back.
    pub leftovers: Vec<Leftover>,
    /// Whose things stay.
    pub present: Vec<String>,
}

/// Looks for what was left behind; changes nothing.
///
/// # Errors
/// When nftables or the devices cannot be looked at.
pub async fn find() -> Result<Found, FindError> {
    let mut found = Found::default();
    let mut is_left = |tag: &str| {
        let present = is_present(tag);
        if present && !found.present.iter().any(|known| known == tag) {
            found.present.push(tag.to_owned());
        }
        !present
    };
    let mut leftovers = Vec::new();
    let tables = nft::tables().await?;
    let left: Vec<_> = tables
        .into_iter()
        .filter(|table| Tag::of_table(&table.name).is_some_and(&mut is_left))
        .collect();
    let settings = forwarding::unclaimed(|tag| !is_present(tag)).await?;
    let others = left
        .into_iter()
        .filter(|table| !settings.iter().any(|notes| notes.table == table.name))
        .map(What::Table)
        .collect::<Vec<_>>();
    leftovers.extend(settings.into_iter().map(NamedSettings).map(What::Settings));
    leftovers.extend(others);
    for link in Links::new()?.list().await? {
        if let Some(tag) = tag::of_device(&link.name)
            && is_left(tag)
        {
            leftovers.push(What::Device(link.name));
        }
    }
    found.leftovers = leftovers.into_iter().map(Leftover).collect();
    Ok(found)
}

/// Why it is not known what was left behind.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// nftables.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The devices.
    #[error(transparent)]
    Device(#[from] netdev::Error),
}

impl Leftover {
    /// Takes it away.
    ///
    /// # Errors
    /// When the kernel does not let go of it.
    pub async fn remove(self) -> Result<(), FindError> {
        match self.0 {
            What::Table(table) => table.remove().await?,
            What::Settings(NamedSettings(notes)) => notes.settle().await,
            What::Device(name) => match Links::new()?.delete_link(&name).await {
                Err(error) if error.is_absent() => {}
                outcome => outcome?,
            },
        }
        Ok(())
    }
}
