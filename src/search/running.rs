//! What exists between a search's plan and its summary: the merge, the scans and how far each came.

use std::time::Duration;

use tokio::time::Instant;

use super::facets::FacetCounter;
use super::fan_out::FanOut;
use super::hand_over::HandOvers;
use super::held::HeldEvent;
use super::item::{Answered, StopReason, Summary};
use super::merge::{Lane, Merge};
use super::outcomes::{LaneRecord, Reach, stopped};
use super::resume::{TokenWriter, position_before};
use super::scan_trace::end_of;
use super::verification::Verification;
use crate::backend::{Lost, PageCost, ScanError, SearchContext};
use crate::plan::facts::Routing;
use crate::plan::{
    Coverage, OutcomeState, QueryPlan, Reason, ReasonCode, RoleReading, Scan, ScanOutcome,
    ScanTarget,
};
use crate::query::{EventCategory, EventKey, EventTime, RecordView, SearchOrder};
use crate::telemetry::metrics::ScanEnd;

/// Failures that come close together are told together: one account's Regions fail at once.
const OUTCOME_DELAY: Duration = Duration::from_millis(50);

/// What exists between the plan and the summary.
pub(super) struct Running {
    pub order: SearchOrder,
    pub plan: QueryPlan,
    pub merge: Merge<HeldEvent>,
    pub fan_out: FanOut,
    pub lanes: Vec<LaneRecord>,
    /// Whether the archives have log files of what they are read for; begun late where bytes are
    /// limited, so that the events come first.
    pub verification: Verification,
    /// Outcomes that are bad or inferred and have not been told yet, and when they must be.
    pub untold: Vec<ScanOutcome>,
    pub tell_at: Option<Instant>,
    pub facets: FacetCounter,
    pub events_matched: u64,
    pub scans_done: u64,
    /// Why the search ends once all is sent that is read before what the spent bytes left unread.
    pub scan_bytes_spent: Option<StopReason>,
    /// Whether the caller limits what queries may scan.
    pub scan_bytes_limited: bool,
    pub routing: Routing,
    pub hand_overs: HandOvers,
    pub position: Option<EventKey>,
}

impl Running {
    pub fn fail(&mut self, lane: Lane, error: ScanError) {
        let scan = &self.plan.scans[lane];
        let bound = (self.merge.bound(lane)).unwrap_or_else(|| self.order.beyond(scan.range));
        let at = error.stopped_at.unwrap_or(bound);
        if let Some(stop) = by_spent_bytes(&error.reason) {
            self.scan_bytes_spent = Some(stop);
            self.spend_scan_bytes(&error.reason);
        }
        self.end_badly(lane, error, at);
    }

    /// The byte budget is spent: no further slice is begun.
    fn spend_scan_bytes(&mut self, reason: &Reason) {
        for lane in self.fan_out.abandon_queries() {
            let range = self.plan.scans[lane].range;
            let bound = (self.merge.bound(lane)).unwrap_or_else(|| self.order.beyond(range));
            let error = ScanError {
                reason: reason.clone(),
                not_applicable: false,
                stopped_at: None,
                cost: PageCost::default(),
            };
            self.end_badly(lane, error, bound);
        }
    }

    fn end_badly(&mut self, lane: Lane, mut error: ScanError, at: EventTime) {
        self.lanes[lane].spend(&error.cost);
        self.scans_done += 1;
        let scan = &self.plan.scans[lane];
        let rest = self.order.rest(scan.range, at);
        let (scan_bytes, took_over) = (
            by_spent_bytes(&error.reason).is_some(),
            scan.shares.is_some(),
        );
        if scan_bytes && took_over {
            error.reason.message.push_str(
                "; not all of what was handed over here was read by then: ask for it again",
            );
        }
        // What others hold does apply, though event history no longer shows it.
        if error.not_applicable && rest.is_some_and(|rest| self.is_withheld(lane, rest)) {
            error.not_applicable = false;
            error.reason.message.push_str(
                "; what an archive or log group holds of it was not asked for, because the bytes \
                 that may be scanned are spent",
            );
        }
        let lacking = if error.not_applicable {
            OutcomeState::NotApplicable
        } else {
            OutcomeState::Failed
        };
        let mut end = end_of(&error);
        if let Some(rest) = rest
            && self
                .hand_over(lane, rest, &error.reason, lacking)
                .is_empty()
        {
            end = ScanEnd::HandedOver;
        }
        self.lanes[lane].fail(error, at);
        self.scan_ended(lane, end);
        // Where the byte budget ended, the answer ends: nothing beyond is sent, so that a token
        // continues with exactly the rest. Any other failure costs its own part only, and so does
        // that of a scan which reads for one that had failed.
        let end_of_answer = (scan_bytes && !took_over).then_some(at);
        self.merge.advance(lane, end_of_answer);
        let scan = &self.plan.scans[lane];
        let all = Reach {
            order: self.order,
            unanswered: self.order.beyond(scan.range),
            stop: StopReason::End,
        };
        let outcomes = self.lanes[lane].read_outcomes(scan, None, &all);
        self.untold.extend(outcomes.into_iter().filter(|outcome| {
            !matches!(
                outcome.state,
                OutcomeState::Complete | OutcomeState::NotApplicable
            )
        }));
        self.tell_soon();
    }

    /// Counts how a scan ended, if it had begun.
    pub(super) fn scan_ended(&mut self, lane: Lane, end: ScanEnd) {
        let counts = self.lanes[lane].counts();
        let end = match end {
            ScanEnd::Complete if counts.unreadable_records > 0 => ScanEnd::Truncated,
            end => end,
        };
        self.fan_out.scan_ended(lane, end, counts);
    }

    /// Counts what a page cost. The first record that could not be read is told: a token may pass it.
    pub fn spend(&mut self, lane: Lane, cost: &PageCost) {
        let first = self.lanes[lane].counts().unreadable_records == 0;
        self.lanes[lane].spend(cost);
        if first && cost.unreadable_records > 0 {
            let outcomes = self.lanes[lane].unreadable_outcomes(&self.plan.scans[lane]);
            self.untold.extend(outcomes);
            self.tell_soon();
        }
    }

    /// Notes how a scan reads roles, if it says so. That some of it is inferred is told: a token may pass
    /// all of it.
    pub fn reads_roles(&mut self, lane: Lane, reading: Option<RoleReading>) {
        let record = &mut self.lanes[lane];
        let was_inferred = record.is_inferred();
        record.reads_roles(reading);
        if record.is_inferred() && !was_inferred {
            let outcomes = record.inferred_outcomes(&self.plan.scans[lane]);
            self.untold.extend(outcomes);
            self.tell_soon();
        }
    }

    /// A scan goes on without seconds that it can no longer read.
    pub fn lose(&mut self, lane: Lane, lost: &Lost) {
        let lacking = OutcomeState::Failed;
        for range in self.hand_over(lane, lost.range, &lost.reason, lacking) {
            let reason = lost.reason.clone();
            let outcome = self.lanes[lane].lose(&self.plan.scans[lane], Lost { range, reason });
            self.untold.push(outcome);
        }
        self.tell_soon();
    }

    pub(super) fn tell_soon(&mut self) {
        if !self.untold.is_empty() {
            self.tell_at
                .get_or_insert_with(|| Instant::now() + OUTCOME_DELAY);
        }
    }

    /// Why the search ends now, if all is sent that is read before what the spent bytes left unread.
    pub fn stopped_by_spent_bytes(&self) -> Option<StopReason> {
        let waits = (self.merge.waiting_for()).any(|lane| self.lanes[lane].has_ended());
        self.scan_bytes_spent.filter(|_| waits)
    }

    /// The first second that is not answered: everything before it has been sent, or is named by
    /// an outcome.
    pub fn unanswered(&self) -> EventTime {
        let range = self.plan.range;
        match self.merge.unreleased() {
            // What came out of order may be read before everything that is asked for.
            Some(second) => self.order.later(second, self.order.first(range)),
            None => self.order.beyond(range),
        }
    }

    /// Where to go on: after the last event sent, or further if more is answered than was sent.
    pub fn resume_position(&self, unanswered: EventTime) -> Option<EventKey> {
        if unanswered == self.order.first(self.plan.range) {
            return self.position.clone();
        }
        let by_time = position_before(self.order, unanswered);
        let sent = self.position.iter().cloned();
        (sent.chain(by_time)).max_by(|sent, by_time| self.order.compare(sent, by_time))
    }

    pub fn summary(
        mut self,
        stop: StopReason,
        context: &SearchContext,
        tokens: &TokenWriter,
        scope_limited: bool,
    ) -> Summary {
        self.keep_gathered();
        for lane in 0..self.lanes.len() {
            // Only what has not ended by itself is still open.
            self.scan_ended(lane, ScanEnd::Truncated);
        }
        let unanswered = match (stop, &self.position) {
            // The last event's second may hold more that were not sent.
            (StopReason::MaxEvents, Some(last)) => self.order.sooner(last.time, self.unanswered()),
            (StopReason::End, _) => self.order.beyond(self.plan.range),
            _ => self.unanswered(),
        };
        let reach = Reach {
            order: self.order,
            unanswered,
            stop,
        };
        let scans = self.plan.scans.iter().zip(&self.lanes).enumerate();
        let why = stopped(stop);
        let before = self.plan.read_before.iter();
        let before = before.flat_map(|scan| self.verification.judge_unread(scan, &why));
        let outcomes: Vec<ScanOutcome> = scans
            .flat_map(|(lane, (scan, record))| {
                let mut outcomes = record.outcomes(scan, self.merge.bound(lane), &reach);
                for outcome in &mut outcomes {
                    self.verification.judge(scan, outcome, &why);
                }
                outcomes
            })
            .chain(before)
            .chain(self.plan.gaps.iter().cloned().map(ScanOutcome::from))
            .collect();
        let resume = match stop {
            StopReason::End => None,
            StopReason::MaxEvents => self.position.clone(),
            StopReason::MaxScanBytes
            | StopReason::Deadline
            | StopReason::Drain
            | StopReason::Quota
            | StopReason::Idle => self.resume_position(unanswered),
        };
        let query = &context.query;
        let asked = query.filter.categories();
        let total = |count: fn(&LaneRecord) -> u64| self.lanes.iter().map(count).sum::<u64>();
        let verified = self.verification.spent();
        Summary {
            stop_reason: stop,
            range: query.range,
            answered: Answered::before(self.order, unanswered),
            provisional_from: (self.plan.settled_until < query.range.end())
                .then_some(self.plan.settled_until.max(query.range.start())),
            limited: stop == StopReason::MaxEvents,
            scope_limited,
            events_sent: match query.record_view {
                RecordView::None => 0,
                _ => self.events_matched,
            },
            events_matched: self.events_matched,
            events_read: total(|lane| lane.counts().events_read),
            duplicates_removed: self.merge.duplicates(),
            late_events: total(|lane| lane.counts().late_events),
            requests: total(|lane| lane.counts().requests) + verified.requests(),
            throttles: total(|lane| lane.counts().throttles) + verified.throttles(),
            bytes_scanned: total(|lane| lane.counts().bytes_scanned) + verified.bytes_scanned(),
            categories_not_searched: [
                EventCategory::Management,
                EventCategory::Data,
                EventCategory::NetworkActivity,
                EventCategory::Insight,
            ]
            .into_iter()
            .filter(|category| !asked.contains(category))
            .collect(),
            facets: self.facets.report(),
            resume_token: (stop != StopReason::End).then(|| tokens.write(resume.as_ref())),
            quota: None,
            coverage: Coverage { outcomes },
        }
    }
}

/// Why a search ends if a scan ended for this reason: what queries may scan is spent.
fn by_spent_bytes(reason: &Reason) -> Option<StopReason> {
    match reason.code {
        ReasonCode::MaxScanBytes => Some(StopReason::MaxScanBytes),
        ReasonCode::Quota => Some(StopReason::Quota),
        _ => None,
    }
}

/// A scan in words, for progress.
pub(super) fn describe(scan: &Scan) -> String {
    match &scan.target {
        ScanTarget::EventHistory {
            account, region, ..
        } => format!("event_history {account} {region}"),
        ScanTarget::Logs { log_group, .. } => format!("logs {} {}", log_group.name, scan.range),
        ScanTarget::Athena { archive, .. } => format!("athena {} {}", archive.name, scan.range),
    }
}
