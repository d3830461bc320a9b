//! The sandbox's CloudWatch Logs: one log group that a trail of the whole organization delivers to.
//!
//! ```text
//! service (the API) ─┬▶ filter_log_events ─▶ pattern ──────────────────────┬▶ group (which event
//!                    └▶ start_query ─▶ registry ─▶ execution ─▶ insights ─┘   is there, and when)
//! ```

mod cursor;
mod describe_log_groups;
mod describe_log_streams;
mod execution;
mod filter_log_events;
mod group;
mod insights;
mod pattern;
mod query_results;
mod registry;
mod service;
mod start_query;

use serde_json::Value;

use super::error::AwsError;
use super::query_faults::QueryFaults;

pub use execution::InsightsFailure;
pub use group::{LOG_GROUP_NAME, LOG_GROUP_REGION};
pub use registry::LogsStats;
pub use service::LogsConfig;
pub(super) use service::LogsService;

/// The faults of one CloudWatch Logs' Insights queries.
pub type LogsFaults = QueryFaults<InsightsFailure>;

fn invalid(message: impl std::fmt::Display) -> AwsError {
    AwsError::new("InvalidParameterException", message.to_string())
}

fn malformed(message: impl std::fmt::Display) -> AwsError {
    AwsError::new("MalformedQueryException", message.to_string())
}

/// What AWS says where a member is outside its model's bounds.
fn validation(member: &str, value: impl std::fmt::Display, constraint: &str) -> AwsError {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: \
         Member must {constraint}"
    ))
}

fn parse<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, AwsError> {
    serde_json::from_value(body)
        .map_err(|error| AwsError::new("SerializationException", error.to_string()))
}

/// Runs what takes its time where it holds up nobody.
async fn in_the_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
