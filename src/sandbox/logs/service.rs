//! The API of CloudWatch Logs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::sandbox::error::AwsError;
use crate::sandbox::log_file::LogFile;
use crate::sandbox::lookup_rate::LookupRate;
use crate::sandbox::page_token::PageTokens;

use super::filter_log_events::FilterLogEvents;
use super::group::{LOG_GROUP_NAME, LOG_GROUP_REGION, LogGroup};
use super::{invalid, parse};

/// How long FilterLogEvents' tokens can be used.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24);

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
}

impl Default for LogsConfig {
    /// A year's retention, pages that look at 10,000 events, and 25 calls a second, which is the
    /// quota in us-east-1.
    fn default() -> Self {
        Self {
            retention_days: 365,
            scanned_events_per_page: 10_000,
            filter_rate: Some(25.0),
        }
    }
}

/// The sandbox's CloudWatch Logs.
#[derive(Debug)]
pub(in crate::sandbox) struct LogsService {
    config: LogsConfig,
    account_id: String,
    group: Arc<LogGroup>,
    filter_rate: LookupRate,
    tokens: Arc<PageTokens>,
}

impl LogsService {
    /// One log group in `account_id`, to which all `files`, in order of delivery, were sent too.
    pub fn new(account_id: &str, files: &[LogFile], config: LogsConfig, seed: u64) -> Self {
        Self {
            account_id: account_id.to_owned(),
            group: Arc::new(LogGroup::new(account_id, config.retention_days, files)),
            filter_rate: LookupRate::new(config.filter_rate, 0.0, seed),
            tokens: Arc::new(PageTokens::new(seed, TOKEN_LIFETIME, None)),
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

    async fn filter(
        &self,
        account_id: &str,
        region: &str,
        request: FilterLogEvents,
        now: Timestamp,
    ) -> Result<String, AwsError> {
        let group = match (&request.log_group_name, &request.log_group_identifier) {
            (Some(name), None) => self.group(account_id, region, name, false),
            (None, Some(identifier)) => self.group(account_id, region, identifier, true),
            _ => Err(invalid(
                "Either logGroupName or logGroupIdentifier must be given, and not both.",
            )),
        }?;
        let group = Arc::clone(group);
        let reading = request.check(&group, &self.tokens)?;
        let (tokens, scan) = (
            Arc::clone(&self.tokens),
            self.config.scanned_events_per_page,
        );
        in_the_background(move || reading.page(&group, &tokens, scan, now)).await
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
        let here = account_id == self.account_id && region == LOG_GROUP_REGION;
        let named = identifier == LOG_GROUP_NAME || (arn_allowed && identifier == self.group.arn);
        if here && named {
            Ok(&self.group)
        } else {
            Err(AwsError::new(
                "ResourceNotFoundException",
                "The specified log group does not exist.",
            ))
        }
    }
}

/// Runs what takes its time where it holds up nobody.
async fn in_the_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AwsError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
