//! The Hubward VPN client.
//!
//! [`connection::run`] is the whole of `vpnclient connect`. It makes a session ([`attempt`], [`login`]), keeps it
//! ([`session`], [`retry`]), carries frames ([`pump`]), gets an address ([`dhcp`]) and sets up this machine for it
//! ([`network`]), and tells about it ([`report`]). What decides is free of sockets and clocks, and tested so.

pub mod attempt;
pub mod cli;
pub mod connection;
pub mod dhcp;
pub mod failure;
pub mod login;
pub mod network;
pub mod password;
pub mod pump;
pub mod report;
pub mod retry;
pub mod session;
