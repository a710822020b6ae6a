//! UDP acceleration: a session's frames as datagrams, beside its TCP connections (protocol §8).
//!
//! [`protocol::acceleration`] knows the datagrams and says when the path works; here are the socket, the queue before it
//! and one task per accelerated session. [`negotiate`] is what login and welcome say about it. A tunnel with a [`Lane`]
//! sends through it while it is ready, and over TCP from the moment it is not.

mod lane;
pub mod negotiate;
mod socket;

pub use lane::{Lane, Status};
