//! One log group of the configuration: how to get at it, and whose records are in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::builders::FilterLogEventsFluentBuilder;
use aws_sdk_cloudwatchlogs::operation::start_query::builders::StartQueryInputBuilder;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::config::{self, Access};
use crate::federation::pacing::PacedQueue;
use crate::federation::{Behalf, Federation};
use crate::plan::Reason;
use crate::plan::facts::Declared;
use crate::query::{AccountId, BackendKind};

/// Clients that are kept, where each caller has its own.
const CLIENTS: usize = 1_000;

/// One log group, for the life of the process.
#[derive(Debug)]
pub(super) struct LogGroup {
    pub name: Arc<str>,
    pub config: config::LogGroup,
    /// An event reaches the log group at most this long after it happened. (AWS promises nothing;
    /// minutes are usual.) What comes later is read where it falls into the window all the same.
    pub skew: SignedDuration,
    /// A permit is held while a query runs in AWS.
    pub queries: Arc<Semaphore>,
    pub federation: Arc<Federation>,
    access: Access,
    /// By the names of their sessions, which they renew by themselves; each made at its first call.
    clients: Mutex<HashMap<Arc<str>, Client>>,
}

impl LogGroup {
    pub fn new(
        config: config::LogGroup,
        access: Access,
        federation: Arc<Federation>,
        skew: SignedDuration,
    ) -> Self {
        let queries = usize::try_from(config.max_concurrent_queries).unwrap_or(1);
        Self {
            name: config.name.as_str().into(),
            config,
            skew,
            queries: Arc::new(Semaphore::new(queries)),
            federation,
            access,
            clients: Mutex::default(),
        }
    }

    /// How it is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// All that it declares to hold at `now`.
    pub fn declared(&self, now: Timestamp) -> Declared {
        let holds = &self.config.holds;
        Declared {
            accounts: holds.accounts.clone().map(|ids| ids.into_iter().collect()),
            regions: holds.regions.clone().map(|r| r.into_iter().collect()),
            first_time: holds.first_time(now),
            reads: holds.reads,
            writes: holds.writes,
            excluded_event_sources: holds.excluded_event_sources.iter().cloned().collect(),
            categories: holds.categories.iter().copied().collect(),
        }
    }

    /// A client in a session of the log group's role on somebody's behalf. The SDK's own retries are
    /// off: every attempt is paced and counted.
    pub async fn client(&self, behalf: Behalf<'_>) -> Result<Client, Reason> {
        let name = self.federation.session_name(behalf);
        if let Some(client) = self.clients().get(&name) {
            return Ok(client.clone());
        }
        let (region, need) = (&self.config.region, std::time::Duration::ZERO);
        let session = (self.federation).config_for(&self.access, region, need, behalf);
        let config = aws_sdk_cloudwatchlogs::config::Builder::from(&session.await?.sdk)
            .retry_config(RetryConfig::disabled())
            .interceptor(self.federation.call_watch())
            .build();
        let client = Client::from_conf(config);
        let mut clients = self.clients();
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(name, client.clone());
        Ok(client)
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Arc<str>, Client>> {
        // Clients are only ever added, or all forgotten.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what queries here have scanned since they last told.
    pub fn scanned(&self, bytes: u64) {
        (self.federation.metrics()).scanned(BackendKind::Logs, bytes);
    }

    /// The queue that keeps to the quota of `FilterLogEvents` here.
    pub fn queue(&self) -> PacedQueue {
        let quota = self.federation.log_filters();
        quota.queue(self.config.account, &self.config.region)
    }

    /// Asks this log group.
    pub fn filter(&self, client: &Client) -> FilterLogEventsFluentBuilder {
        let (name, arn) = self.identifier();
        client
            .filter_log_events()
            .set_log_group_name(name)
            .set_log_group_identifier(arn)
    }

    /// Queries this log group.
    pub fn query(&self) -> StartQueryInputBuilder {
        let (name, arn) = self.identifier();
        StartQueryInputBuilder::default()
            .set_log_group_names(name.map(|name| vec![name]))
            .set_log_group_identifiers(arn.map(|arn| vec![arn]))
    }

    /// Its name, or its ARN where that is configured.
    fn identifier(&self) -> (Option<String>, Option<String>) {
        let configured = self.config.log_group.clone();
        if configured.starts_with("arn:") {
            (None, Some(configured))
        } else {
            (Some(configured), None)
        }
    }

    /// Its name where it is in the configured account, else its ARN: only a monitoring account may
    /// describe by one.
    pub fn local_identifier(&self) -> (Option<String>, Option<String>) {
        let (name, arn) = self.identifier();
        let Some(arn) = arn else {
            return (name, None);
        };
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        match parts[..] {
            [_, _, _, _, account, "log-group", name]
                if account.parse().ok() == Some(self.config.account) =>
            {
                (Some(name.to_owned()), None)
            }
            _ => (None, Some(arn)),
        }
    }

    /// The account whose events these are, where the log group declares only one.
    pub fn only_account(&self) -> Option<AccountId> {
        match self.config.holds.accounts.as_deref() {
            Some([account]) => Some(*account),
            _ => None,
        }
    }

    /// A log group that AWS does not know is the configuration's fault.
    pub fn explain(&self, mut reason: Reason) -> Reason {
        if reason.aws_code.as_deref() == Some("ResourceNotFoundException") {
            let config::LogGroup {
                account, region, ..
            } = &self.config;
            reason.message = format!(
                "{}; check log group {} in the configuration: is it in account {account} and in \
                 {region}?",
                reason.message, self.name
            );
        }
        reason
    }
}
