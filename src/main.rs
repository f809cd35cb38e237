//! Parses the command line and runs it.

use std::process::ExitCode;

use clap::Parser;
use kyc_rules::cli::Cli;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(command) => command.run(),
        Err(told) => Cli::told(&told),
    }
}
