//! What the crate promises, through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod access_reference;
mod addresses;
mod cutting;
mod forwarding;
mod frames;
mod guards;
mod limits;
mod queue;
mod reference;
mod stations;
mod support;
mod switch;
mod tap;
mod treatment;
mod unfinished;
mod vlan;
