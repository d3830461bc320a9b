//! Section `archives`: Athena tables over a trail's files, and what they hold.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::accounts::{AccessKeys, CredentialsOf, ExternalId, RoleArnTemplate};
use super::{Invalid, value};
use crate::query::{AccountId, EventCategory, Region, RoleName};

/// One archive: where its Athena is, how its table is partitioned, what it holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// What requests and answers call it.
    #[serde(deserialize_with = "archive_name")]
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
    #[serde(default = "yes")]
    pub verify_days: bool,
    /// Bytes in the table for a day's events of all accounts, for estimates; none is unknown.
    #[serde(default, deserialize_with = "bytes_per_day")]
    pub estimated_bytes_per_day: Option<u64>,
    /// Queries that the service runs on this archive at the same time.
    #[serde(default = "default_queries", deserialize_with = "queries")]
    pub max_concurrent_queries: u64,
    /// A query that takes longer is stopped. Athena's own limit is 30 minutes.
    #[serde(default = "default_query_timeout", deserialize_with = "query_timeout")]
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
    #[serde(default = "yes")]
    pub reads: bool,
    /// Whether it holds events that are not read-only.
    #[serde(default = "yes")]
    pub writes: bool,
    /// AWS services (`eventSource`) that its trail leaves out, such as `kms.amazonaws.com`.
    #[serde(default)]
    pub excluded_event_sources: Vec<String>,
    /// The categories that its trail records.
    #[serde(default = "management", deserialize_with = "categories")]
    pub categories: Vec<EventCategory>,
}

/// A trail's ARN: `arn:PARTITION:cloudtrail:REGION:ACCOUNT:trail/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailArn {
    text: String,
    /// The account that owns it.
    pub account: AccountId,
    /// Its home Region.
    pub region: Region,
}

impl TrailArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for TrailArn {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "a trail's ARN is arn:PARTITION:cloudtrail:REGION:ACCOUNT:trail/NAME";
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "cloudtrail", region, account, resource] = parts[..] else {
            return Err(EXPECTED);
        };
        let named = resource.strip_prefix("trail/");
        if partition.is_empty() || named.is_none_or(str::is_empty) {
            return Err(EXPECTED);
        }
        Ok(Self {
            text: text.to_owned(),
            account: account.parse().map_err(|_| EXPECTED)?,
            region: region.parse().map_err(|_| EXPECTED)?,
        })
    }
}

impl Archive {
    pub(super) fn access_keys(&self) -> AccessKeys<'_> {
        AccessKeys {
            role_name: self.role_name.as_ref(),
            role_arn: self.role_arn.as_ref(),
            external_id: self.external_id.as_ref(),
            hub: self.credentials == Some(CredentialsOf::Hub),
        }
    }
}

pub(super) fn check(archives: &[Spanned<Archive>]) -> Result<(), Invalid> {
    let mut names = std::collections::HashSet::new();
    for (index, entry) in archives.iter().enumerate() {
        let archive = &entry.value;
        let refuse = |key: &str, why: String| {
            let line = Some(entry.referenced.line());
            Err(Invalid::new(format!("archives[{index}]{key}"), line, why))
        };
        if !names.insert(&archive.name) {
            return refuse(
                ".name",
                format!("archive `{}` is listed twice", archive.name),
            );
        }
        if let Some(conflict) = archive.access_keys().conflict() {
            return refuse("", conflict.into());
        }
        if !archive.holds.reads && !archive.holds.writes {
            return refuse(
                ".holds",
                "an archive without reads and writes holds nothing: set one to true".into(),
            );
        }
    }
    Ok(())
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn management() -> Vec<EventCategory> {
    vec![EventCategory::Management]
}

pub(super) fn categories<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<EventCategory>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Category {
        Management,
        Data,
        NetworkActivity,
    }
    let listed = Vec::<Category>::deserialize(deserializer)?;
    if listed.is_empty() {
        return Err(serde::de::Error::custom(
            "the list is empty: allowed are management, data and network_activity",
        ));
    }
    Ok(listed
        .into_iter()
        .map(|category| match category {
            Category::Management => EventCategory::Management,
            Category::Data => EventCategory::Data,
            Category::NetworkActivity => EventCategory::NetworkActivity,
        })
        .collect())
}

fn default_catalog() -> String {
    "AwsDataCatalog".into()
}

fn default_workgroup() -> String {
    "primary".into()
}

fn default_queries() -> u64 {
    5
}

fn default_query_timeout() -> Duration {
    Duration::from_mins(30)
}

fn archive_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    value::name(deserializer, 1..=64, "_-.")
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

fn queries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, 1..=200)
}

fn bytes_per_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    value::count(deserializer, 1..=1_000_000_000_000_000).map(Some)
}

fn query_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::from_secs(1)..=Duration::from_mins(30),
    )
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
