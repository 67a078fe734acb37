//! Arguments in, exit code out.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use twinmq::command::Cli;

fn main() -> ExitCode {
    match twinmq::command::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If even standard error is gone, the exit code is all that is left.
            let _gone = writeln!(std::io::stderr(), "twinmq: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
