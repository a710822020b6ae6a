//! The completion scripts and the manual page, in the hands of those who read them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::process::{Command, Output};

use tempfile::TempPath;

fn vpncmd(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vpncmd"))
        .args(words)
        .output()
        .unwrap()
}

fn script(shell: &str) -> String {
    let output = vpncmd(&["--completions", shell]);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn file(text: &str) -> TempPath {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    fs::write(&path, text).unwrap();
    path
}

fn is_there(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// What bash offers behind these words; bash has taken them apart at `:` and `=` already.
fn offered(script: &std::path::Path, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={}; _vpncmd vpncmd; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", &program])
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_switches_commands_and_parameters() {
    let path = file(&script("bash"));
    for (words, wanted) in [
        (
            &["vpncmd", "localhost", "userpassw"][..],
            &["UserPasswordSet"][..],
        ),
        (
            &["vpncmd", "localhost", ":", "5555", "/CMD", "hubl"],
            &["HubList"],
        ),
        (&["vpncmd", "localhost", "--json", "--", "HubL"], &["HubList"]),
        (
            &["vpncmd", "--data-dir", "/srv/vpn", "localhost", "HubL"],
            &["HubList"],
        ),
        (
            &["vpncmd", "localhost", "/ADMINHUB", ":", "office", "usercrea"],
            &["UserCreate"],
        ),
        (
            &["vpncmd", "localhost", "usercreate", "anna", "/re"],
            &["/REALNAME:"],
        ),
        (&["vpncmd", "localhost", "apply", "f.toml", "--d"], &["--dry-run"]),
        (&["vpncmd", "localhost", "help", "dnatl"], &["DnatList"]),
        (&["vpncmd", "--insec"], &["--insecure"]),
        (&["vpncmd", "/ADM"], &["/ADMINHUB:"]),
        // The names of files are the shell's.
        (&["vpncmd", "--in", "=", ""], &[]),
    ] {
        assert_eq!(offered(&path, words), wanted, "{words:?}");
    }
}

#[test]
fn zsh_and_fish_take_their_scripts() {
    for shell in ["zsh", "fish"] {
        let text = script(shell);
        assert!(text.contains("UserPasswordSet") && text.contains("--dry-run"));
        if is_there(shell) {
            let path = file(&text);
            let output = Command::new(shell).arg("-n").arg(&path).output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn an_unknown_shell_is_refused() {
    assert_eq!(vpncmd(&["--completions", "csh"]).status.code(), Some(38));
}

#[test]
fn the_manual_page_has_every_command_and_no_mistake() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        vpncmd(&["--man", folder.path().to_str().unwrap()])
            .status
            .success()
    );
    let page = folder.path().join("vpncmd.1");
    let text = fs::read_to_string(&page).unwrap();
    assert_eq!(text.as_bytes(), vpncmd(&["--man"]).stdout);
    for command in vpncmd::completion::commands() {
        assert!(
            text.contains(&format!("\n.SS {}", command.name)),
            "{}",
            command.name
        );
    }
    for line in text.lines().filter(|line| line.starts_with(['.', '\''])) {
        let request = line.split(' ').next().unwrap();
        let known = [
            ".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".BI", ".BR", ".RB", ".RI", ".IR", ".br",
        ];
        assert!(known.contains(&request), "{line}");
    }
    if is_there("groff") {
        let output = Command::new("groff")
            .args(["-man", "-Tascii", "-ww", "-z"])
            .arg(&page)
            .output()
            .unwrap();
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    if is_there("mandoc") {
        let output = Command::new("mandoc")
            .args(["-Tlint", "-Wwarning"])
            .arg(&page)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
