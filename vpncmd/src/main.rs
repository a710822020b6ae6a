//! The Hubward VPN administration tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    ExitCode::from(vpncmd::start::run(words))
}
