//! Logs Insights' side of a remote query: StartQuery and StopQuery.

use std::sync::Arc;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::start_query::builders::StartQueryInputBuilder;

use crate::backend::call::{self, Again, Tally};
use crate::backend::remote_query::{QueryCall, START_FOR, STOP_FOR};
use crate::federation::aws_error::{AwsFailure, FailureKind};
use crate::plan::{Reason, ReasonCode};

/// A query on a log group.
#[derive(Debug)]
pub(super) struct InsightsCall {
    /// A client in the session of the log group's role.
    pub client: Client,
    /// The query.
    pub input: Box<StartQueryInputBuilder>,
    /// What logs call it.
    pub log_group: Arc<str>,
}

impl QueryCall for InsightsCall {
    async fn start(
        &self,
        wanted: impl Fn() -> bool + Send,
        tally: &mut Tally,
    ) -> Result<Arc<str>, AwsFailure> {
        let send = || (*self.input).clone().send_with(&self.client);
        // StartQuery takes no token: one that may have begun is not begun a second time.
        let again = Again::default()
            .throttled_for(START_FOR)
            .only_if_throttled()
            .while_wanted(wanted);
        let started = call::repeat("start the query", again, tally, send);
        let answer = started.await.inspect_err(|failure| {
            if may_have_begun(failure.kind) {
                tracing::warn!(
                    log_group = &*self.log_group,
                    reason = %failure.reason.message,
                    "a start failed on the way: its query may be running unseen, for an hour at most"
                );
            }
        })?;
        let id = answer.query_id().ok_or_else(|| AwsFailure {
            kind: FailureKind::Transient,
            reason: Reason::new(
                ReasonCode::AwsError,
                "Logs Insights started a query without an id",
            ),
        })?;
        Ok(id.into())
    }

    async fn stop(&self, id: &str) -> Result<(), AwsFailure> {
        let stop = self.client.stop_query().query_id(id);
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
        &self.log_group
    }
}

fn may_have_begun(kind: FailureKind) -> bool {
    match kind {
        FailureKind::TimedOut | FailureKind::Connection | FailureKind::Transient => true,
        FailureKind::Denied
        | FailureKind::Throttled
        | FailureKind::Expired
        | FailureKind::UnknownClient
        | FailureKind::NoSession
        | FailureKind::Refused => false,
    }
}
