//! `Apply` and `Export`: a server's state as a file.
//!
//! [`read`] makes a [`Declaration`](model::Declaration) of a TOML file, [`observe`] asks a server what it has,
//! [`diff`] compares the two and makes a [`Plan`](plan::Plan), and [`execute`] carries it out or takes it back.
//! [`export`] writes what a server has as such a file. What can be declared of a hub, a user and so on is one row
//! each in [`fields`]: reading, comparing, printing and exporting follow from it.

pub mod diff;
pub mod execute;
pub mod export;
pub mod fields;
pub mod model;
pub mod observe;
pub mod plan;
mod published;
pub mod read;
pub mod rule;
pub mod value;
