//! Fetching and unpacking the distribution's packages, without installing them.

use std::ffi::OsString;
use std::fs::{File, create_dir_all, read_dir, rename};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::{lab, process};

/// What is unpacked together: programs, and the libraries that they need and a bare system may lack.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The folder's name below `target/stock`.
    folder: &'static str,
    packages: &'static [&'static str],
    /// With the names that distributions give the package.
    libraries: &'static [(&'static str, &'static [&'static str])],
    /// One of the programs, whose libraries are looked for.
    program: &'static str,
}

/// Installing them would start an open server on this machine.
pub(super) const SOFTETHER: Bundle = Bundle {
    folder: "root",
    packages: &[
        "softether-common",
        "softether-vpncmd",
        "softether-vpnserver",
        "softether-vpnclient",
        "busybox-static",
    ],
    libraries: &[
        ("libreadline.so.8", &["libreadline8t64", "libreadline8"]),
        ("libtinfo.so.6", &["libtinfo6"]),
        ("libssl.so.3", &["libssl3t64", "libssl3"]),
        ("libcrypto.so.3", &["libssl3t64", "libssl3"]),
        ("libz.so.1", &["zlib1g"]),
    ],
    program: "usr/libexec/softether/vpnserver/vpnserver",
};

/// What `make bench` compares with beside SoftEther.
pub(crate) const OPENVPN: Bundle = Bundle {
    folder: "openvpn",
    packages: &["openvpn"],
    libraries: &[
        ("liblzo2.so.2", &["liblzo2-2"]),
        ("liblz4.so.1", &["liblz4-1"]),
        (
            "libpkcs11-helper.so.1",
            &["libpkcs11-helper1t64", "libpkcs11-helper1"],
        ),
        ("libssl.so.3", &["libssl3t64", "libssl3"]),
        ("libcrypto.so.3", &["libssl3t64", "libssl3"]),
        ("libsystemd.so.0", &["libsystemd0"]),
        ("libcap-ng.so.0", &["libcap-ng0"]),
        ("libnl-3.so.200", &["libnl-3-200"]),
        ("libnl-genl-3.so.200", &["libnl-genl-3-200"]),
    ],
    program: "usr/sbin/openvpn",
};

/// DHCP clients that our server is tried with, beside busybox' udhcpc. Installing them would let them take over this machine.
pub(crate) const DHCLIENT: Bundle = Bundle {
    folder: "dhclient",
    packages: &["isc-dhcp-client"],
    libraries: &[],
    program: "sbin/dhclient",
};
/// See [`DHCLIENT`].
pub(crate) const DHCPCD: Bundle = Bundle {
    folder: "dhcpcd",
    packages: &["dhcpcd-base"],
    libraries: &[
        ("libudev.so.1", &["libudev1"]),
        ("libcrypto.so.3", &["libssl3t64", "libssl3"]),
    ],
    program: "usr/sbin/dhcpcd",
};

/// The folder with the unpacked stock software. `HUBWARD_STOCK` names one that exists already.
pub(super) fn root() -> Result<PathBuf> {
    match std::env::var_os("HUBWARD_STOCK") {
        Some(given) => Ok(given.into()),
        None => unpacked(&SOFTETHER),
    }
}

/// The folder with what is in `bundle`, filled at the first call.
pub(crate) fn unpacked(bundle: &Bundle) -> Result<PathBuf> {
    let folder = lab::target()?.join("stock");
    let root = folder.join(bundle.folder);
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
        let names = || format!("{} could not be unpacked", bundle.packages.join(", "));
        fill(bundle, &folder).with_context(names)?;
    }
    Ok(root)
}

/// Unpacks beside the final place and moves it there in one step, so that a broken attempt leaves nothing behind.
fn fill(bundle: &Bundle, folder: &Path) -> Result<()> {
    let draft = folder.join("draft");
    if draft.exists() {
        std::fs::remove_dir_all(&draft)?;
    }
    create_dir_all(&draft)?;
    let packages = Packages {
        folder: folder.to_owned(),
    };
    for package in bundle.packages {
        packages.unpack(package, &draft)?;
    }
    let program = place(&draft, bundle.program)?;
    for (library, names) in bundle.libraries {
        if missing(&program, &draft)?.iter().any(|name| name == library) {
            let unpacked = names.iter().any(|name| packages.unpack(name, &draft).is_ok());
            anyhow::ensure!(
                unpacked,
                "no package with {library} can be had ({})",
                names.join(", ")
            );
        }
    }
    let still = missing(&program, &draft)?;
    anyhow::ensure!(still.is_empty(), "libraries are missing: {}", still.join(", "));
    rename(draft, folder.join(bundle.folder))?;
    Ok(())
}

/// Where a program of a package lies: releases with one folder for programs have it below `usr`.
pub(crate) fn place(root: &Path, program: &str) -> Result<PathBuf> {
    let places = [root.join(program), root.join("usr").join(program)];
    let found = places.into_iter().find(|place| place.exists());
    found.with_context(|| format!("the package holds no {program}"))
}

/// The shared libraries that an unpacked program looks for in vain.
fn missing(program: &Path, root: &Path) -> Result<Vec<String>> {
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
pub(crate) fn library_path(root: &Path) -> OsString {
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

/// A system of nothing but what every Debian has, systemd and nftables, in which packages can be installed; filled at the first call.
///
/// Its packages are unpacked and entered as installed; that they have not been configured is nothing that ours would notice.
pub fn fresh_system() -> Result<PathBuf> {
    let folder = lab::target()?.join("stock");
    let root = folder.join("debian");
    if root.exists() {
        return Ok(root);
    }
    if lab::is_inside() {
        bail!("the fresh system is not unpacked at {}", root.display());
    }
    create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    if !root.exists() {
        let draft = folder.join("debian.draft");
        if draft.exists() {
            std::fs::remove_dir_all(&draft)?;
        }
        let archives = folder.join("packages/debian");
        let packages = Packages { folder };
        packages
            .download_closure(SYSTEM, &archives)
            .context("the packages of a fresh system could not be had")?;
        process::run(
            Command::new("sh")
                .args(["-euc", FILL_SYSTEM])
                .arg(&archives)
                .arg(&draft),
        )
        .context("a fresh system could not be unpacked")?;
        rename(draft, &root)?;
    }
    Ok(root)
}

/// What is in it; what these need comes with them.
const SYSTEM: &[&str] = &["?essential", "usr-is-merged", "systemd", "nftables", "libgcc-s1"];

/// Unpacks the archives of the folder `$0` into `$1`, and writes the books of dpkg. The users are those of base-passwd.
const FILL_SYSTEM: &str = r#"
mkdir -p "$1"; cd "$1"
for folder in bin sbin lib lib64; do mkdir -p usr/$folder; ln -s usr/$folder $folder; done
mkdir -p var/lib/dpkg/info var/lib/dpkg/updates tmp run proc sys dev
for archive in "$0"/*.deb; do
    dpkg-deb -f "$archive" | sed '/^Package:/a Status: install ok installed' >>var/lib/dpkg/status
    echo >>var/lib/dpkg/status
    name=$(dpkg-deb -f "$archive" Package)
    [ "$(dpkg-deb -f "$archive" Multi-Arch)" != same ] || name=$name:$(dpkg-deb -f "$archive" Architecture)
    dpkg-deb --fsys-tarfile "$archive" | tar -x --keep-directory-symlink --no-same-owner -v |
        sed 's,^\.,,; s,/$,,; s,^$,/.,' >"var/lib/dpkg/info/$name.list"
done
chmod 1777 tmp
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
"#;

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
        self.renew_lists()?;
        download(true).map(drop)
    }

    fn renew_lists(&self) -> Result<()> {
        if !self.lists().join("fresh").exists() {
            create_dir_all(self.lists().join("partial"))?;
            process::run(self.apt(true).arg("update"))?;
            File::create(self.lists().join("fresh"))?;
        }
        Ok(())
    }

    /// Packages with all that they depend on, as if nothing were installed.
    fn download_closure(&self, wanted: &[&str], place: &Path) -> Result<()> {
        create_dir_all(place.join("partial"))?;
        let nothing = self.folder.join("nothing-installed");
        File::create(&nothing)?;
        let download = |own_lists: bool| {
            let mut command = self.apt(own_lists);
            command.args(["-y", "--no-install-recommends", "--download-only"]);
            for (option, path) in [
                ("Dir::State::status", nothing.as_path()),
                ("Dir::Cache::archives", place),
            ] {
                command.arg("-o").arg(format!("{option}={}", path.display()));
            }
            for cache in ["pkgcache", "srcpkgcache"] {
                command.args(["-o", &format!("Dir::Cache::{cache}=")]);
            }
            // An ordinary user may not lock what is root's, and nothing of it is changed.
            process::run(command.args(["-o", "Debug::NoLocking=1", "install"]).args(wanted)).map(drop)
        };
        if download(false).is_ok() {
            return Ok(());
        }
        self.renew_lists()?;
        download(true)
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
