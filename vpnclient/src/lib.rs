//! The Hubward VPN client.
//!
//! A [`profile`] is all that one connection needs to know: `vpnclient connect` has it from its options ([`cli`]), the [`service`]
//! from an account. It makes a session ([`attempt`], [`meeting`], [`login`] with a [`secret`] or a [`certificate`], asked of a
//! [`person`] perhaps; what stands between has a [`reason`]), keeps it ([`connection`], [`session`], [`retry`]; [`vigil`] hears of
//! the network and the clock) until it is to end ([`stop`]), and gets an address ([`dhcp`], [`dhcp6`]). What its frames are for is
//! an [`attachment`], which sets up this machine ([`network`]) or opens doors without privileges ([`rootless`], [`control`]).
//! [`report`] and [`status`] tell about it. What was left behind goes by [`cleanup`]. What decides is free of sockets and clocks,
//! and tested so.

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
