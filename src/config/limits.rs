//! Section `limits`: what one request may ask, and what the process may use.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::rate::{RequestRate, rate};
use super::value;

/// What one request may ask, and what the process may use.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Identities in one request.
    #[serde(deserialize_with = "up_to_1000")]
    pub max_identities: u64,
    /// Accounts that one request may search, whether it names them or means all.
    #[serde(deserialize_with = "up_to_100_000")]
    pub max_accounts: u64,
    /// Event names in one request's filter.
    #[serde(deserialize_with = "up_to_1000")]
    pub max_event_names: u64,
    /// Event sources in one request's filter.
    #[serde(deserialize_with = "up_to_1000")]
    pub max_event_sources: u64,
    /// Values in each other list of one request's filter: error codes, source IPs, resources,
    /// event ids.
    #[serde(deserialize_with = "up_to_1000")]
    pub max_filter_values: u64,
    /// How far back a request may reach.
    #[serde(deserialize_with = "max_lookback")]
    pub max_lookback: Duration,
    /// Connections of callers; one more is closed at once.
    #[serde(deserialize_with = "up_to_100_000")]
    pub connections: u64,
    /// Searches that run at the same time; one more is refused.
    #[serde(deserialize_with = "up_to_10_000")]
    pub concurrent_searches: u64,
    /// AWS calls in flight in the whole process.
    #[serde(deserialize_with = "up_to_10_000")]
    pub aws_calls: u64,
    /// `AssumeRole` calls in flight in the whole process.
    #[serde(deserialize_with = "up_to_1000")]
    pub assume_role_calls: u64,
    /// Bytes of pages that wait between AWS and the callers, in the whole process.
    #[serde(deserialize_with = "page_memory_bytes")]
    pub page_memory_bytes: u64,
    /// `FilterLogEvents` requests a second for each account and Region. AWS allows 5 to 25 by Region,
    /// shared with everyone else in the account.
    #[serde(deserialize_with = "log_filter_rate")]
    pub filter_log_events_per_second: RequestRate,
    /// A scan whose backend does not answer for this long ends as unresponsive.
    #[serde(deserialize_with = "scan_stall_timeout")]
    pub scan_stall_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_identities: 20,
            max_accounts: 5_000,
            max_event_names: 50,
            max_event_sources: 50,
            max_filter_values: 50,
            max_lookback: Duration::from_hours(3_660 * 24),
            connections: 1_000,
            concurrent_searches: 32,
            aws_calls: 256,
            assume_role_calls: 64,
            page_memory_bytes: 64 * MIB,
            filter_log_events_per_second: RequestRate::Paced(5.0),
            scan_stall_timeout: Duration::from_secs(30),
        }
    }
}

const MIB: u64 = 1024 * 1024;

fn up_to_1000<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, 1..=1_000)
}

fn up_to_10_000<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, 1..=10_000)
}

fn up_to_100_000<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, 1..=100_000)
}

fn page_memory_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, MIB..=64 * 1024 * MIB)
}

fn max_lookback<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::from_hours(1)..=Duration::from_hours(36_600 * 24),
    )
}

fn scan_stall_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::from_millis(100)..=Duration::from_mins(10),
    )
}

fn log_filter_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestRate, D::Error> {
    rate(deserializer, 25.0)
}
