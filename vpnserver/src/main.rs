//! The Hubward VPN server.

fn main() {}
