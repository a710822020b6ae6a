//! What a running connection is and does: kept on a [`Board`] while it lives, told as a [`Status`] to who asks.

mod board;
mod show;
mod watch;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub(crate) use board::millis;
pub use board::{Board, Head, Live};
pub use show::show;
pub use watch::{Asked, status};

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody asked for it.
    #[default]
    Idle,
    /// Looking for the server.
    Connecting,
    /// Talking to it.
    Negotiating,
    /// Proving who we are.
    Authenticating,
    /// The session is there.
    Connected,
    /// All connections broke; the session may live on.
    Interrupted,
    /// Waiting before the next try.
    Waiting,
    /// It ended, since trying again cannot help.
    Failed,
    /// It ended as it should.
    Closed,
}

impl State {
    /// Whether something is being done for it.
    #[must_use]
    pub fn is_active(self) -> bool {
        !matches!(self, Self::Idle | Self::Failed | Self::Closed)
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Idle => "not connected",
            Self::Connecting => "connecting",
            Self::Negotiating => "negotiating",
            Self::Authenticating => "logging in",
            Self::Connected => "connected",
            Self::Interrupted => "interrupted",
            Self::Waiting => "waiting to try again",
            Self::Failed => "failed",
            Self::Closed => "disconnected",
        }
    }
}

/// Where frames go by UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Udp {
    /// Not agreed on.
    #[default]
    Off,
    /// Agreed on, and not in use.
    StandBy,
    /// Frames go by UDP.
    InUse,
}

/// One connection, as others see it. Times are milliseconds since 1970; what is not known is absent or zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// What the connection is called: the account's name, or `--name`.
    pub name: String,
    /// Whether it is an account of the service.
    pub account: bool,
    /// The process that has it.
    pub pid: u32,
    /// How far it has come.
    pub state: State,
    /// Since when it is so.
    pub since_ms: u64,
    /// Why it failed, or has to wait, in one word.
    pub reason: Option<String>,
    /// The same as a line for people.
    pub error: Option<String>,
    /// When it tries again.
    pub next_try_ms: Option<u64>,
    /// The server, HOST:PORT.
    pub server: String,
    /// The address that answered.
    pub peer: Option<SocketAddr>,
    /// What the server calls itself.
    pub product: String,
    /// The hub.
    pub hub: String,
    /// The user.
    pub user: String,
    /// The server's name for the session.
    pub session: Option<String>,
    /// When this session began.
    pub session_since_ms: Option<u64>,
    /// How many sessions there were.
    pub sessions: u32,
    /// The server's words for its users.
    pub message: Option<String>,
    /// The device, or `rootless`.
    pub device: Option<String>,
    /// Address and prefix.
    pub address: Option<String>,
    /// Who gave the address.
    pub dhcp_server: Option<String>,
    /// Networks behind the VPN.
    pub routes: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// TCP connections at this moment.
    pub connections: u32,
    /// TCP connections at most.
    pub max_connections: u32,
    /// The cipher suite.
    pub cipher: String,
    /// Whether frames go by UDP.
    pub udp: Udp,
    /// Bytes of frames received, over all sessions.
    pub bytes_received: u64,
    /// Bytes of frames sent.
    pub bytes_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Frames that found no room or no connection.
    pub dropped: u64,
    /// TCP segments sent again, on the connections there are.
    pub retransmits: u64,
    /// The time there and back in milliseconds, of the connection that has the shortest.
    pub rtt_ms: Option<f64>,
}
