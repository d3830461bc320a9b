//! What a plan consists of.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::facts::ArchiveFacts;
use super::outcome::Reason;
use crate::query::{AccountId, BackendKind, EventTime, Region, TimeRange};

/// The number of a scan in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScanId(pub u32);

/// What a search will do: every (account, Region, second) asked for is in exactly one scan or gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryPlan {
    /// The interval, as asked.
    pub range: TimeRange,
    /// 90 days before the plan's now: event history holds nothing older.
    pub horizon: EventTime,
    /// Events from this time on may still arrive.
    pub settled_until: EventTime,
    /// The accounts that the search reads, in order of their ids.
    pub accounts: Vec<AccountId>,
    /// The scans, newest end first.
    pub scans: Vec<Scan>,
    /// What no scan reads, and why.
    pub gaps: Vec<Gap>,
}

/// One backend asked for one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Its number: the position in `QueryPlan::scans`.
    pub id: ScanId,
    /// What is asked, and where.
    pub target: ScanTarget,
    /// The interval that this scan owns: it drops whatever lies outside.
    pub range: TimeRange,
}

/// What a scan asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanTarget {
    /// `LookupEvents` in one account and Region.
    EventHistory {
        /// The account.
        account: AccountId,
        /// The Region.
        region: Region,
        /// The one attribute; `None` reads everything.
        attribute: Option<LookupAttribute>,
    },
    /// One query on an archive, over many accounts and Regions.
    Athena {
        /// The archive.
        archive: Arc<ArchiveFacts>,
        /// The accounts.
        accounts: BTreeSet<AccountId>,
        /// The Regions, by `awsRegion`; `None` is every Region, named in the configuration or not.
        regions: Option<BTreeSet<Region>>,
    },
}

/// One of LookupEvents' attributes (a request carries at most one; the match is on the full value).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookupAttribute {
    /// An IAM user's name, a session's name, or `root`.
    Username(String),
    /// The key that signed the call.
    AccessKeyId(String),
    /// The API.
    EventName(String),
    /// The AWS service.
    EventSource(String),
}

/// What no scan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The account.
    pub account: AccountId,
    /// The Regions.
    pub regions: Vec<Region>,
    /// The interval.
    pub range: TimeRange,
    /// The backend that would have had to answer, if one can be named.
    pub backend: Option<BackendKind>,
    /// Why nobody reads it, and what to do.
    pub reason: Reason,
}

impl fmt::Display for LookupAttribute {
    /// `Attribute=value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Username(value) => write!(f, "Username={value}"),
            Self::AccessKeyId(value) => write!(f, "AccessKeyId={value}"),
            Self::EventName(value) => write!(f, "EventName={value}"),
            Self::EventSource(value) => write!(f, "EventSource={value}"),
        }
    }
}

impl ScanTarget {
    /// The kind of backend.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        match self {
            Self::EventHistory { .. } => BackendKind::EventHistory,
            Self::Athena { .. } => BackendKind::Athena,
        }
    }
}
