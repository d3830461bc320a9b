//! Remote queries belong to the process, not to whoever reads them: what was started is stopped,
//! also when nobody waits for it any more.
//!
//! A query's start runs in a task of the process, so that a caller who leaves in the middle of it
//! leaves no query behind whose id nobody knows. A running query is held by a [`RemoteQuery`];
//! dropping that stops it. Each holds a permit until it is known to have ended, so never more are
//! started or stopped here than may run. What holds it is a task too ([`super::query_task`]).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument;

use super::call::Tally;
use super::query_task::shutting_down;
use crate::federation::aws_error::{AwsFailure, FailureKind};
use crate::plan::Reason;

/// Stops in flight at a time.
const STOPS_IN_FLIGHT: usize = 16;

/// How long a throttled stop is repeated, and how long the start of a query that nobody waits for
/// any more may still take to answer.
pub(super) const STOP_FOR: Duration = Duration::from_mins(1);

/// How long a throttled start is repeated: AWS's quotas of running queries are shared.
pub(super) const START_FOR: Duration = Duration::from_mins(5);

/// One query to be run: how AWS is told to start and to stop it.
pub(super) trait QueryCall: Send + Sync + 'static {
    /// Starts it and answers its id. A throttled start is repeated only while it is `wanted`.
    fn start(
        &self,
        wanted: impl Fn() -> bool + Send,
        tally: &mut Tally,
    ) -> impl Future<Output = Result<Arc<str>, AwsFailure>> + Send;

    /// Stops the query of this id.
    fn stop(&self, id: &str) -> impl Future<Output = Result<(), AwsFailure>> + Send;

    /// What a start that never answered is known by, for whoever looks for it in AWS.
    fn token(&self) -> &str;
}

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
pub(super) struct RemoteQuery<C: QueryCall> {
    /// What is needed to stop it; none once it has ended.
    running: Option<Running<C>>,
    reaper: Reaper,
}

#[derive(Debug)]
struct Running<C> {
    call: C,
    id: Arc<str>,
    _permit: OwnedSemaphorePermit,
}

/// How a start ended, and what it cost.
#[derive(Debug)]
pub(super) struct Started<C: QueryCall> {
    pub query: Result<RemoteQuery<C>, Reason>,
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
    pub fn start<C: QueryCall>(
        &self,
        call: C,
        permit: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Started<C>> {
        let (mut sender, receiver) = oneshot::channel();
        let reaper = self.clone();
        let task = async move {
            if sender.is_closed() {
                return;
            }
            let mut tally = Tally::default();
            let wanted = AtomicBool::new(true);
            let answer = {
                let start = call.start(|| wanted.load(Ordering::Relaxed), &mut tally);
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
                let token = call.token();
                tracing::error!(
                    token,
                    "gave up on a start that never answered: a query may be running"
                );
                return;
            };
            let query = answer.map_err(|failure| failure.reason).map(|id| {
                let running = Running {
                    call,
                    id,
                    _permit: permit,
                };
                RemoteQuery {
                    running: Some(running),
                    reaper: reaper.clone(),
                }
            });
            // If nobody waits any more, what comes back is dropped, which stops the query.
            drop(sender.send(Started { query, tally }));
        };
        // Its calls belong to the trace of whoever starts it.
        self.tasks.spawn_on(task.in_current_span(), &self.runtime);
        receiver
    }

    /// Runs `work`, which belongs to whoever holds the handle: dropping that ends it. Shutting down
    /// waits for it, so that what it drops is stopped too, and ends it when it may wait no longer.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Reason>> + Send + 'static,
    ) -> AbortOnDropHandle<Result<T, Reason>> {
        let give_up = self.give_up.clone();
        let task = async move {
            tokio::select! {
                done = work => done,
                () = give_up.cancelled() => Err(shutting_down()),
            }
        };
        let task = task.in_current_span();
        AbortOnDropHandle::new(self.tasks.spawn_on(task, &self.runtime))
    }

    fn stop<C: QueryCall>(&self, query: Running<C>) {
        let reaper = self.clone();
        let task = async move {
            let stop = async {
                let _permit = reaper.stops.acquire().await;
                query.call.stop(&query.id).await
            };
            tokio::select! {
                answer = stop => report(&query.id, answer.err()),
                () = reaper.give_up.cancelled() => {
                    tracing::error!(query_id = &*query.id, "shut down before the query was stopped");
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
        None => tracing::debug!(query_id = id, "stopped a query"),
        // It had ended already.
        Some(failure) if failure.kind == FailureKind::Refused => {
            tracing::debug!(query_id = id, reason = %failure.reason.message, "nothing to stop");
        }
        Some(failure) => tracing::error!(
            query_id = id,
            reason = %failure.reason.message,
            "could not stop a query: it may go on scanning"
        ),
    }
}

impl<C: QueryCall> RemoteQuery<C> {
    /// Its id.
    pub fn id(&self) -> Option<&Arc<str>> {
        self.running.as_ref().map(|running| &running.id)
    }

    /// It has ended by itself: nothing to stop, and another may run.
    pub fn has_ended(&mut self) {
        self.running = None;
    }
}

impl<C: QueryCall> Drop for RemoteQuery<C> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.reaper.stop(running);
        }
    }
}
