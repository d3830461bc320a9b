//! Many scans into one order.
//!
//! Each scan is a *lane* with a bound: nothing that is read before that second is still to come from
//! there. An event is released when every lane's bound, its own included, lies beyond the event's
//! second. Until then it is held, so that the events of one second, which AWS returns in any order
//! and from many lanes, leave sorted by the total order and copies meet each other.
//!
//! "Before" and "beyond" are meant in the reading order ([`SearchOrder`]), newest or oldest first.
//!
//! Pure bookkeeping: no tasks, no clock, no AWS.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};

use crate::query::{EventId, EventKey, EventTime, Rank, SearchOrder};

/// A lane's number: its scan's position in the plan.
pub type Lane = usize;

/// The merge.
#[derive(Debug)]
pub struct Merge<E> {
    order: SearchOrder,
    /// By lane; `None` once nothing is to come.
    bounds: Vec<Option<EventTime>>,
    /// The same in reading order, to find the first.
    by_rank: BTreeSet<(Rank, Lane)>,
    held: BinaryHeap<Held<E>>,
    /// How many events each lane holds.
    held_by_lane: Vec<usize>,
    last_released: Option<EventKey>,
    duplicates: u64,
}

/// An event in its turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Released<E> {
    /// Where it came from.
    pub lane: Lane,
    /// Its place in the order.
    pub key: EventKey,
    /// The event.
    pub event: E,
    /// Something that belongs after it has been released before: its lane returned it out of order.
    pub late: bool,
}

#[derive(Debug)]
struct Held<E> {
    order: SearchOrder,
    key: EventKey,
    lane: Lane,
    event: E,
}

impl<E> Merge<E> {
    /// A merge of as many lanes as there are bounds: to begin with, the second of each scan that
    /// is read first.
    #[must_use]
    pub fn new(order: SearchOrder, bounds: impl IntoIterator<Item = EventTime>) -> Self {
        let bounds: Vec<_> = bounds.into_iter().map(Some).collect();
        Self {
            by_rank: (bounds.iter().enumerate())
                .filter_map(|(lane, bound)| Some((order.rank((*bound)?), lane)))
                .collect(),
            order,
            held_by_lane: vec![0; bounds.len()],
            held: BinaryHeap::new(),
            last_released: None,
            duplicates: 0,
            bounds,
        }
    }

    /// One more lane, that holds everything from `first` on. Nothing may have been released beyond
    /// that: another lane has held it back so far.
    pub fn add(&mut self, first: EventTime) -> Lane {
        let lane = self.bounds.len();
        self.bounds.push(Some(first));
        self.by_rank.insert((self.order.rank(first), lane));
        self.held_by_lane.push(0);
        lane
    }

    /// Holds back everything from `first` on for `lane`, which has not begun: its bound moves
    /// nearer. As with [`add`](Self::add), another lane has held it back so far.
    pub fn hold_back(&mut self, lane: Lane, first: EventTime) {
        let Some(old) = self.bounds[lane] else {
            return;
        };
        let new = self.order.sooner(first, old);
        self.by_rank.remove(&(self.order.rank(old), lane));
        self.by_rank.insert((self.order.rank(new), lane));
        self.bounds[lane] = Some(new);
    }

    /// Takes an event that `lane` read.
    pub fn hold(&mut self, lane: Lane, key: EventKey, event: E) {
        self.held_by_lane[lane] += 1;
        self.held.push(Held {
            order: self.order,
            key,
            lane,
            event,
        });
    }

    /// Moves a lane's bound on; `None` ends the lane. A bound never moves back: what comes before
    /// it is out of order.
    pub fn advance(&mut self, lane: Lane, bound: Option<EventTime>) {
        let Some(old) = self.bounds[lane] else {
            return;
        };
        let new = bound.map(|bound| self.order.later(bound, old));
        self.by_rank.remove(&(self.order.rank(old), lane));
        if let Some(new) = new {
            self.by_rank.insert((self.order.rank(new), lane));
        }
        self.bounds[lane] = new;
    }

    /// The next event in order, if its turn has come.
    pub fn release(&mut self) -> Option<Released<E>> {
        loop {
            let next = self.held.peek()?;
            let waits = |bound| self.order.rank(bound) <= self.order.rank(next.key.time);
            if self.position().is_some_and(waits) {
                return None;
            }
            if let Some(released) = self.pop() {
                return Some(released);
            }
        }
    }

    /// The next event whose turn is over already: it came out of order. A stream that goes on after
    /// the last released event would not bring it again.
    pub fn release_late(&mut self) -> Option<Released<E>> {
        loop {
            let (last, next) = (self.last_released.as_ref()?, self.held.peek()?);
            if self.order.compare(&next.key, last) == Ordering::Greater {
                return None;
            }
            if let Some(released) = self.pop() {
                return Some(released);
            }
        }
    }

    /// Takes the first event; none if it is a copy of the one before.
    fn pop(&mut self) -> Option<Released<E>> {
        let Held {
            key, lane, event, ..
        } = self.held.pop()?;
        self.held_by_lane[lane] -= 1;
        let place = (self.last_released.as_ref())
            .map_or(Ordering::Greater, |last| self.order.compare(&key, last));
        if place == Ordering::Equal && matches!(key.id, EventId::Recorded(_)) {
            self.duplicates += 1;
            return None;
        }
        let late = place == Ordering::Less;
        if !late {
            self.last_released = Some(key.clone());
        }
        Some(Released {
            lane,
            key,
            event,
            late,
        })
    }

    /// The bound that comes first: everything before this second may be released. `None` when every
    /// lane has ended: then everything may be.
    #[must_use]
    pub fn position(&self) -> Option<EventTime> {
        let (_, lane) = self.by_rank.first()?;
        self.bounds[*lane]
    }

    /// The first second of which something may not have been released yet, be it read already or
    /// not: everything before it has been. `None` when nothing is left.
    #[must_use]
    pub fn unreleased(&self) -> Option<EventTime> {
        let held = self.held.peek().map(|held| held.key.time);
        match (self.position(), held) {
            (Some(bound), Some(held)) => Some(self.order.sooner(bound, held)),
            (bound, held) => bound.or(held),
        }
    }

    /// The lanes whose bound comes first: what the merge waits for.
    pub fn waiting_for(&self) -> impl Iterator<Item = Lane> + '_ {
        let first = self.by_rank.first().map(|(rank, _)| *rank);
        (self.by_rank.iter())
            .take_while(move |(rank, _)| Some(*rank) == first)
            .map(|(_, lane)| *lane)
    }

    /// A lane's bound; `None` once it has ended.
    #[must_use]
    pub fn bound(&self, lane: Lane) -> Option<EventTime> {
        self.bounds[lane]
    }

    /// How many events of a lane wait for their turn.
    #[must_use]
    pub fn held(&self, lane: Lane) -> usize {
        self.held_by_lane[lane]
    }

    /// Whether nothing is held and nothing is to come.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.held.is_empty() && self.by_rank.is_empty()
    }

    /// Copies dropped so far.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

impl<E> Ord for Held<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first, which is the first in reading order. Among copies the
        // lower lane goes first, so that which copy stays does not depend on arrival.
        (self.order.compare(&other.key, &self.key)).then_with(|| other.lane.cmp(&self.lane))
    }
}

impl<E> PartialOrd for Held<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Held<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Held<E> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::TimeRange;

    fn second(second: i64) -> EventTime {
        EventTime::from_second(second).unwrap()
    }

    fn key(time: i64, id: u32) -> EventKey {
        EventKey {
            time: second(time),
            account: "111122223333".parse().unwrap(),
            id: EventId::Recorded(format!("{id:04}").into()),
        }
    }

    /// Lanes of events in reading order, shuffled within a second, some events in two lanes; and
    /// the order in which lanes deliver pages.
    type Pages = Vec<Vec<(i64, u32)>>;
    type Turns = Vec<(usize, usize)>;

    fn lanes() -> impl Strategy<Value = (SearchOrder, Pages, Turns)> {
        let order = prop::sample::select(vec![SearchOrder::NewestFirst, SearchOrder::OldestFirst]);
        let lane = prop::collection::vec((0..12_i64, 0..20_u32), 0..30);
        let lanes = prop::collection::vec(lane, 1..6);
        (order, lanes).prop_flat_map(|(order, mut lanes)| {
            for lane in &mut lanes {
                lane.sort_by_key(|(time, id)| (order.rank(second(*time)), (id * 7) % 11));
                lane.dedup();
            }
            let turns = prop::collection::vec((0..lanes.len(), 1..5_usize), 0..60);
            (Just(order), Just(lanes), turns)
        })
    }

    proptest! {
        /// Invariant 2: in order, none lost, none twice, whatever arrives when.
        #[test]
        fn released_events_are_all_events_sorted_and_unique((order, lanes, turns) in lanes()) {
            let first = order.first(TimeRange::new(second(0), second(13)).unwrap());
            let mut merge = Merge::new(order, lanes.iter().map(|_| first));
            let mut rest: Vec<&[(i64, u32)]> = lanes.iter().map(Vec::as_slice).collect();
            let mut released = Vec::new();
            let all_in_turn = (0..lanes.len()).map(|lane| (lane, usize::MAX));
            for (lane, count) in turns.into_iter().chain(all_in_turn) {
                let (page, after) = rest[lane].split_at(count.min(rest[lane].len()));
                rest[lane] = after;
                for (time, id) in page {
                    merge.hold(lane, key(*time, *id), ());
                }
                let bound = page.last().map(|(time, _)| second(*time));
                if after.is_empty() {
                    merge.advance(lane, None);
                } else if bound.is_some() {
                    merge.advance(lane, bound);
                }
                while let Some(event) = merge.release() {
                    prop_assert!(!event.late);
                    released.push(event.key);
                }
            }
            prop_assert!(merge.finished());
            let mut expected: Vec<_> =
                lanes.iter().flatten().map(|(time, id)| key(*time, *id)).collect();
            let total = expected.len();
            expected.sort_by(|a, b| order.compare(a, b));
            expected.dedup();
            prop_assert_eq!(merge.duplicates(), (total - expected.len()) as u64);
            prop_assert_eq!(released, expected);
        }
    }

    fn newest_first<const N: usize>(bounds: [i64; N]) -> Merge<()> {
        Merge::new(SearchOrder::NewestFirst, bounds.map(second))
    }

    #[test]
    fn an_event_waits_until_every_bound_is_below_its_second() {
        let mut merge = newest_first([10, 10]);
        merge.hold(0, key(9, 1), ());
        merge.advance(0, None);
        assert!(merge.release().is_none());
        merge.advance(1, Some(second(9)));
        assert!(
            merge.release().is_none(),
            "lane 1 may still bring one of second 9"
        );
        merge.advance(1, Some(second(8)));
        assert!(merge.release().is_some());
    }

    #[test]
    fn what_is_held_is_not_released_though_its_turn_has_come() {
        let mut merge = newest_first([10]);
        assert_eq!(merge.unreleased(), Some(second(10)));
        for time in [9, 7] {
            merge.hold(0, key(time, 1), ());
        }
        merge.advance(0, None);
        assert_eq!(merge.unreleased(), Some(second(9)));
        merge.release();
        assert_eq!(merge.unreleased(), Some(second(7)));
        merge.release();
        assert_eq!(merge.unreleased(), None);
    }

    #[test]
    fn what_comes_out_of_order_is_sent_late_and_said() {
        for (order, times) in [
            (SearchOrder::NewestFirst, [10, 5, 4, 7]),
            (SearchOrder::OldestFirst, [1, 5, 6, 3]),
        ] {
            let [first, on_time, bound, late] = times;
            let mut merge = Merge::new(order, [second(first)]);
            merge.hold(0, key(on_time, 1), ());
            merge.advance(0, Some(second(bound)));
            assert!(!merge.release().unwrap().late);
            merge.hold(0, key(late, 2), ());
            assert!(merge.release().unwrap().late);
        }
    }

    #[test]
    fn what_came_too_late_is_told_from_what_a_resumed_stream_brings() {
        let mut merge = newest_first([10]);
        merge.hold(0, key(5, 1), ());
        merge.advance(0, None);
        assert!(merge.release_late().is_none(), "nothing was released yet");
        merge.release();
        for (time, id) in [(7, 2), (5, 1), (3, 3)] {
            merge.hold(0, key(time, id), ());
        }
        assert_eq!(merge.release_late().unwrap().key, key(7, 2));
        assert!(merge.release_late().is_none());
        assert_eq!((merge.duplicates(), merge.held(0)), (1, 1));
    }

    #[test]
    fn records_without_an_id_are_never_copies() {
        let mut merge = newest_first([10, 10]);
        let made = EventKey {
            id: EventId::Made {
                digest: "d".into(),
                ordinal: 0,
            },
            ..key(5, 1)
        };
        for lane in [0, 1] {
            merge.hold(lane, made.clone(), ());
            merge.advance(lane, None);
        }
        assert!(merge.release().is_some() && merge.release().is_some());
    }
}
