//! The SoftEther wire, sans-IO.
//!
//! Everything here turns bytes into typed values and back. Nothing opens a socket, reads a clock or draws a
//! random number: those are arguments. "Protocol §n" in a comment names a section of `docs/protocol.md`.

pub mod acceleration;
pub mod block;
pub mod certificate;
pub mod config;
pub mod error;
pub mod handshake;
pub mod http;
pub mod pack;
pub mod password;
pub mod policy;
pub mod rpc;
pub mod signature;
pub mod speed_test;
pub mod tunnel;

/// The version we speak for: 5.01, as stock peers write it (major * 100 + minor).
pub const VERSION: u32 = 501;
/// The build of that version whose behaviour we follow.
pub const BUILD: u32 = 9674;
