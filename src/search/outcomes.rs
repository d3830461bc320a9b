//! How each scan ended, as far as the answer shows it.
//!
//! What was read but not sent is not covered: a search that is cut off at a second has answered
//! only what is read before it, however far single scans had read ahead.

use std::fmt::Write as _;

use crate::backend::{Lost, PageCost, ScanError};
use crate::plan::hand_over::{Receiver, ReceiverStore};
use crate::plan::outcome::ScanCounts;
use crate::plan::{
    EventPart, OutcomeState, Reason, ReasonCode, RoleReading, Scan, ScanOutcome, ScanTarget, Share,
};
use crate::query::{EventTime, SearchOrder, TimeRange};

use super::item::StopReason;

/// What is known of a scan while it runs.
#[derive(Debug, Clone, Default)]
pub struct LaneRecord {
    counts: ScanCounts,
    role_reading: Option<RoleReading>,
    /// What the scan passed over, in the order in which it did.
    lost: Vec<Lost>,
    /// What others have taken over from it.
    handed: Vec<Handed>,
    /// What another scan of event history reads on.
    elsewhere: Vec<TimeRange>,
    ended: Option<LaneEnd>,
}

/// A part of a scan that another takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The part.
    pub range: TimeRange,
    /// Who reads it.
    pub to: Receiver,
    /// Why the scan does not.
    pub reason: Reason,
    /// What becomes of the events that the other does not hold: failed or not applicable.
    pub lacking: OutcomeState,
}

#[derive(Debug, Clone)]
enum LaneEnd {
    Read,
    Broken { error: ScanError, at: EventTime },
}

/// How far a search had come when outcomes were asked for, and why no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The search's order.
    pub order: SearchOrder,
    /// The first second of which not everything was sent.
    pub unanswered: EventTime,
    /// Why the search stopped there.
    pub stop: StopReason,
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

    /// Whether some of it was read by sessions.
    #[must_use]
    pub fn is_inferred(&self) -> bool {
        (self.role_reading.as_ref()).is_some_and(|reading| reading.inferred)
    }

    /// How a scan that reads by sessions will end at best.
    #[must_use]
    pub fn inferred_outcomes(&self, scan: &Scan) -> Vec<ScanOutcome> {
        let outcomes = owned(scan).into_iter().map(|own| ScanOutcome {
            role_reading: self.role_reading.clone(),
            ..own
        });
        outcomes.collect()
    }

    /// Counts an event of the answer.
    pub fn matched(&mut self, late: bool) {
        self.counts.events_matched += 1;
        self.counts.late_events += u64::from(late);
    }

    /// How a scan that has read records which are no events will end at best: somewhere in its interval
    /// one is missing, and nobody knows where.
    #[must_use]
    pub fn unreadable_outcomes(&self, scan: &Scan) -> Vec<ScanOutcome> {
        let records = self.counts.unreadable_records;
        let outcomes = owned(scan).into_iter().map(|own| ScanOutcome {
            state: OutcomeState::Truncated,
            counts: ScanCounts {
                unreadable_records: records,
                ..ScanCounts::default()
            },
            reason: Some(unreadable(records)),
            ..own
        });
        outcomes.collect()
    }

    /// The scan passed over seconds that it could no longer read. Says how that ends.
    pub fn lose(&mut self, scan: &Scan, lost: Lost) -> ScanOutcome {
        let outcome = passed_over(scan, &lost);
        self.lost.push(lost);
        outcome
    }

    /// Another scan takes a part over. Says how that part ends here.
    pub fn hand_over(&mut self, scan: &Scan, handed: Handed) -> Vec<ScanOutcome> {
        let outcomes = handed_over(scan, &handed);
        self.handed.push(handed);
        outcomes
    }

    /// Another scan of event history reads this part on, and has outcomes of its own.
    pub fn reads_elsewhere(&mut self, range: TimeRange) {
        self.elsewhere.push(range);
    }

    /// All of the scan was read, but for what others read.
    pub fn complete(&mut self) {
        self.ended = Some(LaneEnd::Read);
    }

    /// The scan broke; everything before the second `at` had been read.
    pub fn fail(&mut self, error: ScanError, at: EventTime) {
        self.ended = Some(LaneEnd::Broken { error, at });
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

    /// The scan's outcomes, if the search came as far as `reach`: one for each interval that it
    /// read without a break, and one for each that it passed over or that others took over. `bound` is the scan's own.
    #[must_use]
    pub fn outcomes(
        &self,
        scan: &Scan,
        bound: Option<EventTime>,
        reach: &Reach,
    ) -> Vec<ScanOutcome> {
        let mut outcomes = self.read_outcomes(scan, bound, reach);
        outcomes.extend(self.lost.iter().map(|lost| passed_over(scan, lost)));
        outcomes.extend(self.handed.iter().flat_map(|it| handed_over(scan, it)));
        // What the scan cost is said once.
        if let Some(first) = outcomes.first_mut() {
            first.counts = self.counts;
        }
        outcomes
    }

    /// The same without what was passed over or taken over, and with the counts in none of them.
    #[must_use]
    pub fn read_outcomes(
        &self,
        scan: &Scan,
        bound: Option<EventTime>,
        reach: &Reach,
    ) -> Vec<ScanOutcome> {
        let order = reach.order;
        let unread = match &self.ended {
            Some(LaneEnd::Read) => order.beyond(scan.range),
            Some(LaneEnd::Broken { at, .. }) => *at,
            None => bound.unwrap_or_else(|| order.beyond(scan.range)),
        };
        let unread = order.sooner(unread, reach.unanswered);
        let lost = self.lost.iter().map(|lost| lost.range);
        let handed = self.handed.iter().map(|handed| handed.range);
        let elsewhere = lost.chain(handed).chain(self.elsewhere.iter().copied());
        let elsewhere: Vec<TimeRange> = elsewhere.collect();
        let outcome = |own: &ScanOutcome, part: TimeRange| {
            let covered = order.read(part, unread);
            // What breaks a scan is no matter of the parts that it had read before.
            let whole = covered == Some(part) && order.beyond(part) != order.beyond(scan.range);
            let (state, reason) = self.end_of_part(whole, covered == Some(part), reach.stop);
            ScanOutcome {
                asked: part,
                covered,
                role_reading: self.role_reading.clone(),
                state,
                reason,
                ..own.clone()
            }
        };
        let mut outcomes = Vec::new();
        for own in owned(scan) {
            let mut parts = own.asked.without(elsewhere.iter().copied());
            parts.sort_by_key(|part| order.rank(order.first(*part)));
            outcomes.extend(parts.into_iter().map(|part| outcome(&own, part)));
        }
        outcomes
    }

    fn end_of_part(
        &self,
        before_the_end: bool,
        covered: bool,
        stop: StopReason,
    ) -> (OutcomeState, Option<Reason>) {
        let unreadable_records = self.counts.unreadable_records;
        match &self.ended {
            Some(LaneEnd::Broken { error, .. }) if !before_the_end => {
                let state = match error.reason.code {
                    _ if error.not_applicable => OutcomeState::NotApplicable,
                    ReasonCode::MaxScanBytes | ReasonCode::Quota | ReasonCode::AgedOut => {
                        OutcomeState::Truncated
                    }
                    _ => OutcomeState::Failed,
                };
                (state, Some(self.with_remarks(error.reason.clone())))
            }
            ended if !covered || (ended.is_none() && !before_the_end) => {
                let reason = self.with_remarks(stopped(stop));
                (OutcomeState::Truncated, Some(reason))
            }
            _ if unreadable_records > 0 => (
                OutcomeState::Truncated,
                Some(unreadable(unreadable_records)),
            ),
            // What it would have returned late belongs to nobody else's seconds.
            _ => match self.handed.first() {
                Some(handed) if self.counts.late_events > 0 => {
                    let reason = self.with_remarks(handed.reason.clone());
                    (OutcomeState::Truncated, Some(reason))
                }
                _ => (OutcomeState::Complete, None),
            },
        }
    }

    /// A scan that was cut off says also that what it covers has holes, or may have.
    fn with_remarks(&self, mut reason: Reason) -> Reason {
        let records = self.counts.unreadable_records;
        if records > 0 {
            reason.message.push_str("; moreover ");
            reason.message.push_str(&unreadable(records).message);
        }
        let late = self.counts.late_events;
        if late > 0 {
            let _ = write!(
                reason.message,
                "; AWS returned {late} of its events out of order: what it would have returned so \
                 after the cut is in no answer"
            );
        }
        reason
    }
}

/// A scan of which nothing could be read.
#[must_use]
pub fn failed(scan: &Scan, reason: Reason) -> ScanOutcome {
    blank(scan, OutcomeState::Failed, Some(reason))
}

/// The outcome of what a scan passed over.
fn passed_over(scan: &Scan, lost: &Lost) -> ScanOutcome {
    ScanOutcome {
        asked: lost.range,
        ..blank(scan, OutcomeState::Truncated, Some(lost.reason.clone()))
    }
}

/// What a scan hands over is an outcome that says who reads it, and what that one does not hold is as
/// unread as if nobody did.
fn handed_over(scan: &Scan, handed: &Handed) -> Vec<ScanOutcome> {
    let Handed {
        range,
        to,
        reason,
        lacking,
    } = handed;
    let (archive, log_group) = match &to.store {
        ReceiverStore::Archive(archive) => (Some(archive.name.clone()), None),
        ReceiverStore::LogGroup(log_group) => (None, Some(log_group.name.clone())),
    };
    let handed = ScanOutcome {
        asked: *range,
        archive,
        log_group,
        ..blank(scan, OutcomeState::HandedOver, Some(reason.clone()))
    };
    let lacking = to.lacks.iter().map(|events| ScanOutcome {
        asked: *range,
        events: events.clone(),
        ..blank(scan, *lacking, Some(reason.clone()))
    });
    std::iter::once(handed).chain(lacking).collect()
}

/// What a scan owns, an outcome for each part: of one that took over, what it took over.
pub(super) fn owned(scan: &Scan) -> Vec<ScanOutcome> {
    let all = blank(scan, OutcomeState::Complete, None);
    let Some(shares) = &scan.shares else {
        return vec![all];
    };
    let of_share = |share: &Share| ScanOutcome {
        accounts: share.accounts.iter().copied().collect(),
        regions: share.regions.iter().cloned().collect(),
        asked: share.range,
        ..all.clone()
    };
    shares.iter().map(of_share).collect()
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
        StopReason::Quota => (
            ReasonCode::Quota,
            "a bound of the service was reached, which the summary names: resume with its token for \
             the rest",
        ),
        StopReason::Idle => (
            ReasonCode::Idle,
            "the caller took nothing of the answer for too long: resume with the summary's token for \
             the rest",
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
