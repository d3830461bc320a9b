//! Which scan reads next.
//!
//! A step is one AWS answer of one scan, read and checked in a task of its own; the fan-out owns
//! these tasks and dropping it ends them. It never waits for the merge: a scan whose events still
//! wait for their turn is simply not stepped beyond one page of prefetch, so no permit is held and
//! the scan that the merge waits for always gets its step.
//!
//! Memory for a page is reserved when its call is about to be made, not while the step waits for
//! its turn in the pacing: a thousand steps that wait for one account hold nothing. Where there is
//! none left the step gives its turn up, but for one that the merge waits for, so that a search is
//! slow at worst and never stuck.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;

use super::admission::Admission;
use super::held::{HeldEvent, HeldPage};
use super::merge::{Lane, Merge};
use super::scan_trace::ScanTraces;
use crate::backend::{Page, ScanError, ScanReader, SearchContext};
use crate::plan::outcome::ScanCounts;
use crate::plan::{Reason, ReasonCode, Scan};
use crate::query::{AccountId, EventKey, EventTime, Rank, SearchOrder};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{ScanEnd, Unit};

/// What a page is assumed to take before it is known: 50 records of a generous size.
const ASSUMED_PAGE_BYTES: u64 = 64 * 1024;

/// What the events of a lane take while they wait unpacked: a page in the merge and the one read ahead,
/// each of 50 events that take some 5 KiB with what their records hold.
const UNPACKED_LANE_BYTES: u64 = 512 * 1024;

/// Steps at once that need no memory. What the merge waits for is held sooner or later, so more of
/// them cost no more memory, but for what AWS's answers take while they are read.
const WITHOUT_MEMORY: usize = 64;

/// The bytes of pages that wait in this process, for all searches: a semaphore of KiB.
#[derive(Debug, Clone)]
pub struct PageMemory {
    kib: Arc<Semaphore>,
    all: u32,
}

impl PageMemory {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).max(1);
        let all = all.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            kib: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// All of it, free or not.
    fn bytes(&self) -> u64 {
        u64::from(self.all) * 1024
    }

    /// Whether there is room for a page now. It may be gone when it is needed.
    fn has_room(&self) -> bool {
        let page = kib(ASSUMED_PAGE_BYTES).min(self.all as usize);
        self.kib.available_permits() >= page
    }

    /// Shows how much is in use, and of how much.
    pub fn show(&self, metrics: &Metrics) {
        let (kib, all) = (Arc::clone(&self.kib), self.bytes());
        metrics.sample(
            "identity_trail_page_memory",
            "Memory of pages between AWS and the callers that is in use",
            Some(Unit::Bytes),
            move || all - (kib.available_permits() as u64 * 1024).min(all),
        );
        metrics.sample(
            "identity_trail_page_memory_limit",
            "Memory of pages that may be in use: limits.page_memory_bytes",
            Some(Unit::Bytes),
            move || all,
        );
    }

    fn reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.kib
            .clone()
            .try_acquire_many_owned(kib.min(self.all))
            .ok()
    }
}

/// The end of one step.
#[derive(Debug)]
pub struct Step {
    /// Whose.
    pub lane: Lane,
    /// What came of it.
    pub result: StepResult,
}

/// What came of a step.
#[derive(Debug)]
pub enum StepResult {
    /// A page, checked against the request.
    Page(AdmittedPage),
    /// The scan ended: this is why.
    Broken(ScanError),
    /// There was no memory for a page: the step will be taken again.
    NoRoom,
}

/// A page of which only the events of the answer are left.
#[derive(Debug)]
pub struct AdmittedPage {
    /// The events of the answer, with their places in the order.
    pub events: Vec<(EventKey, HeldEvent)>,
    /// What else the page said; its own events are gone.
    pub page: Page,
}

/// The scans of one search and the steps that they take.
pub struct FanOut {
    scans: Vec<Arc<Scan>>,
    /// By lane; `None` while a step is under way and after the end.
    readers: Vec<Option<Box<dyn ScanReader>>>,
    /// Idle lanes that may take a step, those whose bound is read first before the others.
    runnable: BTreeSet<(Rank, Lane)>,
    /// Idle lanes that have read far enough ahead, likewise.
    parked: BTreeSet<(Rank, Lane)>,
    page_events: Vec<usize>,
    /// By lane: the memory of what its reader holds back.
    held_back: Vec<Option<OwnedSemaphorePermit>>,
    running: JoinSet<Done>,
    lane_of: HashMap<Id, Lane>,
    /// Queries that are open at once: older slices cost money that a caller who stops early
    /// need not spend.
    queries_open: BTreeSet<Lane>,
    queries_at_once: usize,
    memory: PageMemory,
    /// The lanes whose steps need no memory: the merge waits for them.
    without_memory: BTreeSet<Lane>,
    /// Whether so many scans wait together that their events are packed.
    packs: bool,
    context: Arc<SearchContext>,
    accounts: Arc<BTreeSet<AccountId>>,
    traces: ScanTraces,
}

struct Done {
    lane: Lane,
    reader: Box<dyn ScanReader>,
    /// None if there was no memory for a page.
    result: Option<Result<(Page, HeldPage), ScanError>>,
    memory: Option<OwnedSemaphorePermit>,
}

impl FanOut {
    /// Ready to read `scans`; nothing is asked yet.
    pub fn new(
        scans: Vec<Scan>,
        readers: Vec<Box<dyn ScanReader>>,
        queries_at_once: usize,
        memory: PageMemory,
        context: Arc<SearchContext>,
        accounts: Arc<BTreeSet<AccountId>>,
        traces: ScanTraces,
    ) -> Self {
        let order = context.query.order;
        // Well before they fill it: a step that finds no memory has lost its turn in the pacing.
        let packs = scans.len() as u64 * UNPACKED_LANE_BYTES > memory.bytes() / 2;
        Self {
            runnable: (scans.iter().enumerate())
                .map(|(lane, scan)| (order.rank(order.first(scan.range)), lane))
                .collect(),
            page_events: vec![0; scans.len()],
            held_back: scans.iter().map(|_| None).collect(),
            readers: readers.into_iter().map(Some).collect(),
            parked: BTreeSet::new(),
            running: JoinSet::new(),
            lane_of: HashMap::new(),
            queries_open: BTreeSet::new(),
            queries_at_once: queries_at_once.max(1),
            scans: scans.into_iter().map(Arc::new).collect(),
            memory,
            without_memory: BTreeSet::new(),
            packs,
            context,
            accounts,
            traces,
        }
    }

    /// One more lane, that reads nothing yet: this scan as far as it is known.
    pub fn add(&mut self, scan: Scan) -> Lane {
        self.scans.push(Arc::new(scan));
        self.readers.push(None);
        self.page_events.push(0);
        self.held_back.push(None);
        self.scans.len() - 1
    }

    /// Begins to read a lane that was added; `bound` is its bound in the merge.
    pub fn open(&mut self, lane: Lane, scan: Scan, reader: Box<dyn ScanReader>, bound: EventTime) {
        self.scans[lane] = Arc::new(scan);
        self.readers[lane] = Some(reader);
        self.runnable.insert((self.order().rank(bound), lane));
    }

    /// Ends a lane that has no step under way: nothing more of it is read. Says whether it was one.
    pub fn end<E>(&mut self, lane: Lane, merge: &Merge<E>) -> bool {
        let idle = self.readers[lane].take().is_some();
        if let (true, Some(bound)) = (idle, merge.bound(lane)) {
            let place = (self.order().rank(bound), lane);
            self.runnable.remove(&place);
            self.parked.remove(&place);
            self.queries_open.remove(&lane);
            self.held_back[lane] = None;
        }
        idle
    }

    /// Starts every step that may start now, those that the merge needs soonest first.
    pub fn start_steps<E>(&mut self, merge: &Merge<E>) {
        // What the merge waits for reads on, however much of one second it holds already.
        let position = merge.position().map(|second| self.order().rank(second));
        while let Some((bound, lane)) = self.parked.first().copied()
            && position == Some(bound)
        {
            self.parked.remove(&(bound, lane));
            self.runnable.insert((bound, lane));
        }
        let mut passed_over = Vec::new();
        while let Some((bound, lane)) = self.runnable.pop_first() {
            let needed = position == Some(bound);
            if self.runs_query(lane) && !self.may_open(lane, needed, merge) {
                passed_over.push((bound, lane));
                continue;
            }
            // Without memory the search still moves: a few steps at a time, for what is waited for.
            let needs_none = needed && self.without_memory.len() < WITHOUT_MEMORY;
            if !needs_none && !self.memory.has_room() {
                passed_over.push((bound, lane));
                break;
            }
            if needs_none {
                self.without_memory.insert(lane);
            }
            self.step(lane, needs_none);
        }
        self.runnable.extend(passed_over);
    }

    /// Whether no step is running.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for a step to end. `None` when none is running. Cancel safe.
    pub async fn next_step<E>(&mut self, merge: &Merge<E>) -> Option<Step> {
        let (id, ended) = match self.running.join_next_with_id().await? {
            Ok((id, done)) => (id, Ok(done)),
            Err(error) => (error.id(), Err(error)),
        };
        let lane = self.lane_of.remove(&id)?;
        self.without_memory.remove(&lane);
        Some(match ended {
            Ok(done) => self.end_step(done, merge),
            Err(error) => {
                self.queries_open.remove(&lane);
                Step {
                    lane,
                    result: StepResult::Broken(defect(&error)),
                }
            }
        })
    }

    /// Tells that events of `lane` have left the merge: it may have room for another page.
    pub fn released<E>(&mut self, lane: Lane, merge: &Merge<E>) {
        if let Some(bound) = merge.bound(lane)
            && merge.held(lane) <= self.page_events[lane]
        {
            let place = (self.order().rank(bound), lane);
            if self.parked.remove(&place) {
                self.runnable.insert(place);
            }
        }
    }

    /// Tells that the scan of a lane has ended, and how.
    pub fn scan_ended(&mut self, lane: Lane, end: ScanEnd, counts: &ScanCounts) {
        self.traces.end(lane, end, counts);
    }

    /// Ends every scan by query that has none running, and says which: the byte budget is spent.
    pub fn abandon_queries(&mut self) -> Vec<Lane> {
        let lanes: Vec<Lane> = (0..self.scans.len())
            .filter(|lane| self.runs_query(*lane) && self.readers[*lane].is_some())
            .collect();
        for lane in &lanes {
            self.readers[*lane] = None;
            self.queries_open.remove(lane);
        }
        self.runnable.retain(|(_, lane)| !lanes.contains(lane));
        self.parked.retain(|(_, lane)| !lanes.contains(lane));
        lanes
    }

    fn order(&self) -> SearchOrder {
        self.context.query.order
    }

    fn runs_query(&self, lane: Lane) -> bool {
        self.scans[lane].target.runs_query()
    }

    /// Within the limit; beyond it only where all that is open waits for this lane.
    fn may_open<E>(&self, lane: Lane, needed: bool, merge: &Merge<E>) -> bool {
        let one_is_needed =
            || (self.queries_open.iter()).any(|open| merge.bound(*open) == merge.position());
        self.queries_open.contains(&lane)
            || self.queries_open.len() < self.queries_at_once
            || (needed && !one_is_needed())
    }

    fn step(&mut self, lane: Lane, needs_no_memory: bool) {
        let Some(mut reader) = self.readers[lane].take() else {
            return;
        };
        if self.runs_query(lane) {
            self.queries_open.insert(lane);
        }
        let scan = Arc::clone(&self.scans[lane]);
        let context = Arc::clone(&self.context);
        let accounts = Arc::clone(&self.accounts);
        let (memory, packs) = (self.memory.clone(), self.packs);
        let span = self.traces.step(lane, &scan);
        let step = async move {
            let _scan = context.in_use.scan().await;
            reader.wait_for_turn().await;
            let memory = memory.reserve(ASSUMED_PAGE_BYTES);
            if memory.is_none() && !needs_no_memory {
                reader.give_up_turn();
                return Done {
                    lane,
                    reader,
                    result: None,
                    memory,
                };
            }
            let result = reader.next_page().await.map(|mut page| {
                let admission = Admission::new(&context.query, &accounts);
                let read = page.events.len().max(1) as u64;
                let mut events = std::mem::take(&mut page.events);
                events.retain_mut(|event| admission.admit(&scan, event));
                // Beyond the budget in any case.
                if packs || memory.is_none() {
                    let (held, bytes) = HeldPage::packed(events);
                    page.cost.memory_bytes = bytes;
                    return (page, held);
                }
                page.cost.memory_bytes = page.cost.memory_bytes * events.len() as u64 / read;
                (page, HeldPage::whole(events))
            });
            Done {
                lane,
                reader,
                result: Some(result),
                memory,
            }
        };
        let task = self.running.spawn(step.instrument(span));
        self.lane_of.insert(task.id(), lane);
    }

    fn end_step<E>(&mut self, done: Done, merge: &Merge<E>) -> Step {
        let Done {
            lane,
            reader,
            result,
            memory,
        } = done;
        let Some(result) = result else {
            self.readers[lane] = Some(reader);
            if let Some(bound) = merge.bound(lane) {
                self.runnable.insert((self.order().rank(bound), lane));
            }
            let result = StepResult::NoRoom;
            return Step { lane, result };
        };
        let held_back = self.held_back[lane].take();
        let ended = result.as_ref().map_or(true, |(page, _)| page.end);
        if ended {
            self.queries_open.remove(&lane);
        } else {
            self.readers[lane] = Some(reader);
        }
        let result = result.map(|(page, events)| {
            self.page_events[lane] = self.page_events[lane].max(events.len());
            let memory = match (held_back, memory) {
                (Some(mut all), Some(more)) => {
                    all.merge(more);
                    Some(all)
                }
                (some, other) => some.or(other),
            };
            let (given, held_back) = (page.cost.memory_bytes, page.cost.held_back_bytes);
            let mut memory = self.keep(memory, given + held_back);
            if held_back > 0 {
                self.held_back[lane] = memory
                    .as_mut()
                    .and_then(|memory| memory.split(kib(held_back).min(memory.num_permits())));
            }
            self.traces.read(lane, events.len());
            AdmittedPage {
                events: events.hold(memory),
                page,
            }
        });
        if let (Ok(admitted), Some(old), false) = (&result, merge.bound(lane), ended) {
            let order = self.order();
            let bound = (admitted.page.bound).map_or(old, |bound| order.later(bound, old));
            let place = (order.rank(bound), lane);
            let held = merge.held(lane) + admitted.events.len();
            // One page of prefetch: more is read only for what the merge waits for.
            if held <= self.page_events[lane] {
                self.runnable.insert(place);
            } else {
                self.parked.insert(place);
            }
        }
        let result = result.map_or_else(StepResult::Broken, StepResult::Page);
        Step { lane, result }
    }

    /// Gives back what the page did not need; what it needs beyond the reservation, if there is
    /// one, is taken if it is there.
    fn keep(
        &self,
        memory: Option<OwnedSemaphorePermit>,
        bytes: u64,
    ) -> Option<OwnedSemaphorePermit> {
        let Some(mut memory) = memory else {
            return self.memory.reserve(bytes);
        };
        let kib = kib(bytes);
        let reserved = memory.num_permits();
        if kib < reserved {
            drop(memory.split(reserved - kib));
        } else if let Some(more) = self.memory.reserve(((kib - reserved) as u64) * 1024) {
            memory.merge(more);
        }
        Some(memory)
    }
}

fn kib(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX)
}

fn defect(error: &JoinError) -> ScanError {
    tracing::error!(%error, "a scan's task ended in a defect");
    ScanError {
        reason: Reason::new(
            ReasonCode::Internal,
            "reading this scan hit a defect of the service: please report it with the time of the search",
        ),
        not_applicable: false,
        stopped_at: None,
        cost: crate::backend::PageCost::default(),
    }
}
