//! The command line of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::{Contestant, What};
use crate::sources;

/// Measures our server and client beside the stock ones and OpenVPN, device to device, in namespaces of this machine.
///
/// Without options: everything, three rounds, ten minutes at most. While working on something:
///
///   bench --only ours,stock --rounds 1 --seconds 3 --what tcp,rtt
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", verbatim_doc_comment)]
pub struct Options {
    /// Only these contestants.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Contestant>,
    /// Only these measures.
    #[arg(long, value_delimiter = ',', value_enum)]
    what: Vec<What>,
    /// How often each contestant has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long one figure is measured, in seconds.
    #[arg(long, default_value_t = 1.2, value_parser = seconds)]
    seconds: f64,
    /// Save the result in this file instead of docs/benchmarks.md, also when it is not everything.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Pass this to our vpnclient beside what it needs; may be repeated (--client-option=--connections=4).
    #[arg(long, value_name = "OPTION")]
    pub client_option: Vec<String>,
    /// Pass this to our vpnserver beside `run`; may be repeated.
    #[arg(long, value_name = "OPTION")]
    pub server_option: Vec<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.5..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("from 0.5 to 60".to_owned()),
    }
}

impl Options {
    /// Who takes part, in the order of the table.
    pub fn contestants(&self) -> Vec<Contestant> {
        let wanted = |one: &Contestant| self.only.is_empty() || self.only.contains(one);
        Contestant::ALL.into_iter().filter(wanted).collect()
    }

    /// What is measured, in the order in which it is.
    pub fn what(&self) -> Vec<What> {
        let wanted = |one: &What| self.what.is_empty() || self.what.contains(one);
        What::ALL.into_iter().filter(wanted).collect()
    }

    /// Where the result is saved: a run of everything in the documents, any other only where it was asked to.
    pub fn page(&self) -> Option<PathBuf> {
        let changed = !self.client_option.is_empty() || !self.server_option.is_empty();
        let whole = self.only.is_empty() && self.what.is_empty() && !changed && self.rounds >= 3;
        let documents = || whole.then(|| sources::top().join("docs/benchmarks.md"));
        self.save.clone().or_else(documents)
    }

    /// How long one figure is measured.
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Options {
        Options::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn without_options_everything_is_measured() {
        let options = parsed("bench");
        assert_eq!(options.contestants(), Contestant::ALL);
        assert_eq!(options.what(), What::ALL);
        assert_eq!(options.rounds, 3);
        assert!(options.page().unwrap().ends_with("docs/benchmarks.md"));
    }

    #[test]
    fn only_what_is_asked_for_is_measured_in_the_tables_order() {
        let options = parsed("bench --only ours,stock --rounds 1 --seconds 3 --what tcp,rtt");
        assert_eq!(options.contestants(), [Contestant::Stock, Contestant::Ours]);
        assert_eq!(options.what(), [What::Rtt, What::Tcp]);
        assert_eq!(options.window(), Duration::from_secs(3));
        assert_eq!(options.page(), None, "a part is not saved unless asked for");
        assert_eq!(parsed("bench --rounds 1 --save x").page(), Some("x".into()));
    }

    #[test]
    fn wrong_options_are_refused() {
        for line in [
            "bench --only theirs",
            "bench --seconds 0",
            "bench --rounds 0",
            "bench --what nothing",
        ] {
            assert!(
                Options::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
    }
}
