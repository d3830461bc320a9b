//! Athena's side of a remote query: StartQueryExecution and StopQueryExecution.

use std::sync::Arc;

use aws_sdk_athena::Client;
use aws_sdk_athena::operation::start_query_execution::builders::StartQueryExecutionInputBuilder;

use crate::backend::call::{self, Again, Tally};
use crate::backend::remote_query::{QueryCall, START_FOR, STOP_FOR};
use crate::federation::aws_error::{AwsFailure, FailureKind};
use crate::plan::{Reason, ReasonCode};

/// A query on an archive.
#[derive(Debug)]
pub(super) struct AthenaCall {
    /// A client in the session that starts it.
    pub client: Client,
    /// Carries a ClientRequestToken, so that repeating it starts no second query.
    pub input: Box<StartQueryExecutionInputBuilder>,
}

impl QueryCall for AthenaCall {
    async fn start(
        &self,
        wanted: impl Fn() -> bool + Send,
        tally: &mut Tally,
    ) -> Result<Arc<str>, AwsFailure> {
        let send = || (*self.input).clone().send_with(&self.client);
        let again = Again::default()
            .throttled_for(START_FOR)
            .while_wanted(wanted);
        let answer = call::repeat("start the query", again, tally, send).await?;
        let id = answer.query_execution_id().ok_or_else(|| AwsFailure {
            kind: FailureKind::Transient,
            reason: Reason::new(ReasonCode::AwsError, "Athena started a query without an id"),
        })?;
        Ok(id.into())
    }

    async fn stop(&self, id: &str) -> Result<(), AwsFailure> {
        let stop = self.client.stop_query_execution().query_execution_id(id);
        let send = || stop.clone().send();
        call::repeat(
            "stop the query",
            Again::default().throttled_for(STOP_FOR),
            &mut Tally::default(),
            send,
        )
        .await?;
        Ok(())
    }

    fn token(&self) -> &str {
        self.input
            .get_client_request_token()
            .as_deref()
            .unwrap_or_default()
    }
}
