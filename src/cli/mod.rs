//! The command line: one file per subcommand.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

pub mod assembly;
mod channel;
pub mod check;
pub mod credentials;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod exposure;
mod reload;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod search;
pub mod serve;

/// What did this identity do, in all our AWS accounts, between these times?
#[derive(Debug, Parser)]
#[command(name = "identity-trail", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gRPC service
    Serve(serve::ServeArgs),
    /// Run the service beside an AWS look-alike, ask it a question, and keep serving
    #[cfg(feature = "sandbox")]
    Demo(Box<demo::DemoCommand>),
    /// Run an AWS look-alike on a loopback port
    #[cfg(feature = "sandbox")]
    Sandbox(Box<sandbox::SandboxCommand>),
    /// Ask a running service, or AWS directly, what an identity did
    Search(Box<search::SearchArgs>),
    /// Probe every account and archive, and say what to fix
    Check(check::CheckArgs),
}

/// The exit status of bad usage, a bad configuration included; clap uses it too.
const BAD_USAGE: u8 = 2;

/// How long work that blocks a thread may take to end when all else has.
const BLOCKED_GRACE: Duration = Duration::from_secs(5);

/// How this program was called, for lines to paste.
fn program() -> String {
    if std::env::var_os("CARGO").is_some() {
        return "cargo run -q --".to_owned();
    }
    let called = std::env::args_os().next();
    let called = called.map(|name| name.to_string_lossy().into_owned());
    called.unwrap_or_else(|| "identity-trail".to_owned())
}

/// Parses the command line, runs the subcommand and turns its end into an exit status.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let status = runtime.block_on(dispatch(cli.command));
            // A write that never returns, as of an audit log, does not keep the process.
            runtime.shutdown_timeout(BLOCKED_GRACE);
            status
        }
        Err(error) => {
            eprintln!("identity-trail: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Serve(args) => Box::pin(serve::run(&args)).await,
        #[cfg(feature = "sandbox")]
        Command::Demo(command) => match Box::pin(demo::run(*command)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("identity-trail demo: {error}");
                ExitCode::FAILURE
            }
        },
        #[cfg(feature = "sandbox")]
        Command::Sandbox(command) => match sandbox::run(*command).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("identity-trail sandbox: {error}");
                ExitCode::FAILURE
            }
        },
        Command::Search(args) => Box::pin(ask(&args)).await.into(),
        Command::Check(args) => Box::pin(check(&args)).await.into(),
    }
}

/// Searches at a running service, or with the engine in this process.
async fn ask(args: &search::SearchArgs) -> search::Ended {
    // Bad usage is told before anything is connected or started.
    if let Err(error) = args.request() {
        eprintln!("identity-trail search: {error}");
        return search::Ended::BadUsage;
    }
    let opened = match (&args.config, args.organization.config(&args.regions)) {
        (Some(file), _) => channel::to_engine_of_file(file).await,
        (None, Some(config)) => channel::to_own_engine(&config).await,
        (None, None) => channel::to_service(&args.endpoint, &args.credentials).await,
    };
    match opened {
        Ok(channel::Opened { channel, own }) => {
            let ended = search::run(args, channel).await;
            if let Some(own) = own {
                own.shut_down().await;
            }
            ended
        }
        Err(error) => {
            eprintln!("identity-trail search: {error}");
            if error.is_bad_usage() {
                search::Ended::BadUsage
            } else {
                search::Ended::Failed
            }
        }
    }
}

/// Checks at a running service, or from this process.
async fn check(args: &check::CheckArgs) -> check::Checked {
    let opened = match &args.config {
        None => channel::to_service(&args.endpoint, &args.credentials).await,
        Some(file) => channel::to_engine_of_file(file).await,
    };
    match opened {
        Ok(channel::Opened { channel, own }) => {
            let checked = check::run(args, channel).await;
            if let Some(own) = own {
                own.shut_down().await;
            }
            checked
        }
        Err(error) => {
            eprintln!("identity-trail check: {error}");
            if error.is_bad_usage() {
                check::Checked::BadUsage
            } else {
                check::Checked::Failed
            }
        }
    }
}
