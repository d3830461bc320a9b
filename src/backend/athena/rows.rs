//! A query whose rows are read as they are, all of them: for what an archive is asked beside scans.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_athena::types::{
    QueryExecutionState, QueryExecutionStatistics, QueryExecutionStatus, ResultSet,
};
use tokio::time::Instant;

use super::archive::{Archive, Session};
use super::query::{execution, query_failed};
use super::remote::AthenaCall;
use crate::backend::call::{self, Again, Backoff, Tally};
use crate::backend::remote_query::{Reaper, RemoteQuery};
use crate::backend::{ScanBudget, Spent};
use crate::federation::Behalf;
use crate::plan::{Reason, ReasonCode};

/// Rows a page: Athena's most.
const ROWS: i32 = 1000;

/// What every row of the result has: a value, or NULL.
pub(super) type Values = Vec<Option<String>>;

/// A query of an archive beside its scans. It takes one of the archive's permits.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowQuery<'a> {
    pub archive: &'a Archive,
    pub reaper: &'a Reaper,
    /// For whom it is run.
    pub behalf: Behalf<'a>,
    /// What it may scan; none where nobody limits it.
    pub budget: Option<&'a ScanBudget>,
    pub spent: &'a Spent,
}

impl RowQuery<'_> {
    /// Runs `sql`, whose columns are called `names`, and reads all rows. Dropping the future stops
    /// the query.
    pub async fn run(&self, sql: &str, names: &[&str]) -> Result<Vec<Values>, Reason> {
        let permit = Arc::clone(&self.archive.queries).acquire_owned().await;
        let permit = permit.map_err(|_| {
            Reason::new(ReasonCode::Drain, "the service is shutting down: ask again")
        })?;
        self.check_budget()?;
        let session = self.archive.session(self.behalf).await?;
        let token = uuid::Uuid::new_v4().to_string();
        let call = AthenaCall {
            client: session.client.clone(),
            input: Box::new(self.archive.request(sql, &token)),
        };
        let started = self.reaper.start(call, permit);
        let started = started.await.map_err(|_| {
            Reason::new(
                ReasonCode::Internal,
                "the start of the query ended without an answer",
            )
        })?;
        self.count(started.tally);
        let mut query = started.query?;
        self.await_end(&mut query, &session).await?;
        let id = query.id().cloned();
        query.has_ended();
        let id = id.ok_or_else(|| Reason::new(ReasonCode::Internal, "a query has no id"))?;
        self.read(&session, &id, names).await
    }

    async fn await_end(
        &self,
        query: &mut RemoteQuery<AthenaCall>,
        session: &Session,
    ) -> Result<(), Reason> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut scanned = 0;
        loop {
            tokio::time::sleep(backoff.delay()).await;
            let mut tally = Tally::default();
            let execution = execution(query, &mut tally).await;
            self.count(tally);
            let execution = execution?;
            let bytes = execution
                .statistics()
                .and_then(QueryExecutionStatistics::data_scanned_in_bytes)
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(0)
                .max(scanned);
            self.spent.add_bytes(bytes - scanned);
            self.archive.scanned(bytes - scanned);
            if let Some(budget) = self.budget {
                budget.spend(bytes - scanned);
            }
            scanned = bytes;
            match execution.status().and_then(QueryExecutionStatus::state) {
                Some(QueryExecutionState::Succeeded) => return Ok(()),
                Some(state @ (QueryExecutionState::Failed | QueryExecutionState::Cancelled)) => {
                    let id = query.id().cloned();
                    query.has_ended();
                    return Err(query_failed(state, id.as_deref(), &execution));
                }
                _ => self.check_budget()?,
            }
            if Instant::now() >= session.deadline {
                return Err(Reason::new(
                    ReasonCode::QueryFailed,
                    format!(
                        "the query took longer than the query_timeout of archive {} and was stopped",
                        self.archive.name
                    ),
                ));
            }
        }
    }

    async fn read(
        &self,
        session: &Session,
        id: &str,
        names: &[&str],
    ) -> Result<Vec<Values>, Reason> {
        let mut rows: Vec<Values> = Vec::new();
        let mut token = None;
        loop {
            let request = session
                .client
                .get_query_results()
                .query_execution_id(id)
                .max_results(ROWS)
                .set_next_token(token);
            let mut tally = Tally::default();
            let action = "read the query's results";
            let answer = call::repeat(action, Again::default(), &mut tally, || {
                request.clone().send()
            })
            .await;
            self.count(tally);
            let answer = answer.map_err(|failure| failure.reason)?;
            let page = answer.result_set().map(ResultSet::rows).unwrap_or_default();
            rows.extend(page.iter().map(|row| {
                let values = row.data().iter();
                let value = |datum: &aws_sdk_athena::types::Datum| {
                    datum.var_char_value().map(str::to_owned)
                };
                values.map(value).collect::<Values>()
            }));
            match answer.next_token {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        // The first row of a SELECT's first page names the columns.
        let is_header = |row: &Values| {
            let values = row.iter().map(Option::as_deref);
            values.eq(names.iter().map(|name| Some(*name)))
        };
        if rows.first().is_some_and(is_header) {
            rows.remove(0);
        }
        Ok(rows)
    }

    fn check_budget(&self) -> Result<(), Reason> {
        self.spent.check()?;
        self.budget.map_or(Ok(()), ScanBudget::check)
    }

    fn count(&self, tally: Tally) {
        self.spent.add_calls(tally.requests, tally.throttles);
    }
}
