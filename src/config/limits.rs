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
    /// Connections; one more is closed at once or, where callers are authenticated, in its stead the
    /// oldest on which none was.
    #[serde(deserialize_with = "up_to_100_000")]
    pub connections: u64,
    /// Searches that run at the same time; one more is refused.
    #[serde(deserialize_with = "up_to_10_000")]
    pub concurrent_searches: u64,
    /// Scans that read at once, in the whole process; the others wait for their turns. Default: any
    /// number.
    #[serde(deserialize_with = "optional_count")]
    pub open_scans: Option<u64>,
    /// Events that one search sends.
    #[serde(deserialize_with = "optional_count")]
    pub events_per_search: Option<u64>,
    /// Events that the process sends a minute.
    #[serde(deserialize_with = "optional_count")]
    pub events_per_minute: Option<u64>,
    /// Bytes that Athena and Logs Insights scan a day (UTC) for the process.
    #[serde(deserialize_with = "optional_count")]
    pub scan_bytes_per_day: Option<u64>,
    /// The same, and more, for each caller.
    pub per_caller: PerCaller,
    /// How long a call may take that sets no deadline of its own.
    #[serde(deserialize_with = "deadline")]
    pub default_deadline: Duration,
    /// How long a call may take at most: a later deadline is shortened to it.
    #[serde(deserialize_with = "deadline")]
    pub max_deadline: Duration,
    /// A stream whose caller takes nothing of it for this long ends.
    #[serde(deserialize_with = "idle_timeout")]
    pub idle_timeout: Duration,
    /// Bytes of one request's message.
    #[serde(deserialize_with = "max_request_bytes")]
    pub max_request_bytes: u64,
    /// A connection that is silent for this long is pinged…
    #[serde(deserialize_with = "keepalive")]
    pub keepalive_interval: Duration,
    /// …and closed if it does not answer within this.
    #[serde(deserialize_with = "keepalive")]
    pub keepalive_timeout: Duration,
    /// AWS calls in flight in the whole process: all but those that run a query of Athena or Logs
    /// Insights, of which each query makes one at a time (`max_concurrent_queries` bounds the queries),
    /// and `AssumeRole`.
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
            open_scans: None,
            events_per_search: None,
            events_per_minute: None,
            scan_bytes_per_day: None,
            per_caller: PerCaller::default(),
            default_deadline: Duration::from_hours(1),
            max_deadline: Duration::from_hours(12),
            idle_timeout: Duration::from_mins(5),
            // A request is lists of names: 2 MiB are 100,000 accounts.
            max_request_bytes: 2 * MIB,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            aws_calls: 256,
            assume_role_calls: 64,
            page_memory_bytes: 64 * MIB,
            filter_log_events_per_second: RequestRate::Paced(5.0),
            scan_stall_timeout: Duration::from_secs(30),
        }
    }
}

/// What each caller may use, within what the process may. A caller is whoever authentication says, else
/// an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerCaller {
    /// Searches that run at the same time; one more is refused.
    #[serde(deserialize_with = "optional_count")]
    pub concurrent_searches: Option<u64>,
    /// Scans that read at once; the others wait for their turns.
    #[serde(deserialize_with = "optional_count")]
    pub open_scans: Option<u64>,
    /// `LookupEvents` and `FilterLogEvents` calls in flight.
    #[serde(deserialize_with = "optional_count")]
    pub aws_calls: Option<u64>,
    /// Events that one search sends.
    #[serde(deserialize_with = "optional_count")]
    pub events_per_search: Option<u64>,
    /// Events sent a minute.
    #[serde(deserialize_with = "optional_count")]
    pub events_per_minute: Option<u64>,
    /// Bytes that Athena and Logs Insights scan a day (UTC).
    #[serde(deserialize_with = "optional_count")]
    pub scan_bytes_per_day: Option<u64>,
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

fn optional_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    value::count(deserializer, 1..=1_000_000_000_000_000).map(Some)
}

fn max_request_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, 64 * 1024..=64 * MIB)
}

fn deadline<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let (least, most) = (Duration::from_secs(1), Duration::from_hours(7 * 24));
    value::duration(deserializer, least..=most)
}

fn idle_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let (least, most) = (Duration::from_millis(100), Duration::from_hours(24));
    value::duration(deserializer, least..=most)
}

fn keepalive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let (least, most) = (Duration::from_secs(1), Duration::from_hours(1));
    value::duration(deserializer, least..=most)
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
