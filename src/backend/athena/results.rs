//! Pages of rows as events.

use std::sync::Arc;

use aws_sdk_athena::Client;
use aws_sdk_athena::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_athena::types::{ResultSet, Row};

use super::archive::Archive;
use super::rebuild::rebuild;
use super::sql::ScanStatement;
use crate::backend::call::{self, Again, Tally};
use crate::backend::{Page, PageCost};
use crate::federation::aws_error::AwsFailure;
use crate::query::record::{Ordinals, ReadFrom, TextOrigin, parse_record};
use crate::query::{BackendKind, Event, EventTime, Provenance, Region, SearchOrder};

/// Rows a page: Athena's most.
const ROWS: i32 = 1000;

/// What an event's other copies of its texts take beside its JSON, about.
const EVENT_BYTES: u64 = 2048;

/// The result of a query that has ended, page by page.
#[derive(Debug)]
pub(super) struct Results {
    pub client: Client,
    pub query_id: Arc<str>,
    pub keep_record: bool,
    order: SearchOrder,
    /// No row still to come is read before this second.
    pub bound: EventTime,
    next: Next,
    ordinals: Ordinals,
}

#[derive(Debug)]
enum Next {
    First,
    Token(String),
}

impl Results {
    pub fn new(
        client: Client,
        query_id: Arc<str>,
        keep_record: bool,
        order: SearchOrder,
        bound: EventTime,
    ) -> Self {
        Self {
            order,
            client,
            query_id,
            keep_record,
            bound,
            next: Next::First,
            ordinals: Ordinals::new(order),
        }
    }

    /// The next page. After a failure, or a page with [`Page::end`], there is none.
    pub async fn next_page(
        &mut self,
        archive: &Archive,
        statement: &ScanStatement,
        tally: &mut Tally,
    ) -> Result<Page, AwsFailure> {
        let (first, token) = match &self.next {
            Next::First => (true, None),
            Next::Token(token) => (false, Some(token.clone())),
        };
        let request = self
            .client
            .get_query_results()
            .query_execution_id(&*self.query_id)
            .max_results(ROWS)
            .set_next_token(token);
        let answer = call::repeat("read the query's results", Again::default(), tally, || {
            request.clone().send()
        })
        .await?;
        let mut page = self.page(archive, statement, &answer, first);
        match answer.next_token() {
            Some(token) => {
                self.next = Next::Token(token.to_owned());
                page.bound = Some(self.bound);
            }
            None => page.end = true,
        }
        Ok(page)
    }

    fn page(
        &mut self,
        archive: &Archive,
        statement: &ScanStatement,
        answer: &GetQueryResultsOutput,
        first: bool,
    ) -> Page {
        let rows = answer.result_set().map(ResultSet::rows).unwrap_or_default();
        let mut page = Page::default();
        for (at, row) in rows.iter().enumerate() {
            if first && at == 0 && is_header(statement, row) {
                continue;
            }
            page.cost.events_read += 1;
            match self.event(archive, statement, row, &mut page.cost) {
                Ok(event) => {
                    self.bound = self.order.later(self.bound, event.key.time);
                    page.events.push(event);
                }
                Err(error) => {
                    page.cost.unreadable_records += 1;
                    tracing::warn!(
                        query_execution_id = &*self.query_id,
                        row = at,
                        %error,
                        "a row that is no event"
                    );
                }
            }
        }
        page
    }

    fn event(
        &mut self,
        archive: &Archive,
        statement: &ScanStatement,
        row: &Row,
        cost: &mut PageCost,
    ) -> Result<Event, String> {
        let rebuilt = rebuild(&statement.outputs, &values(row)).map_err(|e| e.to_string())?;
        let account = rebuilt
            .account
            .or_else(|| archive.only_account())
            .ok_or("nothing tells the account of the row")?;
        let read_from = ReadFrom {
            provenance: Provenance {
                backend: BackendKind::Athena,
                account_id: account,
                account_name: archive.account_name(account),
                region: rebuilt
                    .region
                    .as_deref()
                    .and_then(|r| r.parse::<Region>().ok()),
                archive: Some(Arc::clone(&archive.name)),
                log_group: None,
                aws_request_id: Some(Arc::clone(&self.query_id)),
                log_file: rebuilt.log_file,
            },
            origin: TextOrigin::Rebuilt {
                unseen_fields: Arc::clone(&statement.unseen_fields),
            },
            keep_record: self.keep_record,
        };
        let mut event = parse_record(&rebuilt.json, &read_from).map_err(|e| e.to_string())?;
        self.ordinals.number(&mut event.key);
        cost.memory_bytes += EVENT_BYTES + 2 * rebuilt.json.len() as u64;
        Ok(event)
    }
}

/// The first row of a SELECT's first page names the columns.
fn is_header(statement: &ScanStatement, row: &Row) -> bool {
    let names = statement.outputs.iter().map(|output| Some(&*output.name));
    values(row).into_iter().eq(names)
}

/// A row's values; NULL has none.
fn values(row: &Row) -> Vec<Option<&str>> {
    row.data()
        .iter()
        .map(|datum| datum.var_char_value())
        .collect()
}
