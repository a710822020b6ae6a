//! What the client changes on its machine, with servers at the other end: routes, rules, name servers, the kill switch; that nothing
//! pulls traffic out of the tunnel, and that nothing is left, not even by clients that are killed.
//!
//! What one change means for the kernel is shown in vpnclient/tests/network.rs; here the whole program does it.

mod desk;
mod dhcp;
mod faults;
mod ipv6;
mod kills;
mod routes;
mod switch;
