//! How a user proves who they are, as options.

use std::path::PathBuf;

use clap::Args;
use protocol::certificate::SigningKey;
use transport::tls;

use crate::failure::Failure;
use crate::login::Proof;
use crate::password;
use crate::report::{Event, Reporter};

#[derive(Debug, Args)]
#[group(multiple = true)]
pub(super) struct ProofArgs {
    /// Read the password from this file, or from standard input for `-`; without it a service credential
    /// `vpn-password` is used, or the terminal asks.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["anonymous", "cert"])]
    password_file: Option<PathBuf>,
    /// Log in without proof, as a user who needs none.
    #[arg(long, conflicts_with = "cert")]
    anonymous: bool,
    /// Log in by this RSA certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl ProofArgs {
    /// Whether anything of it was given.
    pub(super) fn is_given(&self) -> bool {
        self.password_file.is_some() || self.anonymous || self.cert.is_some()
    }

    /// The proof; asks for the password where it must.
    pub(super) fn proof(&self, user: &str, reporter: &Reporter) -> Result<Proof, Failure> {
        if self.anonymous {
            return Ok(Proof::Anonymous);
        }
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            let password = password::obtain(self.password_file.as_deref(), user)?;
            if let Some(note) = password.note {
                reporter.show(&Event::Note(note));
            }
            return Ok(Proof::Password(password.text));
        };
        let wrong = |e: &dyn std::fmt::Display| Failure::Usage(e.to_string());
        let chain = tls::certificates_from_file(cert).map_err(|e| wrong(&e))?;
        let key_der = tls::key_from_file(key).map_err(|e| wrong(&e))?;
        let key = SigningKey::from_der(key_der.secret_der())
            .map_err(|e| Failure::Usage(format!("{}: {e}; give an RSA key", key.display())))?;
        let certificate = chain.first().map(|first| first.to_vec()).unwrap_or_default();
        Ok(Proof::Certificate {
            certificate,
            key: Box::new(key),
        })
    }
}
