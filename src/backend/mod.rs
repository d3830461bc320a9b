//! Reading one scan from AWS.
//!
//! A [`Backend`] opens a [`ScanReader`] for a scan; the search pulls pages from it, one AWS answer
//! at a time, and stops by dropping it. A reader never merges, never filters by the whole request
//! and never decides what a failure means for the rest of the search.

mod asks;
pub mod athena;
mod call;
pub mod event_history;
pub mod logs;
mod query_task;
mod remote_query;
pub mod trails;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::future::BoxFuture;

pub use asks::{Asks, Words};

use crate::caller::Caller;
use crate::plan::estimate::DaysUnseen;
use crate::plan::facts::ArchiveFacts;
use crate::plan::{Reason, ReasonCode, RoleReading, Scan, Unverified};
use crate::query::{AccountId, Event, EventQuery, EventTime, TimeRange};
use crate::usage::InUse;
use event_history::SessionsFound;

/// The number under which checks take their turns in the queues: no search has it.
const CHECKS: u64 = u64::MAX;

/// A place where events are read.
pub trait Backend: Send + Sync {
    /// Prepares to read `scan`; asks AWS nothing yet.
    fn open(&self, scan: &Scan, search: &Arc<SearchContext>) -> Box<dyn ScanReader>;

    /// What it would send to read `scan`, or why the scan cannot be asked and would fail.
    fn asks(&self, scan: &Scan, query: &EventQuery) -> Result<Asks, Reason>;

    /// Finds out which of the days asked have no log file, or are not known to have one. `None`
    /// where there is nothing to find out: only archives have log files, and one may be configured
    /// to be believed. What it costs is counted in `spent`, also if it is dropped, which stops it.
    fn verify(
        &self,
        _asked: &DaysAsked,
        _search: &Arc<SearchContext>,
        _spent: &Arc<Spent>,
    ) -> Option<BoxFuture<'static, Vec<Unverified>>> {
        None
    }

    /// Of the days that [`verify`](Self::verify) would ask about, those that it does not know by now
    /// to have log files. Asks AWS nothing. `None` where there is nothing to find out.
    fn days_unseen(&self, _asked: &DaysAsked) -> Option<DaysUnseen> {
        None
    }
}

/// What an archive was read for in one search, all of its scans together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaysAsked {
    /// The archive.
    pub archive: Arc<ArchiveFacts>,
    /// The accounts.
    pub accounts: BTreeSet<AccountId>,
    /// The interval.
    pub range: TimeRange,
}

/// What queries and the calls beside them have spent, counted as it is spent.
#[derive(Debug, Default)]
pub struct Spent {
    requests: AtomicU64,
    throttles: AtomicU64,
    bytes_scanned: AtomicU64,
    /// On whose account, where nobody else counts it.
    in_use: Option<Arc<InUse>>,
}

impl Spent {
    /// Nothing yet, on this account.
    #[must_use]
    pub fn by(in_use: Arc<InUse>) -> Self {
        Self {
            in_use: Some(in_use),
            ..Self::default()
        }
    }

    /// Whether more bytes may be scanned.
    pub fn check(&self) -> Result<(), Reason> {
        match self.in_use.as_deref().and_then(InUse::bytes_exceeded) {
            Some(exceeded) => Err(Reason::new(ReasonCode::Quota, exceeded.to_string())),
            None => Ok(()),
        }
    }

    /// Counts AWS calls, and those of them that were throttled.
    pub fn add_calls(&self, requests: u64, throttles: u64) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.throttles.fetch_add(throttles, Ordering::Relaxed);
    }

    /// Counts bytes that Athena scanned.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes_scanned.fetch_add(bytes, Ordering::Relaxed);
        if let Some(in_use) = &self.in_use {
            in_use.scanned(bytes);
        }
    }

    /// AWS calls, retries included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Of them, those that were throttled.
    #[must_use]
    pub fn throttles(&self) -> u64 {
        self.throttles.load(Ordering::Relaxed)
    }

    /// Bytes that Athena scanned.
    #[must_use]
    pub fn bytes_scanned(&self) -> u64 {
        self.bytes_scanned.load(Ordering::Relaxed)
    }
}

/// What all scans of one search share.
#[derive(Debug)]
pub struct SearchContext {
    /// A number for this search, unique in the process: pacing takes turns between searches.
    pub search_id: u64,
    /// Who asks: pacing takes turns between callers first.
    pub caller: Arc<Caller>,
    /// The question.
    pub query: EventQuery,
    /// When the caller's deadline ends the search, in real time.
    pub deadline: Option<std::time::Instant>,
    /// What its queries may scan.
    pub scan_budget: ScanBudget,
    /// What it uses of the caller's and the process's bounds.
    pub in_use: Arc<InUse>,
    /// The sessions of roles and users that its scans of event history have found.
    pub sessions: SessionsFound,
}

/// The bytes that the Athena and Logs Insights queries of a search or check may scan, and those that
/// they have: its own `max_scan_bytes`, and what the caller and the process may scan a day.
#[derive(Debug)]
pub struct ScanBudget {
    limit: Option<u64>,
    in_use: Arc<InUse>,
}

impl ScanBudget {
    /// With this limit of its own, or with none.
    #[must_use]
    pub fn new(limit: Option<u64>, in_use: Arc<InUse>) -> Self {
        Self { limit, in_use }
    }

    /// Counts what a query has scanned since it last told.
    pub fn spend(&self, bytes: u64) {
        self.in_use.scanned(bytes);
    }

    /// Why nothing is left, if so: what still runs is to be stopped, and nothing more started.
    pub fn check(&self) -> Result<(), Reason> {
        let spent = self.in_use.bytes_scanned();
        if let Some(limit) = self.limit.filter(|limit| spent >= *limit) {
            return Err(Reason::new(
                ReasonCode::MaxScanBytes,
                format!(
                    "the search's queries have scanned its max_scan_bytes of {limit}: resume with a \
                     higher limit for the rest, or narrow accounts or times"
                ),
            ));
        }
        match self.in_use.bytes_exceeded() {
            Some(exceeded) => Err(Reason::new(
                ReasonCode::Quota,
                format!("{exceeded}: resume tomorrow for the rest, or ask what needs no query"),
            )),
            None => Ok(()),
        }
    }
}

/// A scan that cannot be asked.
struct Unreadable(Reason);

#[async_trait]
impl ScanReader for Unreadable {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        Err(ScanError {
            reason: self.0.clone(),
            not_applicable: false,
            stopped_at: None,
            cost: PageCost::default(),
        })
    }
}

/// Reads one scan, in the order of its search (`search.query.order`).
///
/// Dropping a reader, or the future of [`next_page`](Self::next_page), stops it: no further AWS
/// call is made, and a remote query is stopped by the process's own reaper. A reader that is kept but
/// asked for no page keeps none of what the process shares: a remote query, once asked for, runs to
/// its end in a task that the reader owns.
#[async_trait]
pub trait ScanReader: Send {
    /// Waits until the next page's call may be made, if that depends on more than AWS: a turn in
    /// the pacing. Whoever waits so holds no memory for the page; what is slow about the call
    /// follows in [`next_page`](Self::next_page), which is to be called at once or the turn given
    /// up. By default there is nothing to wait for. Whatever goes wrong is said by the page.
    async fn wait_for_turn(&mut self) {}

    /// Gives up the turn that was waited for: the page is not read now.
    fn give_up_turn(&mut self) {}

    /// The next answer of AWS.
    ///
    /// After `Ok` with [`Page::end`] set, or an error, it is not called again.
    async fn next_page(&mut self) -> Result<Page, ScanError>;
}

/// One answer's worth of a scan.
#[derive(Debug, Default)]
pub struct Page {
    /// The events, as AWS ordered them; those of one second in any order.
    pub events: Vec<Event>,
    /// No event still to come is read before this second, in the search's order: newest first, all
    /// are at or before it, oldest first, at or after it. `None` at the end of the scan.
    pub bound: Option<EventTime>,
    /// A part of the interval that can no longer be read, as far as the reader has come: the scan
    /// goes on beyond it.
    pub lost: Option<Lost>,
    /// No further pages: all of the scan's interval was read, but for what was lost.
    pub end: bool,
    /// How the scan reads roles, as far as that is decided: the last that is told holds.
    pub role_reading: Option<RoleReading>,
    /// What this page cost.
    pub cost: PageCost,
}

/// Seconds that a scan passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Which.
    pub range: TimeRange,
    /// Why, and what to do.
    pub reason: Reason,
}

/// What a page cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageCost {
    /// AWS calls made for it, retries included.
    pub requests: u64,
    /// Of them, those that were throttled.
    pub throttles: u64,
    /// Records read, parsed or not.
    pub events_read: u64,
    /// Records that could not be read as events.
    pub unreadable_records: u64,
    /// Bytes that are reported as scanned for the query so far, not only for this page.
    pub bytes_scanned_total: u64,
    /// How much memory the events take, about, in bytes.
    pub memory_bytes: u64,
    /// How much the events take that the reader holds back until it has read more, likewise.
    pub held_back_bytes: u64,
}

impl PageCost {
    /// Adds what something else cost, for the same scan.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.throttles += other.throttles;
        self.events_read += other.events_read;
        self.unreadable_records += other.unreadable_records;
        self.bytes_scanned_total = self.bytes_scanned_total.max(other.bytes_scanned_total);
        self.memory_bytes += other.memory_bytes;
    }

    /// The same for what was read beside the answer, to find out how to read it: its events are kept
    /// nowhere, and where one that cannot be read matters, the answer's own reading meets it again.
    #[must_use]
    pub fn beside(self) -> Self {
        Self {
            unreadable_records: 0,
            memory_bytes: 0,
            ..self
        }
    }
}

/// Why a scan ended before its end. What was read before it stays in the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason.message)]
pub struct ScanError {
    /// Why, and what to do.
    pub reason: Reason,
    /// The scan turned out not to apply: a Region that is disabled in the account, of which event
    /// history shows nothing. What it had before may be held elsewhere.
    pub not_applicable: bool,
    /// The first second, in the search's order, that was not read to its end; `None` where only the
    /// bound of the last page is known.
    pub stopped_at: Option<EventTime>,
    /// What was spent on the failed page.
    pub cost: PageCost,
}
