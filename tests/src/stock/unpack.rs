//! Fetching and unpacking the distribution's packages, without installing them.

use std::ffi::OsString;
use std::fs::{File, create_dir_all, read_dir, rename};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::{lab, process};

/// The programs themselves; installing them would start an open server on this machine.
const PACKAGES: [&str; 5] = [
    "softether-common",
    "softether-vpncmd",
    "softether-vpnserver",
    "softether-vpnclient",
    "busybox-static",
];

/// Libraries the programs need that a bare system may lack, with the names that distributions give their packages.
const LIBRARIES: [(&str, &[&str]); 5] = [
    ("libreadline.so.8", &["libreadline8t64", "libreadline8"]),
    ("libtinfo.so.6", &["libtinfo6"]),
    ("libssl.so.3", &["libssl3t64", "libssl3"]),
    ("libcrypto.so.3", &["libssl3t64", "libssl3"]),
    ("libz.so.1", &["zlib1g"]),
];

/// The folder with the unpacked software, filled at the first call. `HUBWARD_STOCK` names one that exists already.
pub(super) fn root() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("HUBWARD_STOCK") {
        return Ok(given.into());
    }
    let folder = lab::target()?.join("stock");
    let root = folder.join("root");
    if root.exists() {
        return Ok(root);
    }
    if lab::is_inside() {
        bail!(
            "the stock software is not unpacked at {}: run `make stock` first",
            root.display()
        );
    }
    create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    if !root.exists() {
        fill(&folder).context("the stock SoftEther packages could not be unpacked")?;
    }
    Ok(root)
}

/// Unpacks beside the final place and moves it there in one step, so that a broken attempt leaves nothing behind.
fn fill(folder: &Path) -> Result<()> {
    let draft = folder.join("draft");
    if draft.exists() {
        std::fs::remove_dir_all(&draft)?;
    }
    create_dir_all(&draft)?;
    let packages = Packages {
        folder: folder.to_owned(),
    };
    for package in PACKAGES {
        packages.unpack(package, &draft)?;
    }
    for (library, names) in LIBRARIES {
        if missing(&draft)?.iter().any(|name| name == library) {
            let unpacked = names.iter().any(|name| packages.unpack(name, &draft).is_ok());
            anyhow::ensure!(
                unpacked,
                "no package with {library} can be had ({})",
                names.join(", ")
            );
        }
    }
    let still = missing(&draft)?;
    anyhow::ensure!(still.is_empty(), "libraries are missing: {}", still.join(", "));
    rename(draft, folder.join("root"))?;
    Ok(())
}

/// The shared libraries that the unpacked programs look for in vain.
fn missing(root: &Path) -> Result<Vec<String>> {
    let program = root.join("usr/libexec/softether/vpnserver/vpnserver");
    let listed = process::run(
        Command::new("ldd")
            .arg(program)
            .env("LD_LIBRARY_PATH", library_path(root)),
    )?;
    let absent = listed.lines().filter(|line| line.contains("not found"));
    Ok(absent
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect())
}

/// Where the unpacked libraries lie, for `LD_LIBRARY_PATH`.
pub(super) fn library_path(root: &Path) -> OsString {
    let mut folders = Vec::new();
    for base in ["usr/lib", "lib"] {
        let Ok(entries) = read_dir(root.join(base)) else {
            continue;
        };
        folders.extend(
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
    }
    std::env::join_paths(folders).unwrap_or_default()
}

/// The static busybox, whose DHCP client gives the stock client's adapter its address.
pub(super) fn busybox(root: &Path) -> Result<PathBuf> {
    let places = ["bin/busybox", "usr/bin/busybox"].map(|place| root.join(place));
    places
        .into_iter()
        .find(|place| place.exists())
        .context("busybox-static holds no busybox")
}

struct Packages {
    folder: PathBuf,
}

impl Packages {
    fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let place = self.folder.join("packages").join(package);
        create_dir_all(&place)?;
        let mut archive = archive_in(&place)?;
        if archive.is_none() {
            self.download(package, &place)?;
            archive = archive_in(&place)?;
        }
        let archive = archive.with_context(|| format!("apt-get brought no archive of {package}"))?;
        process::run(Command::new("dpkg").arg("-x").arg(archive).arg(into)).map(drop)
    }

    /// First with the lists of packages that the machine has, then with lists of our own: those of a fresh machine are
    /// empty, and only root may renew them.
    fn download(&self, package: &str, place: &Path) -> Result<()> {
        let download = |own_lists: bool| {
            let mut command = self.apt(own_lists);
            process::run(command.args(["download", package]).current_dir(place))
        };
        if download(false).is_ok() {
            return Ok(());
        }
        if !self.lists().join("fresh").exists() {
            create_dir_all(self.lists().join("partial"))?;
            process::run(self.apt(true).arg("update"))?;
            File::create(self.lists().join("fresh"))?;
        }
        download(true).map(drop)
    }

    fn lists(&self) -> PathBuf {
        self.folder.join("lists")
    }

    fn apt(&self, own_lists: bool) -> Command {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-o", "APT::Sandbox::User="]);
        if own_lists {
            let lists = self.lists();
            command
                .arg("-o")
                .arg(format!("Dir::State::lists={}", lists.display()));
            for cache in ["pkgcache", "srcpkgcache"] {
                command.args(["-o", &format!("Dir::Cache::{cache}=")]);
            }
        }
        command
    }
}

fn archive_in(folder: &Path) -> Result<Option<PathBuf>> {
    let mut archives = read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(archives.find(|path| path.extension().is_some_and(|ending| ending == "deb")))
}
