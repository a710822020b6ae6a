//! The SoftEther wire, sans-IO.
//!
//! Everything here turns bytes into typed values and back. Nothing opens a socket, reads a clock or draws a
//! random number: those are arguments. "Protocol §n" in a comment names a section of `docs/protocol.md`.

pub mod rpc;
