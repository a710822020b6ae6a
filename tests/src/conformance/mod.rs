//! Conformance: one scenario of command lines, given by either tool to either server, and what is compared of it.

pub mod exceptions;
pub mod normal;
pub mod run;
pub mod scenario;
