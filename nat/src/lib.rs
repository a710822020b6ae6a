//! SecureNAT and published hosts.
//!
//! A [`SecureNat`] sits on one port of a virtual hub as a virtual host with an address of its own. It leases addresses
//! ([`dhcp`]), answers ARP and ping ([`host`]), and gives the hub's stations the outside world, in one of two ways:
//!
//! * user mode: no privileges. A small TCP endpoint per connection, ordinary sockets towards the outside.
//! * kernel mode: a TAP device and an nftables table of our own; the kernel routes and translates.
//!
//! [`dnat`] publishes ports of this machine that lead to private hosts behind it.
//!
//! [`instance`] lets the networks of a cloud out through this machine. [`Forwarding`] is what all of these need of the kernel, and
//! [`leftovers`] what killed processes left of them.
//!
//! A [`station`] is the other side: a host of its own on somebody's hub, for a client without privileges.
//!
//! [`device`] carries frames between a hub and the network devices of this machine, here and in the programs; [`segment`] is the way
//! onto what those devices are at.
//!
//! [`dhcp::Server`] and [`host::VirtualHost`] do no I/O and read no clock: frames, messages and times are arguments.

pub mod config;
pub mod device;
pub mod dhcp;
pub mod dnat;
pub mod event;
pub mod host;
pub mod instance;
pub mod ipv6;
pub mod leftovers;
pub mod net;
pub mod program;
pub mod routes;
pub mod segment;
pub mod station;
pub mod table;
pub mod tag;

mod forwarding;
mod fragment;
mod keeper;
mod kernel;
mod lease_store;
mod nft;
mod packet;
mod refused;
mod resolver;
mod secure_nat;
mod user;

pub use config::{ConfigError, SecureNatConfig};
pub use dhcp::{
    Holder, KeptLease, LeaseChange, PoolUse, Reservation, ReservationError, Reservations, Station, Stations,
};
pub use event::{Event, Events, FlowProtocol};
pub use forwarding::{Forwarding, HoldError};
pub use ipv6::{Ipv6Config, Ipv6Net};
pub use lease_store::LeaseStore;
pub use net::Ipv4Net;
pub use packet::Packet;
pub use routes::{PushRoute, PushRoutes};
pub use secure_nat::{SecureNat, Setup, StartError};
pub use table::{LeaseEntry, Mode, NatEntry, Status, TcpState};
pub use tag::Tag;
pub use user::Limits;
