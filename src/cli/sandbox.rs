//! `identity-trail sandbox`: the AWS look-alike on its own, until a signal ends it.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::sandbox::args::{ArgsError, SandboxArgs};
use crate::sandbox::{Sandbox, StartError};

/// Flags of `sandbox`.
#[derive(Debug, Clone, Args)]
pub struct SandboxCommand {
    /// Where to listen, on loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// What to serve and what to do wrong.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// Why the sandbox ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The flags do not go together.
    #[error(transparent)]
    Args(#[from] ArgsError),
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Standard output was closed, or signals cannot be listened for.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Starts a sandbox, prints how to reach it, and serves until SIGINT or SIGTERM.
pub async fn run(command: SandboxCommand) -> Result<(), SandboxError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut config = command.sandbox.config()?;
    config.listen = command.listen;
    let sandbox = Sandbox::start(config).await?;
    describe(&sandbox, &mut io::stdout().lock())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The lines that other tools need to talk to `sandbox`, ready to paste into a shell.
pub fn exports(sandbox: &Sandbox, out: &mut dyn Write) -> io::Result<()> {
    let hub = sandbox.hub_credentials();
    writeln!(out, "export AWS_ENDPOINT_URL={}", sandbox.endpoint())?;
    writeln!(out, "export AWS_ACCESS_KEY_ID={}", hub.access_key_id)?;
    writeln!(
        out,
        "export AWS_SECRET_ACCESS_KEY={}",
        hub.secret_access_key
    )?;
    writeln!(
        out,
        "export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1"
    )
}

fn describe(sandbox: &Sandbox, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "An AWS look-alike listens on {}", sandbox.endpoint())?;
    writeln!(out, "Its clock reads {:.0}", sandbox.clock().now())?;
    for problem in sandbox.load_problems() {
        writeln!(out, "not loaded: {problem}")?;
    }
    let records: usize = sandbox.files().iter().map(|file| file.records.len()).sum();
    writeln!(
        out,
        "{records} records in {} files\n",
        sandbox.files().len()
    )?;
    exports(sandbox, out)?;
    if let Some(external_id) = sandbox.external_id() {
        writeln!(out, "\nThe roles ask for the external id {external_id}")?;
    }
    writeln!(out, "\nHub account {}", sandbox.hub_account_id())?;
    for account in sandbox.accounts() {
        let role = sandbox.role_arn(&account.id);
        writeln!(out, "{}  {role}  {}", account.id, account.name)?;
    }
    out.flush()
}
