//! How the program ends when it does not end well: one line that says what and how to mend it, and an exit code.

use std::process::ExitCode;

use crate::reason::Reason;

/// Why the program ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The command line, or a file named there, is wrong.
    #[error("{0}")]
    Usage(String),
    /// The other side: it is out of reach, not trusted, or it refused.
    #[error("{0}")]
    Refused(String),
    /// The same, where the reason has a word.
    #[error("{text}")]
    Unmet {
        /// Why.
        reason: Reason,
        /// The line for people.
        text: String,
    },
    /// This machine: a privilege, a device or a program is missing.
    #[error("{0}")]
    Local(String),
}

impl Failure {
    /// One that another process of ours tells of, by its line and the word of its reason.
    pub fn told(text: &str, word: &str) -> Self {
        let text = text.to_owned();
        match Reason::ALL.iter().find(|reason| reason.word() == word) {
            Some(Reason::Usage) => Self::Usage(text),
            Some(Reason::Local) => Self::Local(text),
            Some(Reason::Other) | None => Self::Refused(text),
            Some(&reason) => Self::Unmet { reason, text },
        }
    }

    /// The number of the exit code: 2 usage, 3 the other side, 4 this machine.
    pub fn number(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(_) | Self::Unmet { .. } => 3,
            Self::Local(_) => 4,
        }
    }

    /// Why, in one word for programs.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Usage(_) => Reason::Usage,
            Self::Refused(_) => Reason::Other,
            Self::Unmet { reason, .. } => *reason,
            Self::Local(_) => Reason::Local,
        }
    }

    /// The exit code of the program.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

impl From<netdev::Error> for Failure {
    fn from(error: netdev::Error) -> Self {
        Self::Local(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_from_process_to_process_as_it_was() {
        let text = || "the line".to_owned();
        for failure in [
            Failure::Usage(text()),
            Failure::Refused(text()),
            Failure::Local(text()),
            Failure::Unmet {
                reason: Reason::WrongCredentials,
                text: text(),
            },
        ] {
            assert_eq!(
                Failure::told(&failure.to_string(), failure.reason().word()),
                failure
            );
        }
    }
}
