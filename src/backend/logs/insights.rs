//! One scan of a log group by Logs Insights: a query, and further ones where it has too many rows.
//!
//! Each step ends within seconds, so that a search learns what a long query has scanned so far and
//! sees that it lives: while nothing is to be told yet, a step returns a page without events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_cloudwatchlogs::types::QueryStatus;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::group::LogGroup;
use super::insights_query::query;
use super::insights_rows::{Ended, ROWS_OF_A_SECOND, Rows};
use super::need::Need;
use super::remote::InsightsCall;
use super::window::Window;
use crate::backend::call::{self, Again, Backoff, Tally};
use crate::backend::remote_query::{Reaper, RemoteQuery, Started};
use crate::backend::{Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::federation::Behalf;
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, EventTime, SearchOrder, TimeRange};

/// A step that waits for something else than an answer of AWS ends after this long.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Rows that a query is asked for: one that has more is split in time.
const ROWS: u32 = 10_000;

/// Rows of one answer.
const PAGE: i32 = 1_000;

/// Reads one scan.
pub(super) struct InsightsReader {
    scan: InsightsScan,
    window: Window,
    rows: Rows,
    state: State,
    /// Bytes that earlier queries of the scan scanned.
    scanned_before: u64,
    /// Bytes of the query under way, as last reported.
    scanned: u64,
}

/// What is to be read.
pub(super) struct InsightsScan {
    pub group: Arc<LogGroup>,
    pub reaper: Reaper,
    pub search: Arc<SearchContext>,
    pub needs: Vec<Need>,
    pub range: TimeRange,
    /// The accounts whose events are asked for.
    pub accounts: BTreeSet<AccountId>,
}

/// Where the query stands.
enum State {
    Waiting(BoxFuture<'static, Option<OwnedSemaphorePermit>>),
    Starting(oneshot::Receiver<Started<InsightsCall>>),
    Running(RemoteQuery<InsightsCall>, Backoff, Instant),
    /// Complete, with the token of the next page of rows.
    Reading(RemoteQuery<InsightsCall>, String),
    Ended,
}

/// The query that a scan begins with.
pub(super) fn first_query(needs: &[Need], order: SearchOrder) -> String {
    query(needs, order, ROWS)
}

/// What a step came to.
type Step = Result<(State, Page), Reason>;

impl InsightsReader {
    pub fn new(scan: InsightsScan) -> Self {
        let window = Window::of(scan.range, scan.group.skew, scan.search.query.order);
        Self {
            rows: Rows::new(&scan.group, &scan.search, scan.accounts.clone(), window),
            state: wait_for_permit(&scan.group),
            window,
            scan,
            scanned_before: 0,
            scanned: 0,
        }
    }

    async fn step(&mut self, tally: &mut Tally, cost: &mut PageCost) -> Step {
        // While a step is under way the state is with it: dropping the step drops the query.
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Waiting(permit) => self.wait(permit, tally).await,
            State::Starting(started) => self.await_start(started, tally).await,
            State::Running(query, backoff, deadline) => {
                self.poll(query, backoff, deadline, tally, cost).await
            }
            State::Reading(query, token) => {
                let answer = results(&query, Some(token), tally).await?;
                self.read(query, &answer, cost)
            }
            State::Ended => Err(Reason::new(
                ReasonCode::Internal,
                "a scan was read beyond its end",
            )),
        }
    }

    async fn wait(
        &mut self,
        mut permit: BoxFuture<'static, Option<OwnedSemaphorePermit>>,
        tally: &mut Tally,
    ) -> Step {
        let Ok(granted) = tokio::time::timeout(HEARTBEAT, &mut permit).await else {
            return Ok((State::Waiting(permit), self.heartbeat()));
        };
        let granted = granted.ok_or_else(|| {
            Reason::new(ReasonCode::Drain, "the service is shutting down: ask again")
        })?;
        self.scan.search.scan_budget.check()?;
        let group = &self.scan.group;
        let client = group
            .client(Behalf::Caller(&self.scan.search.caller))
            .await?;
        let rows = self.rows_asked();
        let order = self.scan.search.query.order;
        let (first, last) = self.window.query();
        let input = group
            .query()
            .query_string(query(&self.scan.needs, order, rows))
            .start_time(first.second())
            .end_time(end_time(last));
        let call = InsightsCall {
            client,
            input: Box::new(input),
            log_group: Arc::clone(&group.name),
        };
        self.rows.begin(rows, self.window);
        let started = self.scan.reaper.start(call, granted);
        self.await_start(started, tally).await
    }

    fn rows_asked(&self) -> u32 {
        if self.window.is_a_second() || self.rows.were_all_beyond() {
            ROWS_OF_A_SECOND
        } else {
            ROWS
        }
    }

    async fn await_start(
        &mut self,
        mut started: oneshot::Receiver<Started<InsightsCall>>,
        tally: &mut Tally,
    ) -> Step {
        let Ok(answer) = tokio::time::timeout(HEARTBEAT, &mut started).await else {
            return Ok((State::Starting(started), self.heartbeat()));
        };
        let answer = answer.map_err(|_| {
            Reason::new(
                ReasonCode::Internal,
                "the start of the query ended without an answer",
            )
        })?;
        tally.requests += answer.tally.requests;
        tally.throttles += answer.tally.throttles;
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let query = answer.query.map_err(|it| self.scan.group.explain(it))?;
        let deadline = Instant::now() + self.scan.group.config.query_timeout;
        Ok((State::Running(query, backoff, deadline), self.heartbeat()))
    }

    async fn poll(
        &mut self,
        mut query: RemoteQuery<InsightsCall>,
        mut backoff: Backoff,
        deadline: Instant,
        tally: &mut Tally,
        cost: &mut PageCost,
    ) -> Step {
        tokio::time::sleep(backoff.delay()).await;
        let answer = results(&query, None, tally).await?;
        self.count_bytes(&answer);
        let id = query.id().cloned().unwrap_or_default();
        match answer.status() {
            Some(QueryStatus::Complete) => self.read(query, &answer, cost),
            Some(
                status @ (QueryStatus::Failed | QueryStatus::Cancelled | QueryStatus::Timeout),
            ) => {
                query.has_ended();
                Err(self.scan.failed(status, &id))
            }
            _ if let Err(spent) = self.scan.search.scan_budget.check() => Err(spent),
            _ if Instant::now() >= deadline => Err(self.scan.timed_out(&id)),
            _ => Ok((State::Running(query, backoff, deadline), self.heartbeat())),
        }
    }

    /// Takes the rows of an answer of a query that is complete.
    fn read(
        &mut self,
        mut query: RemoteQuery<InsightsCall>,
        answer: &GetQueryResultsOutput,
        cost: &mut PageCost,
    ) -> Step {
        let id = query.id().cloned().unwrap_or_default();
        let mut events = self.rows.take(answer, &id, &mut self.window, cost)?;
        let token = answer.next_token().filter(|token| !token.is_empty());
        let state = if let Some(token) = token {
            State::Reading(query, token.to_owned())
        } else {
            query.has_ended();
            let Ended {
                events: last,
                is_all,
            } = self.rows.end(&id, &mut self.window, cost)?;
            events.extend(last);
            if is_all {
                let page = Page {
                    events,
                    end: true,
                    ..Page::default()
                };
                return Ok((State::Ended, page));
            }
            self.scanned_before += std::mem::take(&mut self.scanned);
            wait_for_permit(&self.scan.group)
        };
        let page = Page {
            events,
            ..self.heartbeat()
        };
        Ok((state, page))
    }

    fn count_bytes(&mut self, answer: &GetQueryResultsOutput) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A count of bytes.
        let scanned = (answer.statistics()).map_or(0, |statistics| statistics.bytes_scanned as u64);
        let scanned = scanned.max(self.scanned);
        let budget = &self.scan.search.scan_budget;
        budget.spend(scanned - self.scanned);
        self.scan.group.scanned(scanned - self.scanned);
        self.scanned = scanned;
    }

    /// Nothing to tell but how far the scan is.
    fn heartbeat(&self) -> Page {
        Page {
            bound: Some(self.window.bound()),
            ..Page::default()
        }
    }
}

#[async_trait]
impl ScanReader for InsightsReader {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let (mut tally, mut cost) = (Tally::default(), PageCost::default());
        let step = self.step(&mut tally, &mut cost).await;
        tally.add_to(&mut cost);
        cost.bytes_scanned_total = self.scanned_before + self.scanned;
        match step {
            Ok((state, page)) => {
                self.state = state;
                Ok(Page { cost, ..page })
            }
            Err(reason) => Err(ScanError {
                reason,
                not_applicable: false,
                stopped_at: None,
                cost,
            }),
        }
    }
}

impl InsightsScan {
    fn failed(&self, status: &QueryStatus, id: &str) -> Reason {
        let how = match status {
            QueryStatus::Cancelled => "was cancelled by someone else",
            QueryStatus::Timeout => {
                "ran into AWS's own limit of 60 minutes: ask for less at a time"
            }
            _ => "failed, and AWS gives no reason: try again",
        };
        self.query_failed(how, id)
    }

    fn timed_out(&self, id: &str) -> Reason {
        let how = "took longer than the log group's query_timeout and was stopped: raise that \
                   (AWS's own limit is 60 minutes), or ask for less at a time";
        self.query_failed(how, id)
    }

    fn query_failed(&self, how: &str, id: &str) -> Reason {
        Reason {
            aws_request_id: Some(id.to_owned()),
            ..Reason::new(
                ReasonCode::QueryFailed,
                format!(
                    "Logs Insights query {id} on log group {} {how}",
                    self.group.name
                ),
            )
        }
    }
}

/// What to ask for, so that `last` is read to its end. `endTime` is in seconds, and what it includes
/// of its second is the first millisecond alone: "EndTime is inclusive but not at second level.
/// Internally they convert to milliseconds straight" (the CloudWatch team in aws/aws-sdk#280). So it
/// is the second after: [`Rows`] leaves out what comes of that.
fn end_time(last: EventTime) -> i64 {
    last.second() + 1
}

fn wait_for_permit(group: &LogGroup) -> State {
    let queries = Arc::clone(&group.queries);
    State::Waiting(async move { queries.acquire_owned().await.ok() }.boxed())
}

/// What the query has by now.
pub(super) async fn results(
    query: &RemoteQuery<InsightsCall>,
    token: Option<String>,
    tally: &mut Tally,
) -> Result<GetQueryResultsOutput, Reason> {
    let (Some(call), Some(id)) = (query.call(), query.id()) else {
        let lost = "a query that runs has no id";
        return Err(Reason::new(ReasonCode::Internal, lost));
    };
    let request = (call.client.get_query_results())
        .query_id(&**id)
        .max_items(PAGE)
        .set_next_token(token);
    let action = "read the query's results";
    call::repeat(action, Again::default(), tally, || request.clone().send())
        .await
        .map_err(|failure| failure.reason)
}
