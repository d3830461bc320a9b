//! One query execution: its state, and its way through the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::sandbox::query_faults::NextQuery;

use super::engine::{Engine, EngineError, ResultSet, RunningQuery};
use super::faults::QueryFailure;
use super::table::CATALOG;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub statement: String,
    pub database: Option<String>,
    pub work_group: String,
    /// Where the result goes, ending in `/`.
    pub output_location: String,
}

/// A query execution from start to end, shared by its task and the API.
#[derive(Debug)]
pub(super) struct Query {
    pub id: String,
    pub account_id: String,
    pub region: String,
    pub token: String,
    pub request: Request,
    pub running: Arc<RunningQuery>,
    submitted_at: Timestamp,
    submitted: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    started: Option<Instant>,
    ended: Option<(Instant, Timestamp)>,
    /// How long the query runs at least; what it reports as scanned grows over that time.
    minimum_run_time: Option<Duration>,
    /// What it had scanned when it ended.
    scanned_bytes: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Queued,
    Running,
    Succeeded(Arc<ResultSet>),
    Failed(Failure),
    Cancelled { reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub message: String,
    pub category: u8,
    pub error_type: u16,
    pub retryable: bool,
}

impl Phase {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Succeeded(_) => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
            Self::Cancelled { .. } => "CANCELLED",
        }
    }

    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl Query {
    pub fn new(
        id: String,
        account_id: &str,
        region: &str,
        token: &str,
        request: Request,
        cutoff_bytes: Option<u64>,
    ) -> Self {
        Self {
            id,
            account_id: account_id.to_owned(),
            region: region.to_owned(),
            token: token.to_owned(),
            request,
            running: Arc::new(RunningQuery::new(cutoff_bytes)),
            submitted_at: Timestamp::now(),
            submitted: Instant::now(),
            state: Mutex::new(State {
                phase: Phase::Queued,
                started: None,
                ended: None,
                minimum_run_time: None,
                scanned_bytes: 0,
            }),
        }
    }

    pub fn phase(&self) -> Phase {
        self.with(|state| state.phase.clone())
    }

    /// What the query reports as scanned so far.
    pub fn scanned_bytes(&self) -> u64 {
        self.with(|state| {
            if state.phase.is_over() {
                state.scanned_bytes
            } else {
                state.scanned_so_far(self.running.scanned_bytes())
            }
        })
    }

    /// Runs the query to its end, whatever that is; dropping this future ends it too.
    pub async fn run(
        self: Arc<Self>,
        engine: Arc<dyn Engine>,
        slots: Arc<Semaphore>,
        active: OwnedSemaphorePermit,
        faults: NextQuery<QueryFailure>,
    ) {
        let end = End(&self);
        let slot = tokio::select! {
            biased;
            () = self.running.cancelled() => None,
            slot = slots.acquire() => slot.ok(),
        };
        if slot.is_none() {
            return end.with(Err(EngineError::Cancelled));
        }
        let started = Instant::now();
        self.with(|state| {
            state.phase = Phase::Running;
            state.started = Some(started);
            state.minimum_run_time = faults.minimum_run_time;
        });
        let Request {
            statement,
            database,
            ..
        } = &self.request;
        let mut result = engine
            .run(statement, database.as_deref(), &self.running)
            .await;
        if self.running.over_cutoff() {
            // The engine may have been done before it noticed.
            result = Err(EngineError::Cancelled);
        }
        if let Some(time) = faults.minimum_run_time {
            tokio::select! {
                biased;
                () = self.running.cancelled() => result = Err(EngineError::Cancelled),
                () = tokio::time::sleep_until(started + time) => {}
            }
        }
        match (result, faults.failure) {
            (Ok(_), Some(failure)) => end.failed(Failure {
                category: if failure.retryable { 1 } else { 2 },
                error_type: if failure.retryable { 0 } else { 1000 },
                message: failure.message,
                retryable: failure.retryable,
            }),
            (result, _) => end.with(result),
        }
        drop(active);
    }

    fn end(&self, phase: Phase) {
        self.with(|state| {
            if !state.phase.is_over() {
                state.scanned_bytes = match phase {
                    Phase::Succeeded(_) | Phase::Failed(_) => self.running.scanned_bytes(),
                    _ => state.scanned_so_far(self.running.scanned_bytes()),
                };
                state.ended = Some((Instant::now(), Timestamp::now()));
                state.phase = phase;
            }
        });
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        run(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The `QueryExecution` of `GetQueryExecution`.
    pub fn describe(&self) -> Value {
        let scanned_bytes = self.scanned_bytes();
        let (phase, started, ended) =
            self.with(|state| (state.phase.clone(), state.started, state.ended));
        let now = ended.map_or_else(Instant::now, |(instant, _)| instant);
        let queued = started.unwrap_or(now) - self.submitted;
        let ran = started.map_or(Duration::ZERO, |started| now - started);
        let mut status = json!({
            "State": phase.name(),
            "SubmissionDateTime": epoch(self.submitted_at),
        });
        if let Some((_, time)) = ended {
            status["CompletionDateTime"] = epoch(time).into();
        }
        match phase {
            Phase::Failed(failure) => {
                status["StateChangeReason"] = failure.message.clone().into();
                status["AthenaError"] = json!({
                    "ErrorCategory": failure.category,
                    "ErrorType": failure.error_type,
                    "Retryable": failure.retryable,
                    "ErrorMessage": failure.message,
                });
            }
            Phase::Cancelled { reason } => status["StateChangeReason"] = reason.into(),
            Phase::Queued | Phase::Running | Phase::Succeeded(_) => {}
        }
        let mut context = json!({"Catalog": CATALOG.to_lowercase()});
        if let Some(database) = &self.request.database {
            context["Database"] = database.clone().into();
        }
        json!({
            "QueryExecutionId": self.id,
            "Query": self.request.statement,
            "StatementType": "DML",
            "ResultConfiguration": {
                "OutputLocation": format!("{}{}.csv", self.request.output_location, self.id),
            },
            "QueryExecutionContext": context,
            "Status": status,
            "Statistics": {
                "DataScannedInBytes": scanned_bytes,
                "EngineExecutionTimeInMillis": milliseconds(ran),
                "QueryQueueTimeInMillis": milliseconds(queued),
                "TotalExecutionTimeInMillis": milliseconds(now - self.submitted),
            },
            "WorkGroup": self.request.work_group,
            "EngineVersion": {
                "SelectedEngineVersion": "AUTO",
                "EffectiveEngineVersion": "Athena engine version 3",
            },
        })
    }
}

impl State {
    fn scanned_so_far(&self, scanned: u64) -> u64 {
        let (Some(started), Some(minimum)) = (self.started, self.minimum_run_time) else {
            return scanned;
        };
        let elapsed = started.elapsed().as_millis();
        let minimum = minimum.as_millis().max(1);
        let part = u128::from(scanned) * elapsed.min(minimum) / minimum;
        u64::try_from(part).unwrap_or(scanned)
    }
}

/// Ends the query when dropped, whatever happened to its task.
struct End<'a>(&'a Query);

impl End<'_> {
    fn with(self, result: Result<ResultSet, EngineError>) {
        let query = self.0;
        match result {
            Ok(results) => query.end(Phase::Succeeded(Arc::new(results))),
            Err(EngineError::Cancelled) => query.end(Phase::Cancelled {
                reason: if query.running.over_cutoff() {
                    "Query cancelled! : Bytes scanned limit was exceeded".to_owned()
                } else {
                    "Query was cancelled by user".to_owned()
                },
            }),
            Err(error @ EngineError::User(_)) => self.failed(Failure {
                message: error.to_string(),
                category: 2,
                error_type: 1000,
                retryable: false,
            }),
            Err(error @ EngineError::System(_)) => self.failed(Failure {
                message: error.to_string(),
                category: 1,
                error_type: 200,
                retryable: true,
            }),
        }
    }

    fn failed(self, failure: Failure) {
        self.0.end(Phase::Failed(failure));
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end(Phase::Failed(Failure {
            message: "GENERIC_INTERNAL_ERROR: the query's task ended".to_owned(),
            category: 1,
            error_type: 100,
            retryable: true,
        }));
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Times in AWS's JSON: seconds with three decimals.
#[allow(clippy::cast_precision_loss)] // Milliseconds of this age are exact in a double.
fn epoch(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1_000.0
}
