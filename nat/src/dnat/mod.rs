//! Published hosts: ports of this machine that lead to a host behind it.
//!
//! A [`DnatRule`] is parsed once, [`check`]ed against its neighbours, [`render`]ed into one nftables
//! transaction and put into the kernel by a [`Publisher`].

mod publisher;
mod render;
mod rule;

pub use publisher::{Applied, DnatError, Publisher, RuleCounter};
pub use render::render;
pub use rule::{DnatRule, PortRange, Protocol, RuleError, Target, check};
