//! Doing in software what the kernel leaves to a network card, and what its receive path does for slow wires: checksums,
//! cutting super-frames ([`split`]) and joining segments ([`Joiner`]). Pure functions over Ethernet frames with up to two VLAN
//! tags, IPv4 or IPv6, TCP or UDP.
//!
//! The work is described by a [`VnetHeader`]. A header may come from the kernel or from a peer, and the frame it describes
//! from anywhere: nothing in either is believed without a look.

mod checksum;
mod header;
mod join;
mod layout;
mod split;

#[cfg(test)]
mod tests;

pub use header::VnetHeader;
pub use join::{Joiner, Parts};
pub use split::{complete, finish, split};
