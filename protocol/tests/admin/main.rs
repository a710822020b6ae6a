//! The administration messages against what stock software 5.01.9674 sent.
//!
//! `data/admin/METHOD.bin` holds captured calls of a method as records: `C` or `S`, `u32` length, PACK. Keys, log
//! texts and the descriptions of options in them were replaced. `data/admin/json` holds results of the JSON-RPC
//! interface. `data/client/METHOD.bin` holds the same of the client service's methods.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capture;
mod captures;
mod client;
mod dispatching;
mod random;
mod transcripts;
