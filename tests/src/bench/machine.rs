//! On what it was measured, and what was measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::table::markdown;
use crate::lab;
use crate::ours;
use crate::process;
use crate::sources;
use crate::stock::Stock;

/// Machine, versions and date, as a table.
pub fn describe(stock: &Stock) -> String {
    let rows = [
        (
            "date",
            said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])),
        ),
        ("processor", processor()),
        ("kernel", said(Command::new("uname").arg("-sr"))),
        ("system", system()),
        ("load before", load()),
        ("Hubward", commit()),
        ("SoftEther", package("softether-vpnserver")),
        ("OpenVPN", package("openvpn")),
        ("compiler", said(Command::new("rustc").arg("--version"))),
        ("programs", sizes(stock)),
    ];
    let head = vec!["what".to_owned(), "which".to_owned()];
    let rows = rows.into_iter().map(|(what, which)| vec![what.to_owned(), which]);
    markdown(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// What a command says, or that it cannot be told.
fn said(command: &mut Command) -> String {
    match process::run(command) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => "unknown".to_owned(),
    }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model(&text).unwrap_or("unknown"))
}

/// The first processor's name in /proc/cpuinfo.
fn model(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn commit() -> String {
    let mut command = Command::new("git");
    // Inside of the laboratory the checkout may belong to somebody else than root.
    command.args(["-c", "safe.directory=*", "-C"]).arg(sources::top());
    said(command.args(["describe", "--always", "--dirty"]))
}

/// The version of a package, by the name of its archive (NAME_VERSION_ARCHITECTURE.deb).
fn package(name: &str) -> String {
    let archive = || -> Option<PathBuf> {
        let folder = lab::target().ok()?.join("stock/packages").join(name);
        let mut files = std::fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|entry| entry.path());
        files.find(|path| path.extension().is_some_and(|ending| ending == "deb"))
    };
    let version = archive().and_then(|path| Some(version(path.file_name()?.to_str()?)?.to_owned()));
    version.unwrap_or_else(|| "unknown".to_owned())
}

fn version(archive: &str) -> Option<&str> {
    archive.split('_').nth(1)
}

fn sizes(stock: &Stock) -> String {
    let mebibytes = |path: &Path| {
        let bytes = std::fs::metadata(path).map_or(0, |data| data.len());
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    };
    let ours = ["vpnserver", "vpnclient", "vpncmd"].map(|name| {
        let size = ours::program(name).map_or_else(|_| "unknown".to_owned(), |path| mebibytes(&path));
        format!("{name} {size}")
    });
    let shared = stock.program("vpnserver").with_file_name("hamcore.se2");
    format!(
        "{}; stock vpnserver {} and its libraries, hamcore.se2 {}",
        ours.join(", "),
        mebibytes(&stock.program("vpnserver")),
        mebibytes(&shared)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_where_they_stand() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(model(text), Some("Some CPU @ 3 GHz"));
        assert_eq!(
            version("openvpn_2.6.14-0+deb12u2_amd64.deb"),
            Some("2.6.14-0+deb12u2")
        );
        assert_eq!(version("openvpn.deb"), None);
    }
}
