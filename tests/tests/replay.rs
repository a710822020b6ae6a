//! The fuzz targets over their committed corpora, on the stable compiler.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use hubward_tests::fuzz::TARGETS;
use hubward_tests::sources::top;

/// The seeds of the targets and what fuzzing has found since.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = top().join("tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} is missing", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn no_input_of_any_corpus_breaks_its_target() {
    for (name, body) in TARGETS {
        let files = corpus(name);
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        for file in files {
            let input = std::fs::read(&file).unwrap();
            let outcome = std::panic::catch_unwind(|| body(&input));
            assert!(outcome.is_ok(), "{} breaks the target {name}", file.display());
        }
    }
}

#[test]
fn every_input_cut_short_or_with_a_byte_flipped_is_survived() {
    for (name, body) in TARGETS {
        for file in corpus(name) {
            let input = std::fs::read(&file).unwrap();
            let step = 1 + input.len() / 64;
            for at in (0..input.len()).step_by(step) {
                body(&input[..at]);
                let mut flipped = input.clone();
                flipped[at] ^= 0xff;
                body(&flipped);
            }
        }
    }
}

#[test]
fn every_target_is_also_one_of_cargo_fuzz() {
    let manifest = std::fs::read_to_string(top().join("tests/fuzz/Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "tests/fuzz/Cargo.toml lacks {name}"
        );
        assert!(
            top().join(format!("tests/fuzz/targets/{name}.rs")).exists(),
            "tests/fuzz/targets/{name}.rs is missing"
        );
    }
}
