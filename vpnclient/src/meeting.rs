//! Meeting a server that nobody vouches for: shown to whoever is there, remembered after an explicit yes, and refused when it
//! shows another certificate later.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use time::Date;
use transport::dial::{DialError, Dialed, Stage, Target, Untrusted, Way};
use transport::folders;
use transport::known::{Known, KnownServers};
use transport::tls::{Description, Distrust, Fingerprint, Trust};

use crate::failure::Failure;
use crate::person;
use crate::report::{Event, Reporter, clean_line};

/// What to do about a server that no authority vouches for and that is not known yet. It has a meaning with
/// [`Trust::System`] alone: whoever names authorities or a pin means those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stranger {
    /// It is refused.
    #[default]
    Refuse,
    /// It is believed and remembered: somebody said so in as many words.
    Accept,
    /// The person at the terminal is asked; where there is none, it is refused.
    Ask,
}

/// Why a server was not met.
#[derive(Debug, thiserror::Error)]
pub enum MeetingError {
    /// It was not reached, or it is no VPN server.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Its certificate is not believed.
    #[error("the certificate of {} is not trusted: {}. {}", .0.target, .0.why, Remedy(.0))]
    Distrusted(Box<Untrusted>),
    /// It shows another certificate than the one that was remembered.
    #[error("{0}")]
    Changed(Box<Change>),
    /// The person at the terminal did not say yes.
    #[error("the certificate of {0} was not accepted")]
    Declined(Target),
    /// The file of known servers is of no use.
    #[error("the file {file} cannot be used: {source}; mend or remove it")]
    Known {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The question could not be asked.
    #[error(transparent)]
    Unasked(Failure),
}

/// A certificate that changed.
#[derive(Debug)]
pub struct Change {
    target: Target,
    was: Fingerprint,
    is: Fingerprint,
    since: Option<Date>,
    /// Where it was remembered; nowhere, when it is that of the session before.
    file: Option<PathBuf>,
}

impl Change {
    /// A server that is not believed and was another one in the session before.
    pub fn since_the_session(untrusted: &Untrusted, was: Fingerprint) -> Self {
        Self {
            target: untrusted.target.clone(),
            was,
            is: untrusted.fingerprint(),
            since: None,
            file: None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            was,
            is,
            since,
            file,
        } = self;
        write!(
            f,
            "the certificate of {target} has changed, so that somebody may be in between: it is {is} now and was {was}"
        )?;
        if let Some(since) = since {
            write!(f, " since {since}")?;
        }
        match file {
            Some(file) => write!(
                f,
                " ({}). If the administrator says that it was renewed, forget the old one: vpnclient forget {target}",
                file.display()
            ),
            None => write!(
                f,
                " in this session, and nobody vouches for it. If the administrator says that it was renewed, connect with --pin {is}"
            ),
        }
    }
}

/// What can be done about a certificate that is not believed.
struct Remedy<'a>(&'a Untrusted);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pin = self.0.fingerprint();
        let described = Description::of(&self.0.certificate);
        match &self.0.why {
            Distrust::NotThePin => {
                return write!(
                    f,
                    "It shows {pin}; if the administrator says that this is the new one, give it as --pin"
                );
            }
            Distrust::Expired => {
                let valid = described.and_then(|described| described.valid);
                if let Some((_, last)) = valid {
                    write!(f, "Its last day was {last}; the administrator has to renew it. ")?;
                }
            }
            Distrust::NotYetValid => f.write_str("Check this machine's clock. ")?,
            Distrust::WrongName => {
                let names = described.map(|described| described.names).unwrap_or_default();
                if !names.is_empty() {
                    write!(
                        f,
                        "It is for {}: connect to it by such a name. ",
                        names.join(", ")
                    )?;
                }
            }
            _ => {}
        }
        write!(
            f,
            "If its SHA-256 is what the server's administrator says, connect with --pin {pin}"
        )
    }
}

/// The folder of this program's settings: `/etc/hubward/client` for root, `client` in the user's own folder for others.
pub fn folder() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/etc/hubward/client"));
    }
    Some(folders::settings()?.join("client"))
}

/// The servers that this user has said yes to.
pub fn known_servers() -> Option<KnownServers> {
    Some(KnownServers::at(folder()?.join("known_servers")))
}

/// How a server is met.
pub struct Meeting<'a> {
    /// The server.
    pub target: &'a Target,
    /// How it is reached.
    pub way: &'a Way,
    /// Whom to believe.
    pub trust: &'a Trust,
    /// Which servers are known.
    pub known: Option<&'a KnownServers>,
    /// What to do about one that is not.
    pub stranger: Stranger,
}

impl Meeting<'_> {
    /// Dials it and decides whether to believe it. Nothing is asked about a server that is believed, and nothing about one that is
    /// no VPN server.
    ///
    /// # Errors
    /// [`MeetingError`].
    pub async fn meet(
        &self,
        reporter: &Reporter,
        watch: &mut (dyn FnMut(Stage) + Send),
    ) -> Result<Dialed, MeetingError> {
        let known = self.remembered()?;
        let trust = match &known {
            Some((_, known)) => &Trust::Remembered(known.fingerprint),
            None => self.trust,
        };
        let untrusted = match self.way.dial(self.target, trust, watch).await {
            Err(DialError::Untrusted(untrusted)) => untrusted,
            done => return Ok(done?),
        };
        match (known, self.known) {
            (Some((file, known)), _) => Err(MeetingError::Changed(Box::new(Change {
                target: self.target.clone(),
                was: known.fingerprint,
                is: untrusted.fingerprint(),
                since: known.since,
                file: Some(file.path().to_owned()),
            }))),
            (None, Some(file)) if self.may_be_accepted() => {
                let fingerprint = self.introduce(&untrusted, reporter, watch).await?;
                file.remember(self.target, fingerprint, SystemTime::now())
                    .map_err(|source| unusable(file, source))?;
                let file = file.path().display();
                reporter.show(&Event::Note(format!(
                    "remembered the certificate {fingerprint} of {} in {file}",
                    self.target
                )));
                Ok(self
                    .way
                    .dial(self.target, &Trust::Pin(fingerprint), watch)
                    .await?)
            }
            _ => Err(MeetingError::Distrusted(untrusted)),
        }
    }

    /// What is known of it, where that counts.
    fn remembered(&self) -> Result<Option<(&KnownServers, Known)>, MeetingError> {
        let Some(file) = self.known.filter(|_| matches!(self.trust, Trust::System)) else {
            return Ok(None);
        };
        let found = file.find(self.target).map_err(|source| unusable(file, source))?;
        Ok(found.map(|known| (file, known)))
    }

    fn may_be_accepted(&self) -> bool {
        let wanted = match self.stranger {
            Stranger::Refuse => false,
            Stranger::Accept => true,
            Stranger::Ask => person::decides(),
        };
        wanted && matches!(self.trust, Trust::System)
    }

    /// Sees whether it is a VPN server at all, before anybody is bothered with it, and gets the yes.
    async fn introduce(
        &self,
        untrusted: &Untrusted,
        reporter: &Reporter,
        watch: &mut (dyn FnMut(Stage) + Send),
    ) -> Result<Fingerprint, MeetingError> {
        let fingerprint = untrusted.fingerprint();
        let stranger = self
            .way
            .dial(self.target, &Trust::Pin(fingerprint), watch)
            .await?;
        let text = introduction(untrusted, &stranger.hello.product);
        stranger.close().await;
        if self.stranger == Stranger::Accept {
            return Ok(fingerprint);
        }
        reporter.finish();
        let asked = tokio::task::spawn_blocking(move || person::says_yes(&text)).await;
        let gone = |_| MeetingError::Unasked(Failure::Local("the question was not asked".to_owned()));
        match asked.map_err(gone)?.map_err(MeetingError::Unasked)? {
            true => Ok(fingerprint),
            false => Err(MeetingError::Declined(self.target.clone())),
        }
    }
}

fn unusable(file: &KnownServers, source: io::Error) -> MeetingError {
    MeetingError::Known {
        file: file.path().to_owned(),
        source,
    }
}

/// What is shown of a stranger, for whoever has to decide.
fn introduction(untrusted: &Untrusted, product: &str) -> String {
    let mut text = format!(
        "This machine does not know {}, which calls itself \"{}\", and its certificate is not trusted: {}.\n",
        untrusted.target,
        clean_line(product),
        untrusted.why
    );
    if let Some(described) = Description::of(&untrusted.certificate) {
        let issuer = match described.self_signed {
            true => "itself".to_owned(),
            false => described.issuer,
        };
        text += &format!("  for        {}\n", described.subject);
        if !described.names.is_empty() {
            text += &format!("  names      {}\n", described.names.join(", "));
        }
        text += &format!("  signed by  {issuer}\n");
        if let Some((first, last)) = described.valid {
            text += &format!("  valid      {first} to {last}\n");
        }
    }
    text += &format!(
        "  SHA-256    {}\nCompare the SHA-256 with what the server's administrator says; it is remembered after a yes.",
        untrusted.fingerprint()
    );
    text
}
