//! What a search says, in the order in which it says it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::plan::{Coverage, Gap, Reason, ScanOutcome};
use crate::query::{
    AccessKeyId, AccountId, BackendKind, Event, EventCategory, EventTime, Region, SearchOrder,
    TimeRange,
};
use crate::usage::Exceeded;

/// One message of a search's stream: the plan first, the summary last, once each.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchItem {
    /// What will be done.
    Plan(Box<PlanAnnouncement>),
    /// One event of the answer.
    Event {
        /// The event.
        event: Box<Event>,
        /// Continues the search after this event.
        resume_token: Arc<str>,
    },
    /// Scans and gaps that are not complete, as soon as known and before any older event; and, as they
    /// end at best, scans that read by sessions (`role_reading`).
    Outcomes(Vec<ScanOutcome>),
    /// How far the search is.
    Progress(Progress),
    /// How it ended.
    Summary(Box<Summary>),
}

/// The first message: the question in the service's clock, and what goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanAnnouncement {
    /// The service's now, when the search began.
    pub now: Timestamp,
    /// The interval, frozen.
    pub range: TimeRange,
    /// Event history holds nothing before this.
    pub horizon: EventTime,
    /// Events from this time on may still arrive: the answer about them is provisional.
    pub settled_until: EventTime,
    /// The accounts that are searched, with their names.
    pub accounts: Vec<(AccountId, Option<Arc<str>>)>,
    /// What goes where.
    pub routes: Vec<Route>,
    /// What will not be read, and why.
    pub gaps: Vec<Gap>,
    /// What the caller should know besides, in words.
    pub warnings: Vec<String>,
    /// Whose the access keys of the question are, where one was asked about.
    pub key_owners: Vec<KeyOwner>,
    /// All accounts are asked about, and the caller may not read all.
    pub scope_limited: bool,
    /// Continues (here: begins) this search with the same frozen interval.
    pub resume_token: Arc<str>,
}

/// Scans of the same backend and interval, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The backend.
    pub backend: BackendKind,
    /// The archive, for Athena.
    pub archive: Option<Arc<str>>,
    /// The log group, for CloudWatch Logs.
    pub log_group: Option<Arc<str>>,
    /// The interval that it serves.
    pub range: TimeRange,
    /// The accounts.
    pub accounts: BTreeSet<AccountId>,
    /// The Regions; empty is every Region.
    pub regions: BTreeSet<Region>,
    /// What the backend narrows by, in words, such as `Username=alice`; empty reads everything.
    pub narrowed_by: String,
    /// How many scans this is.
    pub scans: u64,
}

/// Whose an access key is (`sts:GetAccessKeyInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    /// The key.
    pub access_key_id: AccessKeyId,
    /// The account that owns it, or why that could not be found out.
    pub account: Result<AccountId, Reason>,
    /// Whether that account is in this federation.
    pub in_federation: bool,
}

/// How far a search is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Scans that have ended.
    pub scans_done: u64,
    /// All scans of the plan.
    pub scans_total: u64,
    /// What is answered by now.
    pub answered: Answered,
    /// What the search waits for, in words, at most a few.
    pub waiting_for: Vec<String>,
    /// Events sent so far.
    pub events_sent: u64,
    /// Events read so far, matching or not.
    pub events_read: u64,
    /// Bytes that Athena and Logs Insights have scanned so far.
    pub bytes_scanned: u64,
    /// Continues the search from here.
    pub resume_token: Arc<str>,
}

/// The last message.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// All outcomes: one for every scan and every gap.
    pub coverage: Coverage,
    /// Why the stream ended.
    pub stop_reason: StopReason,
    /// The interval, frozen.
    pub range: TimeRange,
    /// What is answered: sent, or named by an outcome.
    pub answered: Answered,
    /// Events from this time on may still arrive; `None` if the interval ends before that.
    pub provisional_from: Option<EventTime>,
    /// The search was cut off by `max_events`.
    pub limited: bool,
    /// All accounts were asked about, and the caller may not read all.
    pub scope_limited: bool,
    /// Events sent.
    pub events_sent: u64,
    /// Events that matched, sent or only counted (`RecordView::None`).
    pub events_matched: u64,
    /// Events read, matching or not.
    pub events_read: u64,
    /// Copies that the merge removed.
    pub duplicates_removed: u64,
    /// Events that came out of order and were sent late.
    pub late_events: u64,
    /// AWS calls, retries included.
    pub requests: u64,
    /// Of them, throttled.
    pub throttles: u64,
    /// Bytes that Athena and Logs Insights scanned.
    pub bytes_scanned: u64,
    /// Categories that were not asked for.
    pub categories_not_searched: Vec<EventCategory>,
    /// What the answer looks like.
    pub facets: Facets,
    /// Continues the search; `None` where nothing is left.
    pub resume_token: Option<Arc<str>>,
    /// The bound of the service that ended the search, if one did.
    pub quota: Option<Exceeded>,
}

/// How far an answer reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Newest first: everything from this time on.
    From(EventTime),
    /// Oldest first: everything before this time.
    Until(EventTime),
}

impl Answered {
    /// Everything that is read before `second`.
    #[must_use]
    pub fn before(order: SearchOrder, second: EventTime) -> Self {
        let boundary = order.boundary(second);
        match order {
            SearchOrder::NewestFirst => Self::From(boundary),
            SearchOrder::OldestFirst => Self::Until(boundary),
        }
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Everything that could be read was.
    End,
    /// `max_events` was reached.
    MaxEvents,
    /// `max_scan_bytes` was reached.
    MaxScanBytes,
    /// The caller's deadline came near.
    Deadline,
    /// The service is shutting down.
    Drain,
    /// A bound of the service's own was reached: [`Summary::quota`].
    Quota,
    /// The caller took nothing of the answer for too long.
    Idle,
}

/// What the answer looks like: bounded counts by dimension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facets {
    /// The oldest event's time.
    pub first_seen: Option<EventTime>,
    /// The newest event's time.
    pub last_seen: Option<EventTime>,
    /// By API: `eventSource:eventName`.
    pub event_names: Facet,
    /// By recipient account.
    pub accounts: Facet,
    /// By `awsRegion`.
    pub regions: Facet,
    /// By `sourceIPAddress`.
    pub source_ips: Facet,
    /// By `errorCode`; events without error are not in it.
    pub error_codes: Facet,
}

/// One dimension's counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facet {
    /// The values kept, most frequent first.
    pub values: Vec<FacetValue>,
    /// Events whose value is not among them.
    pub other_events: u64,
}

/// One value and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// Events.
    pub events: u64,
    /// The oldest of them.
    pub first_seen: EventTime,
    /// The newest of them.
    pub last_seen: EventTime,
}
