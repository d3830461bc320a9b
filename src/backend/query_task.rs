//! Running a remote query whether or not anybody asks for its pages.
//!
//! Whoever reads a search may leave it unread for minutes, and nobody polls it then. A query's permit,
//! or a place in the line for one, must not be kept for that long, and its bytes and its time must be
//! watched all the while: so all of it, from waiting for the permit to its end, is a task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::call::Tally;
use super::remote_query::{QueryCall, Reaper, RemoteQuery};
use super::{PageCost, SearchContext, Spent};
use crate::caller::Caller;
use crate::federation::Behalf;
use crate::plan::{Reason, ReasonCode};

/// A reader tells that its query lives, and what it has scanned, after waiting this long for its end:
/// as often as AWS is asked how a long query stands.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A query under way, and what it comes to. Dropping it ends the task, which stops the query.
pub(super) struct QueryTask<T>(AbortOnDropHandle<Result<T, Reason>>);

impl<T: Send + 'static> QueryTask<T> {
    /// Begins `query` in a task that the `reaper` waits for when it shuts down.
    pub fn spawn(
        reaper: &Reaper,
        query: impl Future<Output = Result<T, Reason>> + Send + 'static,
    ) -> Self {
        Self(reaper.spawn(query))
    }

    /// What it came to.
    pub async fn end(self) -> Result<T, Reason> {
        ended(self.0.await)
    }

    /// What it came to, or the task again if that is not known within [`HEARTBEAT`].
    pub async fn end_or_heartbeat(mut self) -> Result<Result<T, Reason>, Self> {
        match timeout(HEARTBEAT, &mut self.0).await {
            Ok(joined) => Ok(ended(joined)),
            Err(_elapsed) => Err(self),
        }
    }
}

fn ended<T>(joined: Result<Result<T, Reason>, tokio::task::JoinError>) -> Result<T, Reason> {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        // It costs whoever waits for it what it would have cost without a task.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_cancelled) => Err(shutting_down()),
    })
}

/// For whom a query is run, and the count of what it costs.
#[derive(Debug, Clone)]
pub(super) struct Payer {
    caller: Arc<Caller>,
    /// The search whose budget it spends; none for a check.
    search: Option<Arc<SearchContext>>,
    spent: Arc<Spent>,
}

impl Payer {
    /// A search, within its budget.
    pub fn search(search: &Arc<SearchContext>, spent: &Arc<Spent>) -> Self {
        Self {
            caller: Arc::clone(&search.caller),
            search: Some(Arc::clone(search)),
            spent: Arc::clone(spent),
        }
    }

    /// A check.
    pub fn check(caller: &Arc<Caller>, spent: &Arc<Spent>) -> Self {
        Self {
            caller: Arc::clone(caller),
            search: None,
            spent: Arc::clone(spent),
        }
    }

    /// In whose name roles are assumed.
    pub fn behalf(&self) -> Behalf<'_> {
        Behalf::Caller(&self.caller)
    }

    /// Why nothing more may be scanned, if so.
    pub fn check_budget(&self) -> Result<(), Reason> {
        self.spent.check()?;
        (self.search.as_ref()).map_or(Ok(()), |search| search.scan_budget.check())
    }

    /// Counts AWS calls.
    pub fn count_calls(&self, tally: Tally) {
        self.spent.add_calls(tally.requests, tally.throttles);
    }

    /// Counts what was scanned since this was last told.
    pub fn count_bytes(&self, bytes: u64) {
        self.spent.add_bytes(bytes);
        if let Some(search) = &self.search {
            search.scan_budget.spend(bytes);
        }
    }
}

/// What the queries of one scan cost, told page by page.
#[derive(Debug, Default)]
pub(super) struct Bill {
    /// What they have cost by now: they count it themselves.
    pub spent: Arc<Spent>,
    told: Tally,
}

impl Bill {
    /// Adds what was not told before.
    pub fn tell(&mut self, cost: &mut PageCost) {
        let all = Tally {
            requests: self.spent.requests(),
            throttles: self.spent.throttles(),
        };
        cost.requests += all.requests - self.told.requests;
        cost.throttles += all.throttles - self.told.throttles;
        cost.bytes_scanned_total = self.spent.bytes_scanned();
        self.told = all;
    }
}

/// Waits for a place among the queries that may run.
pub(super) async fn permit(queries: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Reason> {
    let permit = Arc::clone(queries).acquire_owned().await;
    permit.map_err(|_closed| shutting_down())
}

/// Starts a query, and waits until AWS has it.
pub(super) async fn start<C: QueryCall>(
    reaper: &Reaper,
    call: C,
    permit: OwnedSemaphorePermit,
    payer: &Payer,
) -> Result<RemoteQuery<C>, Reason> {
    let started = reaper.start(call, permit).await.map_err(|_lost| {
        Reason::new(
            ReasonCode::Internal,
            "the start of the query ended without an answer",
        )
    })?;
    payer.count_calls(started.tally);
    started.query
}

/// Nothing more is started or waited for.
pub(super) fn shutting_down() -> Reason {
    Reason::new(ReasonCode::Drain, "the service is shutting down: ask again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_goes_on_unasked_and_ends_when_it_is_dropped() {
        let reaper = Reaper::new();
        let queries = Arc::new(Semaphore::new(1));
        let run = |ends: bool| {
            let queries = Arc::clone(&queries);
            async move {
                let _permit = permit(&queries).await?;
                if !ends {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        };
        let _left_alone = QueryTask::spawn(&reaper, run(true));
        let dropped = QueryTask::spawn(&reaper, run(false));
        let next = QueryTask::spawn(&reaper, run(true));
        drop(dropped);
        assert_eq!(next.end().await, Ok(()));
    }

    #[tokio::test]
    async fn shutting_down_ends_what_does_not_end() {
        let reaper = Reaper::new();
        let task = QueryTask::<()>::spawn(&reaper, std::future::pending());
        reaper.shutdown(Duration::ZERO).await;
        assert_eq!(task.end().await, Err(shutting_down()));
    }

    #[tokio::test]
    #[should_panic(expected = "on purpose")]
    async fn a_panic_is_of_whoever_waits() {
        let task = QueryTask::<()>::spawn(&Reaper::new(), async { panic!("on purpose") });
        let _ = task.end().await;
    }

    #[test]
    fn nothing_is_told_twice() {
        let mut bill = Bill::default();
        let mut tell = |requests, bytes| {
            bill.spent.add_calls(requests, 0);
            bill.spent.add_bytes(bytes);
            let mut cost = PageCost::default();
            bill.tell(&mut cost);
            (cost.requests, cost.bytes_scanned_total)
        };
        assert_eq!(tell(2, 10), (2, 10));
        assert_eq!(tell(0, 0), (0, 10));
        assert_eq!(tell(1, 5), (1, 15));
    }
}
