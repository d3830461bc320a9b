//! One archive of the configuration: how to get at it, and what is known of its table.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::config::retry::RetryConfig;
use aws_sdk_athena::operation::start_query_execution::builders::StartQueryExecutionInputBuilder;
use aws_sdk_athena::types::{QueryExecutionContext, ResultConfiguration, TableMetadata};
use jiff::tz::TimeZone;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::log_days::LogDaysKnown;
use super::table::table_facts;
use crate::backend::call::{self, Again, Tally};
use crate::config::archives::PartitionLayout;
use crate::config::{self, Access};
use crate::federation::{Behalf, CallWatch, Federation};
use crate::plan::facts::{ArchiveFacts, Declared, TableFacts};
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, BackendKind, EventTime};

/// A query is stopped this long before the session that started it ends.
const BEFORE_EXPIRY: Duration = Duration::from_secs(5);

/// One archive, for the life of the process.
#[derive(Debug)]
pub(super) struct Archive {
    pub name: Arc<str>,
    pub config: config::Archive,
    /// A permit is held while a query runs in AWS.
    pub queries: Arc<Semaphore>,
    access: Access,
    federation: Arc<Federation>,
    /// Set once, by whoever asks first; a failure leaves it unset for the next to try.
    table: OnceCell<Arc<TableFacts>>,
    /// What is known of its log files.
    pub log_days: LogDaysKnown,
}

/// A client, and until when what it starts may run.
#[derive(Debug)]
pub(super) struct Session {
    pub client: Client,
    pub deadline: Instant,
    /// The session ends before the archive's `query_timeout` does.
    pub cut_short: bool,
}

impl Archive {
    pub fn new(config: config::Archive, access: Access, federation: Arc<Federation>) -> Self {
        let queries = usize::try_from(config.max_concurrent_queries).unwrap_or(1);
        Self {
            name: config.name.as_str().into(),
            config,
            queries: Arc::new(Semaphore::new(queries)),
            access,
            federation,
            table: OnceCell::new(),
            log_days: LogDaysKnown::default(),
        }
    }

    /// A client whose session is good for a whole query, as far as the role's sessions last.
    pub async fn session(&self, behalf: Behalf<'_>) -> Result<Session, Reason> {
        let need = self.config.query_timeout + BEFORE_EXPIRY;
        let session = self
            .federation
            .config_for(&self.access, &self.config.region, need, behalf)
            .await?;
        let by_config = Instant::now() + self.config.query_timeout;
        let by_session = session
            .expires_at
            .and_then(|end| end.checked_sub(BEFORE_EXPIRY))
            .map_or(by_config, Instant::from_std);
        Ok(Session {
            client: client(&session.sdk, self.federation.call_watch()),
            deadline: by_config.min(by_session),
            cut_short: by_session < by_config,
        })
    }

    /// Counts what queries here have scanned since they last told.
    pub fn scanned(&self, bytes: u64) {
        (self.federation.metrics()).scanned(BackendKind::Athena, bytes);
    }

    /// How it is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What starts a query: as configured, with this token.
    pub fn request(&self, sql: &str, token: &str) -> StartQueryExecutionInputBuilder {
        let context = QueryExecutionContext::builder()
            .catalog(&self.config.catalog)
            .database(&self.config.database)
            .build();
        let output = self.config.output_location.as_ref().map(|location| {
            ResultConfiguration::builder()
                .output_location(location)
                .build()
        });
        StartQueryExecutionInputBuilder::default()
            .query_string(sql)
            .client_request_token(token)
            .query_execution_context(context)
            .work_group(&self.config.workgroup)
            .set_result_configuration(output)
    }

    /// The account whose events these are, where the archive declares only one.
    pub fn only_account(&self) -> Option<AccountId> {
        match self.config.holds.accounts.as_deref() {
            Some([account]) => Some(*account),
            _ => None,
        }
    }

    /// The account's name in the federation.
    pub fn account_name(&self, account: AccountId) -> Option<Arc<str>> {
        self.federation.account_name(account)
    }

    /// What it declares to hold and what its table has, read at the first call. A table that cannot
    /// be described within `limit` is asked for again the next time.
    pub async fn facts(&self, limit: Duration) -> ArchiveFacts {
        let described = self.table.get_or_try_init(|| self.describe());
        let table = match tokio::time::timeout(limit, described).await {
            Ok(described) => described.cloned(),
            Err(_) => Err(Reason::new(
                ReasonCode::ArchiveUnusable,
                format!(
                    "the table of archive {} was not described within {} s: try again, and check \
                     that Athena answers in {}",
                    self.name,
                    limit.as_secs(),
                    self.config.region
                ),
            )),
        };
        self.declared(table)
    }

    /// What it declares to hold, with this table.
    pub fn declared(&self, table: Result<Arc<TableFacts>, Reason>) -> ArchiveFacts {
        let holds = &self.config.holds;
        let first_second = holds
            .first_day
            .to_zoned(TimeZone::UTC)
            .map_or(i64::MIN, |day| day.timestamp().as_second());
        ArchiveFacts {
            name: Arc::clone(&self.name),
            holds: Declared {
                accounts: holds.accounts.clone().map(|ids| ids.into_iter().collect()),
                regions: holds.regions.clone().map(|r| r.into_iter().collect()),
                first_time: EventTime::from_second(first_second)
                    .unwrap_or_else(|| EventTime::floor(jiff::Timestamp::MIN)),
                reads: holds.reads,
                writes: holds.writes,
                excluded_event_sources: holds.excluded_event_sources.iter().cloned().collect(),
                categories: holds.categories.iter().copied().collect(),
            },
            bytes_per_day: self.config.estimated_bytes_per_day,
            partitioned_by_account: match self.config.partitions.layout {
                PartitionLayout::RegionDate => false,
                PartitionLayout::AccountRegionDate | PartitionLayout::Projected => true,
            },
            table,
        }
    }

    async fn describe(&self) -> Result<Arc<TableFacts>, Reason> {
        let metadata = self.metadata().await?;
        Ok(Arc::new(table_facts(&self.name, &metadata)))
    }

    /// What AWS says of its table.
    pub async fn metadata(&self) -> Result<TableMetadata, Reason> {
        let session = self.session(Behalf::Service).await?;
        let request = session
            .client
            .get_table_metadata()
            .catalog_name(&self.config.catalog)
            .database_name(&self.config.database)
            .table_name(&self.config.table)
            .work_group(&self.config.workgroup);
        let action = format!(
            "describe table {}.{} of archive {}",
            self.config.database, self.config.table, self.name
        );
        let mut tally = Tally::default();
        let answer = call::repeat(&action, Again::default(), &mut tally, || {
            request.clone().send()
        })
        .await
        .map_err(|failure| unusable(failure.reason))?;
        answer.table_metadata.ok_or_else(|| {
            Reason::new(
                ReasonCode::ArchiveUnusable,
                format!("could not {action}: the answer is empty"),
            )
        })
    }
}

/// A table that AWS does not know is the configuration's fault, not AWS's.
fn unusable(mut reason: Reason) -> Reason {
    if reason.code == ReasonCode::AwsError {
        reason.code = ReasonCode::ArchiveUnusable;
        reason
            .message
            .push_str("; check the archive's catalog, database and table in the configuration");
    }
    reason
}

/// Without the SDK's own retries: every attempt is counted here.
fn client(sdk: &aws_types::SdkConfig, watch: CallWatch) -> Client {
    let config = aws_sdk_athena::config::Builder::from(sdk)
        .retry_config(RetryConfig::disabled())
        .interceptor(watch)
        .build();
    Client::from_conf(config)
}
