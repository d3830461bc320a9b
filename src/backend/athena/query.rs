//! One query on an archive, from waiting for its permit to its end.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::types::{
    AthenaError, QueryExecution, QueryExecutionState, QueryExecutionStatistics,
    QueryExecutionStatus,
};
use tokio::time::Instant;

use super::archive::{Archive, Session};
use super::remote::AthenaCall;
use crate::backend::call::{self, Again, Backoff, Tally};
use crate::backend::query_task::{self, Payer, QueryTask};
use crate::backend::remote_query::{Reaper, RemoteQuery};
use crate::plan::{Reason, ReasonCode};

/// Whoever has an archive queried. Clones ask for the same.
#[derive(Debug, Clone)]
pub(super) struct ArchiveQuery {
    pub archive: Arc<Archive>,
    pub reaper: Reaper,
    pub payer: Payer,
}

/// A query that has succeeded: its result waits in AWS.
pub(super) struct Succeeded {
    /// A client in the session that started it.
    pub client: Client,
    pub id: Arc<str>,
}

/// Why there is no result.
struct Failed {
    reason: Reason,
    /// Athena says that it may succeed if it is started again.
    retryable: bool,
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            retryable: false,
        }
    }
}

impl ArchiveQuery {
    /// Runs `sql` in a task: it takes one of the archive's permits and gives it back when the query
    /// has ended, whoever waits for that by then.
    pub fn spawn(&self, sql: String) -> QueryTask<Succeeded> {
        let query = self.clone();
        QueryTask::spawn(&self.reaper, async move { query.run(&sql).await })
    }

    async fn run(&self, sql: &str) -> Result<Succeeded, Reason> {
        let ended = match self.run_once(sql).await {
            Err(failed) if failed.retryable => {
                let query_execution_id = failed.reason.aws_request_id;
                tracing::warn!(query_execution_id, "a query failed: once more");
                self.run_once(sql).await
            }
            ended => ended,
        };
        ended.map_err(|failed| failed.reason)
    }

    async fn run_once(&self, sql: &str) -> Result<Succeeded, Failed> {
        let permit = query_task::permit(&self.archive.queries).await?;
        self.payer.check_budget()?;
        let session = self.archive.session(self.payer.behalf()).await?;
        let token = uuid::Uuid::new_v4().to_string();
        let call = AthenaCall {
            client: session.client.clone(),
            input: Box::new(self.archive.request(sql, &token)),
        };
        let mut query = query_task::start(&self.reaper, call, permit, &self.payer).await?;
        let id = self.await_end(&mut query, &session).await?;
        Ok(Succeeded {
            client: session.client,
            id,
        })
    }

    async fn await_end(
        &self,
        query: &mut RemoteQuery<AthenaCall>,
        session: &Session,
    ) -> Result<Arc<str>, Failed> {
        let lost = || Reason::new(ReasonCode::Internal, "a query that runs has no id");
        let id = query.id().cloned().ok_or_else(lost)?;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut scanned = 0;
        loop {
            tokio::time::sleep(backoff.delay()).await;
            let mut tally = Tally::default();
            let execution = execution(&session.client, &id, &mut tally).await;
            self.payer.count_calls(tally);
            let execution = execution?;
            let bytes = execution
                .statistics()
                .and_then(QueryExecutionStatistics::data_scanned_in_bytes)
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(0)
                .max(scanned);
            self.payer.count_bytes(bytes - scanned);
            self.archive.scanned(bytes - scanned);
            scanned = bytes;

            let status = execution.status();
            match status.and_then(QueryExecutionStatus::state) {
                Some(QueryExecutionState::Succeeded) => {
                    query.has_ended();
                    return Ok(id);
                }
                Some(state @ (QueryExecutionState::Failed | QueryExecutionState::Cancelled)) => {
                    query.has_ended();
                    let error = status.and_then(QueryExecutionStatus::athena_error);
                    return Err(Failed {
                        reason: query_failed(state, &id, &execution),
                        retryable: error.is_some_and(AthenaError::retryable),
                    });
                }
                _ => self.payer.check_budget()?,
            }
            if Instant::now() >= session.deadline {
                return Err(self.timed_out(session, &id).into());
            }
        }
    }

    fn timed_out(&self, session: &Session, id: &str) -> Reason {
        let what = if session.cut_short {
            "was stopped before the role's session would have ended: raise the maximum session \
             duration of the role, or ask for less at a time"
        } else {
            "took longer than the archive's query_timeout and was stopped: raise that (Athena's \
             own limit is 30 minutes), or ask for less at a time"
        };
        let name = &self.archive.name;
        Reason {
            aws_request_id: Some(id.to_owned()),
            ..Reason::new(
                ReasonCode::QueryFailed,
                format!("the query on archive {name} {what}"),
            )
        }
    }
}

async fn execution(client: &Client, id: &str, tally: &mut Tally) -> Result<QueryExecution, Reason> {
    let request = client.get_query_execution().query_execution_id(id);
    let answer = call::repeat("ask how the query stands", Again::default(), tally, || {
        request.clone().send()
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
fn query_failed(state: &QueryExecutionState, id: &str, execution: &QueryExecution) -> Reason {
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
            "Athena query {id} ended {state} ({category}): {}",
            said.unwrap_or("Athena gives no reason"),
        ),
        aws_code: error
            .and_then(AthenaError::error_type)
            .map(|number| number.to_string()),
        aws_message: said.map(str::to_owned),
        aws_request_id: Some(id.to_owned()),
    }
}
