//! The `identity-trail` binary: everything is in the library's `cli`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// An event is some fifty small strings; a search allocates and frees millions of them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    identity_trail::cli::run()
}
