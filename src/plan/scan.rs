//! What a plan consists of.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::{ArchiveFacts, LogGroupFacts};
use super::hand_over::Receivers;
use super::lookups::Lookups;
use super::outcome::Reason;
use crate::query::{AccountId, BackendKind, EventCategory, EventTime, Region, TimeRange};

/// The number of a scan in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScanId(pub u32);

/// What a search will do: every (account, Region, second, category) asked for is in exactly one
/// scan or gap. Where an archive holds only a part of a category's events, the scan reads that
/// part and gaps beside it say which events it does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryPlan {
    /// The interval that is left to answer: the one asked for, on resumption only what is read from
    /// the position's second on. What was answered earlier is not planned again.
    pub range: TimeRange,
    /// 90 days before the plan's now (on resumption, the first stream's): event history holds
    /// nothing older.
    pub horizon: EventTime,
    /// Events from this time on may still arrive.
    pub settled_until: EventTime,
    /// The accounts that the search reads, in order of their ids.
    pub accounts: Vec<AccountId>,
    /// The scans, in reading order: by the end that is read first.
    pub scans: Vec<Scan>,
    /// On resumption, what earlier streams were to read from archives: nothing of it is read again. It
    /// has numbers of its own.
    pub read_before: Vec<Scan>,
    /// Who may take over what scans of event history leave.
    pub receivers: Receivers,
    /// What no scan reads, and why.
    pub gaps: Vec<Gap>,
    /// What the caller should know besides, in words, such as that an accepted gap has ended.
    pub warnings: Vec<String>,
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
    /// The categories that this scan owns: another may read the others of the same seconds.
    pub categories: BTreeSet<EventCategory>,
    /// Of a scan that took over from others: what it owns of its target's accounts and Regions and
    /// of its interval. `None` is all.
    pub shares: Option<Arc<[Share]>>,
}

/// What a scan took over: the events of these accounts in these Regions, every one in every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The accounts.
    pub accounts: BTreeSet<AccountId>,
    /// The Regions, by `awsRegion`.
    pub regions: BTreeSet<Region>,
    /// The interval.
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
        /// How it is asked.
        lookups: Lookups,
    },
    /// One log group, with the events of many accounts and Regions.
    Logs {
        /// The log group.
        log_group: Arc<LogGroupFacts>,
        /// The API that reads it.
        method: LogsMethod,
        /// The accounts.
        accounts: BTreeSet<AccountId>,
        /// The Regions, by `awsRegion`.
        regions: BTreeSet<Region>,
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

/// Which API of CloudWatch Logs reads a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogsMethod {
    /// `FilterLogEvents`: pages, one pattern.
    FilterLogEvents,
    /// Logs Insights: queries that AWS runs.
    Insights,
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
    /// Which of its events.
    pub events: EventPart,
    /// The backend that would have had to answer, if one can be named.
    pub backend: Option<BackendKind>,
    /// Why nobody reads it, and what to do.
    pub reason: Reason,
}

/// A part of the events of some seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EventPart {
    /// Of these categories.
    pub categories: BTreeSet<EventCategory>,
    /// Only those with this `readOnly`; `None` is both.
    pub read_only: Option<bool>,
    /// Only those of these AWS services (`eventSource`); `None` is all.
    pub event_sources: Option<BTreeSet<String>>,
}

impl LogsMethod {
    /// AWS's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FilterLogEvents => "FilterLogEvents",
            Self::Insights => "Logs Insights",
        }
    }
}

impl EventPart {
    /// All events of these categories.
    #[must_use]
    pub fn whole(categories: impl IntoIterator<Item = EventCategory>) -> Self {
        Self {
            categories: categories.into_iter().collect(),
            read_only: None,
            event_sources: None,
        }
    }
}

impl ScanTarget {
    /// The kind of backend.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        match self {
            Self::EventHistory { .. } => BackendKind::EventHistory,
            Self::Logs { .. } => BackendKind::Logs,
            Self::Athena { .. } => BackendKind::Athena,
        }
    }

    /// Whether AWS runs a query for it, which costs by the byte and has a life of its own.
    #[must_use]
    pub fn runs_query(&self) -> bool {
        match self {
            Self::EventHistory { .. } => false,
            Self::Logs { method, .. } => *method == LogsMethod::Insights,
            Self::Athena { .. } => true,
        }
    }
}
