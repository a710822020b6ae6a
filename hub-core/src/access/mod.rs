//! Access lists: rules that pass, drop, delay or redirect frames (policies §4).

mod list;
mod rule;

pub use list::{AccessList, UserFile};
pub(crate) use list::{Action, Identity, Subject};
pub use rule::{Addresses, MAX_DELAY_MS, Masked, PortRange, Rule, TcpState};
