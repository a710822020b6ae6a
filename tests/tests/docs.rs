//! The documents and the sources name each other truly: paths, sections, names, tests. (vpncmd holds its own list.)
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hubward_tests::sources::{rust_files, top};

/// What comments cite, and the page whose headings it means.
const CITED: [(&str, &str); 4] = [
    ("protocol §", "docs/protocol.md"),
    ("policies §", "docs/policies.md"),
    ("admin rpc §", "docs/admin-rpc.md"),
    ("client rpc §", "docs/client-rpc.md"),
];

/// The folders that a path in a document may begin with.
const FOLDERS: [&str; 11] = [
    "protocol",
    "hub-core",
    "netdev",
    "nat",
    "transport",
    "vpnserver",
    "vpnclient",
    "vpncmd",
    "tests",
    "docs",
    "packaging",
];

#[test]
fn every_path_that_a_document_names_is_there() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let paths = words(&text).filter(|word| is_path(word));
        missing.extend(
            paths
                .filter(|path| !exists(path))
                .map(|path| found_in(&document, path)),
        );
        let folder = document.parent().unwrap();
        let links = links(&text).filter(|link| !link.contains("://") && !link.starts_with('#'));
        missing.extend(
            links
                .filter(|link| !folder.join(link).exists())
                .map(|link| found_in(&document, link)),
        );
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
}

#[test]
fn every_section_that_a_comment_cites_has_its_heading() {
    let headings: BTreeMap<_, _> = CITED.iter().map(|(_, page)| (*page, headings(page))).collect();
    let mut missing = Vec::new();
    for file in rust_files(&top()).unwrap() {
        let comments = comments(&fs::read_to_string(&file).unwrap()).to_lowercase();
        for (mark, page) in CITED {
            for (at, _) in comments.match_indices(mark) {
                // "§n" speaks of citations and is none, and gives no number.
                let unknown = sections(&comments[at + mark.len()..])
                    .into_iter()
                    .filter(|section| !headings[page].contains(section));
                missing.extend(unknown.map(|section| found_in(&file, &format!("{mark}{section}"))));
            }
        }
    }
    assert!(missing.is_empty(), "no such section:\n{}", missing.join("\n"));
}

#[test]
fn every_name_on_the_page_of_the_architecture_is_in_the_sources() {
    let sources: String = rust_files(&top())
        .unwrap()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let known: BTreeSet<_> = sources.split(|c: char| !is_name(c)).collect();
    let page = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    let names = quoted(&page).filter_map(|text| {
        let text = text.strip_suffix("(now)").unwrap_or(text);
        let text = text.strip_suffix('!').unwrap_or(text);
        text.chars()
            .all(|c| is_name(c) || c == ':')
            .then(|| text.rsplit("::").next().unwrap())
    });
    let missing: BTreeSet<_> = names.filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "not in the sources: {missing:?}");
}

#[test]
fn every_test_that_a_document_points_to_is_there() {
    let mut tests = BTreeSet::new();
    for file in rust_files(&top()).unwrap() {
        let text = fs::read_to_string(file).unwrap();
        let names = text
            .match_indices("fn ")
            .map(|(at, mark)| &text[at + mark.len()..]);
        tests.extend(names.filter_map(|rest| Some(rest.split(|c: char| !is_name(c)).next()?.to_owned())));
    }
    let page = fs::read_to_string(top().join("docs/threat-model.md")).unwrap();
    let is_claim = |text: &&str| {
        text.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && text.matches('_').count() >= 2
    };
    let missing: BTreeSet<_> = quoted(&page)
        .filter(is_claim)
        .filter(|name| !tests.contains(*name))
        .collect();
    assert!(missing.is_empty(), "no such test: {missing:?}");
}

/// The README and the pages behind it.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![top().join("README.md")];
    for folder in ["docs", "docs/adr"] {
        let entries = fs::read_dir(top().join(folder)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        found.extend(files.filter(|file| file.extension().is_some_and(|ending| ending == "md")));
    }
    found.sort();
    found
}

/// What stands between blanks and the punctuation of prose and Markdown.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_border = |c: char| c.is_whitespace() || "`\"'()[]<>|,;*".contains(c);
    text.split(is_border)
        .map(|word| word.trim_end_matches(['.', ':', '/']))
}

/// `vpnserver/src/run.rs`, but not a web address or a path of the machine.
fn is_path(word: &str) -> bool {
    word.split_once('/')
        .is_some_and(|(folder, rest)| FOLDERS.contains(&folder) && rest.chars().all(is_of_a_path))
}

fn is_of_a_path(c: char) -> bool {
    is_name(c) || "/.-".contains(c)
}

/// A file or folder; of a decision its number alone is enough, and of a page its name.
fn exists(path: &str) -> bool {
    let whole = top().join(path);
    let starts = |folder: &Path, start: &str| {
        fs::read_dir(folder).is_ok_and(|mut entries| {
            entries.any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(start))
        })
    };
    let decision = path
        .strip_prefix("docs/adr/")
        .is_some_and(|number| number.len() == 4 && starts(&top().join("docs/adr"), number));
    whole.exists() || decision || whole.with_extension("md").exists()
}

/// The targets of Markdown links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
}

/// What is quoted as code in a line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The numbers of a page's headings.
fn headings(page: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(top().join(page)).unwrap();
    let numbers = text.lines().filter_map(|line| {
        let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "))?;
        let number = heading.split(' ').next()?.trim_end_matches('.');
        number
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| number.to_owned())
    });
    numbers.collect()
}

/// The comments of a source as one line, so that a citation may be folded.
fn comments(text: &str) -> String {
    let lines = text.lines().filter_map(|line| {
        Some(
            line.trim_start()
                .strip_prefix("//")?
                .trim_start_matches(['/', '!']),
        )
    });
    lines
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The numbers behind a citation's first "§": one, or several as in "§6, §7.4 and §7.7".
fn sections(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches('.');
        if number.is_empty() {
            return found;
        }
        found.push(number.to_owned());
        let after = rest[end..].trim_start_matches([',', ' ']);
        let after = after.strip_prefix("and ").unwrap_or(after);
        let Some(next) = after.strip_prefix('§') else {
            return found;
        };
        rest = next;
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn found_in(file: &Path, what: &str) -> String {
    let top = top();
    format!("{}: {what}", file.strip_prefix(&top).unwrap_or(file).display())
}
