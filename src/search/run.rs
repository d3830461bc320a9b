//! One search, from its plan to its summary.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};

use super::engine::Shared;
use super::facets::FacetCounter;
use super::fan_out::{FanOut, HeldEvent, Step};
use super::item::{KeyOwner, PlanAnnouncement, Progress, Route, SearchItem, StopReason, Summary};
use super::merge::{Lane, Merge, Released};
use super::outcomes::{LaneRecord, of_gap};
use super::resume::{TokenWriter, answered_from};
use crate::backend::{ScanError, SearchContext};
use crate::plan::facts::AccountFacts;
use crate::plan::{
    Coverage, Facts, OutcomeState, QueryPlan, Reason, ReasonCode, Scan, ScanOutcome, ScanTarget,
};
use crate::query::{
    AccessKeyId, AccountId, EventCategory, EventKey, EventTime, Identity, RecordView,
};

/// A deadline is met this much early, so that the summary still arrives.
const DEADLINE_MARGIN: Duration = Duration::from_secs(2);
/// Failures that come close together are told together: one account's Regions fail at once.
const OUTCOME_DELAY: Duration = Duration::from_millis(50);
/// How many scans a progress message names.
const NAMED_IN_PROGRESS: usize = 3;

/// One search. Owns all that it started: dropping it stops it.
pub(super) struct Search {
    shared: Arc<Shared>,
    context: Arc<SearchContext>,
    accounts: Vec<AccountFacts>,
    tokens: Option<TokenWriter>,
    scope: [u8; 16],
    /// Messages that are ready.
    ready: VecDeque<SearchItem>,
    running: Option<Running>,
    begun: bool,
    stop_at: Option<Instant>,
    last_item: Instant,
    last_progress: Instant,
    _permit: OwnedSemaphorePermit,
}

/// What exists between the plan and the summary.
struct Running {
    plan: QueryPlan,
    merge: Merge<HeldEvent>,
    fan_out: FanOut,
    lanes: Vec<LaneRecord>,
    /// Bad outcomes that have not been told yet, and when they must be.
    untold: Vec<ScanOutcome>,
    tell_at: Option<Instant>,
    facets: FacetCounter,
    events_matched: u64,
    scans_done: u64,
    scan_bytes_spent: bool,
    position: Option<EventKey>,
}

/// What the search waited for.
enum Woken {
    Step(Step),
    Stop(StopReason),
    Progress,
    Tell,
    /// No step is running and none can start: every lane has ended.
    Idle,
}

impl Search {
    pub(super) fn new(
        shared: Arc<Shared>,
        context: SearchContext,
        accounts: Vec<AccountFacts>,
        scope: [u8; 16],
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let now = Instant::now();
        let stop_at = context.deadline.map(|deadline| {
            let deadline = Instant::from_std(deadline);
            let left = deadline.saturating_duration_since(now);
            deadline - DEADLINE_MARGIN.min(left / 2)
        });
        Self {
            shared,
            context: Arc::new(context),
            accounts,
            tokens: None,
            scope,
            ready: VecDeque::new(),
            running: None,
            begun: false,
            stop_at,
            last_item: now,
            last_progress: now,
            _permit: permit,
        }
    }

    /// The next message; `None` after the summary.
    pub(super) async fn next(&mut self) -> Option<SearchItem> {
        if !self.begun {
            self.begun = true;
            self.begin().await;
        }
        while self.ready.is_empty() && self.running.is_some() {
            self.advance().await;
        }
        self.last_item = Instant::now();
        self.ready.pop_front()
    }

    /// Reads the facts, plans, and announces the plan and its gaps.
    async fn begin(&mut self) {
        let now = self.shared.parts.clock.now();
        let query = &self.context.query;
        // The deadline is met early also by a search that has not got beyond its facts.
        let mut limit = self.shared.parts.limits.facts_timeout;
        if let Some(stop_at) = self.stop_at {
            limit = limit.min(stop_at.saturating_duration_since(Instant::now()));
        }
        let (archives, key_owners) = tokio::join!(
            self.shared.parts.facts.archives(limit),
            read_key_owners(&self.shared, &self.context, limit),
        );
        let facts = Facts {
            accounts: self.accounts.clone(),
            archives,
            routing: self.shared.parts.routing.clone(),
        };
        let plan = crate::plan::plan(query, &facts, now);
        let tokens = TokenWriter::new(query, self.scope, plan.horizon);
        let names: BTreeMap<AccountId, Option<Arc<str>>> = (self.accounts.iter())
            .map(|account| (account.id, account.name.clone()))
            .collect();
        self.ready
            .push_back(SearchItem::Plan(Box::new(PlanAnnouncement {
                now,
                range: query.range,
                horizon: plan.horizon,
                settled_until: plan.settled_until,
                accounts: names.into_iter().collect(),
                routes: routes(&plan.scans),
                gaps: plan.gaps.clone(),
                key_owners,
                resume_token: tokens.write(query.resume.as_ref().and_then(|r| r.position.as_ref())),
            })));
        let gaps: Vec<ScanOutcome> = plan.gaps.iter().map(of_gap).collect();
        if !gaps.is_empty() {
            self.ready.push_back(SearchItem::Outcomes(gaps));
        }
        self.tokens = Some(tokens);
        self.running = Some(self.fan_out(plan));
    }

    fn fan_out(&self, plan: QueryPlan) -> Running {
        let parts = &self.shared.parts;
        let readers = plan.scans.iter().map(|scan| match scan.target {
            ScanTarget::EventHistory { .. } => parts.event_history.open(scan, &self.context),
            ScanTarget::Athena { .. } => parts.athena.open(scan, &self.context),
        });
        let athena_at_once = match self.context.query.max_scan_bytes {
            Some(_) => 1,
            None => parts.limits.athena_queries_per_search,
        };
        let accounts: BTreeSet<AccountId> = plan.accounts.iter().copied().collect();
        Running {
            merge: Merge::new(plan.scans.iter().map(|scan| scan.range.last())),
            fan_out: FanOut::new(
                plan.scans.clone(),
                readers.collect(),
                athena_at_once,
                self.shared.memory.clone(),
                Arc::clone(&self.context),
                Arc::new(accounts),
            ),
            lanes: vec![LaneRecord::default(); plan.scans.len()],
            untold: Vec::new(),
            tell_at: None,
            facets: FacetCounter::default(),
            events_matched: 0,
            scans_done: 0,
            scan_bytes_spent: false,
            position: (self.context.query.resume.as_ref()).and_then(|r| r.position.clone()),
            plan,
        }
    }

    /// Moves the search on until something is ready or it has ended.
    async fn advance(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        if self.shared.parts.drain.is_cancelled() {
            return self.end(StopReason::Drain);
        }
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if is_due(self.stop_at) {
            return self.end(StopReason::Deadline);
        }
        // However busy the search is: neither is put off by events that flow.
        if is_due(running.tell_at) {
            return self.tell();
        }
        if is_due(self.progress_at()) {
            return self.report_progress();
        }
        let Some(running) = &mut self.running else {
            return;
        };
        if let Some(released) = running.merge.release() {
            self.take(released);
            return;
        }
        if running.merge.finished() {
            return self.end(StopReason::End);
        }
        if running.waits_for_spent_bytes() {
            return self.end(StopReason::MaxScanBytes);
        }
        running.fan_out.start_steps(&running.merge);
        match self.wait().await {
            Woken::Step(step) => self.end_step(step),
            Woken::Stop(stop) => self.end(stop),
            Woken::Progress => self.report_progress(),
            Woken::Tell => self.tell(),
            Woken::Idle => {
                tracing::error!("a search has lanes left that nobody reads");
                self.end(StopReason::End);
            }
        }
    }

    /// When the caller wants to hear of progress next, whatever else is said.
    fn progress_at(&self) -> Option<Instant> {
        let interval = self.context.query.progress_interval?;
        Some(self.last_progress + interval)
    }

    async fn wait(&mut self) -> Woken {
        let progress_at = self.progress_at();
        let Some(running) = &mut self.running else {
            return Woken::Idle;
        };
        let silent_until = self.last_item + self.shared.parts.limits.silence;
        let progress_at = progress_at.map_or(silent_until, |at| at.min(silent_until));
        let tell_at = running.tell_at;
        tokio::select! {
            biased;
            () = self.shared.parts.drain.cancelled() => Woken::Stop(StopReason::Drain),
            () = until(self.stop_at) => Woken::Stop(StopReason::Deadline),
            () = until(tell_at) => Woken::Tell,
            () = sleep_until(progress_at) => Woken::Progress,
            step = running.fan_out.next_step(&running.merge) => step.map_or(Woken::Idle, Woken::Step),
        }
    }

    /// An event in its turn: counted, and sent unless only a summary is wanted.
    fn take(&mut self, released: Released<HeldEvent>) {
        // A bad outcome is told before any event that is older than it.
        self.tell();
        let (Some(running), Some(tokens)) = (&mut self.running, &self.tokens) else {
            return;
        };
        let Released {
            lane,
            key,
            event,
            late,
        } = released;
        running.fan_out.released(lane, &running.merge);
        running.lanes[lane].matched(late);
        running.facets.count(&event.event);
        running.events_matched += 1;
        if !late {
            running.position = Some(key);
        }
        if self.context.query.record_view != RecordView::None {
            let mut event = event.event;
            event.late = late;
            self.ready.push_back(SearchItem::Event {
                event,
                resume_token: tokens.write(running.position.as_ref()),
            });
        }
        let limit = self.context.query.max_events;
        if limit.is_some_and(|limit| running.events_matched >= limit) && !running.merge.finished() {
            self.end(StopReason::MaxEvents);
        }
    }

    fn end_step(&mut self, step: Step) {
        let Some(running) = &mut self.running else {
            return;
        };
        let lane = step.lane;
        match step.result {
            Ok(admitted) => {
                running.lanes[lane].spend(&admitted.page.cost);
                for held in admitted.events {
                    running.merge.hold(lane, held.event.key.clone(), held);
                }
                if admitted.page.end {
                    running.lanes[lane].complete();
                    running.scans_done += 1;
                    running.merge.lower(lane, None);
                } else if let Some(bound) = admitted.page.bound {
                    running.merge.lower(lane, Some(bound));
                }
            }
            Err(error) => running.fail(lane, error),
        }
    }

    /// Tells the bad outcomes that are known.
    fn tell(&mut self) {
        if let Some(running) = &mut self.running
            && !running.untold.is_empty()
        {
            running.tell_at = None;
            let outcomes = std::mem::take(&mut running.untold);
            self.ready.push_back(SearchItem::Outcomes(outcomes));
        }
    }

    fn report_progress(&mut self) {
        self.last_progress = Instant::now();
        let (Some(running), Some(tokens)) = (&self.running, &self.tokens) else {
            return;
        };
        let answered = running.answered_from();
        let sum = |count: fn(&LaneRecord) -> u64| running.lanes.iter().map(count).sum();
        self.ready.push_back(SearchItem::Progress(Progress {
            scans_done: running.scans_done,
            scans_total: running.plan.scans.len() as u64,
            answered_from: answered,
            waiting_for: (running.merge.waiting_for().take(NAMED_IN_PROGRESS))
                .map(|lane| describe(&running.plan.scans[lane]))
                .collect(),
            events_sent: running.events_matched,
            events_read: sum(|lane| lane.counts().events_read),
            bytes_scanned: sum(|lane| lane.counts().bytes_scanned),
            resume_token: tokens.write(running.resume_position(answered).as_ref()),
        }));
    }

    /// Ends the search with its summary; what still runs is dropped.
    fn end(&mut self, stop: StopReason) {
        self.tell();
        let (Some(running), Some(tokens)) = (self.running.take(), &self.tokens) else {
            return;
        };
        let summary = running.summary(stop, &self.context, tokens);
        self.ready.push_back(SearchItem::Summary(Box::new(summary)));
    }
}

impl Running {
    fn fail(&mut self, lane: Lane, error: ScanError) {
        let scan = &self.plan.scans[lane];
        let bound = self.merge.bound(lane).unwrap_or(scan.range.start());
        let from = error.covered_from.unwrap_or_else(|| bound.plus(1));
        if error.reason.code == ReasonCode::MaxScanBytes {
            self.spend_scan_bytes(&error.reason);
        }
        self.end_badly(lane, error, from);
    }

    /// The byte budget is spent: no further slice is begun.
    fn spend_scan_bytes(&mut self, reason: &Reason) {
        self.scan_bytes_spent = true;
        for lane in self.fan_out.abandon_athena() {
            let bound = self
                .merge
                .bound(lane)
                .unwrap_or(self.plan.scans[lane].range.start());
            let error = ScanError {
                reason: reason.clone(),
                not_applicable: false,
                covered_from: None,
                cost: crate::backend::PageCost::default(),
            };
            self.end_badly(lane, error, bound.plus(1));
        }
    }

    fn end_badly(&mut self, lane: Lane, error: ScanError, from: EventTime) {
        let error_code = error.reason.code;
        self.lanes[lane].spend(&error.cost);
        self.lanes[lane].fail(error, from);
        self.scans_done += 1;
        // Where the byte budget ended, the answer ends: nothing older is sent, so that a token
        // continues with exactly the rest. Any other failure costs its own part only.
        let end_of_answer = (error_code == ReasonCode::MaxScanBytes).then(|| from.plus(-1));
        self.merge.lower(lane, end_of_answer);
        let scan = &self.plan.scans[lane];
        let outcome = self.lanes[lane].outcome(scan, None, scan.range.start(), StopReason::End);
        if outcome.state != OutcomeState::NotApplicable {
            self.untold.push(outcome);
            self.tell_at
                .get_or_insert_with(|| Instant::now() + OUTCOME_DELAY);
        }
    }

    /// Whether all is sent that is newer than what the spent byte budget left unread.
    fn waits_for_spent_bytes(&self) -> bool {
        self.scan_bytes_spent && (self.merge.waiting_for()).any(|lane| self.lanes[lane].has_ended())
    }

    /// Everything from this time on has been sent, or is named by an outcome.
    fn answered_from(&self) -> EventTime {
        match self.merge.unreleased() {
            Some(second) => second.plus(1).min(self.plan.range.end()),
            None => self.plan.range.start(),
        }
    }

    /// Where to go on: after the last event sent, or further if more is answered than was sent.
    fn resume_position(&self, answered: EventTime) -> Option<EventKey> {
        if answered >= self.plan.range.end() {
            return self.position.clone();
        }
        let by_time = answered_from(answered);
        match &self.position {
            Some(sent) if by_time.as_ref().is_none_or(|by_time| sent < by_time) => {
                Some(sent.clone())
            }
            _ => by_time,
        }
    }

    fn summary(self, stop: StopReason, context: &SearchContext, tokens: &TokenWriter) -> Summary {
        let answered = match (stop, &self.position) {
            // The last event's second may hold more that were not sent.
            (StopReason::MaxEvents, Some(last)) => last.time.plus(1).max(self.answered_from()),
            (StopReason::End, _) => self.plan.range.start(),
            _ => self.answered_from(),
        };
        let scans = self.plan.scans.iter().zip(&self.lanes).enumerate();
        let outcomes: Vec<ScanOutcome> = scans
            .map(|(lane, (scan, record))| {
                record.outcome(scan, self.merge.bound(lane), answered, stop)
            })
            .chain(self.plan.gaps.iter().map(of_gap))
            .collect();
        let resume = match stop {
            StopReason::End => None,
            StopReason::MaxEvents => self.position.clone(),
            StopReason::MaxScanBytes | StopReason::Deadline | StopReason::Drain => {
                self.resume_position(answered)
            }
        };
        let query = &context.query;
        let asked = query.filter.categories();
        let total = |count: fn(&LaneRecord) -> u64| self.lanes.iter().map(count).sum();
        Summary {
            stop_reason: stop,
            range: query.range,
            answered_from: answered,
            provisional_from: (self.plan.settled_until < query.range.end())
                .then_some(self.plan.settled_until.max(query.range.start())),
            limited: stop == StopReason::MaxEvents,
            events_sent: match query.record_view {
                RecordView::None => 0,
                _ => self.events_matched,
            },
            events_matched: self.events_matched,
            events_read: total(|lane| lane.counts().events_read),
            duplicates_removed: self.merge.duplicates(),
            late_events: total(|lane| lane.counts().late_events),
            requests: total(|lane| lane.counts().requests),
            throttles: total(|lane| lane.counts().throttles),
            bytes_scanned: total(|lane| lane.counts().bytes_scanned),
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
            coverage: Coverage { outcomes },
        }
    }
}

/// Whose the access keys of the question are: worth more than many accounts that say nothing.
async fn read_key_owners(
    shared: &Shared,
    context: &SearchContext,
    limit: Duration,
) -> Vec<KeyOwner> {
    let parts = &shared.parts;
    let keys = context
        .query
        .identities
        .iter()
        .filter_map(|identity| match identity {
            Identity::AccessKeyId(key) => Some(key),
            _ => None,
        });
    let owners = keys.map(|key: &AccessKeyId| async {
        let asked = timeout(limit, parts.facts.key_owner(key)).await;
        let account = asked.unwrap_or_else(|_| {
            Err(Reason::new(
                ReasonCode::Unresponsive,
                "sts:GetAccessKeyInfo did not answer: whose this key is stays unknown",
            ))
        });
        KeyOwner {
            access_key_id: key.clone(),
            in_federation: (account.as_ref())
                .is_ok_and(|owner| parts.accounts.iter().any(|a| a.id == *owner)),
            account,
        }
    });
    futures::future::join_all(owners).await
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A scan in words, for progress.
fn describe(scan: &Scan) -> String {
    match &scan.target {
        ScanTarget::EventHistory {
            account, region, ..
        } => format!("event_history {account} {region}"),
        ScanTarget::Athena { archive, .. } => format!("athena {} {}", archive.name, scan.range),
    }
}

/// Scans that differ only in account and Region, together.
fn routes(scans: &[Scan]) -> Vec<Route> {
    let mut routes: BTreeMap<_, Route> = BTreeMap::new();
    for scan in scans {
        let (archive, accounts, regions, narrowed_by) = match &scan.target {
            ScanTarget::EventHistory {
                account,
                region,
                attribute,
            } => (
                None,
                BTreeSet::from([*account]),
                BTreeSet::from([region.clone()]),
                attribute
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
            ScanTarget::Athena {
                archive,
                accounts,
                regions,
            } => (
                Some(archive.name.clone()),
                accounts.clone(),
                regions.clone().unwrap_or_default(),
                "SQL".to_owned(),
            ),
        };
        let backend = scan.target.backend();
        let key = (
            std::cmp::Reverse(scan.range.end()),
            scan.range.start(),
            backend,
            archive.clone(),
            narrowed_by.clone(),
        );
        let route = routes.entry(key).or_insert_with(|| Route {
            backend,
            archive,
            range: scan.range,
            accounts: BTreeSet::new(),
            regions: BTreeSet::new(),
            narrowed_by,
            scans: 0,
        });
        route.accounts.extend(accounts);
        route.regions.extend(regions);
        route.scans += 1;
    }
    routes.into_values().collect()
}
