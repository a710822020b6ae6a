//! The negotiation before frames flow: HTTP requests that carry PACKs (protocol §2 to §5).
//!
//! The messages are structs with `to_pack` and `from_pack`; [`ServerHandshake`] and [`ClientHandshake`] carry them
//! over a byte stream.

mod hello;
mod login;
mod node;
mod request;
mod udp;
mod welcome;

pub use hello::Hello;
pub use login::{Auth, Login, RudpSupport, SessionOptions, TEXT_BYTES};
pub use node::{ClientVersion, NodeInfo, OsInfo};
pub use request::{AdminLogin, ChangePassword, Proof, Request};
pub use udp::{UdpGrant, UdpOffer};
pub use welcome::{Attached, HubList, Redirect, TIMEOUT_MS, Welcome, refusal};
