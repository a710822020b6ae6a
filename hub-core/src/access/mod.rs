//! Access lists: rules that pass, drop, delay or redirect frames (policies §4).

mod index;
mod list;
mod redirect;
mod rule;

pub use list::{AccessList, UserFile};
pub(crate) use list::{Action, Identity, Subject, Treatment};
pub(crate) use redirect::answer;
pub use rule::{Addresses, MAX_DELAY_MS, Masked, PortRange, Rule, TcpState};
