//! SecureNAT and published hosts.
//!
//! A [`SecureNat`] sits on one port of a virtual hub as a virtual host with an address of its own. It leases addresses
//! ([`dhcp`]), answers ARP and ping ([`host`]), and gives the hub's stations the outside world, in one of two ways:
//!
//! * user mode (`user`): no privileges. A small TCP endpoint per connection, ordinary sockets towards the outside.
//! * kernel mode (`kernel`): a TAP device and an nftables table of our own; the kernel routes and translates.
//!
//! [`dnat`] publishes ports of this machine that lead to private hosts behind it.
//!
//! [`dhcp::Server`] and [`host::VirtualHost`] do no I/O and read no clock: frames, messages and times are arguments.

pub mod config;
pub mod dhcp;
pub mod dnat;
pub mod event;
pub mod net;
pub mod routes;
pub mod tag;

mod forwarding;
mod nft;

pub use config::{ConfigError, SecureNatConfig};
pub use event::{Event, FlowProtocol};
pub use net::Ipv4Net;
pub use routes::{PushRoute, PushRoutes};
pub use tag::Tag;
