//! Several lookups as one scan, newest first.
//!
//! The lookup whose bound is the highest is the next to be asked, so that those further ahead wait
//! with at most a page each, and the scan's own bound is that of the last in line. What one lookup
//! showed and another shows again (an event of alice by one of her keys, when both are asked about)
//! is left out.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;

use crate::backend::{Page, PageCost, ScanError, ScanReader};
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, Event, EventId, EventTime, TimeRange};

/// So much newer than the bound a copy may still come: pages are not strictly in order.
const LATE_SECONDS: i64 = 900;

/// Lookups that are read as one.
pub(super) struct Merged {
    lookups: Vec<OneLookup>,
    seen: Seen,
    /// Every event still to come is at or before this.
    bound: EventTime,
}

struct OneLookup {
    reader: Box<dyn ScanReader>,
    state: State,
}

enum State {
    /// Nothing newer than this is to come.
    Reading(EventTime),
    /// The horizon has passed this second and all that is older.
    AgedOut(EventTime, Reason),
    Ended,
}

impl Merged {
    /// Reads `lookups`, each with its interval, in a scan that has everything to come at or before
    /// `bound`.
    pub fn new(
        lookups: impl IntoIterator<Item = (TimeRange, Box<dyn ScanReader>)>,
        bound: EventTime,
    ) -> Self {
        Self {
            lookups: (lookups.into_iter())
                .map(|(range, reader)| OneLookup {
                    reader,
                    state: State::Reading(range.last()),
                })
                .collect(),
            seen: Seen::default(),
            bound,
        }
    }

    /// Reads these lookups from here on, whatever is left of the others: together they show all that
    /// is to come at or before the bound.
    pub fn replace(&mut self, lookups: impl IntoIterator<Item = (TimeRange, Box<dyn ScanReader>)>) {
        let seen = std::mem::take(&mut self.seen);
        *self = Self {
            seen,
            ..Self::new(lookups, self.bound)
        };
    }

    /// Every event still to come is at or before this.
    pub fn bound(&self) -> EventTime {
        self.bound
    }

    /// How many lookups have not ended.
    pub fn left(&self) -> usize {
        let left = self.lookups.iter();
        left.filter(|lookup| matches!(lookup.state, State::Reading(_)))
            .count()
    }

    /// Lowers the bound to that of the last lookup in line; `None` if all have ended.
    fn lower_bound(&mut self) -> Option<EventTime> {
        let bounds = self.lookups.iter().map(|lookup| match &lookup.state {
            State::Reading(bound) => Some(*bound),
            State::AgedOut(stopped_at, _) => Some(*stopped_at),
            State::Ended => None,
        });
        self.bound = bounds.max()??.min(self.bound);
        self.seen.forget_after(self.bound.plus(LATE_SECONDS));
        Some(self.bound)
    }

    /// The next to be asked: the last in line.
    fn next(&self) -> Option<usize> {
        let reading = |(at, lookup): (usize, &OneLookup)| match lookup.state {
            State::Reading(bound) => Some((bound, std::cmp::Reverse(at))),
            State::AgedOut(..) | State::Ended => None,
        };
        let last = self.lookups.iter().enumerate().filter_map(reading).max();
        last.map(|(_, std::cmp::Reverse(at))| at)
    }

    /// What the horizon has passed, once nothing else is left to read.
    fn aged_out(&self, cost: PageCost) -> Option<ScanError> {
        let aged = self
            .lookups
            .iter()
            .filter_map(|lookup| match &lookup.state {
                State::AgedOut(stopped_at, reason) => Some((*stopped_at, reason)),
                State::Reading(_) | State::Ended => None,
            });
        let (stopped_at, reason) = aged.max_by_key(|(stopped_at, _)| *stopped_at)?;
        Some(ScanError {
            reason: reason.clone(),
            not_applicable: false,
            stopped_at: Some(stopped_at),
            cost,
        })
    }
}

#[async_trait]
impl ScanReader for Merged {
    async fn wait_for_turn(&mut self) {
        if let Some(at) = self.next() {
            self.lookups[at].reader.wait_for_turn().await;
        }
    }

    fn give_up_turn(&mut self) {
        if let Some(at) = self.next() {
            self.lookups[at].reader.give_up_turn();
        }
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let Some(at) = self.next() else {
            return match self.aged_out(PageCost::default()) {
                Some(error) => Err(error),
                None => Ok(Page {
                    end: true,
                    ..Page::default()
                }),
            };
        };
        let lookup = &mut self.lookups[at];
        let mut page = match lookup.reader.next_page().await {
            Ok(page) => page,
            Err(ScanError {
                reason,
                stopped_at: Some(stopped_at),
                cost,
                ..
            }) if reason.code == ReasonCode::AgedOut => {
                lookup.state = State::AgedOut(stopped_at, reason);
                Page {
                    cost,
                    ..Page::default()
                }
            }
            Err(error) => return Err(error),
        };
        if page.end {
            lookup.state = State::Ended;
        } else if let (Some(bound), State::Reading(_)) = (page.bound, &lookup.state) {
            lookup.state = State::Reading(bound);
        }
        page.events.retain(|event| self.seen.is_new(event));
        page.bound = self.lower_bound();
        page.end = page.bound.is_none();
        if self.next().is_none() && page.events.is_empty() {
            // What could not be read is told with the last answer.
            if let Some(error) = self.aged_out(page.cost) {
                return Err(error);
            }
        }
        Ok(page)
    }
}

/// The events that were shown and may be shown again.
#[derive(Default)]
struct Seen(BTreeMap<EventTime, HashSet<(AccountId, EventId)>>);

impl Seen {
    /// Whether the event is new; it is known from then on. A made id is numbered by its own
    /// lookup, so that as many equal records remain as the lookup that shows the most.
    fn is_new(&mut self, event: &Event) -> bool {
        let second = self.0.entry(event.key.time).or_default();
        second.insert((event.key.account, event.key.id.clone()))
    }

    fn forget_after(&mut self, time: EventTime) {
        self.0.split_off(&time.plus(1));
    }
}
