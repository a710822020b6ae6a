//! All that one connection needs to know. `vpnclient connect` has it from its options, the service from an account.

use std::sync::Arc;

use netdev::capability;

use crate::attachment::{Device, DeviceSettings};
use crate::attempt::Wish;
use crate::connection::{self, Settings};
use crate::control::{self, ControlSocket};
use crate::failure::Failure;
use crate::report::Reporter;
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
                let device = Device::open(settings)?;
                let connected = connection::run(&self.wish, &self.settings, device, reporter, stop);
                let Some(control) = control else {
                    return connected.await;
                };
                tokio::select! {
                    done = connected => done,
                    () = control::serve(control) => Ok(()), // it serves for ever
                }
            }
        }
    }
}
