//! The Insights queries that were started, and the tasks that run them.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::sandbox::error::AwsError;
use crate::sandbox::query_faults::NextQuery;

use super::execution::{Execution, InsightsFailure};
use super::group::LogGroup;
use super::insights::Query;

/// Queries that are over are forgotten, oldest first, when there are more than this; AWS keeps
/// their results for seven days.
const KEPT_QUERIES: usize = 1_000;

/// What CloudWatch Logs has been asked of Insights so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogsStats {
    /// Queries started.
    pub started: u64,
    /// Queries that were scheduled or running when they were told to stop.
    pub stopped: u64,
    /// Queries that are scheduled or running.
    pub active: u64,
    /// Bytes scanned by all queries, those that run included.
    pub scanned_bytes: u64,
}

/// Dropping it ends every task.
#[derive(Debug)]
pub(super) struct Registry {
    executions: HashMap<String, Arc<Execution>>,
    /// Ids in order of their start.
    order: VecDeque<String>,
    active: HashMap<(String, String), Arc<Semaphore>>,
    active_queries: usize,
    /// As many as may run at once.
    slots: Arc<Semaphore>,
    tasks: JoinSet<()>,
    /// Those of queries that are forgotten; `active` is not counted here.
    stats: LogsStats,
}

impl Registry {
    pub fn new(active_queries: usize, running_queries: usize) -> Self {
        Self {
            executions: HashMap::new(),
            order: VecDeque::new(),
            active: HashMap::new(),
            active_queries,
            slots: Arc::new(Semaphore::new(running_queries)),
            tasks: JoinSet::new(),
            stats: LogsStats::default(),
        }
    }

    /// Starts a query that reads these places of the group; its id.
    pub fn start(
        &mut self,
        (account_id, region): (&str, &str),
        (query, limit, places): (Query, usize, Range<usize>),
        group: Arc<LogGroup>,
        faults: NextQuery<InsightsFailure>,
    ) -> Result<String, AwsError> {
        let active = self
            .active
            .entry((account_id.to_owned(), region.to_owned()))
            .or_insert_with(|| Arc::new(Semaphore::new(self.active_queries)));
        let Ok(permit) = Arc::clone(active).try_acquire_owned() else {
            return Err(AwsError::new(
                "LimitExceededException",
                "Account maximum query concurrency limit reached.",
            ));
        };
        let id = Uuid::new_v4().to_string();
        let execution = Arc::new(Execution::new(
            id.clone(),
            (account_id, region),
            (query, limit),
            group,
            places,
        ));
        while self.tasks.try_join_next().is_some() {}
        let slots = Arc::clone(&self.slots);
        self.tasks
            .spawn(Arc::clone(&execution).run(slots, permit, faults));
        self.order.push_back(id.clone());
        self.executions.insert(id.clone(), execution);
        self.stats.started += 1;
        self.forget();
        Ok(id)
    }

    /// The query of that id, if it was started there.
    pub fn get(&self, account_id: &str, region: &str, id: &str) -> Option<Arc<Execution>> {
        (self.executions.get(id))
            .filter(|query| query.account_id == account_id && query.region == region)
            .cloned()
    }

    /// Counts one query that was told to stop in time.
    pub fn count_stopped(&mut self) {
        self.stats.stopped += 1;
    }

    pub fn stats(&self) -> LogsStats {
        let executions = self.executions.values();
        let active = executions.clone().filter(|query| !query.status().is_over());
        LogsStats {
            active: active.count() as u64,
            scanned_bytes: self.stats.scanned_bytes
                + executions.map(|query| query.scanned_bytes()).sum::<u64>(),
            ..self.stats
        }
    }

    fn forget(&mut self) {
        while self.order.len() > KEPT_QUERIES
            && let Some(id) = self.order.front()
            && self.executions[id].status().is_over()
            && let Some(query) = (self.order.pop_front()).and_then(|id| self.executions.remove(&id))
        {
            self.stats.scanned_bytes += query.scanned_bytes();
        }
    }
}
