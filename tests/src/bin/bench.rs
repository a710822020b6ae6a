//! `make bench`: how fast it is, beside the stock software. See `bench --help`.

use clap::Parser;
use hubward_tests::bench::{self, Options};
use hubward_tests::lab;

fn main() {
    let options = Options::parse();
    let outcome = match lab::is_inside() {
        true => bench::run(&options).map(|()| 0),
        false => bench::enter(),
    };
    match outcome {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("\nbench FAILED: {error:#}");
            std::process::exit(1);
        }
    }
}
