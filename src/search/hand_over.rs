//! Scans that take over what others leave, while a search runs.
//!
//! What a scan of event history leaves waits in a lane of its receiver, which holds its seconds back
//! in the merge from the moment in which the old lane no longer does: nothing is released before its
//! turn. The lane gathers, so that all that one archive takes over is one query, and is read once the
//! merge waits for nothing else: every other scan that could join by then has come as far, or has
//! failed and joined.

use std::collections::BTreeMap;

use super::item::StopReason;
use super::merge::Lane;
use super::outcomes::{Handed, stopped};
use super::running::Running;
use crate::backend::ScanReader;
use crate::plan::hand_over::{ReceiverId, Rest, Rests, Taking};
use crate::plan::{OutcomeState, Reason, ReasonCode, Scan, ScanId, ScanTarget};
use crate::query::TimeRange;
use crate::telemetry::metrics::ScanEnd;

/// Lanes that are still to be read.
#[derive(Default)]
pub(super) struct HandOvers {
    gathering: BTreeMap<ReceiverId, Gathering>,
    /// Scans that are to begin now.
    ready: Vec<Lane>,
    /// Scans that begin once it is known whether their archives have log files of what they read: where
    /// a stream breaks off, that has been told of all that its tokens pass.
    verifying: Vec<Lane>,
}

/// A lane that gathers what it will read.
struct Gathering {
    lane: Lane,
    rests: Rests,
    /// Whether some of it is what is left of a long scan: others that are long too are to join.
    long: bool,
}

impl HandOvers {
    /// Lets a lane wait for its verification.
    pub fn verify(&mut self, lane: Lane) {
        self.verifying.push(lane);
    }
}

impl Running {
    /// Gives a part of a scan of event history, which it cannot read, to those who hold it: events
    /// that those lack end as `lacking`. Returns what nobody takes over.
    pub fn hand_over(
        &mut self,
        lane: Lane,
        rest: TimeRange,
        reason: &Reason,
        lacking: OutcomeState,
    ) -> Vec<TimeRange> {
        // Nothing more may be asked of those whose bytes are spent.
        if self.scan_bytes_spent.is_some() {
            return vec![rest];
        }
        let id = self.plan.scans[lane].id;
        let divided = self.plan.receivers.divide(id, rest, Taking::Anyone);
        self.give(lane, divided.given, reason, lacking, false);
        divided.kept
    }

    /// Whether some of this part of a scan of event history is held elsewhere, and yet nobody may be
    /// asked for it.
    pub fn is_withheld(&self, lane: Lane, rest: TimeRange) -> bool {
        let id = self.plan.scans[lane].id;
        let divided = self.plan.receivers.divide(id, rest, Taking::Anyone);
        self.scan_bytes_spent.is_some() && !divided.given.is_empty()
    }

    /// Gives what is left of a scan of event history that has turned out long to those who hold
    /// all of it. What they do not hold is read on by a scan of its own.
    pub fn hand_over_if_long(&mut self, lane: Lane) {
        if self.requests_made(lane) >= self.routing.max_lookup_pages {
            self.hand_over_long(lane, None);
        }
    }

    /// A scan that begins to read now, if there is one.
    pub fn next_to_open(&mut self) -> Option<Lane> {
        if self.hand_overs.ready.is_empty() {
            self.end_gathering();
        }
        self.hand_overs.ready.pop()
    }

    /// A scan that begins to read now that its archive's log files are known, if there is one: what is
    /// unverified is told before any of its events.
    pub fn next_verified(&mut self) -> Option<Lane> {
        let known = |lane: &Lane| self.verification.is_known(self.plan.scans[*lane].id);
        let place = self.hand_overs.verifying.iter().position(known)?;
        let lane = self.hand_overs.verifying.swap_remove(place);
        let scan = &self.plan.scans[lane];
        let unverified = self
            .verification
            .judge_unread(scan, &stopped(StopReason::End));
        self.untold.extend(unverified);
        self.tell_soon();
        Some(lane)
    }

    /// Begins to read a lane.
    pub fn open(&mut self, lane: Lane, reader: Box<dyn ScanReader>) {
        if let Some(bound) = self.merge.bound(lane) {
            let scan = self.plan.scans[lane].clone();
            self.fan_out.open(lane, scan, reader, bound);
        }
    }

    /// Makes scans of all that was gathered, without reading them: the search has ended.
    pub fn keep_gathered(&mut self) {
        for (id, gathering) in std::mem::take(&mut self.hand_overs.gathering) {
            self.plan_gathered(id, &gathering);
        }
    }

    /// Lets the lanes begin that the merge waits for, if it waits for nothing else.
    fn end_gathering(&mut self) {
        let gathering = &self.hand_overs.gathering;
        if gathering.is_empty() {
            return;
        }
        let of = |lane: Lane| gathering.iter().find(|(_, it)| it.lane == lane);
        let begin: Option<Vec<(ReceiverId, bool)>> = (self.merge.waiting_for())
            .map(|lane| of(lane).map(|(id, it)| (*id, it.long)))
            .collect();
        for (id, long) in begin.into_iter().flatten() {
            if long {
                self.let_long_ones_join(id);
            }
            if let Some(gathering) = self.hand_overs.gathering.remove(&id) {
                self.plan_gathered(id, &gathering);
                self.hand_overs.ready.push(gathering.lane);
            }
        }
    }

    /// Scans that have read half as much join, so that those which turn out long one after the other
    /// are few queries.
    fn let_long_ones_join(&mut self, id: ReceiverId) {
        for lane in 0..self.lanes.len() {
            if self.requests_made(lane) >= self.routing.max_lookup_pages.div_ceil(2) {
                self.hand_over_long(lane, Some(id));
            }
        }
    }

    /// Hands a scan over that could still be read, if it is not being read in this moment: to
    /// whoever holds all of it, or only if that is `to`.
    fn hand_over_long(&mut self, lane: Lane, to: Option<ReceiverId>) {
        // A caller who limits what is scanned would rather wait for what costs nothing.
        let limited = self.scan_bytes_limited;
        // Nor is a scan cut of which more may come out of order: nobody else would read that.
        let out_of_order = self.lanes[lane].counts().late_events > 0;
        let (scan, bound) = (&self.plan.scans[lane], self.merge.bound(lane));
        let Some(rest) = bound.and_then(|bound| self.order.rest(scan.range, bound)) else {
            return;
        };
        let divided = (self.plan.receivers).divide(scan.id, rest, Taking::WhoHoldsAll);
        let taken = |id| divided.given.iter().any(|(given, _)| *given == id);
        let wanted = to.map_or(!divided.given.is_empty(), taken);
        if limited || out_of_order || !wanted || !self.fan_out.end(lane, &self.merge) {
            return;
        }
        let (target, categories) = (scan.target.clone(), scan.categories.clone());
        let reason = Reason::new(
            ReasonCode::MaxLookupPages,
            format!(
                "event history took {} requests here without an end (routing.max_lookup_pages is {}), and \
                 an archive or log group reads the rest faster",
                self.requests_made(lane),
                self.routing.max_lookup_pages
            ),
        );
        self.give(lane, divided.given, &reason, OutcomeState::Failed, true);
        for range in divided.kept {
            self.lanes[lane].reads_elsewhere(range);
            let scan = |id| Scan {
                id,
                target: target.clone(),
                range,
                categories: categories.clone(),
                shares: None,
            };
            let next = self.add(range, scan);
            let (from, to) = (self.plan.scans[lane].id, self.plan.scans[next].id);
            self.plan.receivers.pass_on(from, range, to);
            self.hand_overs.ready.push(next);
        }
        self.lanes[lane].complete();
        self.scan_ended(lane, ScanEnd::HandedOver);
        self.scans_done += 1;
        self.merge.advance(lane, None);
    }

    fn give(
        &mut self,
        lane: Lane,
        given: Vec<(ReceiverId, TimeRange)>,
        reason: &Reason,
        lacking: OutcomeState,
        long: bool,
    ) {
        let ScanTarget::EventHistory {
            account, region, ..
        } = &self.plan.scans[lane].target
        else {
            return;
        };
        let (account, region) = (*account, region.clone());
        for (id, range) in given {
            let receiver = self.plan.receivers.get(id).clone();
            let rest = Rest {
                account,
                region: region.clone(),
                range,
            };
            let first = self.order.first(range);
            if let Some(gathering) = self.hand_overs.gathering.get_mut(&id) {
                self.merge.hold_back(gathering.lane, first);
                gathering.rests.add(rest);
                gathering.long |= long;
            } else {
                let rests = Rests::of(rest);
                let insights_from = self.routing.insights_min_interval;
                let lane = self.add(range, |id| receiver.scan(id, &rests, insights_from));
                let gathering = Gathering { lane, rests, long };
                self.hand_overs.gathering.insert(id, gathering);
            }
            let handed = Handed {
                range,
                to: receiver,
                reason: reason.clone(),
                lacking,
            };
            let mut told = self.lanes[lane].hand_over(&self.plan.scans[lane], handed);
            told.retain(|outcome| outcome.state != OutcomeState::NotApplicable);
            self.untold.extend(told);
            self.tell_soon();
        }
    }

    /// One more lane, whose first second is that of `range`.
    fn add(&mut self, range: TimeRange, scan: impl FnOnce(ScanId) -> Scan) -> Lane {
        let lane = self.merge.add(self.order.first(range));
        let scan = scan(ScanId(u32::try_from(lane).unwrap_or(u32::MAX)));
        self.fan_out.add(scan.clone());
        self.plan.scans.push(scan);
        self.lanes.push(super::outcomes::LaneRecord::default());
        lane
    }

    /// The scan of all that a lane has gathered.
    fn plan_gathered(&mut self, id: ReceiverId, gathering: &Gathering) {
        let receiver = self.plan.receivers.get(id);
        let id = self.plan.scans[gathering.lane].id;
        let insights_from = self.routing.insights_min_interval;
        self.plan.scans[gathering.lane] = receiver.scan(id, &gathering.rests, insights_from);
    }

    /// Those of finding sessions too: they cost the same turns.
    fn requests_made(&self, lane: Lane) -> u64 {
        let counts = self.lanes[lane].counts();
        counts.requests - counts.throttles.min(counts.requests)
    }
}
