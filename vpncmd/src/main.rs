//! The Hubward VPN administration tool.

fn main() {}
