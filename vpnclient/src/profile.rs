//! All that one connection needs to know. `vpnclient connect` has it from its options, the service from an account.

use std::sync::Arc;

use netdev::capability;

use crate::attachment::{self, DeviceSettings, Segment};
use crate::attempt::Wish;
use crate::connection::{self, Settings};
use crate::control::{self, ControlSocket};
use crate::failure::Failure;
use crate::report::{Event, Reporter};
use crate::rootless::{Rootless, RootlessSettings};
use crate::status::Head;
use crate::stop::Stop;

/// One connection: what is wanted, how long to try, and how this machine takes part.
#[derive(Debug)]
pub struct Profile {
    /// What is wanted from which server.
    pub wish: Wish,
    /// How long to try, and by how much.
    pub settings: Settings,
    /// How this machine takes part.
    pub presence: Presence,
}

/// How this machine takes part in the hub's segment.
#[derive(Debug, Clone)]
pub enum Presence {
    /// By a device.
    Device(DeviceSettings),
    /// Without one, by doors.
    Rootless(RootlessSettings),
    /// Not at all, but a segment of this machine is.
    Segment {
        /// The interface, or bridge of the kernel.
        interface: String,
        /// Whether frames may be exchanged unfinished with a bridge.
        offload: bool,
    },
}

impl Profile {
    /// What the status says of it; `name` is what it is called.
    #[must_use]
    pub fn head(&self, name: &str, account: bool) -> Head {
        Head {
            name: name.to_owned(),
            account,
            server: self.wish.target.to_string(),
            hub: self.wish.identity.hub.clone(),
            user: self.wish.identity.user.clone(),
        }
    }

    /// Whether it will ask for an address.
    #[must_use]
    pub fn wants_address(&self) -> bool {
        match &self.presence {
            Presence::Device(device) => device.dhcp,
            Presence::Rootless(_) => true,
            Presence::Segment { .. } => false,
        }
    }

    /// Connects and stays connected until stopped or refused. Programs of this user come to `control`.
    ///
    /// # Errors
    /// This machine or the server refuses.
    pub async fn run(
        &self,
        control: Option<ControlSocket>,
        reporter: &Reporter,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let board = reporter.board();
        let control = control.map(|control| control.about(Arc::clone(board)));
        board.begin();
        // What cannot work here should not be tried there: all that is local comes before the server hears of us.
        match &self.presence {
            Presence::Rootless(doors) => {
                let rootless = Rootless::open(doors, control)?;
                connection::run(&self.wish, &self.settings, rootless, reporter, stop).await
            }
            Presence::Device(settings) => {
                capability::probe().require_tap()?;
                let connected = attachment::run(&self.wish, &self.settings, settings, reporter, stop);
                beside(control, connected).await
            }
            Presence::Segment { interface, offload } => {
                let segment = Segment::open(interface, *offload).await?;
                if let Some(advice) = segment.advice() {
                    reporter.show(&Event::Note(advice.to_owned()));
                }
                let connected = connection::run(&self.wish, &self.settings, segment, reporter, stop);
                beside(control, connected).await
            }
        }
    }
}

/// A connection that has no doors, and beside it what programs of this user may ask.
async fn beside(
    control: Option<ControlSocket>,
    connected: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let Some(control) = control else {
        return connected.await;
    };
    tokio::select! {
        done = connected => done,
        () = control::serve(control) => Ok(()), // it serves for ever
    }
}
