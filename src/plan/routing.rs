//! Who serves a second: the routing table.
//!
//! For one account, Region and category, in this order:
//!
//! | second | category | goes to |
//! |---|---|---|
//! | at or after the horizon | Management | event history, unless the archive goes first |
//! | up to an hour inside the horizon | Management | the archive, if it holds all of both sides of the horizon |
//! | before `now − archive_delay` | Management | the archive, if it holds all of it, where event history would read everybody's events (no attribute names the identity) or where the archive reads another category of these seconds anyway |
//! | before the horizon, or where event history is off or excluded | Management | an archive |
//! | any | Data, NetworkActivity, Insight | an archive: event history has none of them |
//! | whatever is left | any | a gap with a reason |
//!
//! Event history is not asked where the configuration accepts a gap: see [`super::accepted`].
//!
//! Of several archives the first, as configured, that holds everything asked serves; else the
//! first that holds some, and what it does not hold is a gap beside its scan. Every decision is
//! made for a single second, so each second has exactly one owner; [`Router::route`] only puts
//! seconds with the same owner together.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::accepted::Accepted;
use super::facts::{AccountFacts, Facts};
use super::holding::Holding;
use super::narrowing::Narrowing;
use super::outcome::{Reason, ReasonCode};
use super::scan::EventPart;
use crate::query::{BackendKind, EventCategory, EventQuery, EventTime, Region, TimeRange};

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
    /// The archive of this number in the facts.
    Archive(usize),
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
    facts: &'a Facts,
    pub(super) range: TimeRange,
    pub(super) horizon: EventTime,
    /// How far event history really reaches by now: a resumed search keeps the first stream's
    /// horizon, which may be hours older.
    reach: EventTime,
    /// Archives surely hold what is older than this.
    pub(super) delivered_until: EventTime,
    pub(super) narrowing: Narrowing,
    accepted: Accepted<'a>,
    categories: BTreeSet<EventCategory>,
    /// What each archive holds of each category asked for, in the order of the facts.
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
        let holdings = categories.iter().map(|category| {
            let archives = facts.archives.iter();
            let holdings = archives.map(|archive| Holding::of(archive, query, *category));
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
            categories,
            query,
            facts,
        }
    }

    /// Every second of every category of one account and Region, each with its owner. Where an
    /// archive holds a part only, there are gaps for the rest beside its pieces.
    pub(super) fn route(&self, account: &AccountFacts, region: &Region) -> Vec<Piece> {
        let cell = Cell { account, region };
        let mut pieces: Vec<Piece> = Vec::new();
        for &category in &self.categories {
            let first = pieces.len();
            for range in self.cuts() {
                let owner = self.accept(cell, self.owner(cell, category, range.start()));
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
                owner: self.accept(cell, piece.owner),
                ..piece
            })
            .collect();
        pieces.extend(beside);
        pieces
    }

    /// The interval, cut wherever an owner can change.
    fn cuts(&self) -> Vec<TimeRange> {
        let first_times = self.facts.archives.iter().map(|archive| archive.first_time);
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

    /// Who serves the second `at`.
    fn owner(&self, cell: Cell<'_>, category: EventCategory, at: EventTime) -> Owner {
        let in_history = category == EventCategory::Management
            && at >= self.horizon
            && cell.account.event_history
            && self
                .accepted
                .covering(cell.account.id, cell.region)
                .is_none()
            && self.query.allows(BackendKind::EventHistory);
        if in_history && !self.archive_goes_first(cell, at) {
            return Owner::EventHistory;
        }
        self.archive_owner(cell, category, at)
    }

    /// Whether an archive serves a management second that event history could serve as well: only
    /// where the archive surely holds all of it.
    fn archive_goes_first(&self, cell: Cell<'_>, at: EventTime) -> bool {
        if at >= self.delivered_until || !self.query.allows(BackendKind::Athena) {
            return false;
        }
        let whole = |before: EventTime| {
            self.candidates(cell, EventCategory::Management)
                .any(|(archive, holding)| {
                    *holding == Holding::Whole && self.facts.archives[archive].first_time < before
                })
        };
        let at_the_seam = at < self.reach.plus(SEAM_SECONDS) && whole(self.horizon);
        let saves_reading = !self.narrowing.by_identity || self.reads_other_category(cell, at);
        at_the_seam || (saves_reading && whole(at.plus(1)))
    }

    /// Whether an archive reads another category of this second anyway.
    fn reads_other_category(&self, cell: Cell<'_>, at: EventTime) -> bool {
        (self.categories.iter())
            .filter(|category| **category != EventCategory::Management)
            .any(|category| matches!(self.archive_owner(cell, *category, at), Owner::Archive(_)))
    }

    /// The archives that declare the account, the Region and the category, in their order.
    fn candidates(
        &self,
        cell: Cell<'_>,
        category: EventCategory,
    ) -> impl Iterator<Item = (usize, &Holding)> {
        let holdings = self.holdings.iter().find(|(of, _)| *of == category);
        (holdings.into_iter().flat_map(|(_, holdings)| holdings))
            .enumerate()
            .filter(move |(archive, holding)| {
                **holding != Holding::OtherCategories
                    && self.declares_account(*archive, cell)
                    && self.declares_region(*archive, cell)
            })
    }

    fn declares_account(&self, archive: usize, cell: Cell<'_>) -> bool {
        let accounts = &self.facts.archives[archive].accounts;
        (accounts.as_ref()).is_none_or(|accounts| accounts.contains(&cell.account.id))
    }

    fn declares_region(&self, archive: usize, cell: Cell<'_>) -> bool {
        let regions = &self.facts.archives[archive].regions;
        (regions.as_ref()).is_none_or(|regions| regions.contains(cell.region))
    }

    /// The archive that serves `at`, or why none does.
    fn archive_owner(&self, cell: Cell<'_>, category: EventCategory, at: EventTime) -> Owner {
        let rank = |holding: &Holding| match holding {
            Holding::Whole => 0,
            Holding::AllBut(_) => 1,
            Holding::Nothing(_) | Holding::OtherCategories => 2,
        };
        let best = self
            .candidates(cell, category)
            .filter(|(archive, _)| self.facts.archives[*archive].first_time <= at)
            .min_by_key(|(_, holding)| rank(holding));
        let Some((archive, holding)) = best else {
            return self.nobody(cell, category, at);
        };
        if !self.query.allows(BackendKind::Athena) {
            let name = &self.facts.archives[archive].name;
            let message = format!(
                "archive {name} would answer this, but the request's backends leave out Athena"
            );
            let reason = Reason::new(ReasonCode::BackendExcluded, message);
            return gap(category, Some(BackendKind::Athena), reason);
        }
        match holding {
            Holding::Nothing(reason) => gap(category, Some(BackendKind::Athena), reason.clone()),
            _ => Owner::Archive(archive),
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
        if let Some(why) = self.why_no_archive(cell, category) {
            let reason = Reason::new(ReasonCode::NotInArchive, why);
            return gap(category, Some(BackendKind::Athena), reason);
        }
        let (backend, code, message) = if management && at < self.horizon {
            (
                BackendKind::EventHistory,
                ReasonCode::BeyondHorizon,
                "older than the 90 days of event history, and no archive covers this account: \
                 configure one"
                    .to_owned(),
            )
        } else if management {
            (
                BackendKind::EventHistory,
                ReasonCode::NoBackend,
                "event history is switched off for this account, and no archive covers it"
                    .to_owned(),
            )
        } else {
            let message = format!(
                "{} events are in no event history, and no archive covers this account: configure \
                 one that holds them",
                category.as_str()
            );
            (BackendKind::Athena, ReasonCode::NoBackend, message)
        };
        gap(category, Some(backend), Reason::new(code, message))
    }

    /// What the archives that cover the account lack, if there are any: the time, the category or
    /// the Region.
    fn why_no_archive(&self, cell: Cell<'_>, category: EventCategory) -> Option<String> {
        let oldest = self
            .candidates(cell, category)
            .map(|(archive, _)| &self.facts.archives[archive])
            .min_by_key(|archive| archive.first_time);
        if let Some(archive) = oldest {
            return Some(format!(
                "archive {} begins at {}",
                archive.name, archive.first_time
            ));
        }
        let covering =
            (0..self.facts.archives.len()).find(|at| self.declares_account(*at, cell))?;
        let archive = &self.facts.archives[covering];
        Some(if archive.categories.contains(&category) {
            format!(
                "archive {} does not hold Region {}",
                archive.name, cell.region
            )
        } else {
            format!(
                "archive {} holds no {} events",
                archive.name,
                category.as_str()
            )
        })
    }

    /// Puts a gap down to the configuration where that accepts it.
    fn accept(&self, cell: Cell<'_>, mut owner: Owner) -> Owner {
        if let Owner::Gap {
            backend, reason, ..
        } = &mut owner
        {
            let (account, region) = (cell.account.id, cell.region);
            let accepted = self.accepted.reason_for(account, region, *backend, reason);
            *reason = accepted.unwrap_or_else(|| reason.clone());
        }
        owner
    }

    /// Gaps for what the archive of `piece` does not hold.
    fn not_held(&self, piece: &Piece) -> Vec<Piece> {
        let Owner::Archive(archive) = piece.owner else {
            return Vec::new();
        };
        let holdings = self.holdings.iter().find(|(of, _)| *of == piece.category);
        let Some(Holding::AllBut(missing)) = holdings.map(|(_, holdings)| &holdings[archive])
        else {
            return Vec::new();
        };
        let gaps = missing.iter().map(|(events, reason)| Piece {
            range: piece.range,
            category: piece.category,
            owner: Owner::Gap {
                events: events.clone(),
                backend: Some(BackendKind::Athena),
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
