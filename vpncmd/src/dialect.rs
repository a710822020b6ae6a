//! The stock start-up language, translated to ours.
//!
//! `vpncmd HOST /SERVER /HUB:x /CMD UserList` becomes `vpncmd HOST --server --hub=x -- UserList`, which clap
//! understands. What clap calls `--` begins the one command to run.

use clap::CommandFactory;

use crate::matching;
use crate::options::Options;

/// The stock switches; each is our long flag of the same name.
const SWITCHES: &[&str] = &[
    "CLIENT",
    "SERVER",
    "TOOLS",
    "HUB",
    "ADMINHUB",
    "PASSWORD",
    "IN",
    "OUT",
    "CSV",
    "PROGRAMMING",
    "HELP",
];
/// Those that take a value.
const WITH_VALUE: &[&str] = &["HUB", "ADMINHUB", "PASSWORD", "IN", "OUT"];

/// A word on the start-up line that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no switch of vpncmd; vpncmd --help shows those there are")]
pub struct Unknown(String);

/// Translates the words after the program's name.
///
/// # Errors
/// A switch that the stock language does not have.
pub fn translate(words: impl IntoIterator<Item = String>) -> Result<Vec<String>, Unknown> {
    let mut translated = Vec::new();
    let mut words = words.into_iter();
    let mut host = false;
    while let Some(word) = words.next() {
        if word == "--" {
            translated.push(word);
            translated.extend(words);
            break;
        }
        let bare = !word.starts_with(['/', '-']);
        if bare && host {
            // `vpncmd HOST apply FILE`: behind the server, a bare word begins the command.
            translated.push("--".to_owned());
            translated.extend(command_words(&word, words.collect()));
            break;
        }
        host |= bare;
        if let Some(first) = command_start(&word) {
            translated.push("--".to_owned());
            let rest: Vec<String> = words.collect();
            translated.extend(command_words(first, rest));
            break;
        }
        // The value of `--data-dir /srv/vpn` begins like a switch and is none.
        let value = if takes_next_word(&word) {
            words.next()
        } else {
            None
        };
        translated.push(switch(word)?);
        translated.extend(value);
    }
    Ok(translated)
}

/// Whether a word is a long flag of ours whose value is the next word.
fn takes_next_word(word: &str) -> bool {
    let Some(flag) = word.strip_prefix("--") else {
        return false;
    };
    let command = Options::command();
    command
        .get_arguments()
        .any(|argument| argument.get_long() == Some(flag) && argument.get_action().takes_values())
}

/// Whether a word is `/CMD` in one of its forms: alone, or followed by a blank, `:` or `=` and the command.
fn command_start(word: &str) -> Option<&str> {
    let rest = word
        .strip_prefix(['/', '-'])
        .filter(|_| !word.starts_with("--"))?;
    let (name, rest) = rest.split_at_checked(3)?;
    if !name.eq_ignore_ascii_case("cmd") {
        return None;
    }
    let separators: &[char] = &[' ', '\t', ':', '='];
    if rest.is_empty() {
        Some("")
    } else {
        rest.strip_prefix(separators)
    }
}

/// A command in one piece (`/CMD "UserGet bob"`) is split like a typed line; words that the calling shell has
/// separated already are taken as they are.
fn command_words(first: &str, rest: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = if first.is_empty() {
        Vec::new()
    } else {
        vec![first.to_owned()]
    };
    all.extend(rest);
    match &all[..] {
        [line] => crate::line::words(line),
        _ => all,
    }
}

/// Our long flags pass, stock switches become long flags, a doubled first character makes a plain word.
fn switch(word: String) -> Result<String, Unknown> {
    let Some(rest) = word.strip_prefix('/').or_else(|| word.strip_prefix('-')) else {
        return Ok(word);
    };
    if word.starts_with("--") || word == "-h" || word == "-V" {
        return Ok(word);
    }
    if word.starts_with("//") {
        return Ok(rest.to_owned());
    }
    if rest == "?" {
        return Ok("--help".to_owned());
    }
    let (name, value) = match rest.split_once([':', '=']) {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    let [only] = matching::candidates(name, SWITCHES)[..] else {
        return Err(Unknown(format!("{}{name}", &word[..1])));
    };
    let name = SWITCHES[only];
    let flag = name.to_ascii_lowercase();
    Ok(if WITH_VALUE.contains(&name) {
        format!("--{flag}={}", value.unwrap_or_default())
    } else {
        format!("--{flag}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(words: &[&str]) -> Vec<String> {
        translate(words.iter().map(|&word| word.to_owned())).unwrap()
    }

    #[test]
    fn stock_switches_become_long_flags() {
        let cases: &[(&[&str], &[&str])] = &[
            (
                &["h:443", "/SERVER", "/HUB:a b"],
                &["h:443", "--server", "--hub=a b"],
            ),
            (
                &["h", "-server", "-adminhub=X"],
                &["h", "--server", "--adminhub=X"],
            ),
            (&["h", "/PASSWORD:", "/CSV"], &["h", "--password=", "--csv"]),
            (&["/password:a:b=c"], &["--password=a:b=c"]),
            (
                &["/TOOLS", "/IN:f", "/OUT:g", "/PROG"],
                &["--tools", "--in=f", "--out=g", "--programming"],
            ),
            (&["/?"], &["--help"]),
            (&["h", "--json", "--ca", "f"], &["h", "--json", "--ca", "f"]),
            (
                &["h", "--data-dir", "/srv/vpn", "/CSV"],
                &["h", "--data-dir", "/srv/vpn", "--csv"],
            ),
        ];
        for (words, expected) in cases {
            assert_eq!(translated(words), *expected, "{words:?}");
        }
    }

    #[test]
    fn everything_after_cmd_is_the_command() {
        let expected = ["h", "--server", "--", "UserGet", "bob", "/X:1"];
        assert_eq!(
            translated(&["h", "/SERVER", "/CMD", "UserGet", "bob", "/X:1"]),
            expected
        );
        assert_eq!(
            translated(&["h", "/SERVER", "/CMD:UserGet", "bob", "/X:1"]),
            expected
        );
        assert_eq!(
            translated(&["h", "/SERVER", "-cmd", "UserGet bob /X:1"]),
            expected
        );
        assert_eq!(translated(&["h", "/SERVER", "/CMD UserGet bob /X:1"]), expected);
        assert_eq!(translated(&["h", "/CMD"]), ["h", "--"]);
        assert_eq!(
            translated(&["h", "/CMD", "Foo", "/CSV", "--"]),
            ["h", "--", "Foo", "/CSV", "--"]
        );
    }

    #[test]
    fn words_with_blanks_stay_whole_behind_cmd() {
        let words = translated(&["/CMD", "UserSet", "bob", "/REALNAME:Foo \"Bar\""]);
        assert_eq!(words, ["--", "UserSet", "bob", "/REALNAME:Foo \"Bar\""]);
    }

    #[test]
    fn an_unknown_switch_is_named() {
        for word in ["/FOO", "/FOO:bar", "/P"] {
            let error = translate([word.to_owned()]).unwrap_err();
            assert!(
                error.to_string().contains(&word[..2]) && !error.to_string().contains("bar"),
                "{error}"
            );
        }
    }
}
