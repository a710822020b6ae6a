//! How a user proves who they are, as options.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use zeroize::Zeroizing;

use crate::certificate;
use crate::failure::Failure;
use crate::login::Proof;
use crate::password::{self, Wanted};
use crate::person;
use crate::report::{Event, Reporter};
use crate::secret::{CodeSource, Password};

#[derive(Debug, Args)]
#[command(next_help_heading = "How the user proves who they are")]
#[group(multiple = true)]
pub(super) struct ProofArgs {
    /// Read the password from this file, or from standard input for `-`; without it a service credential
    /// `vpn-password` is used, or the terminal asks.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["anonymous", "cert", "pkcs12"])]
    password_file: Option<PathBuf>,
    /// Ask for a one-time code at every login and append it to the password.
    #[arg(long, conflicts_with_all = ["anonymous", "cert", "pkcs12"])]
    otp: bool,
    /// Take the code of each login from this file, which something else fills anew, or for `-` from a line of standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["otp", "anonymous", "cert", "pkcs12"])]
    otp_file: Option<PathBuf>,
    /// Send the password itself also where the server does not ask for it: to a server of SoftEther that has its users checked by
    /// RADIUS or a domain. Codes imply it. Never to a server that is not trusted.
    #[arg(long, conflicts_with_all = ["anonymous", "cert", "pkcs12"])]
    plain_password: bool,
    /// Log in without proof, as a user who needs none.
    #[arg(long, conflicts_with_all = ["cert", "pkcs12"])]
    anonymous: bool,
    /// Log in by this RSA certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's private key (PEM, encrypted or not).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Log in by the RSA certificate and key in this PKCS#12 file (.p12, .pfx).
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    pkcs12: Option<PathBuf>,
    /// Read the password of an encrypted key or PKCS#12 file from this file, or from standard input for `-`; without it a service
    /// credential `vpn-key-password` is used, or the terminal asks.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["anonymous", "password_file"])]
    key_password_file: Option<PathBuf>,
}

impl ProofArgs {
    /// Whether anything of it was given.
    pub(super) fn is_given(&self) -> bool {
        self.password_file.is_some()
            || self.otp
            || self.otp_file.is_some()
            || self.plain_password
            || self.anonymous
            || self.cert.is_some()
            || self.pkcs12.is_some()
            || self.key_password_file.is_some()
    }

    /// The proof; asks for the password where it must. A code is asked for when it is needed, since it does not last.
    pub(super) fn proof(&self, user: &str, reporter: &Reporter) -> Result<Proof, Failure> {
        if self.anonymous {
            return Ok(Proof::Anonymous);
        }
        match (&self.cert, &self.key, &self.pkcs12) {
            (Some(cert), Some(key), _) => {
                certificate::from_pem(cert, key, &mut || self.unlock(key, reporter))
            }
            (_, _, Some(file)) => certificate::from_pkcs12(file, &mut || self.unlock(file, reporter)),
            _ => self.password(user, reporter),
        }
    }

    fn password(&self, user: &str, reporter: &Reporter) -> Result<Proof, Failure> {
        let codes = match (&self.otp_file, self.otp) {
            (Some(file), _) if file == Path::new("-") => Some(CodeSource::Input),
            (Some(file), _) => Some(CodeSource::File(file.clone())),
            (None, true) => Some(CodeSource::Terminal),
            (None, false) => None,
        };
        if codes == Some(CodeSource::Terminal) && !person::is_there() {
            return Err(Failure::Usage(
                "there is no terminal to ask for the code; give --otp-file".to_owned(),
            ));
        }
        let given = password::obtain(self.password_file.as_deref(), user)?;
        show_note(given.note, reporter);
        let mut password = Password::new(user, given.text);
        if self.plain_password {
            password = password.sent_itself();
        }
        if let Some(codes) = codes {
            password = password.with_codes(codes);
        }
        Ok(Proof::Password(Arc::new(password)))
    }

    /// The password of an encrypted file.
    fn unlock(&self, file: &Path, reporter: &Reporter) -> Result<Zeroizing<String>, Failure> {
        let given = Wanted {
            file: self.key_password_file.as_deref(),
            option: "--key-password-file",
            credential: "vpn-key-password",
            prompt: &format!("Password of {}: ", file.display()),
        }
        .obtain()?;
        show_note(given.note, reporter);
        Ok(given.text)
    }
}

fn show_note(note: Option<String>, reporter: &Reporter) {
    if let Some(note) = note {
        reporter.show(&Event::Note(note));
    }
}
