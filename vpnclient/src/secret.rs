//! A password as long as it may be kept, and the one-time code that goes with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::{password, person};

/// Where one-time codes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeSource {
    /// They are typed.
    Terminal,
    /// A line of standard input for each login.
    Input,
    /// A file, which something else fills anew for each login.
    File(PathBuf),
}

/// What to log in with has to come from somebody, and nobody is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The server's policy had the password forgotten.
    #[error(
        "the policy of this hub has clients forget the password after each login, and there is no terminal to ask for it; \
         start the client again"
    )]
    Password,
    /// Every code is good for one login.
    #[error("a new one-time code is needed for this login, and {0}; start the client again")]
    Code(String),
    /// Whoever was asked gave nothing, or could not be asked.
    #[error("{0}")]
    NotGiven(String),
}

/// A password. It is cleared from memory when it is forgotten.
///
/// With a code every login takes a new one, which is appended to the password as users of other clients type it.
pub struct Password {
    /// Whose it is, as somebody is asked for it.
    who: String,
    /// Whether it is sent as it is also to servers that do not ask for it: those that leave users to RADIUS or a domain take
    /// nothing else.
    itself: bool,
    codes: Option<CodeSource>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    password: Option<Zeroizing<String>>,
    code: Option<Zeroizing<String>>,
    /// The last code that was used.
    used: Option<Zeroizing<String>>,
}

/// Without secrets.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Password(of {})", self.who)
    }
}

impl Password {
    /// The password of `who`.
    pub fn new(who: &str, password: Zeroizing<String>) -> Self {
        Self {
            who: who.to_owned(),
            itself: false,
            codes: None,
            kept: Mutex::new(Kept {
                password: Some(password),
                ..Kept::default()
            }),
        }
    }

    /// Has it sent as it is to every server that is believed.
    #[must_use]
    pub fn sent_itself(self) -> Self {
        Self { itself: true, ..self }
    }

    /// Has every login take a code from there. No server can check the answer to a challenge that a code is part of, so that
    /// the password is sent as it is.
    #[must_use]
    pub fn with_codes(self, codes: CodeSource) -> Self {
        Self {
            codes: Some(codes),
            itself: true,
            ..self
        }
    }

    /// Whether it goes as it is also to servers that do not ask for that.
    pub fn goes_itself(&self) -> bool {
        self.itself
    }

    /// Forgets it: the server's policy says that it is not to be kept.
    pub fn forget(&self) {
        let mut kept = self.kept();
        kept.password = None;
        kept.used = None;
    }

    /// Whether a login can go on without asking anybody.
    pub fn is_complete(&self) -> bool {
        let kept = self.kept();
        kept.password.is_some() && (self.codes.is_none() || kept.code.is_some())
    }

    /// Gets what is missing for one login, from wherever it comes; may wait for a person, so not on an async thread.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn complete(&self) -> Result<(), Missing> {
        if self.kept().password.is_none() {
            let typed =
                person::secret(&format!("Password of {}: ", self.who)).map_err(|why| not_given(&why))?;
            self.kept().password = Some(typed.ok_or(Missing::Password)?);
        }
        let Some(codes) = &self.codes else {
            return Ok(());
        };
        if self.kept().code.is_none() {
            let code = self.fetch(codes)?;
            self.kept().code = Some(code);
        }
        Ok(())
    }

    fn fetch(&self, codes: &CodeSource) -> Result<Zeroizing<String>, Missing> {
        let code = match codes {
            CodeSource::Terminal => person::secret(&format!("One-time code of {}: ", self.who))
                .map_err(|why| not_given(&why))?
                .ok_or_else(|| Missing::Code("there is no terminal to ask for it".to_owned()))?,
            CodeSource::Input => password::next_line("the code").map_err(|why| not_given(&why))?,
            CodeSource::File(path) => self.fresh(path)?,
        };
        if code.is_empty() {
            return Err(Missing::Code(
                "there is none where it should come from".to_owned(),
            ));
        }
        Ok(code)
    }

    /// The code in a file, unless it is the one that was used already.
    fn fresh(&self, path: &Path) -> Result<Zeroizing<String>, Missing> {
        let code = password::from_file(path, "--otp-file")
            .map_err(|why| not_given(&why))?
            .text;
        if self.kept().used.as_ref() == Some(&code) {
            return Err(Missing::Code(format!(
                "the one in {} was used already",
                path.display()
            )));
        }
        Ok(code)
    }

    /// What to log in with; the code in it is used up by that. `None` before it is complete.
    pub fn say(&self) -> Option<Zeroizing<String>> {
        let mut kept = self.kept();
        let password = kept.password.clone()?;
        if self.codes.is_none() {
            return Some(password);
        }
        let code = kept.code.take()?;
        // As long as it will be, so that no copy stays behind when it grows.
        let mut both = Zeroizing::new(String::with_capacity(password.len() + code.len()));
        both.push_str(&password);
        both.push_str(&code);
        kept.used = Some(code);
        Some(both)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_given(failure: &Failure) -> Missing {
    Missing::NotGiven(failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new("alice", Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_password_is_said_again_and_again_until_it_is_forgotten() {
        let password = password("Fuji");
        for _ in 0..2 {
            assert!(password.is_complete());
            assert_eq!(password.say().unwrap().as_str(), "Fuji");
        }
        password.forget();
        assert!(!password.is_complete());
        assert_eq!(password.say(), None);
    }

    #[test]
    fn a_code_is_appended_and_good_for_one_login() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        std::fs::write(&path, "123456\n").unwrap();
        let password = password("Fuji").with_codes(CodeSource::File(path.clone()));
        assert!(password.goes_itself() && !password.is_complete());
        password.complete().unwrap();
        assert_eq!(password.say().unwrap().as_str(), "Fuji123456");
        assert_eq!(password.say(), None);
        let again = password.complete().unwrap_err();
        assert!(
            matches!(&again, Missing::Code(why) if why.contains("used already")),
            "{again}"
        );
        std::fs::write(&path, "654321").unwrap();
        password.complete().unwrap();
        assert_eq!(password.say().unwrap().as_str(), "Fuji654321");
    }

    #[test]
    fn an_empty_code_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let password = password("Fuji").with_codes(CodeSource::File(file.path().to_owned()));
        assert!(matches!(password.complete(), Err(Missing::Code(_))));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", password("Fuji")).contains("Fuji"));
    }
}
