//! The way frames may go on one TCP connection (protocol §6.1).

use super::Side;

/// The way frames may go. The numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    Both = 0,
    /// From the server to the client only.
    ServerToClient = 1,
    /// From the client to the server only.
    ClientToServer = 2,
}

impl Direction {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The direction of a number.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Both),
            1 => Some(Self::ServerToClient),
            2 => Some(Self::ClientToServer),
            _ => None,
        }
    }

    /// Whether `side` may send frames and keep-alives.
    #[must_use]
    pub fn sends(self, side: Side) -> bool {
        match self {
            Self::Both => true,
            Self::ServerToClient => side == Side::Server,
            Self::ClientToServer => side == Side::Client,
        }
    }

    /// Whether `side` may expect frames and keep-alives.
    #[must_use]
    pub fn receives(self, side: Side) -> bool {
        match self {
            Self::Both => true,
            _ => !self.sends(side),
        }
    }
}
