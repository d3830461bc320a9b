//! The sandbox's CloudWatch Logs: one log group that a trail of the whole organization delivers to.
//!
//! ```text
//! service (the API) ─▶ filter_log_events ─▶ pattern ─▶ group (which event is there, and when)
//! ```

mod cursor;
mod filter_log_events;
mod group;
mod pattern;
mod service;

use serde_json::Value;

use super::error::AwsError;

pub use group::{LOG_GROUP_NAME, LOG_GROUP_REGION};
pub use service::LogsConfig;
pub(super) use service::LogsService;

fn invalid(message: impl std::fmt::Display) -> AwsError {
    AwsError::new("InvalidParameterException", message.to_string())
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
