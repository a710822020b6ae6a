//! Whom to believe, as options.

use std::path::PathBuf;

use clap::Args;
use transport::tls::{Fingerprint, Trust};

use crate::failure::Failure;

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct TrustArgs {
    /// Trust the certificate authorities of this file (PEM) instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust exactly the server certificate of this SHA-256.
    #[arg(long, value_name = "sha256:HEX")]
    pin: Option<Fingerprint>,
    /// Trust any server, and give it the password if it asks.
    #[arg(long)]
    insecure: bool,
}

impl TrustArgs {
    /// Whether anything of it was given.
    pub(super) fn is_given(&self) -> bool {
        self.ca.is_some() || self.pin.is_some() || self.insecure
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
}
