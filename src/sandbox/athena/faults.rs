//! What Athena can be told to do wrong, while it serves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::sandbox::Percent;

/// Which queries a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queries {
    /// This many from now on.
    Next(u32),
    /// This share of all, evenly spread.
    Share(Percent),
    /// Those whose statement has this text.
    With(&'static str),
}

impl Queries {
    /// Every query.
    pub const ALL: Self = Self::Share(Percent::ALWAYS);
}

/// How a query fails on demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryFailure {
    /// What `AthenaError.Retryable` says. A failure that is not retryable is the user's (category
    /// 2), else the system's (category 1).
    pub retryable: bool,
    /// The reason in `StateChangeReason`.
    pub message: String,
}

/// The faults of one Athena; clones are handles on the same faults.
#[derive(Debug, Clone, Default)]
pub struct AthenaFaults {
    settings: Arc<Mutex<Settings>>,
}

#[derive(Debug, Default)]
struct Settings {
    slow: Option<Fault<Duration>>,
    fail: Option<Fault<QueryFailure>>,
    slow_start: Option<Fault<Duration>>,
}

#[derive(Debug)]
struct Fault<T> {
    what: T,
    queries: Queries,
    seen: u64,
}

impl<T: Clone> Fault<T> {
    fn hit(fault: &mut Option<Self>, statement: &str) -> Option<T> {
        let fault = fault.as_mut()?;
        let hit = match &mut fault.queries {
            Queries::Next(0) => false,
            Queries::Next(left) => {
                *left -= 1;
                true
            }
            Queries::With(text) => statement.contains(*text),
            // 37 has no divisor in common with 100: a hundred queries hit every residue once.
            Queries::Share(share) => share.hits_hash(fault.seen.wrapping_mul(37)),
        };
        fault.seen += 1;
        hit.then(|| fault.what.clone())
    }
}

/// What the faults mean for one query.
#[derive(Debug, Default)]
pub(super) struct QueryFaults {
    /// How long it runs at least.
    pub minimum_run_time: Option<Duration>,
    /// How it fails.
    pub failure: Option<QueryFailure>,
    /// How much later its start is answered.
    pub start_delay: Option<Duration>,
}

impl AthenaFaults {
    /// Lets queries run at least this long, the bytes they report growing meanwhile.
    pub fn slow(&self, minimum_run_time: Duration, queries: Queries) {
        self.change(|settings| settings.slow = Some(fault(minimum_run_time, queries)));
    }

    /// Lets queries fail once they have run.
    pub fn fail(&self, failure: QueryFailure, queries: Queries) {
        self.change(|settings| settings.fail = Some(fault(failure, queries)));
    }

    /// Lets `StartQueryExecution` start the query at once and answer this much later.
    pub fn delay_starts(&self, delay: Duration, queries: Queries) {
        self.change(|settings| settings.slow_start = Some(fault(delay, queries)));
    }

    /// Ends all faults; queries that were hit stay hit.
    pub fn clear(&self) {
        self.change(|settings| *settings = Settings::default());
    }

    /// The faults of a query that starts now.
    pub(super) fn next_query(&self, statement: &str) -> QueryFaults {
        self.change(|settings| QueryFaults {
            minimum_run_time: Fault::hit(&mut settings.slow, statement),
            failure: Fault::hit(&mut settings.fail, statement),
            start_delay: Fault::hit(&mut settings.slow_start, statement),
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn fault<T>(what: T, queries: Queries) -> Fault<T> {
    Fault {
        what,
        queries,
        seen: 0,
    }
}
