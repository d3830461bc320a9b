//! The API of CloudWatch Logs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::call_rate::CallRate;
use crate::sandbox::error::AwsError;
use crate::sandbox::log_file::LogFile;
use crate::sandbox::page_token::PageTokens;

use super::describe_log_groups::DescribeLogGroups;
use super::describe_log_streams::DescribeLogStreams;
use super::execution::Execution;
use super::filter_log_events::FilterLogEvents;
use super::group::{LOG_GROUP_NAME, LOG_GROUP_REGION, LogGroup};
use super::query_results::GetQueryResults;
use super::registry::{LogsStats, Registry};
use super::start_query::StartQuery;
use super::{LogsFaults, in_the_background, invalid, parse};

/// How long FilterLogEvents' tokens can be used, and GetQueryResults'.
const PAGE_LIFETIME: Duration = Duration::from_hours(24);
const RESULTS_LIFETIME: Duration = Duration::from_hours(1);

/// How a CloudWatch Logs is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct LogsConfig {
    /// How many days the log group keeps an event after its delivery.
    pub retention_days: u32,
    /// How many events one FilterLogEvents call looks at, at most: where fewer match, pages are
    /// small or empty and yet have a token.
    pub scanned_events_per_page: usize,
    /// FilterLogEvents calls a second for each account and Region; none: no quota.
    pub filter_rate: Option<f64>,
    /// How often a page token of FilterLogEvents may be used; none: no limit.
    pub page_token_uses: Option<u32>,
    /// Whether FilterLogEvents leaves out what has the very `endTime`, as reported in
    /// aws/aws-cli#4262: by its documentation, and by default, it does not.
    pub end_time_excluded: bool,
    /// How many Insights queries of an account and Region may be scheduled or running; one more is
    /// `LimitExceededException`.
    pub active_queries: usize,
    /// How many queries run at once in all; the others are scheduled.
    pub running_queries: usize,
}

impl Default for LogsConfig {
    /// A year's retention, pages that look at 10,000 events, AWS's quotas (25 FilterLogEvents calls
    /// a second in us-east-1, 100 queries), and 4 queries that run.
    fn default() -> Self {
        Self {
            retention_days: 365,
            scanned_events_per_page: 10_000,
            filter_rate: Some(25.0),
            page_token_uses: None,
            end_time_excluded: false,
            active_queries: 100,
            running_queries: 4,
        }
    }
}

/// The sandbox's CloudWatch Logs.
///
/// It owns the tasks of its queries: dropping it ends them all.
#[derive(Debug)]
pub(in crate::sandbox) struct LogsService {
    config: LogsConfig,
    account_id: String,
    group: Arc<LogGroup>,
    filter_rate: CallRate,
    page_tokens: Arc<PageTokens>,
    results_tokens: Arc<PageTokens>,
    faults: LogsFaults,
    registry: Mutex<Registry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryId {
    query_id: String,
}

impl LogsService {
    /// One log group in `account_id`, to which all `files`, in order of delivery, were sent too.
    pub fn new(
        account_id: &str,
        files: &[LogFile],
        config: LogsConfig,
        faults: LogsFaults,
        seed: u64,
    ) -> Self {
        Self {
            account_id: account_id.to_owned(),
            group: Arc::new(LogGroup::new(account_id, config.retention_days, files)),
            filter_rate: CallRate::new(config.filter_rate, 0.0, seed),
            page_tokens: Arc::new(PageTokens::new(seed, PAGE_LIFETIME, config.page_token_uses)),
            results_tokens: Arc::new(PageTokens::new(seed, RESULTS_LIFETIME, None)),
            faults,
            registry: Mutex::new(Registry::new(config.active_queries, config.running_queries)),
            config,
        }
    }

    /// Answers one authenticated call, the target's part after `Logs_20140328.` being
    /// `operation`, with the JSON text of the response. `now` is the sandbox's clock.
    pub async fn handle(
        &self,
        account_id: &str,
        region: &str,
        operation: &str,
        body: Value,
        now: Timestamp,
    ) -> Result<String, AwsError> {
        match operation {
            "FilterLogEvents" => {
                if !self.filter_rate.take(account_id, region, Instant::now()) {
                    return Err(AwsError::new("ThrottlingException", "Rate exceeded"));
                }
                self.filter(account_id, region, parse(body)?, now).await
            }
            "DescribeLogGroups" => {
                let request: DescribeLogGroups = parse(body)?;
                let here = self.is_here(account_id, region);
                let answer = request.answer(here.then_some(&*self.group), now)?;
                Ok(answer.to_string())
            }
            "DescribeLogStreams" => {
                let request: DescribeLogStreams = parse(body)?;
                let (name, identifier) = (&request.log_group_name, &request.log_group_identifier);
                let group = self.named(account_id, region, (name, identifier))?;
                let answer = request.answer(group, &self.page_tokens, now)?;
                Ok(answer.to_string())
            }
            "StartQuery" => self.start(account_id, region, &parse(body)?, now).await,
            "GetQueryResults" => {
                let request: GetQueryResults = parse(body)?;
                let query = self.query(account_id, region, &request.query_id)?;
                let tokens = Arc::clone(&self.results_tokens);
                in_the_background(move || request.page(&query, &tokens)).await
            }
            "StopQuery" => {
                let QueryId { query_id } = parse(body)?;
                if !self.query(account_id, region, &query_id)?.cancel() {
                    return Err(invalid(format!("Query with id {query_id} is not running.")));
                }
                self.with(Registry::count_stopped);
                Ok(json!({"success": true}).to_string())
            }
            _ => Err(AwsError::new(
                "UnknownOperationException",
                format!("The sandbox's CloudWatch Logs does not have the operation {operation}."),
            )),
        }
    }

    /// The ARN of the log group.
    pub fn group_arn(&self) -> &str {
        &self.group.arn
    }

    /// What has been asked of Insights so far.
    pub fn stats(&self) -> LogsStats {
        self.with(|registry| registry.stats())
    }

    /// What Insights does wrong; changes count for queries that start from then on.
    pub fn faults(&self) -> &LogsFaults {
        &self.faults
    }

    async fn start(
        &self,
        account_id: &str,
        region: &str,
        request: &StartQuery,
        now: Timestamp,
    ) -> Result<String, AwsError> {
        let asked = request.log_groups()?;
        for identifier in &asked.identifiers {
            self.group(account_id, region, identifier, asked.arns_allowed)?;
        }
        let work = request.check(&self.group, now)?;
        let faults = self.faults.next_query(request.statement());
        let delay = faults.start_delay;
        let group = Arc::clone(&self.group);
        let id = self.with(|registry| registry.start((account_id, region), work, group, faults))?;
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        Ok(json!({"queryId": id}).to_string())
    }

    fn query(&self, account_id: &str, region: &str, id: &str) -> Result<Arc<Execution>, AwsError> {
        self.with(|registry| registry.get(account_id, region, id))
            .ok_or_else(|| {
                AwsError::new(
                    "ResourceNotFoundException",
                    format!("The specified query {id} does not exist."),
                )
            })
    }

    fn is_here(&self, account_id: &str, region: &str) -> bool {
        account_id == self.account_id && region == LOG_GROUP_REGION
    }

    fn with<T>(&self, run: impl FnOnce(&mut Registry) -> T) -> T {
        run(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn filter(
        &self,
        account_id: &str,
        region: &str,
        request: FilterLogEvents,
        now: Timestamp,
    ) -> Result<String, AwsError> {
        let (name, identifier) = (&request.log_group_name, &request.log_group_identifier);
        let group = Arc::clone(self.named(account_id, region, (name, identifier))?);
        let reading = request.check(&group, &self.page_tokens, self.config.end_time_excluded)?;
        let (tokens, scan) = (
            Arc::clone(&self.page_tokens),
            self.config.scanned_events_per_page,
        );
        Ok(in_the_background(move || reading.page(&group, &tokens, scan, now)).await)
    }

    /// The log group of a request that names one by `logGroupName` or by `logGroupIdentifier`.
    fn named(
        &self,
        account_id: &str,
        region: &str,
        asked: (&Option<String>, &Option<String>),
    ) -> Result<&Arc<LogGroup>, AwsError> {
        match asked {
            (Some(name), None) => self.group(account_id, region, name, false),
            (None, Some(identifier)) => self.group(account_id, region, identifier, true),
            _ => Err(invalid(
                "Either logGroupName or logGroupIdentifier must be given, and not both.",
            )),
        }
    }

    /// The log group of that name, or of that ARN where one may stand.
    fn group(
        &self,
        account_id: &str,
        region: &str,
        identifier: &str,
        arn_allowed: bool,
    ) -> Result<&Arc<LogGroup>, AwsError> {
        let in_name = |next: char| {
            next.is_ascii_alphanumeric() || matches!(next, '.' | '-' | '_' | '/' | '#')
        };
        let in_arn = |next: char| in_name(next) || (arn_allowed && next == ':');
        if !(1..=2048).contains(&identifier.len()) || !identifier.chars().all(in_arn) {
            return Err(invalid(format!(
                "'{identifier}' is not a log group's name{}.",
                if arn_allowed { " or ARN" } else { "" }
            )));
        }
        let named = identifier == LOG_GROUP_NAME || (arn_allowed && identifier == self.group.arn);
        if self.is_here(account_id, region) && named {
            Ok(&self.group)
        } else {
            Err(AwsError::new(
                "ResourceNotFoundException",
                "The specified log group does not exist.",
            ))
        }
    }
}
