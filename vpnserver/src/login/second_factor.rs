//! Stage two: a second factor. None is asked for yet; a kind of factor is one more [`Factor`].

use super::Refused;
use super::authenticate::Subject;

/// A question after the first proof.
trait Factor {
    /// Whether this subject may go on.
    fn ask(&self, subject: &Subject<'_>) -> Result<(), Refused>;
}

/// For subjects that need no second factor.
struct NoneNeeded;

impl Factor for NoneNeeded {
    fn ask(&self, _subject: &Subject<'_>) -> Result<(), Refused> {
        Ok(())
    }
}

/// Asks for the factor that the subject needs.
pub(super) fn ask(subject: &Subject<'_>) -> Result<(), Refused> {
    NoneNeeded.ask(subject)
}
