//! The scenario: command lines in their order, since they build on each other.

use anyhow::{Context, Result, ensure};

const TEXT: &str = include_str!("../../data/conformance/scenario.txt");

/// Who gives a line to the tool, and with what selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The hub whose administrator it is; nothing for the server's.
    pub of_hub: Option<String>,
    /// The password.
    pub password: String,
}

/// How the tool is started for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Together with its neighbours, as a front end does it: `/PROGRAMMING`, with the lines on the standard input.
    Together,
    /// By itself: `/CMD`.
    Alone,
    /// By itself: `/CSV /CMD`.
    Csv,
}

/// One line of the scenario.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number, by which other tables name it.
    pub number: u32,
    /// Who says it.
    pub login: Login,
    /// The hub that the server's administrator has selected.
    pub hub: Option<String>,
    /// How it is said.
    pub mode: Mode,
    /// What the stock tool ended with on the stock server.
    pub exit: i32,
    /// The command and its parameters.
    pub words: Vec<String>,
}

/// A user who joins a hub by our client.
#[derive(Debug, Clone)]
pub struct Join {
    /// The hub.
    pub hub: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The address to take; nothing to ask the hub for one.
    pub address: Option<String>,
    /// Whom to ping then, so that the hub knows both.
    pub ping: String,
}

/// What is done next.
#[derive(Debug, Clone)]
pub enum Step {
    /// The tool is given a line.
    Say(Line),
    /// A client joins a hub.
    Join(Join),
    /// The client leaves.
    Leave,
}

/// The administrator's password after line 3.
const PASSWORD: &str = "admin1";

/// All steps.
pub fn steps() -> Result<Vec<Step>> {
    let steps: Vec<Step> = TEXT
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| Step::parse(line).with_context(|| format!("scenario line {line:?}")))
        .collect::<Result<_>>()?;
    let mut numbers: Vec<u32> = lines(&steps).iter().map(|line| line.number).collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    ensure!(numbers.len() == all, "two lines have the same number");
    Ok(steps)
}

/// The lines among the steps.
pub fn lines(steps: &[Step]) -> Vec<&Line> {
    let mut lines = Vec::new();
    for step in steps {
        if let Step::Say(line) = step {
            lines.push(line);
        }
    }
    lines
}

impl Step {
    /// `+ HUB USER PASSWORD ADDRESS PING`, where the address may be `dhcp`; `-`; or a line.
    fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        Ok(match parts[..] {
            ["+", hub, user, password, address, ping] => Self::Join(Join {
                hub: hub.into(),
                user: user.into(),
                password: password.into(),
                address: (address != "dhcp").then(|| address.into()),
                ping: ping.into(),
            }),
            ["-"] => Self::Leave,
            _ => Self::Say(Line::parse(text)?),
        })
    }
}

impl Line {
    /// `NUMBER WHO[,MODE] EXIT WORD...`; who is `-` (the server's administrator), `HUB` (the same with this hub
    /// selected), `HUB:PASSWORD` (the hub's administrator) or `:PASSWORD` (the server's, with another password).
    fn parse(text: &str) -> Result<Self> {
        let mut parts = text.splitn(2, ' ');
        let number = parts.next().context("no number")?.parse()?;
        let rest = parts.next().context("no words")?.trim_start();
        let (place, rest) = rest.split_once(' ').context("no exit code")?;
        let (exit, rest) = rest.trim_start().split_once(' ').context("no command")?;
        let (who, mode) = match place.split_once(',') {
            None => (place, Mode::Together),
            Some((who, "alone")) => (who, Mode::Alone),
            Some((who, "csv")) => (who, Mode::Csv),
            Some((_, other)) => anyhow::bail!("unknown mode {other}"),
        };
        let (of_hub, hub, password) = match who.split_once(':') {
            None if who == "-" => (None, None, PASSWORD),
            None => (None, Some(who), PASSWORD),
            Some(("", password)) => (None, None, password),
            Some((hub, password)) => (Some(hub), None, password),
        };
        Ok(Self {
            number,
            login: Login {
                of_hub: of_hub.map(str::to_owned),
                password: password.to_owned(),
            },
            hub: hub.map(str::to_owned),
            mode,
            exit: exit.parse()?,
            words: words(rest)?,
        })
    }

    /// The line as a person would write it.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }

    /// The earlier lines from whose output this one takes values.
    pub fn refers_to(&self) -> impl Iterator<Item = u32> {
        self.words
            .iter()
            .filter_map(|word| reference(word).map(|(_, number, _, _)| number))
    }

    /// The words, with the values of earlier lines put in: `{NUMBER:ITEM}` is the last value of that item.
    pub fn words_with(&self, value: impl Fn(u32, &str) -> Option<String>) -> Vec<String> {
        let filled = |word: &String| match reference(word) {
            Some((before, number, item, after)) => {
                let value = value(number, item).unwrap_or_else(|| "nothing".to_owned());
                format!("{before}{value}{after}")
            }
            None => word.clone(),
        };
        self.words.iter().map(filled).collect()
    }
}

fn reference(word: &str) -> Option<(&str, u32, &str, &str)> {
    let (before, rest) = word.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    let (number, item) = inside.split_once(':')?;
    Some((before, number.parse().ok()?, item, after))
}

/// Words between blanks; single quotes keep blanks together.
fn words(text: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in text.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    ensure!(!quoted, "an open quote");
    words.extend(word);
    Ok(words)
}
