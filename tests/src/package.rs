//! The Debian package, made of the programs that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use crate::{lab, ours, process, sources};

/// The two packages of the tests: what is installed first, and a newer one with the same programs.
pub const VERSIONS: [&str; 2] = ["0.1.0-1", "0.1.1-1"];

/// The package `$1` as version `$0` in `$2`.
const AS_NEWER: &str = r#"
draft=$2.draft; rm -rf "$draft"; dpkg-deb -R "$1" "$draft"
sed -i "s/^Version: .*/Version: $0/" "$draft/DEBIAN/control"
dpkg-deb --root-owner-group -Zgzip -z1 -b "$draft" "$2" >/dev/null; rm -rf "$draft"
"#;

/// Makes both, with the tool that `make deb` uses. Inside a laboratory they are there already.
pub fn made() -> Result<[PathBuf; 2]> {
    let folder = lab::target()?.join("packages");
    let files = VERSIONS.map(|version| folder.join(format!("hubward_{version}.deb")));
    if lab::is_inside() {
        return Ok(files);
    }
    std::fs::create_dir_all(&folder)?;
    let lock = std::fs::File::create(folder.join("lock"))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    if is_newer_than_programs(&files)? {
        return Ok(files);
    }
    process::run(Command::new(ours::program("packaging")?).arg(sources::top().join("target/papers")))?;
    let [first, second] = &files;
    let mut command = Command::new(tool());
    command.current_dir(sources::top()).args([
        "deb",
        "-q",
        "-p",
        "packaging",
        "--no-build",
        "--profile",
        "dev",
        "--strip",
    ]);
    // Quickly made, and quickly unpacked; nobody downloads it.
    command.args(["--compress-type", "gz", "--fast", "--compress-system"]);
    command
        .args(["--deb-version", VERSIONS[0], "--output"])
        .arg(first);
    process::run(&mut command)
        .context("the package could not be made (tests/prepare test brings cargo-deb)")?;
    let mut again = Command::new("sh");
    again.args(["-euc", AS_NEWER, VERSIONS[1]]).arg(first).arg(second);
    process::run(&mut again).context("the newer package could not be made")?;
    Ok(files)
}

/// `cargo deb` as `tests/prepare` has built it, or the machine's.
fn tool() -> PathBuf {
    let built = lab::target()
        .map(|target| target.join("tools/bin/cargo-deb"))
        .unwrap_or_default();
    if built.exists() {
        built
    } else {
        PathBuf::from("cargo-deb")
    }
}

fn is_newer_than_programs(files: &[PathBuf]) -> Result<bool> {
    let time = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified());
    let mut sources = vec![sources::top().join("packaging/Cargo.toml")];
    for name in ["vpnserver", "vpnclient", "vpncmd", "packaging"] {
        sources.push(ours::program(name)?);
    }
    for folder in ["debian", "systemd", "cloud-init", "terraform"] {
        for entry in std::fs::read_dir(sources::top().join("packaging").join(folder))? {
            sources.push(entry?.path());
        }
    }
    let mut newest = std::time::SystemTime::UNIX_EPOCH;
    for source in &sources {
        newest = newest.max(time(source)?);
    }
    Ok(files
        .iter()
        .all(|file| time(file).is_ok_and(|made| made > newest)))
}
