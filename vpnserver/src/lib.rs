//! The Hubward VPN server: what the `vpnserver` binary is made of.
//!
//! A connection comes through a [`listener`] and the [`gate`], says in [`connection`] what it wants, and becomes a
//! [`session`] after the [`login`] pipeline, or an administrator in [`admin`]. What the [`store`] says is what runs:
//! [`server`] brings [`hubs`], [`bridge`]s, listeners and published hosts there. What happens is told to [`events`].
//! [`instance`] and [`cleanup`] are commands of their own, beside a server.

pub mod access_list;
pub mod admin;
pub mod api;
pub mod audit;
pub mod bridge;
pub mod cleanup;
pub mod cli;
pub mod config;
pub mod connection;
pub mod connections;
pub mod control;
pub mod daemon;
pub mod data_dir;
pub mod enforcement;
pub mod events;
pub mod gate;
pub mod hubs;
pub mod identity;
pub mod instance;
pub mod keep_alive;
pub mod listen;
pub mod listener;
pub mod log;
pub mod logfile;
pub mod login;
mod membership;
pub mod offline;
mod packet_log;
pub mod privileges;
pub mod releaser;
pub mod run;
pub mod secret;
pub mod server;
pub mod session;
pub mod sessions;
pub mod setup;
pub mod store;
pub mod syslog;
pub mod tasks;
pub mod upkeep;
pub mod usage;
pub mod x509;
