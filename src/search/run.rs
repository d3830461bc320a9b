//! One search, from its plan to its summary.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::announcement::{read_key_owners, routes};
use super::engine::{Accounts, Shared, is_limited};
use super::facets::FacetCounter;
use super::fan_out::{FanOut, Step, StepResult};
use super::hand_over::HandOvers;
use super::held::HeldEvent;
use super::item::{Answered, PlanAnnouncement, Progress, SearchItem, StopReason};
use super::merge::{Merge, Released};
use super::observed::Observed;
use super::outcomes::LaneRecord;
use super::resume::TokenWriter;
use super::running::{Running, describe};
use super::scan_trace::ScanTraces;
use super::verification::Verification;
use crate::backend::SearchContext;
use crate::plan::{QueryPlan, ScanOutcome};
use crate::query::{AccountId, RecordView};
use crate::telemetry::metrics::ScanEnd;
use crate::usage::{Admitted, Exceeded};

/// A deadline is met this much early, so that the summary still arrives.
const DEADLINE_MARGIN: Duration = Duration::from_secs(2);
/// How many scans a progress message names.
const NAMED_IN_PROGRESS: usize = 3;

/// One search. Owns all that it started: dropping it stops it.
pub(super) struct Search {
    shared: Arc<Shared>,
    context: Arc<SearchContext>,
    accounts: Accounts,
    tokens: Option<TokenWriter>,
    scope: [u8; 16],
    /// Messages that are ready.
    ready: VecDeque<SearchItem>,
    running: Option<Running>,
    begun: bool,
    stop_at: Option<Instant>,
    last_item: Instant,
    last_progress: Instant,
    observed: Observed,
    /// The bound that is used up, if one is.
    quota: Option<Exceeded>,
    /// Cancelled when the caller took nothing for too long.
    idle: CancellationToken,
    _admitted: Admitted,
}

/// What the search waited for.
enum Woken {
    Step(Box<Step>),
    Stop(StopReason),
    Progress,
    Tell,
    /// More is known of the archives' log files.
    Verified,
    /// No step is running and none can start: every lane has ended.
    Idle,
}

impl Search {
    pub(super) fn new(
        shared: Arc<Shared>,
        context: SearchContext,
        accounts: Accounts,
        scope: [u8; 16],
        (admitted, idle): (Admitted, CancellationToken),
        observed: Observed,
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
            observed,
            quota: None,
            idle,
            _admitted: admitted,
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
        let item = self.ready.pop_front();
        if let Some(SearchItem::Event { .. }) = item {
            self.observed.sent_event();
        }
        item
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
        let (facts, key_owners) = tokio::join!(
            self.shared
                .read_facts(self.accounts.selected.clone(), limit),
            read_key_owners(&self.shared, &self.context, &self.accounts.access, limit),
        );
        let mut plan = crate::plan::plan(query, &facts, now);
        plan.warnings.extend(self.accounts.warning());
        self.observed.planned(&plan);
        let tokens = TokenWriter::new(query, self.scope, plan.horizon);
        let names: BTreeMap<AccountId, Option<Arc<str>>> = (self.accounts.selected.iter())
            .map(|account| (account.id, account.name.clone()))
            .collect();
        self.ready
            .push_back(SearchItem::Plan(Box::new(PlanAnnouncement {
                now,
                range: query.range,
                horizon: plan.horizon,
                settled_until: plan.settled_until,
                accounts: names.into_iter().collect(),
                routes: routes(query.order, &plan.scans),
                gaps: plan.gaps.clone(),
                warnings: plan.warnings.clone(),
                key_owners,
                scope_limited: is_limited(query, &self.accounts),
                resume_token: tokens.write(query.resume.as_ref().and_then(|r| r.position.as_ref())),
            })));
        let gaps: Vec<ScanOutcome> = plan.gaps.iter().cloned().map(ScanOutcome::from).collect();
        if !gaps.is_empty() {
            self.ready.push_back(SearchItem::Outcomes(gaps));
        }
        self.tokens = Some(tokens);
        self.running = Some(self.fan_out(plan));
    }

    fn fan_out(&self, plan: QueryPlan) -> Running {
        let parts = &self.shared.parts;
        let readers = plan
            .scans
            .iter()
            .map(|scan| self.shared.backend(scan).open(scan, &self.context));
        let queries_at_once = match self.context.query.max_scan_bytes {
            Some(_) => 1,
            None => parts.limits.queries_per_search,
        };
        let accounts: BTreeSet<AccountId> = plan.accounts.iter().copied().collect();
        let order = self.context.query.order;
        let mut verification = Verification::default();
        let athena = &*parts.athena;
        verification.add(&plan.scans, &plan.read_before, athena, &self.context);
        Running {
            merge: Merge::new(order, plan.scans.iter().map(|scan| order.first(scan.range))),
            order,
            fan_out: FanOut::new(
                plan.scans.clone(),
                readers.collect(),
                queries_at_once,
                self.shared.memory.clone(),
                Arc::clone(&self.context),
                Arc::new(accounts),
                ScanTraces::new(self.observed.span.clone(), parts.metrics.clone()),
            ),
            lanes: vec![LaneRecord::default(); plan.scans.len()],
            untold: Vec::new(),
            tell_at: None,
            facets: FacetCounter::default(),
            events_matched: 0,
            scans_done: 0,
            scan_bytes_spent: None,
            scan_bytes_limited: self.context.query.max_scan_bytes.is_some(),
            routing: parts.routing.clone(),
            hand_overs: HandOvers::default(),
            verification,
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
        if self.idle.is_cancelled() {
            return self.end(StopReason::Idle);
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
        let finished = running.merge.finished();
        // Where bytes are limited, the events come first.
        if finished || self.context.query.max_scan_bytes.is_none() {
            running.verification.begin();
        }
        if finished && running.verification.is_done() {
            return self.end(StopReason::End);
        }
        if let Some(stop) = running.stopped_by_spent_bytes() {
            self.quota = self.context.in_use.bytes_exceeded();
            return self.end(stop);
        }
        while let Some(lane) = running.next_to_open() {
            let scan = &running.plan.scans[lane];
            let athena = &*self.shared.parts.athena;
            if (running.verification).ask_first(scan, athena, &self.context) {
                running.hand_overs.verify(lane);
                continue;
            }
            running.open(lane, self.shared.backend(scan).open(scan, &self.context));
        }
        while let Some(lane) = running.next_verified() {
            let scan = &running.plan.scans[lane];
            running.open(lane, self.shared.backend(scan).open(scan, &self.context));
        }
        running.fan_out.start_steps(&running.merge);
        match self.wait().await {
            Woken::Step(step) => self.end_step(*step),
            Woken::Stop(stop) => self.end(stop),
            Woken::Progress => self.report_progress(),
            Woken::Tell => self.tell(),
            Woken::Verified => {}
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
        let verifying = running.verification.is_running();
        // What is left to read may wait for what is to be found out before.
        let waits = verifying && running.fan_out.is_idle();
        let reading = !(waits || running.merge.finished());
        tokio::select! {
            biased;
            () = self.shared.parts.drain.cancelled() => Woken::Stop(StopReason::Drain),
            () = until(self.stop_at) => Woken::Stop(StopReason::Deadline),
            () = until(tell_at) => Woken::Tell,
            () = sleep_until(progress_at) => Woken::Progress,
            () = running.verification.advance(), if verifying => Woken::Verified,
            step = running.fan_out.next_step(&running.merge), if reading => step.map_or(Woken::Idle, |step| Woken::Step(Box::new(step))),
        }
    }

    /// An event in its turn: sent, and the last one if it is one too many.
    fn take(&mut self, released: Released<HeldEvent>) {
        self.send(released);
        let limit = self.context.query.max_events;
        let Some(running) = self.running.as_ref().filter(|it| !it.merge.finished()) else {
            return;
        };
        if limit.is_some_and(|limit| running.events_matched >= limit) {
            self.end(StopReason::MaxEvents);
        } else if self.quota.is_some() {
            self.end(StopReason::Quota);
        }
    }

    /// An event is counted, and sent unless only a summary is wanted.
    fn send(&mut self, released: Released<HeldEvent>) {
        // A bad outcome is told before any event that is read after it.
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
        let mut event = event.into_event();
        running.facets.count(&event);
        running.events_matched += 1;
        if !late {
            running.position = Some(key);
        }
        if self.context.query.record_view != RecordView::None {
            event.late = late;
            if let Some(exceeded) = self.context.in_use.event_sent() {
                self.quota = Some(exceeded);
            }
            self.ready.push_back(SearchItem::Event {
                event,
                resume_token: tokens.write(running.position.as_ref()),
            });
        }
    }

    fn end_step(&mut self, step: Step) {
        let Some(running) = &mut self.running else {
            return;
        };
        let lane = step.lane;
        match step.result {
            StepResult::NoRoom => {}
            StepResult::Page(admitted) => {
                running.spend(lane, &admitted.page.cost);
                running.reads_roles(lane, admitted.page.role_reading);
                if let Some(lost) = admitted.page.lost {
                    running.lose(lane, &lost);
                }
                for (key, held) in admitted.events {
                    running.merge.hold(lane, key, held);
                }
                if admitted.page.end {
                    running.lanes[lane].complete();
                    running.scan_ended(lane, ScanEnd::Complete);
                    running.scans_done += 1;
                    running.merge.advance(lane, None);
                } else if let Some(bound) = admitted.page.bound {
                    running.merge.advance(lane, Some(bound));
                    running.hand_over_if_long(lane);
                }
            }
            StepResult::Broken(error) => running.fail(lane, error),
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
        // Its token passes what failed.
        self.tell();
        let (Some(running), Some(tokens)) = (&self.running, &self.tokens) else {
            return;
        };
        let unanswered = running.unanswered();
        let sum = |count: fn(&LaneRecord) -> u64| running.lanes.iter().map(count).sum::<u64>();
        self.ready.push_back(SearchItem::Progress(Progress {
            scans_done: running.scans_done,
            scans_total: running.plan.scans.len() as u64,
            answered: Answered::before(running.order, unanswered),
            waiting_for: (running.merge.waiting_for())
                .map(|lane| describe(&running.plan.scans[lane]))
                .chain(
                    (running.verification.waiting_for())
                        .map(|archive| format!("athena {archive}: log files by day")),
                )
                .take(NAMED_IN_PROGRESS)
                .collect(),
            events_sent: running.events_matched,
            events_read: sum(|lane| lane.counts().events_read),
            bytes_scanned: sum(|lane| lane.counts().bytes_scanned)
                + running.verification.spent().bytes_scanned(),
            resume_token: tokens.write(running.resume_position(unanswered).as_ref()),
        }));
    }

    /// Ends the search with its summary; what still runs is dropped.
    ///
    /// What came out of order and has not been sent goes first: no stream that goes on from here
    /// would bring it.
    fn end(&mut self, stop: StopReason) {
        while let Some(running) = &mut self.running
            && let Some(late) = running.merge.release_late()
        {
            self.send(late);
        }
        self.tell();
        let scope_limited = is_limited(&self.context.query, &self.accounts);
        let (Some(running), Some(tokens)) = (self.running.take(), &self.tokens) else {
            return;
        };
        let mut summary = running.summary(stop, &self.context, tokens, scope_limited);
        summary.quota = self.quota.take().filter(|_| stop == StopReason::Quota);
        self.observed.ended(&summary);
        self.ready.push_back(SearchItem::Summary(Box::new(summary)));
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
