//! Who serves a second: the routing table.
//!
//! A *store* keeps events longer than event history: an archive, or a log group. For one account,
//! Region and category, in this order:
//!
//! | second | category | goes to |
//! |---|---|---|
//! | at or after the horizon | Management | event history, unless a store goes first |
//! | up to an hour inside the horizon | Management | the store, if it holds all of both sides of the horizon |
//! | before `now − archive_delay` | Management | the store, if it holds all of it, where event history would read everybody's events (no attribute names the identity) or where a store reads another category of these seconds anyway |
//! | before the horizon, or where event history is off or excluded | Management | a store |
//! | any | Data, NetworkActivity, Insight | a store: event history has none of them |
//! | whatever is left | any | a gap with a reason |
//!
//! Event history is not asked where the configuration accepts a gap: see [`super::accepted`].
//!
//! Of several stores the first that holds everything asked serves, else the first that holds some,
//! and what it does not hold is a gap beside its scan. All archives come before all log groups, each
//! kind as configured. Every decision is made for a single second, so each second has exactly one
//! owner; [`Router::route`] only puts seconds with the same owner together.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::accepted::Accepted;
use super::facts::{AccountFacts, Facts};
use super::hand_over::ReceiverId;
use super::holding::{Holding, Store};
use super::narrowing::Narrowing;
use super::outcome::{Reason, ReasonCode};
use super::scan::EventPart;
use crate::query::{
    AccountId, BackendKind, EventCategory, EventQuery, EventTime, Region, TimeRange,
};

/// How far event history reaches back.
const EVENT_HISTORY_REACH: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How far inside the horizon the seam lies where an archive covers both sides: what event history
/// is asked for does not age out while the search runs.
const SEAM_SECONDS: i64 = 3600;

/// Some seconds of one account and Region, and who serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: TimeRange,
    pub(super) category: EventCategory,
    pub(super) owner: Owner,
}

/// Who serves a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    EventHistory,
    /// The store of this number in [`Router::stores`].
    Store(usize),
    /// Nobody.
    Gap {
        events: EventPart,
        backend: Option<BackendKind>,
        reason: Reason,
    },
}

/// Routes the seconds of a question.
pub(super) struct Router<'a> {
    query: &'a EventQuery,
    pub(super) range: TimeRange,
    pub(super) horizon: EventTime,
    /// How far event history really reaches by now: a resumed search keeps the first stream's
    /// horizon, which may be hours older.
    reach: EventTime,
    /// Stores surely hold what is older than this.
    pub(super) delivered_until: EventTime,
    pub(super) narrowing: Narrowing,
    accepted: Accepted<'a>,
    /// In order of preference.
    pub(super) stores: Vec<Store<'a>>,
    categories: BTreeSet<EventCategory>,
    /// What each store holds of each category asked for, in their order.
    holdings: Vec<(EventCategory, Vec<Holding>)>,
}

/// One account and Region.
#[derive(Clone, Copy)]
struct Cell<'a> {
    account: &'a AccountFacts,
    region: &'a Region,
}

impl<'a> Router<'a> {
    pub(super) fn new(
        query: &'a EventQuery,
        facts: &'a Facts,
        range: TimeRange,
        now: Timestamp,
    ) -> Self {
        let ago = |now: EventTime, duration: SignedDuration| now.plus(-duration.as_secs());
        let categories: BTreeSet<EventCategory> =
            query.filter.categories().iter().copied().collect();
        let archives = facts.archives.iter().map(Store::Archive);
        let log_groups = facts.log_groups.iter().map(Store::LogGroup);
        let stores: Vec<Store<'_>> = archives.chain(log_groups).collect();
        let holdings = categories.iter().map(|category| {
            let holdings = stores
                .iter()
                .map(|store| Holding::of(*store, query, *category));
            (*category, holdings.collect())
        });
        let reach = ago(EventTime::ceil(now), EVENT_HISTORY_REACH);
        let horizon = (query.resume.as_ref()).map_or(reach, |resume| resume.horizon);
        Self {
            range,
            horizon,
            reach: reach.max(horizon),
            delivered_until: ago(EventTime::floor(now), facts.routing.archive_delay),
            narrowing: Narrowing::of(query),
            accepted: Accepted::at(&facts.accepted_gaps, now),
            holdings: holdings.collect(),
            stores,
            categories,
            query,
        }
    }

    /// Every second of every category of one account and Region, each with its owner. Where a
    /// store holds a part only, there are gaps for the rest beside its pieces.
    pub(super) fn route(&self, account: &AccountFacts, region: &Region) -> Vec<Piece> {
        let cell = Cell { account, region };
        let mut pieces: Vec<Piece> = Vec::new();
        for &category in &self.categories {
            let first = pieces.len();
            for range in self.cuts() {
                let owner = self.owner(cell, category, range.start());
                let owner = self.accept(cell, category, owner);
                match pieces[first..].last_mut() {
                    Some(last) if last.owner == owner => {
                        if let Some(joined) = TimeRange::new(last.range.start(), range.end()) {
                            last.range = joined;
                        }
                    }
                    _ => pieces.push(Piece {
                        range,
                        category,
                        owner,
                    }),
                }
            }
        }
        let beside: Vec<Piece> = pieces
            .iter()
            .flat_map(|piece| self.not_held(piece))
            .map(|piece| Piece {
                owner: self.accept(cell, piece.category, piece.owner),
                ..piece
            })
            .collect();
        pieces.extend(beside);
        pieces
    }

    /// The parts of a scan of event history that a store surely holds as well, each with the store
    /// that would serve it: who takes over.
    pub(super) fn receivers(
        &self,
        account: &AccountFacts,
        region: &Region,
        range: TimeRange,
    ) -> Vec<(TimeRange, ReceiverId)> {
        let cell = Cell { account, region };
        let mut parts: Vec<(TimeRange, ReceiverId)> = Vec::new();
        for cut in self.cuts() {
            let owner = self.store_owner(cell, EventCategory::Management, cut.start());
            let (Some(part), Owner::Store(store)) = (cut.intersect(range), owner) else {
                continue;
            };
            if cut.start() >= self.delivered_until {
                continue;
            }
            match parts.last_mut() {
                Some((last, of)) if of.0 == store && last.end() == part.start() => {
                    *last = TimeRange::new(last.start(), part.end()).unwrap_or(*last);
                }
                _ => parts.push((part, ReceiverId(store))),
            }
        }
        parts
    }

    /// The management events of the question that a store does not hold.
    pub(super) fn lacking(&self, store: usize) -> Vec<EventPart> {
        let holdings = (self.holdings.iter())
            .find(|(of, _)| *of == EventCategory::Management)
            .map(|(_, holdings)| &holdings[store]);
        match holdings {
            Some(Holding::AllBut(missing)) => {
                missing.iter().map(|(events, _)| events.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The interval, cut wherever an owner can change.
    fn cuts(&self) -> Vec<TimeRange> {
        let first_times = self.stores.iter().map(|store| store.holds().first_time);
        let mut cuts: Vec<EventTime> = first_times
            .chain([
                self.range.start(),
                self.horizon,
                self.reach.plus(SEAM_SECONDS),
                self.delivered_until,
            ])
            .filter(|cut| self.range.contains(*cut))
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        let ends = cuts.iter().skip(1).copied().chain([self.range.end()]);
        cuts.iter()
            .zip(ends)
            .filter_map(|(start, end)| TimeRange::new(*start, end))
            .collect()
    }

    /// Whether the configuration accepts that event history cannot be read there.
    pub(super) fn accepts_gap(&self, account: AccountId, region: &Region) -> bool {
        self.accepted.covering(account, region).is_some()
    }

    /// Who serves the second `at`.
    fn owner(&self, cell: Cell<'_>, category: EventCategory, at: EventTime) -> Owner {
        let in_history = category == EventCategory::Management
            && at >= self.horizon
            && cell.account.event_history
            && !self.accepts_gap(cell.account.id, cell.region)
            && self.query.allows(BackendKind::EventHistory);
        if in_history && !self.store_goes_first(cell, at) {
            return Owner::EventHistory;
        }
        self.store_owner(cell, category, at)
    }

    /// Whether a store serves a management second that event history could serve as well: only
    /// where the store surely holds all of it.
    fn store_goes_first(&self, cell: Cell<'_>, at: EventTime) -> bool {
        if at >= self.delivered_until {
            return false;
        }
        let whole = |before: EventTime| {
            self.candidates(cell, EventCategory::Management)
                .any(|(store, holding)| {
                    *holding == Holding::Whole
                        && self.allows(store)
                        && self.stores[store].holds().first_time < before
                })
        };
        let at_the_seam = at < self.reach.plus(SEAM_SECONDS) && whole(self.horizon);
        let saves_reading = !self.narrowing.selective || self.reads_other_category(cell, at);
        at_the_seam || (saves_reading && whole(at.plus(1)))
    }

    /// Whether a store reads another category of this second anyway.
    fn reads_other_category(&self, cell: Cell<'_>, at: EventTime) -> bool {
        (self.categories.iter())
            .filter(|category| **category != EventCategory::Management)
            .any(|category| matches!(self.store_owner(cell, *category, at), Owner::Store(_)))
    }

    fn allows(&self, store: usize) -> bool {
        self.query.allows(self.stores[store].backend())
    }

    /// The stores that declare the account, the Region and the category, in their order.
    fn candidates(
        &self,
        cell: Cell<'_>,
        category: EventCategory,
    ) -> impl Iterator<Item = (usize, &Holding)> {
        let holdings = self.holdings.iter().find(|(of, _)| *of == category);
        (holdings.into_iter().flat_map(|(_, holdings)| holdings))
            .enumerate()
            .filter(move |(store, holding)| {
                **holding != Holding::OtherCategories
                    && self.declares_account(*store, cell)
                    && self.declares_region(*store, cell)
            })
    }

    fn declares_account(&self, store: usize, cell: Cell<'_>) -> bool {
        let accounts = &self.stores[store].holds().accounts;
        (accounts.as_ref()).is_none_or(|accounts| accounts.contains(&cell.account.id))
    }

    fn declares_region(&self, store: usize, cell: Cell<'_>) -> bool {
        let regions = &self.stores[store].holds().regions;
        (regions.as_ref()).is_none_or(|regions| regions.contains(cell.region))
    }

    /// The store that serves `at`, or why none does.
    fn store_owner(&self, cell: Cell<'_>, category: EventCategory, at: EventTime) -> Owner {
        // One that the request leaves out comes last: then that is why.
        let rank = |store: usize, holding: &Holding| match holding {
            _ if !self.allows(store) => 3,
            Holding::Whole => 0,
            Holding::AllBut(_) => 1,
            Holding::Nothing(_) | Holding::OtherCategories => 2,
        };
        let best = self
            .candidates(cell, category)
            .filter(|(store, _)| self.stores[*store].holds().first_time <= at)
            .min_by_key(|(store, holding)| rank(*store, holding));
        let Some((number, holding)) = best else {
            return self.nobody(cell, category, at);
        };
        let store = &self.stores[number];
        if !self.allows(number) {
            let backend = store.backend().as_str();
            let message = format!(
                "{store} would answer this, but the request's backends leave out {backend}"
            );
            let reason = Reason::new(ReasonCode::BackendExcluded, message);
            return gap(category, Some(store.backend()), reason);
        }
        match holding {
            Holding::Nothing(reason) => gap(category, Some(store.backend()), reason.clone()),
            _ => Owner::Store(number),
        }
    }

    /// Why nobody serves `at`, and what would change that.
    fn nobody(&self, cell: Cell<'_>, category: EventCategory, at: EventTime) -> Owner {
        let management = category == EventCategory::Management;
        if management && at >= self.horizon && !self.query.allows(BackendKind::EventHistory) {
            let message =
                "event history would answer this, but the request's backends leave it out";
            let reason = Reason::new(ReasonCode::BackendExcluded, message);
            return gap(category, Some(BackendKind::EventHistory), reason);
        }
        if let Some((backend, reason)) = self.why_no_store(cell, category) {
            return gap(category, Some(backend), reason);
        }
        let (backend, code, message) = if management && at < self.horizon {
            (
                BackendKind::EventHistory,
                ReasonCode::BeyondHorizon,
                "older than the 90 days of event history, and no archive or log group covers this \
                 account: configure one"
                    .to_owned(),
            )
        } else if management {
            (
                BackendKind::EventHistory,
                ReasonCode::NoBackend,
                "event history is switched off for this account, and no archive or log group \
                 covers it"
                    .to_owned(),
            )
        } else {
            let message = format!(
                "{} events are in no event history, and no archive or log group covers this \
                 account: configure one that holds them",
                category.as_str()
            );
            (BackendKind::Athena, ReasonCode::NoBackend, message)
        };
        gap(category, Some(backend), Reason::new(code, message))
    }

    /// What the stores that cover the account lack, if there are any: the time, the category or
    /// the Region.
    fn why_no_store(
        &self,
        cell: Cell<'_>,
        category: EventCategory,
    ) -> Option<(BackendKind, Reason)> {
        let oldest = self
            .candidates(cell, category)
            .map(|(store, _)| &self.stores[store])
            .min_by_key(|store| store.holds().first_time);
        if let Some(store) = oldest {
            let begins = store.lacks(format_args!("begins at {}", store.holds().first_time));
            return Some((store.backend(), begins));
        }
        let covering = (0..self.stores.len()).find(|at| self.declares_account(*at, cell))?;
        let store = &self.stores[covering];
        let lacks = if store.holds().categories.contains(&category) {
            store.lacks(format_args!("does not hold Region {}", cell.region))
        } else {
            store.lacks(format_args!("holds no {} events", category.as_str()))
        };
        Some((store.backend(), lacks))
    }

    /// Puts a gap down to the configuration where that accepts it.
    fn accept(&self, cell: Cell<'_>, category: EventCategory, mut owner: Owner) -> Owner {
        // Only what event history could have held is missing because it is closed.
        if category == EventCategory::Management
            && let Owner::Gap {
                backend, reason, ..
            } = &mut owner
        {
            let (account, region) = (cell.account.id, cell.region);
            let accepted = self.accepted.reason_for(account, region, *backend, reason);
            *reason = accepted.unwrap_or_else(|| reason.clone());
        }
        owner
    }

    /// Gaps for what the store of `piece` does not hold.
    fn not_held(&self, piece: &Piece) -> Vec<Piece> {
        let Owner::Store(store) = piece.owner else {
            return Vec::new();
        };
        let holdings = self.holdings.iter().find(|(of, _)| *of == piece.category);
        let Some(Holding::AllBut(missing)) = holdings.map(|(_, holdings)| &holdings[store]) else {
            return Vec::new();
        };
        let gaps = missing.iter().map(|(events, reason)| Piece {
            range: piece.range,
            category: piece.category,
            owner: Owner::Gap {
                events: events.clone(),
                backend: Some(self.stores[store].backend()),
                reason: reason.clone(),
            },
        });
        gaps.collect()
    }
}

/// A gap of all events of a category.
fn gap(category: EventCategory, backend: Option<BackendKind>, reason: Reason) -> Owner {
    Owner::Gap {
        events: EventPart {
            categories: BTreeSet::from([category]),
            read_only: None,
            event_sources: None,
        },
        backend,
        reason,
    }
}
