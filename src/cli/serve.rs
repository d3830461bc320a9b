//! `identity-trail serve`: the service, until a signal ends it.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::BAD_USAGE;
use super::exposure::{self, Exposed};
use super::reload::keep_until_restart;
use crate::assembly::{self, Assembly};
use crate::audit::AuditLog;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError};
use crate::grpc::{Protection, Server, ServerError};
use crate::policy::PolicyError;
use crate::telemetry::admin::AdminError;
use crate::telemetry::{self, Metrics, TelemetryError};
use crate::tls::MaterialError;

/// Flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The configuration; identity-trail.example.yaml explains every key
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Listen on other addresses than loopback without TLS or without authentication: whoever
    /// reaches the port, or is on the way to it, reads every account's audit log
    #[arg(long)]
    pub insecure: bool,
    /// Check the configuration and end: exit status 0 if the service would start with it, 2 if not.
    /// Reads the files that it names, and sees whether the audit log can be appended to; binds no port,
    /// asks AWS nothing and makes no file
    #[arg(long)]
    pub check_config: bool,
}

/// How long Athena queries may take to be stopped after that.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How long the accounts of a new configuration may take to be discovered.
const RELOAD_PATIENCE: Duration = Duration::from_mins(1);
/// How long the last traces may take to be sent after that.
const FLUSH_GRACE: Duration = Duration::from_secs(5);
/// How long the audit log may take to be written after a second signal.
const CUT_OFF_GRACE: Duration = Duration::from_secs(2);

/// Why the service does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policies cannot be used.
    #[error("auth.policies: {0}")]
    Policies(#[from] PolicyError),
    /// Logging cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The address can be reached from elsewhere, and is not protected.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// A certificate, a key or a key set cannot be used.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The audit log cannot be opened.
    #[error("audit: cannot append to {to}: {source}")]
    Audit {
        /// Where it was to be written.
        to: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A second signal ended it while calls were running.
    #[error("a second signal ended it at once: {0} calls were cut off")]
    CutOff(u64),
    /// Signals cannot be listened for.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    /// The server does not start, or broke.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The admin port cannot be had.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl ServeError {
    /// Whether it is for whoever wrote the command or the configuration to mend.
    fn is_bad_usage(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Policies(_)
            | Self::Telemetry(_)
            | Self::Exposed(_)
            | Self::Material(_)
            | Self::Audit { .. } => true,
            Self::CutOff(_) | Self::Signals(_) | Self::Server(_) | Self::Admin(_) => false,
        }
    }
}

/// Serves until SIGTERM or SIGINT; exit status 2 if it cannot for what it was told, 1 if it broke or
/// calls were cut off at the end.
pub async fn run(args: &ServeArgs) -> ExitCode {
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("identity-trail serve: {error}");
            if error.is_bad_usage() {
                ExitCode::from(BAD_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Every setting is checked before a port is bound.
async fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let mut config = config::load(&args.config)?;
    exposure::check(&config, args.insecure)?;
    // The server reads them again: what is wrong is told before anything starts.
    Protection::load(config.tls.as_ref(), &config.auth)?;
    let metrics = Metrics::new();
    let telemetry = telemetry::init(&config.telemetry, &metrics)?;
    let unwritable = |source| ServeError::Audit {
        to: config.audit.to.to_string(),
        source,
    };
    if args.check_config {
        assembly::authorizer(&config)?;
        AuditLog::check(&config.audit.to).map_err(unwritable)?;
        println!("{}: the configuration is valid", args.config.display());
        return Ok(());
    }
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let audit = AuditLog::open(&config.audit.to).map_err(unwritable)?;
    let mut assembly = Assembly::counting(&config, None, Clock::system(), &metrics)
        .await?
        .with_audit(audit.clone());
    if let Some(policies) = assembly.authorizer.policies() {
        tracing::info!(policies, "callers may ask what the policies allow");
    } else {
        tracing::info!(
            "no auth.policies are configured: everybody who may call may ask everything"
        );
    }
    let mut server = assembly.serve(config.listen).await?;
    let admin = match config.telemetry.admin_listen {
        Some(listen) => Some(assembly.serve_admin(listen, &server).await?),
        None => None,
    };
    tracing::info!(
        address = %server.local_addr(),
        admin = admin.as_ref().map(|admin| tracing::field::display(admin.local_addr())),
        accounts_listed = config.accounts.list.len(),
        organization = config.accounts.organization.is_some(),
        archives = config.archives.len(),
        "serving"
    );
    loop {
        let told = tokio::select! {
            told = signals.next() => told,
            ended = server.ended() => {
                assembly.finish(STOP_GRACE).await;
                return Ok(ended?);
            }
        };
        let mut told = Some(told);
        while let Some(Told::HangUp) = told {
            audit.reopen();
            // Told again in the middle of it, it begins anew: the file may be another by now.
            told = tokio::select! {
                new = reload(args, &config, &mut assembly, &server) => {
                    config = new.unwrap_or(config);
                    None
                }
                told = signals.next() => Some(told),
            };
        }
        if told.is_some() {
            break;
        }
    }
    tracing::info!("shutting down: running searches end with a summary");
    let mut shutdown = pin!(async {
        server.leave(config.shutdown.delay).await;
        let ended = server.shut_down(config.shutdown.grace).await;
        assembly.finish(STOP_GRACE).await;
        telemetry.flush(FLUSH_GRACE).await;
        ended
    });
    tokio::select! {
        ended = &mut shutdown => Ok(ended?),
        () = signals.end() => {
            tracing::warn!("a second signal: ending at once");
            // What runs is recorded before it is dropped: only then is it known to be cut off.
            match audit.finish(CUT_OFF_GRACE).await {
                0 => Ok(()),
                calls => Err(ServeError::CutOff(calls)),
            }
        }
    }
}

/// Reads the configuration anew. What is wrong with it is logged, and everything stays as it was.
async fn reload(
    args: &ServeArgs,
    old: &Config,
    assembly: &mut Assembly,
    server: &Server,
) -> Option<Config> {
    let mut config = match config::load(&args.config) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("the configuration was not reloaded, the old one stays: {error}");
            return None;
        }
    };
    let kept = keep_until_restart(old, &mut config);
    if let Err(error) = assembly.reload(&config, server, RELOAD_PATIENCE).await {
        tracing::error!("the configuration was not reloaded, the old one stays: {error}");
        return None;
    }
    if !kept.is_empty() {
        let keys = kept.join(", ");
        tracing::warn!(
            keys,
            "what changed here takes a restart, and stays as it was until then"
        );
    }
    tracing::info!("the configuration was reloaded");
    Some(config)
}

/// SIGTERM and SIGINT, which end the service, and SIGHUP.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal means.
enum Told {
    End,
    HangUp,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::HangUp,
        }
    }

    /// Waits for one that ends the service.
    async fn end(&mut self) {
        while !matches!(self.next().await, Told::End) {}
    }
}
