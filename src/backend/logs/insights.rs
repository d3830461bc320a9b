//! One scan of a log group by Logs Insights: a query, and further ones where it has too many rows.
//!
//! Each query runs in a task of its own. Each page ends within seconds, so that a search learns what a
//! long query has scanned so far and sees that it lives: while nothing is to be told yet, it is a page
//! without events.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::operation::get_query_results::GetQueryResultsOutput;

use super::group::LogGroup;
use super::insights_query::query;
use super::insights_rows::{Ended, ROWS_OF_A_SECOND, Rows};
use super::need::Need;
use super::query::{Asked, GroupQuery, Statement};
use super::window::Window;
use crate::backend::call::Tally;
use crate::backend::query_task::{Bill, Payer, QueryTask};
use crate::backend::remote_query::Reaper;
use crate::backend::{Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, Event, EventTime, SearchOrder, TimeRange};

/// Rows that a query is asked for: one that has more is split in time.
const ROWS: u32 = 10_000;

/// Reads one scan.
pub(super) struct InsightsReader {
    scan: InsightsScan,
    window: Window,
    rows: Rows,
    state: State,
    bill: Bill,
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

/// A query under way, to end with the first page of its rows.
type Running = QueryTask<(Asked, GetQueryResultsOutput)>;

/// Where the scan stands.
enum State {
    /// The window is to be asked for.
    Unasked,
    Querying(Running),
    /// Complete, with the token of the next page of rows.
    Reading(Asked, String),
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
            state: State::Unasked,
            window,
            scan,
            bill: Bill::default(),
        }
    }

    async fn step(&mut self, tally: &mut Tally, cost: &mut PageCost) -> Step {
        // While a step is under way the state is with it: dropping the step drops the query.
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Unasked => {
                let running = self.ask();
                self.await_end(running, cost).await
            }
            State::Querying(running) => self.await_end(running, cost).await,
            State::Reading(asked, token) => {
                let answer = asked.page(Some(token), tally).await?;
                self.read(asked, &answer, cost)
            }
            State::Ended => Err(Reason::new(
                ReasonCode::Internal,
                "a scan was read beyond its end",
            )),
        }
    }

    fn ask(&mut self) -> Running {
        let rows = if self.window.is_a_second() || self.rows.were_all_beyond() {
            ROWS_OF_A_SECOND
        } else {
            ROWS
        };
        let (first, last) = self.window.query();
        let order = self.scan.search.query.order;
        let statement = Statement {
            text: query(&self.scan.needs, order, rows),
            times: (first.second(), end_time(last)),
        };
        self.rows.begin(rows, self.window);
        let query = GroupQuery {
            group: Arc::clone(&self.scan.group),
            reaper: self.scan.reaper.clone(),
            payer: Payer::search(&self.scan.search, &self.bill.spent),
        };
        query.spawn(statement)
    }

    async fn await_end(&mut self, running: Running, cost: &mut PageCost) -> Step {
        match running.end_or_heartbeat().await {
            Ok(ended) => {
                let (asked, answer) = ended?;
                self.read(asked, &answer, cost)
            }
            Err(running) => Ok((State::Querying(running), self.so_far(Vec::new()))),
        }
    }

    /// Takes the rows of an answer of a query that is complete.
    fn read(&mut self, asked: Asked, answer: &GetQueryResultsOutput, cost: &mut PageCost) -> Step {
        let mut events = self.rows.take(answer, &asked.id, &mut self.window, cost)?;
        let token = answer.next_token().filter(|token| !token.is_empty());
        if let Some(token) = token {
            let state = State::Reading(asked, token.to_owned());
            return Ok((state, self.so_far(events)));
        }
        let Ended {
            events: last,
            is_all,
        } = self.rows.end(&asked.id, &mut self.window, cost)?;
        events.extend(last);
        if is_all {
            let page = Page {
                events,
                end: true,
                ..Page::default()
            };
            return Ok((State::Ended, page));
        }
        Ok((State::Unasked, self.so_far(events)))
    }

    /// These events, and how far the scan is.
    fn so_far(&self, events: Vec<Event>) -> Page {
        Page {
            events,
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
        self.bill.tell(&mut cost);
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

/// What to ask for, so that `last` is read to its end. `endTime` is in seconds, and what it includes
/// of its second is the first millisecond alone: "EndTime is inclusive but not at second level.
/// Internally they convert to milliseconds straight" (the CloudWatch team in aws/aws-sdk#280). So it
/// is the second after: [`Rows`] leaves out what comes of that.
fn end_time(last: EventTime) -> i64 {
    last.second() + 1
}
