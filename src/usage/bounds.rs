//! The bounds, and what is said when one is reached.

use std::time::Duration;

/// What may be used; `None` is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Searches and checks at once.
    pub searches: Option<u64>,
    /// Scans that read at once.
    pub open_scans: Option<u64>,
    /// `LookupEvents` and `FilterLogEvents` calls at once, of a caller.
    pub aws_calls: Option<u64>,
    /// Events that one search sends.
    pub events_per_search: Option<u64>,
    /// Events sent a minute.
    pub events_per_minute: Option<u64>,
    /// Bytes that Athena and Logs Insights scan a day (UTC).
    pub scan_bytes_per_day: Option<u64>,
}

/// The bounds of the process and of each caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageLimits {
    /// Of all callers together.
    pub process: Bounds,
    /// Of each.
    pub per_caller: Bounds,
}

/// A bound that was reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct Exceeded {
    /// The configuration's key, such as `limits.per_caller.concurrent_searches`.
    pub key: &'static str,
    /// What has happened, in words.
    pub what: String,
    /// When asking again may help.
    pub retry_after: Duration,
}

/// Whose bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Caller,
    Process,
}

/// Which bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Searches,
    EventsPerSearch,
    EventsPerMinute,
    ScanBytesPerDay,
}

impl Scope {
    pub fn exceeded(self, bound: Bound, limit: u64, retry_after: Duration) -> Exceeded {
        let key = match (self, bound) {
            (Self::Caller, Bound::Searches) => "limits.per_caller.concurrent_searches",
            (Self::Process, Bound::Searches) => "limits.concurrent_searches",
            (Self::Caller, Bound::EventsPerSearch) => "limits.per_caller.events_per_search",
            (Self::Process, Bound::EventsPerSearch) => "limits.events_per_search",
            (Self::Caller, Bound::EventsPerMinute) => "limits.per_caller.events_per_minute",
            (Self::Process, Bound::EventsPerMinute) => "limits.events_per_minute",
            (Self::Caller, Bound::ScanBytesPerDay) => "limits.per_caller.scan_bytes_per_day",
            (Self::Process, Bound::ScanBytesPerDay) => "limits.scan_bytes_per_day",
        };
        let whose = match self {
            Self::Caller => "the caller's",
            Self::Process => "the service's",
        };
        let what = match bound {
            Bound::Searches => {
                format!("{limit} of {whose} searches are running, which is the limit")
            }
            Bound::EventsPerSearch => format!("one search sends at most {limit} events"),
            Bound::EventsPerMinute => format!("{whose} {limit} events a minute have been sent"),
            Bound::ScanBytesPerDay => {
                format!("{whose} {limit} bytes for queries of today (UTC) have been scanned")
            }
        };
        Exceeded {
            key,
            what,
            retry_after,
        }
    }
}
