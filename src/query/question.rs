//! The question, checked and with every default applied.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    AccountId, AccountSelector, Case, Condition, EventFilter, EventKey, EventTime, Identity,
    Region, SearchOrder, TimeRange,
};

/// Where events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BackendKind {
    /// CloudTrail's `LookupEvents`: 90 days, management events.
    EventHistory,
    /// A CloudWatch Logs log group.
    Logs,
    /// An archive: an Athena table over a trail's files.
    Athena,
}

impl BackendKind {
    /// The design's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventHistory => "event_history",
            Self::Logs => "logs",
            Self::Athena => "athena",
        }
    }
}

/// How much of each event the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordView {
    /// The typed fields.
    #[default]
    Fields,
    /// The typed fields and the record itself.
    Full,
    /// No events: only the summary.
    None,
}

/// What did these identities do, in these accounts and Regions, in this interval?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Whom the question is about; any of them matches. Empty means anyone, which only a filter
    /// that [names events](EventFilter::names_events) allows.
    pub identities: Vec<Identity>,
    /// Whether the case of identities' names counts.
    pub case: Case,
    /// The interval, frozen: it does not move while the search runs.
    pub range: TimeRange,
    /// The interval as the caller wrote it: what a resume token holds the request to.
    pub asked_range: AskedRange,
    /// The accounts asked for; empty means all of the federation.
    pub account_ids: Vec<AccountId>,
    /// Which of them: by name, organizational unit and tag.
    pub account_selector: AccountSelector,
    /// The Regions asked for; empty means all that are configured.
    pub regions: Vec<Region>,
    /// Conditions on the event itself.
    pub filter: EventFilter,
    /// In which direction events are read and sent.
    pub order: SearchOrder,
    /// How much of each event is wanted.
    pub record_view: RecordView,
    /// Stop after this many events; `None` is no limit.
    pub max_events: Option<u64>,
    /// Never read a role, or what a user federated, by sessions, which is complete for those found
    /// only.
    pub exact_roles: bool,
    /// The backends that may be used; empty means all.
    pub backends: Vec<BackendKind>,
    /// Stop Athena when it has scanned this many bytes for this search; `None` is no limit.
    pub max_scan_bytes: Option<u64>,
    /// How often to report progress; `None` reports only after a silence.
    pub progress_interval: Option<Duration>,
    /// Where an earlier stream of the same request ended; `None` begins at the beginning.
    pub resume: Option<ResumePoint>,
}

/// The interval as the caller wrote it, before defaults and the service's now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AskedRange {
    /// `start_time`, in whole seconds.
    pub start: Option<EventTime>,
    /// `end_time`, in whole seconds.
    pub end: Option<EventTime>,
    /// `lookback`, in whole seconds.
    pub lookback_seconds: Option<i64>,
}

/// Where to go on: what a resume token says, once it was found to fit the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePoint {
    /// The last event that the caller has; everything beyond it follows. `None`: no event was
    /// sent yet, only the interval and the horizon are kept.
    pub position: Option<EventKey>,
    /// The horizon of the first stream: what went where must not change in between.
    pub horizon: EventTime,
    /// Digest of the account and Region set that the first stream read.
    pub scope_digest: [u8; 16],
}

impl EventQuery {
    /// What a record must be to belong to the answer, by who made it and by the filter: place,
    /// time and category are the scan's.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let mut all = Vec::new();
        if !self.identities.is_empty() {
            let identities = self.identities.iter();
            let anyone = identities.map(|identity| identity.condition(self.case));
            all.push(Condition::Any(anyone.collect()));
        }
        match self.filter.condition() {
            Condition::All(parts) => all.extend(parts),
            one => all.push(one),
        }
        Condition::All(all)
    }

    /// Whether the search may read from this backend.
    #[must_use]
    pub fn allows(&self, backend: BackendKind) -> bool {
        self.backends.is_empty() || self.backends.contains(&backend)
    }
}
