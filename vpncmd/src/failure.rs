//! How a command can fail, in the words and numbers that scripts know.

use protocol::error::ErrorCode;

/// The result of running one command.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server refused, or the connection to it is gone. Shown with its number, which is also the exit code.
    #[error("{0}")]
    Refused(ErrorCode),
    /// The same, where more is known than the number says.
    #[error("{text}")]
    Failed {
        /// The number.
        code: ErrorCode,
        /// What happened, and what to do.
        text: String,
    },
    /// A parameter or value is wrong; only the sentence is shown.
    #[error("{0}")]
    Invalid(String),
    /// A password is of no type that there is. As the stock tool has it: shown as a wrong parameter, and ends as an internal
    /// error.
    #[error("{0}")]
    NoSuchType(String),
    /// Something on this machine went wrong, such as a file that cannot be written; only the sentence is shown.
    #[error("{0}")]
    Local(String),
    /// There is no such command, or several.
    #[error("{0}")]
    Command(String),
    /// `Check --json` has found something. It has been shown.
    #[error("a check failed")]
    ChecksFailed,
    /// `Apply --dry-run` has found something to do. It has been shown.
    #[error("the server is not as declared")]
    WouldChange,
    /// The user interrupted a prompt.
    #[error("Cancelled.")]
    Cancelled,
    /// The user ended the input at a prompt.
    #[error("the input ended before the command had all its values")]
    InputEnded,
}

impl Failure {
    /// The stock number: what the exit status and `/PROGRAMMING` prompts report.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Failure::Refused(code) | Failure::Failed { code, .. } => code.code(),
            Failure::Invalid(_) | Failure::InputEnded => 38,
            Failure::Local(_) | Failure::ChecksFailed | Failure::NoSuchType(_) => 23,
            Failure::Cancelled => ErrorCode::Cancelled.code(),
            Failure::Command(_) => 117,
            // No error of any server has this number.
            Failure::WouldChange => 200,
        }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Failure {
        Failure::Refused(code)
    }
}
