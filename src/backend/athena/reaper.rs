//! Remote queries belong to the process, not to whoever reads them: what was started is stopped,
//! also when nobody waits for it any more.
//!
//! A query's start runs in a task of the process, so that a caller who leaves in the middle of it
//! leaves no query behind whose id nobody knows. A running query is held by a [`RemoteQuery`];
//! dropping that stops it. Each holds a permit of its archive until it is known to have ended, so
//! there are never more tasks here than queries that may run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::operation::start_query_execution::builders::StartQueryExecutionInputBuilder;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{self, Tally};
use crate::federation::aws_error::{AwsFailure, FailureKind};
use crate::plan::{Reason, ReasonCode};

/// StopQueryExecution calls in flight at a time.
const STOPS_IN_FLIGHT: usize = 16;

/// How long a throttled stop is repeated.
const STOP_FOR: Duration = Duration::from_mins(1);

/// How long a throttled start is repeated: Athena's quota of running queries is shared.
const START_FOR: Duration = Duration::from_mins(5);

/// Starts and stops remote queries. Clones share their tasks.
#[derive(Debug, Clone)]
pub(super) struct Reaper {
    tasks: TaskTracker,
    runtime: Handle,
    stops: Arc<Semaphore>,
    /// Cancelled when shutting down may wait no longer.
    give_up: CancellationToken,
}

/// A query that runs in AWS. Dropping it stops the query.
#[derive(Debug)]
pub(super) struct RemoteQuery {
    /// What is needed to stop it; none once it has ended.
    running: Option<Running>,
    reaper: Reaper,
}

#[derive(Debug)]
struct Running {
    client: Client,
    id: Arc<str>,
    _permit: OwnedSemaphorePermit,
}

/// How a start ended, and what it cost.
#[derive(Debug)]
pub(super) struct Started {
    pub query: Result<RemoteQuery, Reason>,
    pub tally: Tally,
}

impl Reaper {
    /// For this runtime.
    pub fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            stops: Arc::new(Semaphore::new(STOPS_IN_FLIGHT)),
            give_up: CancellationToken::new(),
        }
    }

    /// Starts a query. A caller who drops the receiver ends it: before the first call nothing
    /// happens, later the query is stopped as soon as its id is known.
    ///
    /// `input` carries a ClientRequestToken, so that repeating it starts no second query.
    pub fn start(
        &self,
        client: Client,
        input: StartQueryExecutionInputBuilder,
        permit: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Started> {
        let (mut sender, receiver) = oneshot::channel();
        let reaper = self.clone();
        let task = async move {
            if sender.is_closed() {
                return;
            }
            let mut tally = Tally::default();
            let wanted = AtomicBool::new(true);
            let answer = {
                let send = || input.clone().send_with(&client);
                let wanted_still = || wanted.load(Ordering::Relaxed);
                let action = "start the query";
                let start = call::repeat_while(wanted_still, action, START_FOR, &mut tally, send);
                tokio::pin!(start);
                tokio::select! {
                    answer = &mut start => Some(answer),
                    () = sender.closed() => {
                        wanted.store(false, Ordering::Relaxed);
                        // Whether AWS has it is not known yet: the answer tells the id.
                        tokio::select! {
                            answer = tokio::time::timeout(STOP_FOR, start) => answer.ok(),
                            () = reaper.give_up.cancelled() => None,
                        }
                    }
                }
            };
            let Some(answer) = answer else {
                tracing::error!(
                    client_request_token = input.get_client_request_token().as_deref(),
                    "gave up on a start that never answered: a query may be running"
                );
                return;
            };
            let query = answer.map_err(|failure| failure.reason).and_then(|answer| {
                let id = answer.query_execution_id().ok_or_else(|| {
                    Reason::new(ReasonCode::AwsError, "Athena started a query without an id")
                })?;
                let running = Running {
                    client: client.clone(),
                    id: id.into(),
                    _permit: permit,
                };
                Ok(RemoteQuery {
                    running: Some(running),
                    reaper: reaper.clone(),
                })
            });
            // If nobody waits any more, what comes back is dropped, which stops the query.
            drop(sender.send(Started { query, tally }));
        };
        self.tasks.spawn_on(task, &self.runtime);
        receiver
    }

    fn stop(&self, query: Running) {
        let reaper = self.clone();
        let task = async move {
            let (client, id) = (query.client.clone(), Arc::clone(&query.id));
            let stop = async {
                let _permit = reaper.stops.acquire().await;
                let send = || {
                    client
                        .stop_query_execution()
                        .query_execution_id(&*id)
                        .send()
                };
                call::repeat("stop the query", STOP_FOR, &mut Tally::default(), send).await
            };
            tokio::select! {
                answer = stop => report(&query.id, answer.err()),
                () = reaper.give_up.cancelled() => {
                    tracing::error!(query_execution_id = &*query.id, "shut down before the query was stopped");
                }
            }
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Waits until all that was begun is stopped, at most this long; then gives up and logs which
    /// queries may still run. No query may be started afterwards.
    pub async fn shutdown(&self, patience: Duration) {
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_err()
        {
            self.give_up.cancel();
            self.tasks.wait().await;
        }
    }
}

fn report(id: &str, failure: Option<AwsFailure>) {
    match failure {
        None => tracing::debug!(query_execution_id = id, "stopped a query"),
        // It had ended already.
        Some(failure) if failure.kind == FailureKind::Refused => {
            tracing::debug!(query_execution_id = id, reason = %failure.reason.message, "nothing to stop");
        }
        Some(failure) => tracing::error!(
            query_execution_id = id,
            reason = %failure.reason.message,
            "could not stop a query: it may go on scanning"
        ),
    }
}

impl RemoteQuery {
    /// Its QueryExecutionId.
    pub fn id(&self) -> Option<&Arc<str>> {
        self.running.as_ref().map(|running| &running.id)
    }

    /// A client in the session that started it.
    pub fn client(&self) -> Option<&Client> {
        self.running.as_ref().map(|running| &running.client)
    }

    /// It has ended by itself: nothing to stop, and another may run.
    pub fn has_ended(&mut self) {
        self.running = None;
    }
}

impl Drop for RemoteQuery {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.reaper.stop(running);
        }
    }
}
