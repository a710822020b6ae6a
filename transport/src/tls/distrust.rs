//! Why a certificate is not believed, told apart.

use std::fmt;
use std::io;

use rustls::CertificateError as Fault;

use super::Trust;

/// What speaks against a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// It is not the one certificate that was asked for.
    NotThePin,
    /// It is not the one that somebody said yes to once, and nobody vouches for it.
    Changed,
    /// Nobody who is believed has signed it.
    UnknownAuthority,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is for another name.
    WrongName,
    /// It is not fit for a server: what the stock server makes for itself, say, which is an authority's.
    Unfit,
    /// Another fault, in the words of rustls.
    Other(String),
}

impl Distrust {
    /// What a failed handshake held against the certificate; `None` when it failed by something else.
    pub(crate) fn of(error: &io::Error, trust: &Trust) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::InvalidCertificate(fault) = inner else {
            return None;
        };
        // A signature that the certificate's key did not make speaks against the peer, whatever was to be believed.
        if matches!(fault, Fault::BadSignature) {
            return Some(Self::Other(fault.to_string()));
        }
        Some(match trust {
            Trust::Pin(_) => Self::NotThePin,
            Trust::Remembered(_) => Self::Changed,
            _ => Self::of_fault(fault),
        })
    }

    fn of_fault(fault: &Fault) -> Self {
        match fault {
            Fault::UnknownIssuer => Self::UnknownAuthority,
            Fault::Expired | Fault::ExpiredContext { .. } => Self::Expired,
            Fault::NotValidYet | Fault::NotValidYetContext { .. } => Self::NotYetValid,
            Fault::NotValidForName | Fault::NotValidForNameContext { .. } => Self::WrongName,
            Fault::Other(_) | Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => Self::Unfit,
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThePin => "it is not the pinned one",
            Self::Changed => "it is another one than before",
            Self::UnknownAuthority => "no known authority has signed it (it may be self-signed)",
            Self::Expired => "it has expired",
            Self::NotYetValid => "it is not valid yet",
            Self::WrongName => "it is for another name",
            Self::Unfit => "it breaks the rules for a server's certificate (it may be self-signed)",
            Self::Other(words) => words,
        })
    }
}
