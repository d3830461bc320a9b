//! One query of Logs Insights, from waiting for its permit to its end.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_cloudwatchlogs::types::QueryStatus;
use tokio::time::Instant;

use super::group::LogGroup;
use super::remote::InsightsCall;
use crate::backend::call::{self, Again, Backoff, Tally};
use crate::backend::query_task::{self, Payer, QueryTask};
use crate::backend::remote_query::{Reaper, RemoteQuery};
use crate::plan::{Reason, ReasonCode};

/// Rows of one answer.
const PAGE: i32 = 1_000;

/// Whoever has a log group queried. Clones ask for the same.
#[derive(Debug, Clone)]
pub(super) struct GroupQuery {
    pub group: Arc<LogGroup>,
    pub reaper: Reaper,
    pub payer: Payer,
}

/// A query's text, and its `startTime` and `endTime`, in seconds.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub text: String,
    pub times: (i64, i64),
}

/// A query that was started, to be asked for its rows.
#[derive(Debug)]
pub(super) struct Asked {
    pub client: Client,
    pub id: Arc<str>,
}

impl GroupQuery {
    /// Runs a query in a task: it takes one of the log group's permits and gives it back when the
    /// query has ended, whoever waits for that by then. Comes to the first page of its rows.
    pub fn spawn(&self, statement: Statement) -> QueryTask<(Asked, GetQueryResultsOutput)> {
        let query = self.clone();
        QueryTask::spawn(&self.reaper, async move { query.run(statement).await })
    }

    async fn run(self, statement: Statement) -> Result<(Asked, GetQueryResultsOutput), Reason> {
        let permit = query_task::permit(&self.group.queries).await?;
        self.payer.check_budget()?;
        let client = self.group.client(self.payer.behalf()).await?;
        let (start, end) = statement.times;
        let input = (self.group.query())
            .query_string(statement.text)
            .start_time(start)
            .end_time(end);
        let call = InsightsCall {
            client: client.clone(),
            input: Box::new(input),
            log_group: Arc::clone(&self.group.name),
        };
        let started = query_task::start(&self.reaper, call, permit, &self.payer).await;
        let mut query = started.map_err(|reason| self.group.explain(reason))?;
        let lost = || Reason::new(ReasonCode::Internal, "a query that runs has no id");
        let id = query.id().cloned().ok_or_else(lost)?;
        let asked = Asked { client, id };
        let rows = self.await_end(&mut query, &asked).await?;
        Ok((asked, rows))
    }

    async fn await_end(
        &self,
        query: &mut RemoteQuery<InsightsCall>,
        asked: &Asked,
    ) -> Result<GetQueryResultsOutput, Reason> {
        let deadline = Instant::now() + self.group.config.query_timeout;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut scanned = 0;
        loop {
            tokio::time::sleep(backoff.delay()).await;
            let mut tally = Tally::default();
            let answer = asked.page(None, &mut tally).await;
            self.payer.count_calls(tally);
            let answer = answer?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A count of bytes.
            let bytes = (answer.statistics()).map_or(0, |it| it.bytes_scanned as u64);
            let bytes = bytes.max(scanned);
            self.payer.count_bytes(bytes - scanned);
            self.group.scanned(bytes - scanned);
            scanned = bytes;
            match answer.status() {
                Some(QueryStatus::Complete) => {
                    query.has_ended();
                    return Ok(answer);
                }
                Some(
                    status @ (QueryStatus::Failed | QueryStatus::Cancelled | QueryStatus::Timeout),
                ) => {
                    query.has_ended();
                    return Err(self.failed(status, &asked.id));
                }
                _ => self.payer.check_budget()?,
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out(&asked.id));
            }
        }
    }

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

impl Asked {
    /// A page of the rows that it has by now: the first, or that of a token.
    pub async fn page(
        &self,
        token: Option<String>,
        tally: &mut Tally,
    ) -> Result<GetQueryResultsOutput, Reason> {
        let request = (self.client.get_query_results())
            .query_id(&*self.id)
            .max_items(PAGE)
            .set_next_token(token);
        let action = "read the query's results";
        call::repeat(action, Again::default(), tally, || request.clone().send())
            .await
            .map_err(|failure| failure.reason)
    }
}
