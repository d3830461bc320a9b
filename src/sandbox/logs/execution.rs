//! One Insights query that was started: its state, and its way through the log group.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sandbox::query_faults::NextQuery;

use super::group::LogGroup;
use super::in_the_background;
use super::insights::{Fields, Order, Query};

/// Events that are looked at between two looks at whether the query is to stop.
const STEP: usize = 500;

/// How an Insights query ends badly on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsightsFailure {
    /// Status `Failed`.
    Failed,
    /// Status `Timeout`, as after 60 minutes.
    Timeout,
}

/// A query from start to end, shared by its task and the API.
#[derive(Debug)]
pub(super) struct Execution {
    pub id: String,
    pub account_id: String,
    pub region: String,
    pub query: Query,
    /// How many rows there are at most.
    pub limit: usize,
    group: Arc<LogGroup>,
    /// What it reads.
    places: Range<usize>,
    cancelled: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    status: Status,
    /// What has matched so far, the rows first, in their order; at most as many as rows.
    rows: Vec<usize>,
    statistics: Statistics,
}

#[derive(Debug, Clone, Copy, Default)]
struct Statistics {
    matched: u64,
    scanned: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Scheduled,
    Running,
    Complete,
    Failed,
    Timeout,
    Cancelled,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Complete => "Complete",
            Self::Failed => "Failed",
            Self::Timeout => "Timeout",
            Self::Cancelled => "Cancelled",
        }
    }

    pub fn is_over(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Running)
    }
}

/// What GetQueryResults shows at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub status: Status,
    /// Places of the rows so far.
    pub rows: Vec<usize>,
    pub statistics: Value,
}

impl Execution {
    pub fn new(
        id: String,
        (account_id, region): (&str, &str),
        (query, limit): (Query, usize),
        group: Arc<LogGroup>,
        places: Range<usize>,
    ) -> Self {
        Self {
            id,
            account_id: account_id.to_owned(),
            region: region.to_owned(),
            query,
            limit,
            group,
            places,
            cancelled: CancellationToken::new(),
            state: Mutex::new(State {
                status: Status::Scheduled,
                rows: Vec::new(),
                statistics: Statistics::default(),
            }),
        }
    }

    pub fn status(&self) -> Status {
        self.with(|state| state.status)
    }

    pub fn scanned_bytes(&self) -> u64 {
        self.with(|state| state.statistics.bytes)
    }

    /// Tells the query to stop; false if it is over already.
    pub fn cancel(&self) -> bool {
        let running = self.with(|state| {
            let running = !state.status.is_over();
            if running {
                state.status = Status::Cancelled;
            }
            running
        });
        self.cancelled.cancel();
        running
    }

    pub fn snapshot(&self) -> Snapshot {
        self.with(|state| Snapshot {
            status: state.status,
            rows: state.rows.clone(),
            statistics: state.statistics.describe(),
        })
    }

    pub fn group(&self) -> &LogGroup {
        &self.group
    }

    /// Runs the query to its end, whatever that is.
    pub async fn run(
        self: Arc<Self>,
        slots: Arc<Semaphore>,
        active: OwnedSemaphorePermit,
        faults: NextQuery<InsightsFailure>,
    ) {
        // If the task dies, so does the query.
        let _end = End(&self);
        let work = async {
            let _slot = slots.acquire().await;
            let started = Instant::now();
            self.change_to(Status::Running);
            let mut left = self.places.clone();
            while !left.is_empty() {
                let step = match self.query.order {
                    Order::OldestFirst => left.start..(left.start + STEP).min(left.end),
                    Order::NewestFirst => left.end.saturating_sub(STEP).max(left.start)..left.end,
                };
                match self.query.order {
                    Order::OldestFirst => left.start = step.end,
                    Order::NewestFirst => left.end = step.start,
                }
                let this = Arc::clone(&self);
                in_the_background(move || this.read(step)).await;
            }
            if let Some(time) = faults.minimum_run_time {
                tokio::time::sleep_until(started + time).await;
            }
            self.change_to(match faults.failure {
                None => Status::Complete,
                Some(InsightsFailure::Failed) => Status::Failed,
                Some(InsightsFailure::Timeout) => Status::Timeout,
            });
        };
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => {}
            () = work => {}
        }
        drop(active);
    }

    fn read(&self, step: Range<usize>) {
        let mut matched = Vec::new();
        let mut bytes = 0;
        for place in step.clone() {
            let event = self.group.event(place);
            bytes += event.record.json().len() as u64;
            let fields = Fields::of(event);
            if self
                .query
                .filters
                .iter()
                .all(|filter| filter.passes(&fields))
            {
                matched.push(place);
            }
        }
        if self.query.order == Order::NewestFirst {
            matched.reverse();
        }
        self.with(|state| {
            state.statistics.scanned += step.len() as u64;
            state.statistics.bytes += bytes;
            state.statistics.matched += matched.len() as u64;
            let room = self.limit - state.rows.len();
            state.rows.extend(matched.into_iter().take(room));
        });
    }

    fn change_to(&self, status: Status) {
        self.with(|state| {
            if !state.status.is_over() {
                state.status = status;
            }
        });
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends the query when dropped, if nothing else has.
struct End<'a>(&'a Execution);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.change_to(Status::Failed);
    }
}

impl Statistics {
    fn describe(self) -> Value {
        json!({
            "recordsMatched": self.matched,
            "recordsScanned": self.scanned,
            "bytesScanned": self.bytes,
            "estimatedRecordsSkipped": 0,
            "estimatedBytesSkipped": 0,
            "logGroupsScanned": 1,
        })
    }
}
