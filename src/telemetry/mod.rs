//! What the service says about itself: logs, traces and metrics.
//!
//! Nothing of it may slow a search or fail it, and nothing of it shows a credential. Logs and traces
//! both come from `tracing`: a span for each search and for each of its scans, and in these an event
//! for each AWS call.

pub mod admin;
mod logs;
pub mod metrics;
mod traces;

use std::env::VarError;
use std::time::Duration;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

pub use metrics::Metrics;
pub use traces::{AWS_CALLS, continuing};

use crate::config;
use traces::Exporter;

/// Why logging or tracing cannot be set up.
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
    /// The exporter of traces cannot be made.
    #[error("telemetry.otlp: {0}")]
    Otlp(String),
    /// Something else has set it up before.
    #[error("logging is set up already: {0}")]
    AlreadyInitialised(#[from] TryInitError),
}

/// What the process's telemetry needs at its end.
#[derive(Debug)]
#[must_use = "traces are lost that are not flushed"]
pub struct Telemetry {
    exporter: Option<Exporter>,
}

/// Sets up logging for the process, and tracing if it is configured. To be called within the runtime.
pub fn init(config: &config::Telemetry, metrics: &Metrics) -> Result<Telemetry, TelemetryError> {
    let exporter = config
        .otlp
        .as_ref()
        .map(|otlp| Exporter::new(otlp, metrics));
    let exporter = exporter.transpose()?;
    Registry::default()
        .with(logs::layer(config.log_format, directives()?)?)
        .with(exporter.as_ref().map(Exporter::layer))
        .try_init()?;
    Ok(Telemetry { exporter })
}

impl Telemetry {
    /// Sends the traces that have not been sent yet, for `patience` at most.
    pub async fn flush(self, patience: Duration) {
        if let Some(exporter) = self.exporter {
            exporter.flush(patience).await;
        }
    }
}

fn directives() -> Result<String, TelemetryError> {
    match std::env::var("RUST_LOG") {
        Ok(directives) => Ok(directives),
        Err(VarError::NotPresent) => Ok(String::new()),
        Err(VarError::NotUnicode(_)) => Err(TelemetryError::NotUnicode),
    }
}
