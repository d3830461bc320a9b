//! The life of one scan's query, step by step: wait for a permit, start, poll, read the pages.
//!
//! Each step ends within seconds, so that a search learns what a long query has scanned so far and
//! sees that it lives: while nothing is to be told yet, a step returns a page without events.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_athena::types::{
    AthenaError, QueryExecution, QueryExecutionState, QueryExecutionStatistics,
    QueryExecutionStatus,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::archive::{Archive, Session};
use super::remote::AthenaCall;
use super::results::Results;
use super::sql::ScanStatement;
use crate::backend::call::{self, Again, Backoff, Tally};
use crate::backend::remote_query::{Reaper, RemoteQuery, Started};
use crate::backend::{Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::federation::Behalf;
use crate::plan::{Reason, ReasonCode};
use crate::query::{RecordView, TimeRange};

/// A step that waits for something else than an answer of AWS ends after this long.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Reads one scan of an archive.
pub(super) struct AthenaReader {
    scan: QueryScan,
    state: State,
    /// Bytes that earlier, failed attempts scanned.
    scanned_before: u64,
    /// Bytes of the attempt under way, as last reported.
    scanned: u64,
    /// A query that Athena called retryable was started again.
    retried: bool,
}

/// What is to be read.
pub(super) struct QueryScan {
    pub archive: Arc<Archive>,
    pub reaper: Reaper,
    pub statement: Arc<ScanStatement>,
    pub range: TimeRange,
    pub search: Arc<SearchContext>,
}

/// Where the query stands.
enum State {
    Waiting(BoxFuture<'static, Option<OwnedSemaphorePermit>>),
    Starting(oneshot::Receiver<Started<AthenaCall>>, Session),
    Running(RemoteQuery<AthenaCall>, Session, Backoff),
    Reading(Results),
    Ended,
}

/// What a step came to.
type Step = Result<(State, Page), Reason>;

impl AthenaReader {
    pub fn new(scan: QueryScan) -> Self {
        Self {
            state: wait_for_permit(&scan.archive),
            scan,
            scanned_before: 0,
            scanned: 0,
            retried: false,
        }
    }

    async fn step(&mut self, tally: &mut Tally) -> Step {
        // While a step is under way the state is with it: dropping the step drops the query.
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Waiting(permit) => self.scan.wait(permit, tally).await,
            State::Starting(started, session) => {
                self.scan.await_start(started, session, tally).await
            }
            State::Running(query, session, backoff) => {
                self.poll(query, session, backoff, tally).await
            }
            State::Reading(results) => self.scan.read(results, tally).await,
            State::Ended => Err(Reason::new(
                ReasonCode::Internal,
                "a scan was read beyond its end",
            )),
        }
    }

    async fn poll(
        &mut self,
        mut query: RemoteQuery<AthenaCall>,
        session: Session,
        mut backoff: Backoff,
        tally: &mut Tally,
    ) -> Step {
        tokio::time::sleep(backoff.delay()).await;
        let execution = execution(&query, tally).await?;
        let scanned = execution
            .statistics()
            .and_then(QueryExecutionStatistics::data_scanned_in_bytes)
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(0)
            .max(self.scanned);
        let budget = &self.scan.search.scan_budget;
        budget.spend(scanned - self.scanned);
        self.scan.archive.scanned(scanned - self.scanned);
        self.scanned = scanned;

        let status = execution.status();
        match status.and_then(|status| status.state()) {
            Some(QueryExecutionState::Succeeded) => {
                let results = self.scan.results(&query, &session)?;
                query.has_ended();
                self.scan.read(results, tally).await
            }
            Some(state @ (QueryExecutionState::Failed | QueryExecutionState::Cancelled)) => {
                let id = query.id().cloned();
                query.has_ended();
                let error = status.and_then(QueryExecutionStatus::athena_error);
                if error.is_some_and(AthenaError::retryable) && !self.retried {
                    self.retried = true;
                    self.scanned_before += std::mem::take(&mut self.scanned);
                    tracing::warn!(
                        query_execution_id = id.as_deref(),
                        "a query failed: once more"
                    );
                    return Ok((wait_for_permit(&self.scan.archive), self.scan.heartbeat()));
                }
                Err(query_failed(state, id.as_deref(), &execution))
            }
            _ if let Err(spent) = budget.check() => Err(spent),
            _ if Instant::now() >= session.deadline => {
                Err(self.scan.timed_out(&session, query.id().map(|id| &**id)))
            }
            _ => Ok((
                State::Running(query, session, backoff),
                self.scan.heartbeat(),
            )),
        }
    }
}

#[async_trait]
impl ScanReader for AthenaReader {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let mut tally = Tally::default();
        let step = self.step(&mut tally).await;
        let bytes_scanned_total = self.scanned_before + self.scanned;
        match step {
            Ok((state, mut page)) => {
                tally.add_to(&mut page.cost);
                page.cost.bytes_scanned_total = bytes_scanned_total;
                self.state = if page.end { State::Ended } else { state };
                Ok(page)
            }
            Err(reason) => {
                let mut cost = PageCost {
                    bytes_scanned_total,
                    ..PageCost::default()
                };
                tally.add_to(&mut cost);
                Err(ScanError {
                    reason,
                    not_applicable: false,
                    stopped_at: None,
                    cost,
                })
            }
        }
    }
}

impl QueryScan {
    async fn wait(
        &self,
        mut permit: BoxFuture<'static, Option<OwnedSemaphorePermit>>,
        tally: &mut Tally,
    ) -> Step {
        let Ok(granted) = tokio::time::timeout(HEARTBEAT, &mut permit).await else {
            return Ok((State::Waiting(permit), self.heartbeat()));
        };
        let granted = granted.ok_or_else(|| {
            Reason::new(ReasonCode::Drain, "the service is shutting down: ask again")
        })?;
        self.search.scan_budget.check()?;
        let session = (self.archive.session(Behalf::Caller(&self.search.caller))).await?;
        let token = uuid::Uuid::new_v4().to_string();
        let call = AthenaCall {
            client: session.client.clone(),
            input: Box::new(self.archive.request(&self.statement.sql, &token)),
        };
        let started = self.reaper.start(call, granted);
        self.await_start(started, session, tally).await
    }

    async fn await_start(
        &self,
        mut started: oneshot::Receiver<Started<AthenaCall>>,
        session: Session,
        tally: &mut Tally,
    ) -> Step {
        let Ok(answer) = tokio::time::timeout(HEARTBEAT, &mut started).await else {
            return Ok((State::Starting(started, session), self.heartbeat()));
        };
        let answer = answer.map_err(|_| {
            Reason::new(
                ReasonCode::Internal,
                "the start of the query ended without an answer",
            )
        })?;
        *tally = answer.tally;
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let query = answer.query?;
        Ok((State::Running(query, session, backoff), self.heartbeat()))
    }

    async fn read(&self, mut results: Results, tally: &mut Tally) -> Step {
        let page = results
            .next_page(&self.archive, &self.statement, tally)
            .await
            .map_err(|failure| failure.reason)?;
        Ok((State::Reading(results), page))
    }

    fn results(
        &self,
        query: &RemoteQuery<AthenaCall>,
        session: &Session,
    ) -> Result<Results, Reason> {
        let id = query
            .id()
            .cloned()
            .ok_or_else(|| Reason::new(ReasonCode::Internal, "a query that runs has no id"))?;
        let keep_record = self.search.query.record_view == RecordView::Full;
        let order = self.search.query.order;
        Ok(Results::new(
            session.client.clone(),
            id,
            keep_record,
            order,
            order.first(self.range),
        ))
    }

    /// Nothing to tell yet.
    fn heartbeat(&self) -> Page {
        Page {
            bound: Some(self.search.query.order.first(self.range)),
            ..Page::default()
        }
    }

    fn timed_out(&self, session: &Session, id: Option<&str>) -> Reason {
        let what = if session.cut_short {
            "was stopped before the role's session would have ended: raise the maximum session \
             duration of the role, or ask for less at a time"
        } else {
            "took longer than the archive's query_timeout and was stopped: raise that (Athena's \
             own limit is 30 minutes), or ask for less at a time"
        };
        let name = &self.archive.name;
        Reason {
            aws_request_id: id.map(str::to_owned),
            ..Reason::new(
                ReasonCode::QueryFailed,
                format!("the query on archive {name} {what}"),
            )
        }
    }
}

fn wait_for_permit(archive: &Archive) -> State {
    let queries = Arc::clone(&archive.queries);
    State::Waiting(async move { queries.acquire_owned().await.ok() }.boxed())
}

pub(super) async fn execution(
    query: &RemoteQuery<AthenaCall>,
    tally: &mut Tally,
) -> Result<QueryExecution, Reason> {
    let (Some(call), Some(id)) = (query.call(), query.id()) else {
        return Err(Reason::new(
            ReasonCode::Internal,
            "a query that runs has no id",
        ));
    };
    let answer = call::repeat("ask how the query stands", Again::default(), tally, || {
        call.client
            .get_query_execution()
            .query_execution_id(&**id)
            .send()
    })
    .await
    .map_err(|failure| failure.reason)?;
    answer.query_execution.ok_or_else(|| {
        Reason::new(
            ReasonCode::AwsError,
            "Athena's answer says nothing of the query",
        )
    })
}

/// A query that ended badly, in Athena's own words.
pub(super) fn query_failed(
    state: &QueryExecutionState,
    id: Option<&str>,
    execution: &QueryExecution,
) -> Reason {
    let status = execution.status();
    let error = status.and_then(QueryExecutionStatus::athena_error);
    let category = match error.and_then(AthenaError::error_category) {
        Some(1) => "a system error",
        Some(2) => "a user error",
        Some(3) => "an error",
        _ if *state == QueryExecutionState::Cancelled => {
            "cancelled by someone else or by its workgroup"
        }
        _ => "an error without a category",
    };
    let said = error
        .and_then(AthenaError::error_message)
        .or_else(|| status.and_then(|status| status.state_change_reason()));
    Reason {
        code: ReasonCode::QueryFailed,
        message: format!(
            "Athena query {} ended {state} ({category}): {}",
            id.unwrap_or("without an id"),
            said.unwrap_or("Athena gives no reason"),
        ),
        aws_code: error
            .and_then(AthenaError::error_type)
            .map(|number| number.to_string()),
        aws_message: said.map(str::to_owned),
        aws_request_id: id.map(str::to_owned),
    }
}
