//! What the sandbox was asked: the numbers that tests hold against what a client should have done.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One kind of call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// As it is signed for, such as `sts` or `cloudtrail`.
    pub service: &'static str,
    /// The operation, such as `LookupEvents`.
    pub operation: String,
    /// The account that the signing key belongs to.
    pub account_id: String,
    /// The Region that was signed for.
    pub region: String,
}

/// How many calls of one kind came, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All whose signature was right.
    pub received: u64,
    /// Those answered with success.
    pub succeeded: u64,
    /// Those answered with a throttle.
    pub throttled: u64,
    /// Those answered with another error.
    pub refused: u64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// By kind of call.
    pub calls: BTreeMap<Call, Counts>,
    /// Requests refused before anybody knew whose they were: not signed, or wrongly.
    pub unauthenticated: u64,
}

impl Stats {
    /// The sum over all calls of one operation, whatever account and Region.
    #[must_use]
    pub fn of(&self, operation: &str) -> Counts {
        self.sum(|call| call.operation == operation)
    }

    /// The sum over the calls that `matches` picks.
    #[must_use]
    pub fn sum(&self, matches: impl Fn(&Call) -> bool) -> Counts {
        let picked = self.calls.iter().filter(|(call, _)| matches(call));
        picked.fold(Counts::default(), |sum, (_, counts)| Counts {
            received: sum.received + counts.received,
            succeeded: sum.succeeded + counts.succeeded,
            throttled: sum.throttled + counts.throttled,
            refused: sum.refused + counts.refused,
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Stats>);

impl Counters {
    pub fn snapshot(&self) -> Stats {
        self.with(|stats| stats.clone())
    }

    pub fn unauthenticated(&self) {
        self.with(|stats| stats.unauthenticated += 1);
    }

    pub fn count(&self, call: &Call, count: impl FnOnce(&mut Counts)) {
        self.with(|stats| count(stats.calls.entry(call.clone()).or_default()));
    }

    fn with<T>(&self, run: impl FnOnce(&mut Stats) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
