//! The command line: one file per subcommand.

#[cfg(feature = "sandbox")]
pub mod sandbox;

use std::process::ExitCode;

pub mod search;

/// Parses the command line, runs the subcommand and turns its end into an exit status.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
