//! Section `routing`: how the planner divides a question between backends.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::value;

/// How the planner divides a question between backends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    /// How long after an event its archive or log group surely holds it; event history reads the
    /// rest.
    #[serde(deserialize_with = "archive_delay")]
    pub archive_delay: Duration,
    /// Events younger than this may still arrive: the answer about them is provisional.
    #[serde(deserialize_with = "settle_time")]
    pub settle_time: Duration,
    /// The length of the slice of an Athena or Logs Insights query that is read first; each further
    /// one is twice as long.
    #[serde(deserialize_with = "first_slice")]
    pub first_slice: Duration,
    /// Intervals of a log group that are at least this long are read with Logs Insights.
    #[serde(deserialize_with = "insights_min_interval")]
    pub insights_min_interval: Duration,
    /// Pages that a scan of event history asks for, those that find sessions among them, before what
    /// is left of it goes to the archive or log group that holds it, if there is one. Scans that have
    /// come half as far by then join it, so that they are one query.
    #[serde(deserialize_with = "max_lookup_pages")]
    pub max_lookup_pages: u64,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            archive_delay: Duration::from_hours(1),
            settle_time: Duration::from_mins(30),
            first_slice: Duration::from_hours(24),
            insights_min_interval: Duration::from_hours(24),
            max_lookup_pages: 1_000,
        }
    }
}

fn archive_delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::from_mins(15)..=Duration::from_hours(24),
    )
}

fn settle_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(deserializer, Duration::ZERO..=Duration::from_hours(24))
}

fn first_slice<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::from_hours(1)..=Duration::from_hours(90 * 24),
    )
}

fn insights_min_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::ZERO..=Duration::from_hours(3_660 * 24),
    )
}

fn max_lookup_pages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, 1..=1_000_000)
}
