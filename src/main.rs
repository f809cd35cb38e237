//! Parses the command line and runs it.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    kyc_rules::cli::Cli::parse().run()
}
