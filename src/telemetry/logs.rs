//! Logs: to standard error, as text for people or as JSON for collectors. What is logged is set by
//! `RUST_LOG`, by default everything from `info` on.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// Below `info` these write requests down, and with them session tokens, bearer tokens and the
/// headers of the traces' collector: never, whatever is asked.
const KEPT_AT_INFO: [&str; 7] = [
    "aws_",
    "h2",
    "hyper",
    "opentelemetry",
    "rustls",
    "tonic",
    "tower",
];

/// Writes log lines.
pub(super) fn layer<S>(
    format: LogFormat,
    directives: String,
) -> Result<Box<dyn Layer<S> + Send + Sync>, ParseError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(directives)?;
    let filter = wanted.and(filter_fn(may_be_logged));
    let stderr_is_terminal = std::io::stderr().is_terminal();
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(stderr_is_terminal);
    Ok(match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    })
}

fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO
        || !KEPT_AT_INFO
            .iter()
            .any(|target| line.target().starts_with(target))
}
