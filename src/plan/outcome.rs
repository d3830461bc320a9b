//! How a scan ended.

use std::sync::Arc;

use super::scan::{EventPart, Gap, ScanId};
use crate::query::{AccountId, BackendKind, Region, TimeRange};

/// How one scan (or gap) ended: every interval asked for ends up in exactly one of these, beside what
/// was [handed over](OutcomeState::HandedOver), which is in the outcome of who took it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOutcome {
    /// The scan; none for a gap that nobody was asked for.
    pub scan: Option<ScanId>,
    /// The backend, if one was or would have been asked.
    pub backend: Option<BackendKind>,
    /// The archive, for Athena; of what was handed over, the one that took it over.
    pub archive: Option<Arc<str>>,
    /// The log group, for CloudWatch Logs; of what was handed over, the one that took it over.
    pub log_group: Option<Arc<str>>,
    /// The accounts that it was about.
    pub accounts: Vec<AccountId>,
    /// The Regions that it was about; empty is every Region.
    pub regions: Vec<Region>,
    /// Which events of these seconds it was about.
    pub events: EventPart,
    /// How it ended.
    pub state: OutcomeState,
    /// The interval asked.
    pub asked: TimeRange,
    /// The part of it that was read: from its newest end on, or from its oldest if the search reads
    /// oldest first; `None` if nothing was.
    pub covered: Option<TimeRange>,
    /// Of what was read, the days of which an archive has no log file, or for which that could not be
    /// found out. Of an outcome that is complete there are none.
    pub unverified: Vec<Unverified>,
    /// How it read roles and the sessions that users issued, where it had to choose.
    pub role_reading: Option<RoleReading>,
    /// What it cost and brought.
    pub counts: ScanCounts,
    /// Why it did not end complete, and what to do.
    pub reason: Option<Reason>,
}

/// An interval that an archive was read for, with nothing to show that its trail delivered it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unverified {
    /// The accounts.
    pub accounts: Vec<AccountId>,
    /// The interval: UTC days, as far as the outcome covers them.
    pub range: TimeRange,
    /// No log file ([`ReasonCode::NoLogFiles`]), or why that is not known.
    pub reason: Reason,
}

impl From<Gap> for ScanOutcome {
    /// What will not be read has ended before it began.
    fn from(gap: Gap) -> Self {
        Self {
            scan: None,
            backend: gap.backend,
            archive: None,
            log_group: None,
            accounts: vec![gap.account],
            regions: gap.regions,
            events: gap.events,
            state: OutcomeState::Skipped,
            asked: gap.range,
            covered: None,
            unverified: Vec::new(),
            role_reading: None,
            counts: ScanCounts::default(),
            reason: Some(gap.reason),
        }
    }
}

/// How a scan of event history read roles, which have no lookup attribute, and the sessions that users
/// issued, which have others than the users.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleReading {
    /// Some of it was read by sessions: complete for those that were found, and for no others.
    pub inferred: bool,
    /// What was chosen, and why, in words.
    pub note: Arc<str>,
}

/// The ways in which a scan ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutcomeState {
    /// All of its interval was read.
    Complete,
    /// All of its interval was read, and yet nothing shows that everything was delivered there: see
    /// `unverified`.
    Unverified,
    /// It was cut off: `covered` was read, the rest was not.
    Truncated,
    /// AWS refused or broke; what was read before stays in the answer.
    Failed,
    /// Nobody was asked: a gap.
    Skipped,
    /// There is nothing to ask: a Region that is disabled in the account, as far as no archive or log
    /// group holds what it had before.
    NotApplicable,
    /// The scan did not read it, and another one did instead: the archive or log group that is named,
    /// whose own outcome says how that ended.
    HandedOver,
}

/// What a scan cost and brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanCounts {
    /// AWS calls, retries included.
    pub requests: u64,
    /// Of them, those that AWS throttled.
    pub throttles: u64,
    /// Events read, matching or not.
    pub events_read: u64,
    /// Events that the scan contributed to the answer.
    pub events_matched: u64,
    /// Records that could not be read as events: a scan with any is never complete.
    pub unreadable_records: u64,
    /// Events that came out of order beyond their second.
    pub late_events: u64,
    /// Bytes that Athena and Logs Insights scanned.
    pub bytes_scanned: u64,
}

/// Why something was not read, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// What happened, in words, with what to do. Never a credential.
    pub message: String,
    /// AWS's own error code, if AWS said no.
    pub aws_code: Option<String>,
    /// AWS's own message.
    pub aws_message: Option<String>,
    /// AWS's request id.
    pub aws_request_id: Option<String>,
}

impl Reason {
    /// A reason that is not AWS's.
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            aws_code: None,
            aws_message: None,
            aws_request_id: None,
        }
    }
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonCode {
    /// The role cannot be assumed: trust, external id or permission.
    AssumeRoleDenied,
    /// A service control policy forbids it.
    DeniedByServiceControlPolicy,
    /// The role lacks a permission that the backend needs.
    AccessDenied,
    /// The credentials ended and could not be renewed.
    CredentialsExpired,
    /// AWS went on throttling.
    Throttled,
    /// No answer within `limits.scan_stall_timeout`.
    Unresponsive,
    /// AWS reported an error that is none of the others.
    AwsError,
    /// The connection failed.
    Unreachable,
    /// The Athena or Logs Insights query failed or was cancelled by someone else.
    QueryFailed,
    /// Older than event history reaches, and no archive or log group covers it.
    BeyondHorizon,
    /// No configured backend holds this.
    NoBackend,
    /// The caller's `backends` excludes the one that could answer.
    BackendExcluded,
    /// The archive does not hold this: its first day, kind of event or AWS service.
    NotInArchive,
    /// The log group does not hold this: its retention, kind of event or AWS service.
    NotInLogGroup,
    /// The archive's table could not be described or lacks a column that is needed.
    ArchiveUnusable,
    /// The horizon passed while the scan was waiting: no longer in event history.
    AgedOut,
    /// Event history has more pages than `routing.max_lookup_pages`, and who holds the same reads it
    /// faster.
    MaxLookupPages,
    /// It is known, but not this caller's to know.
    NotPermitted,
    /// Records that could not be read as events.
    UnreadableRecords,
    /// An archive has no log file of these accounts and days: either nothing happened, or the trail
    /// did not deliver.
    NoLogFiles,
    /// The search ended first: `max_events`.
    MaxEvents,
    /// The search ended first: `max_scan_bytes`.
    MaxScanBytes,
    /// A bound of the service's own, for the process or for each caller, was reached.
    Quota,
    /// The caller took nothing of its answer for too long.
    Idle,
    /// The search ended first: the caller's deadline.
    Deadline,
    /// The search ended first: the service is shutting down.
    Drain,
    /// The Region is disabled in the account.
    RegionDisabled,
    /// The configuration accepts that this is unreadable.
    AcceptedGap,
    /// A defect of the service.
    Internal,
}
