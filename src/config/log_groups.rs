//! Section `log_groups`: CloudWatch Logs log groups that a trail writes to, and what they hold.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};

use super::accounts::{AccessKeys, CredentialsOf, ExternalId, RoleArnTemplate};
use super::stores::{self, Store, TrailArn};
use super::value;
use crate::query::{AccountId, EventCategory, EventTime, Region, RoleName};

/// One log group: where it is, what it holds, how it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogGroup {
    /// What requests and answers call it.
    #[serde(deserialize_with = "stores::configured_name")]
    pub name: String,
    /// The account that the log group is in (or the monitoring account that reads it by its ARN).
    #[serde(deserialize_with = "value::text")]
    pub account: AccountId,
    /// The Region that the log group is in.
    #[serde(deserialize_with = "value::text")]
    pub region: Region,
    /// The role to read with; by default the one of `account` in section `accounts`.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_name: Option<RoleName>,
    /// The same as an ARN, with or without `{account_id}`.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_arn: Option<RoleArnTemplate>,
    /// The external id for that role.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub external_id: Option<ExternalId>,
    /// `hub`: read with the service's own credentials.
    #[serde(default)]
    pub credentials: Option<CredentialsOf>,
    /// The log group's own name, or its ARN.
    #[serde(deserialize_with = "log_group")]
    pub log_group: String,
    /// What the log group holds.
    pub holds: Holds,
    /// The trail that fills the log group, for checks; by default those that deliver to it.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub trail: Option<TrailArn>,
    /// Which API reads it.
    #[serde(default)]
    pub read_with: ReadWith,
    /// Logs Insights queries that the service runs here at the same time.
    #[serde(
        default = "stores::default_queries",
        deserialize_with = "stores::queries::<_, 100>"
    )]
    pub max_concurrent_queries: u64,
    /// A Logs Insights query that takes longer is stopped. AWS's own limit is 60 minutes.
    #[serde(
        default = "stores::longest::<60>",
        deserialize_with = "stores::query_timeout::<_, 60>"
    )]
    pub query_timeout: Duration,
}

/// What a log group holds: it is believed as far as it declares, the rest is a gap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// The accounts: `all` (`None`) or a list.
    #[serde(deserialize_with = "value::all_or_texts")]
    pub accounts: Option<Vec<AccountId>>,
    /// The Regions: `all` (`None`) or a list.
    #[serde(default, deserialize_with = "value::all_or_texts")]
    pub regions: Option<Vec<Region>>,
    /// The first whole day (UTC) that it holds; without it, whatever the retention leaves.
    #[serde(default)]
    pub first_day: Option<jiff::civil::Date>,
    /// The log group's retention in days; without it, events never expire.
    #[serde(default, deserialize_with = "retention_days")]
    pub retention_days: Option<u64>,
    /// Whether it holds read-only events.
    #[serde(default = "stores::yes")]
    pub reads: bool,
    /// Whether it holds events that are not read-only.
    #[serde(default = "stores::yes")]
    pub writes: bool,
    /// AWS services (`eventSource`) that its trail leaves out, such as `kms.amazonaws.com`.
    #[serde(default)]
    pub excluded_event_sources: Vec<String>,
    /// The categories that its trail records.
    #[serde(
        default = "stores::management",
        deserialize_with = "stores::categories"
    )]
    pub categories: Vec<EventCategory>,
}

/// Which API reads a log group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadWith {
    /// By the length of the interval (`routing.insights_min_interval`).
    #[default]
    Auto,
    /// `FilterLogEvents`.
    Filter,
    /// Logs Insights.
    Insights,
}

impl Holds {
    /// The first instant that it holds at `now`.
    #[must_use]
    pub fn first_time(&self, now: Timestamp) -> EventTime {
        let first_day = self.first_day.and_then(|day| {
            let start = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
            EventTime::from_second(start.as_second())
        });
        let retained = self.retention_days.map(|days| {
            let hours = i64::try_from(days.saturating_mul(24)).unwrap_or(i64::MAX);
            EventTime::ceil(now).plus(-SignedDuration::from_hours(hours).as_secs())
        });
        let beginning = EventTime::floor(Timestamp::MIN);
        first_day.max(retained).unwrap_or(beginning)
    }
}

impl Store for LogGroup {
    const SECTION: &'static str = "log_groups";
    const KIND: &'static str = "log group";

    fn name(&self) -> &str {
        &self.name
    }

    fn access_keys(&self) -> AccessKeys<'_> {
        AccessKeys {
            role_name: self.role_name.as_ref(),
            role_arn: self.role_arn.as_ref(),
            external_id: self.external_id.as_ref(),
            hub: self.credentials == Some(CredentialsOf::Hub),
        }
    }

    fn holds_anything(&self) -> bool {
        self.holds.reads || self.holds.writes
    }

    fn misdeclared(&self) -> Option<&'static str> {
        let unsaid = self.holds.first_day.is_none() && self.holds.retention_days.is_none();
        unsaid.then_some(
            "say how far back it reaches: retention_days as the log group is set, or first_day for \
             one whose events never expire",
        )
    }
}

/// AWS's own pattern of a log group's name; an ARN has colons besides, and never ends in `:*` here.
fn log_group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    value::name(deserializer, 1..=2048, "_-/.#:")
}

fn retention_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    value::count(deserializer, 1..=36_600).map(Some)
}
