//! The negotiation before frames flow: HTTP requests that carry PACKs (protocol §2 to §5).
//!
//! The messages are structs with `to_pack` and `from_pack`; [`ServerHandshake`] and [`ClientHandshake`] carry them
//! over a byte stream.

mod client;
mod hello;
mod login;
mod node;
pub mod pages;
mod request;
mod server;
mod udp;
mod welcome;
mod wire;

pub use client::{ClientEvent, ClientHandshake};
pub use hello::Hello;
pub use login::{Auth, Login, RudpSupport, SessionOptions, TEXT_BYTES};
pub use node::{ClientVersion, NodeInfo, OsInfo};
pub use request::{AdminLogin, ChangePassword, Proof, Request};
pub use server::ServerHandshake;
pub use udp::{UdpGrant, UdpOffer, UdpUse};
pub use welcome::{Attached, HubList, Redirect, TIMEOUT_MS, Welcome, refusal};

use crate::error::ErrorCode;
use crate::http::HttpError;
use crate::pack::PackError;

/// Why a negotiation ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A malformed head.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A malformed or oversized message from a server.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The client asked for page after page, or idled for too long.
    #[error("the client made too many requests without logging in")]
    TooManyRequests,
    /// More bytes than a negotiation has.
    #[error("the other side sent too much before the negotiation was over")]
    TooMuch,
    /// An HTTP answer that no VPN server gives.
    #[error("the other side is not a VPN server of this protocol (it answered with HTTP status {status})")]
    NotVpnServer {
        /// The status of that answer.
        status: u16,
    },
    /// The server refused before its hello, or the hello was incomplete.
    #[error("the server refused: {0}")]
    Refused(ErrorCode),
}

#[cfg(test)]
mod tests;
