//! The Hubward VPN client.

fn main() {}
