//! The project's own sources and manifests, as the architecture test reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The top of the checkout.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// One workspace crate.
#[derive(Debug)]
pub struct Member {
    /// The folder of its manifest.
    pub folder: PathBuf,
    /// The crates it names under `[dependencies]`; what only its tests use does not count.
    pub dependencies: Vec<String>,
}

/// The workspace's crates by name.
pub fn members() -> Result<BTreeMap<String, Member>> {
    let text = process::run(cargo().args(["metadata", "--format-version=1", "--no-deps", "--offline"]))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    packages
        .iter()
        .map(|package| Ok((name(package)?, member(package)?)))
        .collect()
}

fn name(package: &Value) -> Result<String> {
    package["name"]
        .as_str()
        .map(str::to_owned)
        .context("a package has a name")
}

fn member(package: &Value) -> Result<Member> {
    let manifest = package["manifest_path"]
        .as_str()
        .context("a package has a manifest")?;
    let listed = package["dependencies"]
        .as_array()
        .context("a package lists dependencies")?;
    let normal = listed.iter().filter(|dependency| dependency["kind"].is_null());
    Ok(Member {
        folder: Path::new(manifest)
            .parent()
            .context("a manifest lies in a folder")?
            .to_owned(),
        dependencies: normal.map(name).collect::<Result<_>>()?,
    })
}

/// Every crate that `member` is built from, however indirectly.
pub fn tree(member: &str) -> Result<Vec<String>> {
    let arguments = [
        "tree",
        "--offline",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
        "-p",
        member,
    ];
    let text = process::run(cargo().args(arguments))?;
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|l| Some(l.split_whitespace().next()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(top());
    command
}

/// The Rust files below `folder`, build output aside.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The numbered lines of a source that take part in the product: without comments, and without the tests, which stand
/// at the end of a file or in files of their own.
pub fn product_lines(path: &Path) -> Result<Vec<(usize, String)>> {
    let in_tests = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
    if path.strip_prefix(top()).unwrap_or(path).iter().any(in_tests) {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let product = lines.take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"));
    let code = product.filter(|(_, line)| !line.trim_start().starts_with("//"));
    Ok(code.map(|(number, line)| (number, line.to_owned())).collect())
}
