//! Section `archives`: Athena tables over a trail's files, and what they hold.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::accounts::{AccessKeys, CredentialsOf, ExternalId, RoleArnTemplate};
use super::stores::{self, Store, TrailArn};
use super::value;
use crate::query::{AccountId, EventCategory, Region, RoleName};

/// One archive: where its Athena is, how its table is partitioned, what it holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// What requests and answers call it.
    #[serde(deserialize_with = "stores::configured_name")]
    pub name: String,
    /// The account where Athena runs.
    #[serde(deserialize_with = "value::text")]
    pub account: AccountId,
    /// The Region where Athena runs.
    #[serde(deserialize_with = "value::text")]
    pub region: Region,
    /// The role to query with; by default the one of `account` in section `accounts`.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_name: Option<RoleName>,
    /// The same as an ARN, with or without `{account_id}`.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_arn: Option<RoleArnTemplate>,
    /// The external id for that role.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub external_id: Option<ExternalId>,
    /// `hub`: query with the service's own credentials.
    #[serde(default)]
    pub credentials: Option<CredentialsOf>,
    /// The data catalog.
    #[serde(default = "default_catalog")]
    pub catalog: String,
    /// The database.
    #[serde(deserialize_with = "table_name")]
    pub database: String,
    /// The table.
    #[serde(deserialize_with = "table_name")]
    pub table: String,
    /// The workgroup. Its own BytesScannedCutoffPerQuery is the hard bound on what a query scans.
    #[serde(default = "default_workgroup", deserialize_with = "workgroup")]
    pub workgroup: String,
    /// Where Athena writes results (`s3://bucket/prefix/`); by default the workgroup's own place.
    #[serde(default, deserialize_with = "output_location")]
    pub output_location: Option<String>,
    /// How the table is partitioned.
    pub partitions: Partitions,
    /// What the table holds.
    pub holds: Holds,
    /// The trail that fills the table, for checks; by default the one that writes to its bucket.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub trail: Option<TrailArn>,
    /// Whether searches find out of which accounts and days it has log files at all.
    #[serde(default = "stores::yes")]
    pub verify_days: bool,
    /// Bytes in the table for a day's events of all accounts, for estimates; none is unknown.
    #[serde(default, deserialize_with = "bytes_per_day")]
    pub estimated_bytes_per_day: Option<u64>,
    /// Queries that the service runs on this archive at the same time.
    #[serde(
        default = "stores::default_queries",
        deserialize_with = "stores::queries::<_, 200>"
    )]
    pub max_concurrent_queries: u64,
    /// A query that takes longer is stopped. Athena's own limit is 30 minutes.
    #[serde(
        default = "stores::longest::<30>",
        deserialize_with = "stores::query_timeout::<_, 30>"
    )]
    pub query_timeout: Duration,
}

/// How an archive's table is partitioned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partitions {
    /// Which partition columns there are.
    pub layout: PartitionLayout,
    /// What they are called, where not by their usual names.
    #[serde(default)]
    pub columns: PartitionColumns,
    /// How layout `projected` writes a day.
    #[serde(default)]
    pub date_format: DateFormat,
}

/// The partition columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionLayout {
    /// region, year, month, day: one account's trail.
    RegionDate,
    /// account, region, year, month, day: an organization's trail.
    AccountRegionDate,
    /// account, region and one column for the day, by partition projection.
    Projected,
}

/// What the partition columns are called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionColumns {
    /// The account.
    #[serde(deserialize_with = "column")]
    pub account: String,
    /// The Region that the file was delivered to.
    #[serde(deserialize_with = "column")]
    pub region: String,
    /// The year, four digits.
    #[serde(deserialize_with = "column")]
    pub year: String,
    /// The month, two digits.
    #[serde(deserialize_with = "column")]
    pub month: String,
    /// The day of the month, two digits.
    #[serde(deserialize_with = "column")]
    pub day: String,
    /// The whole day, in layout `projected`.
    #[serde(deserialize_with = "column")]
    pub date: String,
}

impl Default for PartitionColumns {
    fn default() -> Self {
        Self {
            account: "account".into(),
            region: "region".into(),
            year: "year".into(),
            month: "month".into(),
            day: "day".into(),
            date: "timestamp".into(),
        }
    }
}

/// How layout `projected` writes a day: each compares as text in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum DateFormat {
    /// `2026/11/22`
    #[default]
    #[serde(rename = "yyyy/MM/dd")]
    Slashes,
    /// `2026-11-22`
    #[serde(rename = "yyyy-MM-dd")]
    Hyphens,
    /// `20261122`
    #[serde(rename = "yyyyMMdd")]
    Plain,
}

/// What an archive holds: it is believed as far as it declares, the rest is a gap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// The accounts: `all` (`None`) or a list.
    #[serde(deserialize_with = "value::all_or_texts")]
    pub accounts: Option<Vec<AccountId>>,
    /// The Regions: `all` (`None`) or a list.
    #[serde(default, deserialize_with = "value::all_or_texts")]
    pub regions: Option<Vec<Region>>,
    /// The first whole day (UTC) that it holds.
    pub first_day: jiff::civil::Date,
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

impl Store for Archive {
    const SECTION: &'static str = "archives";
    const KIND: &'static str = "archive";

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
}

fn default_catalog() -> String {
    "AwsDataCatalog".into()
}

fn default_workgroup() -> String {
    "primary".into()
}

fn table_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    value::name(deserializer, 1..=255, "_-.")
}

fn column<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    value::name(deserializer, 1..=255, "_-")
}

fn workgroup<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    value::name(deserializer, 1..=128, "._-")
}

fn bytes_per_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    value::count(deserializer, 1..=1_000_000_000_000_000).map(Some)
}

fn output_location<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let location = String::deserialize(deserializer)?;
    if location
        .strip_prefix("s3://")
        .is_some_and(|rest| !rest.is_empty())
    {
        Ok(Some(location))
    } else {
        Err(serde::de::Error::custom(format!(
            "`{location}` is not a place in S3: write s3://BUCKET/PREFIX/"
        )))
    }
}
