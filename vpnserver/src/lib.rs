//! The Hubward VPN server: what the `vpnserver` binary is made of.

pub mod admin;
pub mod login;
pub mod secret;
pub mod store;
