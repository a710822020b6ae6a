//! Whom to believe, as options.

use std::path::PathBuf;

use clap::Args;
use transport::known::KnownServers;
use transport::tls::{Fingerprint, Trust};

use crate::failure::Failure;
use crate::meeting::{Stranger, known_servers};

#[derive(Debug, Args)]
#[command(next_help_heading = "Whom to believe")]
#[group(multiple = false)]
pub(super) struct TrustArgs {
    /// Trust the certificate authorities of this file (PEM) instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust exactly the server certificate of this SHA-256.
    #[arg(long, value_name = "sha256:HEX")]
    pin: Option<Fingerprint>,
    /// Trust and remember the certificate of a server that is not known yet, without asking; a changed one is refused all the
    /// same. For scripts, in networks that are trusted.
    #[arg(long)]
    accept_new: bool,
    /// Trust any server, and give it the password if it asks.
    #[arg(long)]
    insecure: bool,
}

impl TrustArgs {
    /// Whether anything of it was given.
    pub(super) fn is_given(&self) -> bool {
        self.ca.is_some() || self.pin.is_some() || self.accept_new || self.insecure
    }

    /// Whom to believe.
    pub(super) fn trust(&self) -> Result<Trust, Failure> {
        match (&self.ca, self.pin, self.insecure) {
            (Some(file), ..) => Trust::from_file(file).map_err(|e| Failure::Usage(e.to_string())),
            (None, Some(pin), _) => Ok(Trust::Pin(pin)),
            (None, None, true) => Ok(Trust::Insecure),
            (None, None, false) => Ok(Trust::System),
        }
    }

    /// The servers that somebody said yes to.
    pub(super) fn known(&self) -> Result<Option<KnownServers>, Failure> {
        let known = known_servers();
        if known.is_none() && self.accept_new {
            return Err(Failure::Usage(
                "this user has no home folder to remember servers in; use --pin instead of --accept-new"
                    .to_owned(),
            ));
        }
        Ok(known)
    }

    /// What to do about a server that nobody vouches for.
    pub(super) fn stranger(&self) -> Stranger {
        if self.accept_new {
            Stranger::Accept
        } else {
            Stranger::Ask
        }
    }
}
