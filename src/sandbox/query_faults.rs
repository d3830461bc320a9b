//! What queries can be told to do wrong, Athena's and Logs Insights' alike, while they are served.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::faults::Percent;

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

/// The faults of one service's queries, which fail as `F` says; clones are handles on the same
/// faults.
#[derive(Debug, Clone)]
pub struct QueryFaults<F> {
    settings: Arc<Mutex<Settings<F>>>,
}

#[derive(Debug)]
struct Settings<F> {
    slow: Option<Fault<Duration>>,
    fail: Option<Fault<F>>,
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
#[derive(Debug)]
pub(super) struct NextQuery<F> {
    /// How long it runs at least.
    pub minimum_run_time: Option<Duration>,
    /// How it fails.
    pub failure: Option<F>,
    /// How much later its start is answered.
    pub start_delay: Option<Duration>,
}

impl<F> Default for QueryFaults<F> {
    /// Nothing goes wrong.
    fn default() -> Self {
        Self {
            settings: Arc::default(),
        }
    }
}

impl<F> Default for Settings<F> {
    fn default() -> Self {
        Self {
            slow: None,
            fail: None,
            slow_start: None,
        }
    }
}

impl<F: Clone> QueryFaults<F> {
    /// Lets queries run at least this long.
    pub fn slow(&self, minimum_run_time: Duration, queries: Queries) {
        self.change(|settings| settings.slow = Some(fault(minimum_run_time, queries)));
    }

    /// Lets queries fail once they have run.
    pub fn fail(&self, failure: F, queries: Queries) {
        self.change(|settings| settings.fail = Some(fault(failure, queries)));
    }

    /// Lets the call that starts a query start it at once and be answered this much later.
    pub fn delay_starts(&self, delay: Duration, queries: Queries) {
        self.change(|settings| settings.slow_start = Some(fault(delay, queries)));
    }

    /// Ends all faults; queries that were hit stay hit.
    pub fn clear(&self) {
        self.change(|settings| *settings = Settings::default());
    }

    /// The faults of a query that starts now.
    pub(super) fn next_query(&self, statement: &str) -> NextQuery<F> {
        self.change(|settings| NextQuery {
            minimum_run_time: Fault::hit(&mut settings.slow, statement),
            failure: Fault::hit(&mut settings.fail, statement),
            start_delay: Fault::hit(&mut settings.slow_start, statement),
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Settings<F>) -> T) -> T {
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
