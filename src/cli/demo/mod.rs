//! `identity-trail demo`: sandbox and service in one process, one real question asked over gRPC,
//! and everything that it takes to ask more.

mod companion;
mod hints;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser};
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Channel;

use crate::assembly::Assembly;
use crate::cli::channel::without_token;
use crate::cli::exposure::{self, Exposed};
use crate::cli::search::{self, Output, SearchArgs};
use crate::config::Config;
use crate::federation::HubCredentials;
use crate::grpc::ServerError;
use crate::policy::PolicyError;
use crate::sandbox::args::{ArgsError, SandboxArgs};
use crate::sandbox::{Denial, Sandbox, StartError};
use crate::telemetry::admin::AdminError;

/// How long a stop may take.
const GRACE: Duration = Duration::from_secs(10);

/// Flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoCommand {
    /// Where the service listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Listen on another address than loopback, where whoever reaches the port reads the events
    #[arg(long)]
    pub insecure: bool,

    /// Where /metrics, /healthz and /readyz are answered; nowhere by default
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,

    /// The AWS look-alike beside it.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// Why a demo ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The address can be reached from elsewhere, and is not protected.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The sandbox's flags do not go together.
    #[error(transparent)]
    Flags(#[from] ArgsError),
    /// The sandbox did not start.
    #[error(transparent)]
    Sandbox(#[from] StartError),
    /// The service did not start, or broke.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The admin port cannot be had.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The configuration that was made for the sandbox is none: a defect.
    #[error("the demo's own configuration is not valid: {0}")]
    Config(#[from] crate::config::ConfigError),
    /// It names policies, which it never does.
    #[error("the demo has no policies: {0}")]
    Policies(#[from] PolicyError),
    /// The demo's own service cannot be reached.
    #[error("cannot reach the demo's own service: {0}")]
    Connect(#[from] tonic::transport::Error),
    /// Standard output was closed, or signals cannot be listened for.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Starts both, asks, explains, and serves until SIGINT or SIGTERM.
pub async fn run(command: DemoCommand) -> Result<(), DemoError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    exposure::check_address(command.listen, false, false, command.insecure)?;
    let args = &command.sandbox;
    let generated = args.logs.is_empty();
    let nobody_denied = args.deny_account.is_empty() && args.deny_by_scp.is_empty();
    eprintln!("starting an AWS look-alike …");
    let sandbox = Sandbox::start(args.config()?).await?;
    if generated && nobody_denied {
        // One account keeps its role to itself, so that the coverage has something to say.
        if let Some(account) = companion::bystander(&sandbox) {
            let id = account.id.clone();
            sandbox.faults().change(|faults| {
                faults.denied_accounts.insert(id, Denial::NotAllowed);
            });
        }
    }
    let yaml = companion::config(&sandbox, args.lookup_rate.0);
    let config = Config::parse(&yaml, "demo")?;
    let hub = sandbox.hub_credentials();
    let hub = HubCredentials {
        access_key_id: hub.access_key_id.clone(),
        secret_access_key: hub.secret_access_key.clone(),
    };
    let assembly = Assembly::of(&config, Some(hub), sandbox.clock()).await?;
    let mut server = assembly.serve(command.listen).await?;
    let admin = match command.admin_listen {
        Some(listen) => Some(assembly.serve_admin(listen, &server).await?),
        None => None,
    };
    let endpoint = format!("http://{}", server.local_addr());

    let story = sandbox.story().cloned();
    if let Some(story) = &story {
        let program = format!("{} search", crate::cli::program());
        let question = [
            program.as_str(),
            "--access-key",
            &story.leaked_access_key_id,
            "--since",
            "100d",
            "--endpoint",
            &endpoint,
        ];
        println!("$ {}\n", question.join(" "));
        let question = question[1..].iter().copied();
        let mut asked = Question::parse_from(std::iter::once("search").chain(question)).search;
        asked.output = Some(Output::Table);
        let channel = Channel::from_shared(endpoint.clone())
            .map_err(io::Error::other)?
            .connect()
            .await?;
        search::run(&asked, without_token(channel)).await;
    }
    let mut out = io::stdout();
    hints::write(&sandbox, &endpoint, &mut out)?;
    if let Some(admin) = &admin {
        writeln!(
            out,
            "\nWhat Prometheus reads:\n  http://{}/metrics",
            admin.local_addr()
        )?;
    }
    out.flush()?;

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = server.ended() => ended?,
    }
    eprintln!("stopping …");
    let stopped = server.shut_down(GRACE).await;
    assembly.finish(GRACE).await;
    Ok(stopped?)
}

/// The flags of `search`, read as the command line reads them.
#[derive(Debug, Parser)]
struct Question {
    #[command(flatten)]
    search: SearchArgs,
}
