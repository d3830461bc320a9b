//! Section `shutdown`: how the process ends.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::value;

/// How the process ends when it is told to (SIGTERM, SIGINT).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// For so long it says that it is not ready and serves all the same, until nobody sends anything
    /// any more.
    #[serde(deserialize_with = "delay")]
    pub delay: Duration,
    /// So long running searches may take for their summaries after that; then they are cut off.
    #[serde(deserialize_with = "grace")]
    pub grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            grace: Duration::from_secs(15),
        }
    }
}

fn delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(deserializer, Duration::ZERO..=Duration::from_mins(10))
}

fn grace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::from_secs(1)..=Duration::from_mins(10),
    )
}
