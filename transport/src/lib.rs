//! The tokio shell of the wire, shared by server, client and administration tool.
//!
//! `protocol` says what the bytes mean and never touches a socket; this crate has the sockets, TLS and the clock:
//! [`dial`] takes a client to a server's hello, [`accept`] takes a server to a peer's request, [`tunnel`] moves frames
//! through the connections of a session, [`acceleration`] through datagrams beside them, [`proxy`] finds a way out through a proxy, [`admin`] makes
//! administration calls, [`client_service`] calls a VPN client; [`known`]
//! remembers the certificates of servers, [`folders`] says where, [`underlay`] keeps a client's own sockets out of its tunnel, and [`keep_alive`] keeps an
//! Internet line alive.

pub mod acceleration;
pub mod accept;
pub mod admin;
pub mod cipher;
pub mod client_service;
pub mod dial;
pub mod folders;
pub mod keep_alive;
pub mod known;
pub mod proxy;
pub mod records;
pub mod tls;
pub mod tunnel;
pub mod underlay;
