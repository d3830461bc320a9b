//! The queries of an Athena, and the tasks that run them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::sandbox::error::AwsError;

use super::query::{Query, Request};
use super::service::{AthenaService, invalid};

/// Finished queries are forgotten, oldest first, when there are more than this; AWS keeps them for
/// 45 days.
const KEPT_QUERIES: usize = 1_000;

/// Dropping it ends every task.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub queries: HashMap<String, Arc<Query>>,
    /// Ids in order of their start.
    order: VecDeque<String>,
    /// Ids by account, Region and token.
    tokens: HashMap<(String, String, String), String>,
    active: HashMap<(String, String), Arc<Semaphore>>,
    tasks: JoinSet<()>,
    pub started: u64,
    pub stopped: u64,
    /// Of queries that are forgotten.
    pub scanned_bytes: u64,
}

impl Registry {
    /// The id, and how much later the call is answered.
    pub fn start(
        &mut self,
        service: &AthenaService,
        account_id: &str,
        region: &str,
        token: &str,
        request: Request,
        cutoff: Option<u64>,
    ) -> Result<(String, Option<Duration>), AwsError> {
        let place = (account_id.to_owned(), region.to_owned());
        let token_key = (place.0.clone(), place.1.clone(), token.to_owned());
        if let Some(id) = self.tokens.get(&token_key) {
            return if self.queries[id].request == request {
                Ok((id.clone(), None))
            } else {
                Err(invalid("Idempotent parameters do not match"))
            };
        }
        let active = self
            .active
            .entry(place)
            .or_insert_with(|| Arc::new(Semaphore::new(service.config.active_queries)));
        let Ok(permit) = Arc::clone(active).try_acquire_owned() else {
            return Err(AwsError::new(
                "TooManyRequestsException",
                "You have exceeded the limit for the number of queries you can run concurrently. \
                 Please reduce the number of concurrent queries submitted by this account.",
            )
            .with_member("Reason", "CONCURRENT_QUERY_LIMIT_EXCEEDED"));
        };
        let id = Uuid::new_v4().to_string();
        let faults = service.faults.next_query(&request.statement);
        let query = Query::new(id.clone(), account_id, region, token, request, cutoff);
        let query = Arc::new(query);
        let delay = faults.start_delay;
        while self.tasks.try_join_next().is_some() {}
        let engine = Arc::clone(&service.engine);
        let slots = Arc::clone(&service.slots);
        self.tasks
            .spawn(Arc::clone(&query).run(engine, slots, permit, faults));
        self.tokens.insert(token_key, id.clone());
        self.order.push_back(id.clone());
        self.queries.insert(id.clone(), query);
        self.started += 1;
        self.forget();
        Ok((id, delay))
    }

    fn forget(&mut self) {
        while self.order.len() > KEPT_QUERIES
            && let Some(id) = self.order.front()
            && self.queries[id].phase().is_over()
            && let Some(query) = self
                .order
                .pop_front()
                .and_then(|id| self.queries.remove(&id))
        {
            self.scanned_bytes += query.scanned_bytes();
            let Query {
                account_id,
                region,
                token,
                ..
            } = &*query;
            self.tokens
                .remove(&(account_id.clone(), region.clone(), token.clone()));
        }
    }
}
