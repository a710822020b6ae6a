//! Published hosts: ports of this machine that lead to a host behind it.
//!
//! A [`DnatRule`] is parsed once, [`check`]ed against its neighbours, written into a `book` of maps and put into the
//! kernel by a [`Publisher`], in one transaction. Clients of a hub with user-mode NAT are led by an `index` of the
//! same rules.

mod book;
mod clash;
mod counter;
mod index;
mod kernel;
mod members;
mod names;
mod part;
mod probe;
mod publisher;
mod refusal;
mod rule;

pub use clash::check;
pub(crate) use counter::Meter;
pub use counter::RuleCounter;
pub use members::{HubMembers, Member};
pub use part::{Check, GroupName, HostName, PortRange, Protocol, Protocols, Sources, Target};
pub use probe::{Health, HealthChange};
pub(crate) use publisher::Grant;
pub use publisher::{Applied, DnatError, Published, Publisher};
pub use refusal::RuleError;
pub use rule::{Client, DnatRule};
