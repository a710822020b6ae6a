//! Commands that need no server.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    command::{Command, Scope},
    failure::{Failure, Outcome},
    params::Arguments,
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "About",
        title: "Show the version of this tool",
        help: "Shows the name and version of this tool, and the protocol version that it speaks.",
        params: &[],
        scope: Scope::Local,
        run: about,
    },
    Command {
        name: "Check",
        title: "Check that VPN software can run on this machine",
        help: "Tries what VPN software needs of a machine: memory, files, threads, clock, network and TAP devices. \
               What is missing is named.",
        params: &[],
        scope: Scope::Local,
        run: check,
    },
];

/// What the tool says of itself when it starts.
pub(crate) fn banner() -> String {
    format!(
        "vpncmd command - Hubward VPN Command Line Management Utility\n\
         Hubward VPN Command Line Management Utility (vpncmd command)\n\
         Version {} (protocol {}.{:02} Build {})\n",
        env!("CARGO_PKG_VERSION"),
        protocol::VERSION / 100,
        protocol::VERSION % 100,
        protocol::BUILD,
    )
}

fn about(shell: &mut Shell, _: &Arguments) -> Outcome {
    if shell.console.style.json {
        shell.console.json(&json!({
            "ProductName_str": "Hubward VPN Command Line Management Utility",
            "Version_str": env!("CARGO_PKG_VERSION"),
            "ProtocolVersion_u32": protocol::VERSION,
            "ProtocolBuild_u32": protocol::BUILD,
        }));
        return Ok(());
    }
    shell.console.print_line(&banner());
    Ok(())
}

/// One check: its name, and what it does.
type Trial = (&'static str, fn() -> Result<(), String>);

const TRIALS: &[Trial] = &[
    ("Memory", memory),
    ("Files", files),
    ("Threads", threads),
    ("Clock", clock),
    ("Network", network),
    ("TAP devices", tap),
];

fn check(shell: &mut Shell, _: &Arguments) -> Outcome {
    let mut failed = Vec::new();
    let mut rows = Vec::new();
    let json = shell.console.style.json;
    let mut say = |text: &str| {
        if !json {
            shell.console.print_line(text);
        }
    };
    for (name, trial) in TRIALS {
        say(&format!("Checking '{name}'..."));
        let result = trial();
        match &result {
            Ok(()) => say("              Pass"),
            Err(reason) => {
                say(&format!("              Fail: {reason}"));
                failed.push(*name);
            }
        }
        rows.push(json!({ "Name_str": name, "Passed_bool": result.is_ok(), "Reason_utf": result.err().unwrap_or_default() }));
    }
    if json {
        shell.console.json(&json!({ "CheckList": rows }));
        return if failed.is_empty() {
            Ok(())
        } else {
            Err(Failure::ChecksFailed)
        };
    }
    if failed.is_empty() {
        shell.console.print_line("\nAll checks passed.\n");
        return Ok(());
    }
    Err(Failure::Local(format!(
        "\nThese checks failed: {}.",
        failed.join(", ")
    )))
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn memory() -> Result<(), String> {
    let mut block: Vec<u8> = Vec::new();
    block.try_reserve_exact(64 << 20).map_err(said)?;
    block.resize(64 << 20, 0xa5);
    if block.iter().step_by(4096).all(|&byte| byte == 0xa5) {
        Ok(())
    } else {
        Err("it does not keep what is written".to_owned())
    }
}

fn files() -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("vpncmd-check-{}", std::process::id()));
    let tried = (|| -> std::io::Result<bool> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        file.write_all(b"written and read")?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text == "written and read")
    })();
    let _ = std::fs::remove_file(&path);
    match tried {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} does not hold what was written", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn threads() -> Result<(), String> {
    let threads: Vec<_> = (0..8_u64)
        .map(|number| std::thread::spawn(move || number * number))
        .collect();
    let sum: u64 = threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum();
    if sum == 140 {
        Ok(())
    } else {
        Err("threads do not finish".to_owned())
    }
}

fn clock() -> Result<(), String> {
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    let slept = start.elapsed();
    if (20..2000).contains(&slept.as_millis()) {
        Ok(())
    } else {
        Err(format!("20 ms took {slept:?}"))
    }
}

fn network() -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(said)?;
    let address = listener.local_addr().map_err(said)?;
    let mut client = TcpStream::connect(address).map_err(said)?;
    let (mut server, _) = listener.accept().map_err(said)?;
    client.write_all(b"ping").map_err(said)?;
    let mut answer = [0; 4];
    server.read_exact(&mut answer).map_err(said)?;
    if &answer == b"ping" {
        Ok(())
    } else {
        Err("the loopback interface changes what it carries".to_owned())
    }
}

fn tap() -> Result<(), String> {
    let device = "/dev/net/tun";
    File::options()
        .read(true)
        .write(true)
        .open(device)
        .map(drop)
        .map_err(|error| {
            format!("{device}: {error}; load the tun module, or use the modes that need no TAP device")
        })
}
