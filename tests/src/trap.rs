//! An `nft` that stops in the middle, or fails: for killing or troubling who waits for it at a place that the test chooses.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::host::Host;
use crate::process::Daemon;

/// The folder on the path of the program that is watched.
const FOLDER: &str = "/run/lab/trap";

/// Where the watched program is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the call reaches the kernel.
    Before,
    /// When the kernel has done it, and the caller does not know yet.
    After,
    /// Nowhere: this one call fails, and those after it pass.
    Fails,
}

/// Lays the trap: the first `calls` calls of nft pass, the next one hangs or fails.
pub fn lay(host: &Host, calls: usize, moment: Moment) -> Result<()> {
    let nft = host.sh("command -v nft")?;
    let nft = nft.trim();
    let act = match moment {
        Moment::Before => "",
        Moment::After => "\"$nft\" \"$@\"",
        Moment::Fails => "echo -1 > $folder/left; touch $folder/sprung; echo 'Error: no room' >&2; exit 1",
    };
    let script = format!(
        "#!/bin/sh
nft={nft}
folder={FOLDER}
left=$(cat {FOLDER}/left)
if [ \"$left\" -eq 0 ]; then
    {act}
    touch {FOLDER}/sprung
    exec sleep 1000
fi
echo $((left - 1)) > {FOLDER}/left
exec \"$nft\" \"$@\"
"
    );
    host.sh(&format!(
        "mkdir -p {FOLDER}; rm -f {FOLDER}/sprung; echo {calls} > {FOLDER}/left"
    ))?;
    std::fs::write(Path::new(FOLDER).join("nft"), script)?;
    host.sh(&format!("chmod +x {FOLDER}/nft")).map(drop)
}

/// Whether the program has run into it.
pub fn is_sprung() -> bool {
    Path::new(FOLDER).join("sprung").exists()
}

/// `program`, which finds the trap where nft would be; with another `path`, what is there.
pub fn command(host: &Host, program: &Path, path: Option<&str>) -> Command {
    let path = path.map_or_else(
        || format!("{FOLDER}:{}", std::env::var("PATH").unwrap_or_default()),
        str::to_owned,
    );
    let mut command = host.command("/bin/sh");
    command
        .args(["-c", "PATH=$1; export PATH; shift; exec \"$@\"", "sh", &path])
        .arg(program);
    command
}

/// Starts it as a daemon.
pub fn daemon(host: &Host, program: &Path, arguments: &[&str]) -> Result<Daemon> {
    Daemon::start("trapped", command(host, program, None).args(arguments))
}
