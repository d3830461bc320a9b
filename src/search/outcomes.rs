//! How each scan ended, as far as the answer shows it.
//!
//! What was read but not sent is not covered: a search that is cut off at a second has answered
//! only what lies after it, however far single scans had read ahead.

use crate::backend::{PageCost, ScanError};
use crate::plan::{
    EventPart, OutcomeState, Reason, ReasonCode, RoleReading, Scan, ScanOutcome, ScanTarget,
    outcome::ScanCounts,
};
use crate::query::{EventTime, TimeRange};

use super::item::StopReason;

/// What is known of a scan while it runs.
#[derive(Debug, Clone, Default)]
pub struct LaneRecord {
    counts: ScanCounts,
    role_reading: Option<RoleReading>,
    ended: Option<LaneEnd>,
}

#[derive(Debug, Clone)]
enum LaneEnd {
    Read,
    Broken { error: ScanError, from: EventTime },
}

impl LaneRecord {
    /// Adds what a page cost.
    pub fn spend(&mut self, cost: &PageCost) {
        let counts = &mut self.counts;
        counts.requests += cost.requests;
        counts.throttles += cost.throttles;
        counts.events_read += cost.events_read;
        counts.unreadable_records += cost.unreadable_records;
        counts.bytes_scanned = counts.bytes_scanned.max(cost.bytes_scanned_total);
    }

    /// Notes how the scan reads roles, if it says so.
    pub fn reads_roles(&mut self, reading: Option<RoleReading>) {
        if reading.is_some() {
            self.role_reading = reading;
        }
    }

    /// Counts an event of the answer.
    pub fn matched(&mut self, late: bool) {
        self.counts.events_matched += 1;
        self.counts.late_events += u64::from(late);
    }

    /// All of the scan was read.
    pub fn complete(&mut self) {
        self.ended = Some(LaneEnd::Read);
    }

    /// The scan broke; everything from `from` on had been read.
    pub fn fail(&mut self, error: ScanError, from: EventTime) {
        self.ended = Some(LaneEnd::Broken { error, from });
    }

    /// Whether the scan has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// What the scan cost so far.
    #[must_use]
    pub fn counts(&self) -> &ScanCounts {
        &self.counts
    }

    /// The scan's outcome, if the search answered everything from `answered_from` on and then
    /// stopped for `stop`. `bound` is the scan's own.
    #[must_use]
    pub fn outcome(
        &self,
        scan: &Scan,
        bound: Option<EventTime>,
        answered_from: EventTime,
        stop: StopReason,
    ) -> ScanOutcome {
        let range = scan.range;
        let read_from = match &self.ended {
            Some(LaneEnd::Read) => range.start(),
            Some(LaneEnd::Broken { from, .. }) => *from,
            None => bound.map_or(range.start(), |bound| bound.plus(1)),
        };
        let from = read_from.max(answered_from).max(range.start());
        let (state, reason) = match &self.ended {
            Some(LaneEnd::Broken { error, .. }) => {
                let state = match error.reason.code {
                    _ if error.not_applicable => OutcomeState::NotApplicable,
                    ReasonCode::MaxScanBytes | ReasonCode::AgedOut => OutcomeState::Truncated,
                    _ => OutcomeState::Failed,
                };
                (state, Some(self.with_unreadable(error.reason.clone())))
            }
            _ if from > range.start() || self.ended.is_none() => {
                let reason = self.with_unreadable(stopped(stop));
                (OutcomeState::Truncated, Some(reason))
            }
            _ if self.counts.unreadable_records > 0 => (
                OutcomeState::Truncated,
                Some(unreadable(self.counts.unreadable_records)),
            ),
            _ => (OutcomeState::Complete, None),
        };
        ScanOutcome {
            covered: TimeRange::new(from, range.end()),
            counts: self.counts,
            role_reading: self.role_reading.clone(),
            ..blank(scan, state, reason)
        }
    }
}

impl LaneRecord {
    /// A scan that was cut off says also that what it covers has holes.
    fn with_unreadable(&self, mut reason: Reason) -> Reason {
        let records = self.counts.unreadable_records;
        if records > 0 {
            reason.message.push_str("; moreover ");
            reason.message.push_str(&unreadable(records).message);
        }
        reason
    }
}

/// A scan of which nothing could be read.
#[must_use]
pub fn failed(scan: &Scan, reason: Reason) -> ScanOutcome {
    blank(scan, OutcomeState::Failed, Some(reason))
}

fn blank(scan: &Scan, state: OutcomeState, reason: Option<Reason>) -> ScanOutcome {
    let (archive, log_group, accounts, regions) = match &scan.target {
        ScanTarget::EventHistory {
            account, region, ..
        } => (None, None, vec![*account], vec![region.clone()]),
        ScanTarget::Logs {
            log_group,
            accounts,
            regions,
            ..
        } => (
            None,
            Some(log_group.name.clone()),
            accounts.iter().copied().collect(),
            regions.iter().cloned().collect(),
        ),
        ScanTarget::Athena {
            archive,
            accounts,
            regions,
        } => (
            Some(archive.name.clone()),
            None,
            accounts.iter().copied().collect(),
            regions.iter().flatten().cloned().collect(),
        ),
    };
    ScanOutcome {
        scan: Some(scan.id),
        backend: Some(scan.target.backend()),
        archive,
        log_group,
        accounts,
        regions,
        events: EventPart::whole(scan.categories.iter().copied()),
        state,
        asked: scan.range,
        covered: None,
        unverified: Vec::new(),
        role_reading: None,
        counts: ScanCounts::default(),
        reason,
    }
}

pub(super) fn stopped(stop: StopReason) -> Reason {
    let (code, message) = match stop {
        StopReason::MaxEvents => (
            ReasonCode::MaxEvents,
            "max_events was reached: resume with the summary's token for the rest",
        ),
        StopReason::MaxScanBytes => (
            ReasonCode::MaxScanBytes,
            "max_scan_bytes was reached: resume with a higher limit for the rest",
        ),
        StopReason::Deadline => (
            ReasonCode::Deadline,
            "the caller's deadline came near: resume with the summary's token for the rest",
        ),
        StopReason::Drain => (
            ReasonCode::Drain,
            "the service is shutting down: resume with the summary's token on another replica",
        ),
        StopReason::End => (
            ReasonCode::Internal,
            "the scan was left unread, which is a defect of the service",
        ),
    };
    Reason::new(code, message)
}

fn unreadable(records: u64) -> Reason {
    Reason::new(
        ReasonCode::UnreadableRecords,
        format!(
            "{records} records could not be read as CloudTrail events: see the service's log for their ids"
        ),
    )
}
