//! The `identity-trail` binary: everything is in the library's `cli`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    identity_trail::cli::run()
}
