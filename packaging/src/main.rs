//! Writes what a package has beside the programs: manual pages, and completions for shells. All of it comes from the command
//! lines themselves, so it cannot say anything else than `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;

/// Writes manual pages and completions of the programs.
#[derive(Debug, Parser)]
struct Cli {
    /// The folder for them
    #[arg(default_value = "target/papers")]
    folder: PathBuf,
}

/// The section of the manual for what administrators run, and for what everybody does.
const SERVER: &str = "8";
const USER: &str = "1";

fn main() -> Result<()> {
    let folder = Cli::parse().folder;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    of_clap(&folder, vpnserver::cli::Cli::command(), SERVER)?;
    of_clap(&folder, vpnclient::cli::Cli::command(), USER)?;
    let page = vpncmd::manual::page();
    write(&folder.join("man/vpncmd.1"), page.as_bytes())?;
    use vpncmd::completion::Shell as Own;
    for (own, shell) in [
        (Own::Bash, Shell::Bash),
        (Own::Zsh, Shell::Zsh),
        (Own::Fish, Shell::Fish),
    ] {
        write(&folder.join(completion(shell, "vpncmd")), own.script().as_bytes())?;
    }
    Ok(())
}

/// Of a program with subcommands: one page for it and one for each of them, and the completions.
fn of_clap(folder: &Path, command: clap::Command, section: &str) -> Result<()> {
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command.clone(), &name, &mut script);
        write(&folder.join(completion(shell, &name)), &script)?;
    }
    pages(
        &folder.join("man"),
        command.disable_help_subcommand(true),
        &name,
        section,
    )
}

fn pages(folder: &Path, command: clap::Command, name: &str, section: &str) -> Result<()> {
    for inner in command.get_subcommands() {
        let name = format!("{name}-{}", inner.get_name());
        pages(folder, inner.clone(), &name, section)?;
    }
    let mut page = Vec::new();
    let command = command
        .display_name(name.to_owned())
        .bin_name(name.replacen('-', " ", 1));
    clap_mangen::Man::new(command)
        .title(name)
        .section(section)
        .manual("Hubward")
        .render(&mut page)?;
    write(&folder.join(format!("{name}.{section}")), &page)
}

/// Where a shell looks for the completion of a program, below the folder of that shell.
fn completion(shell: Shell, program: &str) -> PathBuf {
    PathBuf::from(match shell {
        Shell::Zsh => format!("zsh/_{program}"),
        Shell::Fish => format!("fish/{program}.fish"),
        _ => format!("bash/{program}"),
    })
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}
