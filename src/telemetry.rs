//! Logs: to standard error, as text for people or as JSON for collectors. What is logged is set by
//! `RUST_LOG`, by default everything from `info` on.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogFormat;

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is malformed.
    #[error(
        "environment variable RUST_LOG: {0}: allowed are directives such as info or identity_trail=debug"
    )]
    Filter(#[from] ParseError),
    /// `RUST_LOG` is not text.
    #[error("environment variable RUST_LOG is not valid Unicode")]
    NotUnicode,
    /// Something else has set it up before.
    #[error("logging is set up already: {0}")]
    AlreadyInitialised(#[from] TryInitError),
}

/// Below `info` these write requests down, and with them session tokens: never, whatever is asked.
const KEPT_AT_INFO: [&str; 7] = [
    "aws_config",
    "aws_credential_types",
    "aws_runtime",
    "aws_sdk",
    "aws_smithy",
    "h2",
    "hyper",
];

/// Sets up logging for the process.
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    let directives = match std::env::var("RUST_LOG") {
        Ok(directives) => directives,
        Err(std::env::VarError::NotPresent) => String::new(),
        Err(std::env::VarError::NotUnicode(_)) => return Err(TelemetryError::NotUnicode),
    };
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(directives)?;
    let filter = wanted.and(filter_fn(may_be_logged));
    let stderr_is_terminal = std::io::stderr().is_terminal();
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(stderr_is_terminal);
    let layer = match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(layer).try_init()?;
    Ok(())
}

fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO
        || !KEPT_AT_INFO
            .iter()
            .any(|target| line.target().starts_with(target))
}
