//! Linux network devices: TAP devices and packet sockets for Ethernet frames, links, addresses and routes
//! over netlink, kernel settings, and a look at what this process may do.
//!
//! - [`Tap`]: a virtual Ethernet card whose cable ends in this process.
//! - [`PacketSocket`]: all frames of an existing interface, for a local bridge.
//! - [`segment`]: what is left undone in a frame ([`VnetHeader`]), and doing it; joining segments.
//! - [`Links`]: links, addresses and routes of this network namespace.
//! - [`Rule`]: in which table a packet's route is looked for.
//! - [`News`]: that links or addresses have changed.
//! - [`sysctl`]: kernel settings below `/proc/sys`.
//! - [`capability`]: what is possible here, and what to do when something is not.
//! - [`tcp`]: what the kernel has measured on a TCP connection.
//! - [`memory`]: how the process holds its memory; here because `unsafe` is.
//!
//! Everything acts on the network namespace of the thread that makes the value. `unsafe` lives in `sys`
//! alone, one system call per function.

mod error;
mod name;
mod self_test;
mod sys;

pub mod capability;
pub mod mac;
pub mod memory;
pub mod packet;
pub mod segment;
pub mod sysctl;
pub mod tap;
pub mod tcp;

mod links;
mod news;
mod routes;
mod rules;

pub use error::{Error, Result};
pub use links::{Address, Link, Links, index_of};
pub use news::News;
pub use packet::PacketSocket;
pub use routes::Route;
pub use rules::Rule;
pub use segment::VnetHeader;
pub use tap::{Tap, TapOptions};
