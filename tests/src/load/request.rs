//! What somebody wants of the scale benchmark, from the environment.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Idle sessions on our server, unless told otherwise.
const SESSIONS: usize = 10_000;

/// Parts of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The server by itself.
    Idle,
    /// How many logins a second.
    Login,
    /// Sessions that do nothing.
    Crowd,
    /// All clients come back at once.
    Storm,
    /// What a frame costs.
    Forward,
}

impl Part {
    const ALL: [Part; 5] = [Self::Idle, Self::Login, Self::Crowd, Self::Storm, Self::Forward];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Login => "login",
            Self::Crowd => "crowd",
            Self::Storm => "storm",
            Self::Forward => "forward",
        }
    }

    fn named(word: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|part| part.name() == word);
        found.with_context(|| {
            let names = Self::ALL.map(Self::name).join(" ");
            format!("SCALE_PARTS: there is no part {word:?}; there are {names}")
        })
    }
}

/// The variables, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `SCALE_PARTS`.
    pub parts: Vec<Part>,
    /// Whether the stock server is measured as well: not with `SCALE_OF=ours`.
    pub stock: bool,
    /// `SCALE_SESSIONS`: how many idle sessions there are to be on our server.
    pub sessions: usize,
    /// `SCALE_SAVE`: the page that takes the table.
    pub save: Option<PathBuf>,
}

impl Request {
    /// Reads the variables that begin with `SCALE_`. One that means nothing is an error, and so is one that there is not:
    /// the run takes minutes, and nobody should find out at its end that it measured something else.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut request = Self {
            parts: Part::ALL.to_vec(),
            stock: true,
            sessions: SESSIONS,
            save: None,
        };
        for (name, value) in variables {
            match name.as_str() {
                "SCALE_PARTS" => {
                    request.parts = value.split_whitespace().map(Part::named).collect::<Result<_>>()?;
                    if request.parts.is_empty() {
                        bail!("SCALE_PARTS names no part");
                    }
                }
                "SCALE_OF" => {
                    request.stock = match value.as_str() {
                        "ours" => false,
                        "both" => true,
                        other => bail!("SCALE_OF is \"ours\" or \"both\", not {other:?}"),
                    };
                }
                "SCALE_SESSIONS" => {
                    let count = value.parse().ok().filter(|count| *count >= Self::FEWEST);
                    request.sessions = count.with_context(|| {
                        format!(
                            "SCALE_SESSIONS is a number of at least {}, not {value:?}",
                            Self::FEWEST
                        )
                    })?;
                }
                "SCALE_SAVE" => request.save = Some(value.into()),
                other if other.starts_with("SCALE_") => {
                    bail!(
                        "there is no {other}; there are SCALE_PARTS, SCALE_OF, SCALE_SESSIONS and SCALE_SAVE"
                    )
                }
                _ => {}
            }
        }
        Ok(request)
    }

    /// What the first 50 sessions allocate belongs to no session, so there are more.
    const FEWEST: usize = 100;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Request> {
        Request::of(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        let all = of(&[("PATH", "/bin")]).unwrap();
        assert_eq!((all.parts.len(), all.stock, all.sessions), (5, true, 10_000));
        let some = of(&[
            ("SCALE_PARTS", "storm idle"),
            ("SCALE_OF", "ours"),
            ("SCALE_SESSIONS", "500"),
            ("SCALE_SAVE", "x.md"),
        ]);
        let wanted = Request {
            parts: vec![Part::Storm, Part::Idle],
            stock: false,
            sessions: 500,
            save: Some("x.md".into()),
        };
        assert_eq!(some.unwrap(), wanted);
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_name() {
        for wrong in [
            ("SCALE_PARTS", "idle strom"),
            ("SCALE_PARTS", " "),
            ("SCALE_OF", "our"),
            ("SCALE_SESSIONS", "10k"),
            ("SCALE_SESSIONS", "5"),
            ("SCALE_SESSION", "500"),
        ] {
            let told = format!("{:#}", of(&[wrong]).unwrap_err());
            assert!(told.contains(wrong.0), "{told}");
        }
    }
}
