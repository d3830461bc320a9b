//! Section `event_history`: how CloudTrail's `LookupEvents` is read.

use serde::{Deserialize, Deserializer};

use super::rate::{RequestRate, rate};

/// AWS's quota of `LookupEvents`, in requests a second, for each account and Region.
const QUOTA: f64 = 2.0;

/// How `LookupEvents` is read.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventHistory {
    /// Requests a second for each account and Region. AWS allows 2, shared with everyone else in
    /// the account: less leaves them some. `off` does not pace at all, for a sandbox only.
    #[serde(deserialize_with = "lookup_rate")]
    pub requests_per_second: RequestRate,
}

impl Default for EventHistory {
    fn default() -> Self {
        Self {
            requests_per_second: RequestRate::Paced(QUOTA),
        }
    }
}

fn lookup_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestRate, D::Error> {
    rate(deserializer, QUOTA)
}
