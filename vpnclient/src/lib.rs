//! The Hubward VPN client.
//!
//! [`connection::run`] is the whole of `vpnclient connect`. It makes a session ([`attempt`], [`meeting`], [`login`] with a
//! [`secret`] or a [`certificate`], asked of a [`person`] perhaps; what stands between has a [`reason`]), keeps it
//! ([`session`], [`retry`]) until it is to end ([`stop`]), and gets an address ([`dhcp`]); what its frames are for is an
//! [`attachment`], which sets up this machine ([`network`])
//! or opens doors without privileges ([`rootless`], [`control`]). What was left behind goes by [`cleanup`]. [`report`] tells about it. What decides is free of sockets and
//! clocks, and tested so.

mod ages;
pub mod attachment;
pub mod attempt;
pub mod certificate;
pub mod cleanup;
pub mod cli;
pub mod connection;
pub mod control;
pub mod dhcp;
pub mod dhcp6;
pub mod failure;
pub mod login;
pub mod meeting;
mod moment;
pub mod network;
pub mod password;
pub mod person;
pub mod profile;
pub mod reason;
pub mod report;
pub mod retry;
pub mod rootless;
pub mod secret;
pub mod service;
pub mod session;
pub mod status;
pub mod stop;
pub mod vigil;
