//! The virtual hub: a deterministic learning switch for Ethernet frames.
//!
//! Three layers, each usable without the next:
//!
//! * [`Frame`] and [`FrameView`]: the bytes of one Ethernet frame, its [`Offload`] description, and what its
//!   headers say.
//! * [`Hub`]: the switch as a state machine. It does no I/O, reads no clock and draws no random numbers; the
//!   same calls give the same deliveries, so a bug is a seed.
//! * [`Switch`] and [`Port`]: a hub shared by threads, with a byte-bounded [`FrameQueue`] per port.
//!
//! Two hubs are two values: nothing crosses from one to the other because neither knows of the other.

pub mod access;
pub mod buffer;
pub mod frame;
pub mod guard;
pub mod hub;
pub mod mac;
pub mod queue;
pub mod relay;
pub mod switch;

mod dice;
mod flows;
mod hash;
mod rate;

pub use frame::{Frame, FrameView, Offload};
pub use hub::{DropReason, Hub, HubConfig, PortConfig, PortId, PortKind, Verdict};
pub use mac::MacAddr;
pub use queue::{Closed, FrameQueue};
pub use switch::{Port, Switch};
