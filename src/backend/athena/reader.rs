//! Reads one scan: its query, which runs in a task of its own, and then the pages of its result.
//!
//! Each page ends within seconds, so that a search learns what a long query has scanned so far and
//! sees that it lives: while nothing is to be told yet, it is a page without events.

use std::sync::Arc;

use async_trait::async_trait;

use super::archive::Archive;
use super::query::{ArchiveQuery, Succeeded};
use super::results::Results;
use super::sql::ScanStatement;
use crate::backend::call::Tally;
use crate::backend::query_task::{Bill, Payer, QueryTask};
use crate::backend::remote_query::Reaper;
use crate::backend::{Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::plan::{Reason, ReasonCode};
use crate::query::{RecordView, TimeRange};

/// Reads one scan of an archive.
pub(super) struct AthenaReader {
    scan: QueryScan,
    state: State,
    bill: Bill,
}

/// What is to be read.
pub(super) struct QueryScan {
    pub archive: Arc<Archive>,
    pub reaper: Reaper,
    pub statement: ScanStatement,
    pub range: TimeRange,
    pub search: Arc<SearchContext>,
}

/// Where the scan stands.
enum State {
    Unstarted,
    Querying(QueryTask<Succeeded>),
    Reading(Results),
    Ended,
}

/// What a step came to.
type Step = Result<(State, Page), Reason>;

impl AthenaReader {
    pub fn new(scan: QueryScan) -> Self {
        Self {
            scan,
            state: State::Unstarted,
            bill: Bill::default(),
        }
    }

    async fn step(&mut self, tally: &mut Tally) -> Step {
        // While a step is under way the state is with it: dropping the step drops the query.
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Unstarted => {
                let query = ArchiveQuery {
                    archive: Arc::clone(&self.scan.archive),
                    reaper: self.scan.reaper.clone(),
                    payer: Payer::search(&self.scan.search, &self.bill.spent),
                };
                let running = query.spawn(self.scan.statement.sql.clone());
                self.scan.await_end(running, tally).await
            }
            State::Querying(running) => self.scan.await_end(running, tally).await,
            State::Reading(results) => self.scan.read(results, tally).await,
            State::Ended => Err(Reason::new(
                ReasonCode::Internal,
                "a scan was read beyond its end",
            )),
        }
    }
}

#[async_trait]
impl ScanReader for AthenaReader {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let mut tally = Tally::default();
        let step = self.step(&mut tally).await;
        let mut cost = PageCost::default();
        tally.add_to(&mut cost);
        self.bill.tell(&mut cost);
        match step {
            Ok((state, mut page)) => {
                page.cost.add(&cost);
                self.state = if page.end { State::Ended } else { state };
                Ok(page)
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

impl QueryScan {
    async fn await_end(&self, running: QueryTask<Succeeded>, tally: &mut Tally) -> Step {
        match running.end_or_heartbeat().await {
            Ok(ended) => self.read(self.results(ended?), tally).await,
            Err(running) => {
                let heartbeat = Page {
                    bound: Some(self.search.query.order.first(self.range)),
                    ..Page::default()
                };
                Ok((State::Querying(running), heartbeat))
            }
        }
    }

    async fn read(&self, mut results: Results, tally: &mut Tally) -> Step {
        let page = results
            .next_page(&self.archive, &self.statement, tally)
            .await
            .map_err(|failure| failure.reason)?;
        Ok((State::Reading(results), page))
    }

    fn results(&self, query: Succeeded) -> Results {
        let keep_record = self.search.query.record_view == RecordView::Full;
        let order = self.search.query.order;
        let bound = order.first(self.range);
        Results::new(query.client, query.id, keep_record, order, bound)
    }
}
