//! Many scans into one order.
//!
//! Each scan is a *lane* with a bound: nothing newer than it is still to come from there. An event
//! is released when every lane's bound, its own included, lies below the event's second. Until then
//! it is held, so that the events of one second, which AWS returns in any order and from many
//! lanes, leave sorted by the total order and copies meet each other.
//!
//! Pure bookkeeping: no tasks, no clock, no AWS.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};

use crate::query::{EventId, EventKey, EventTime};

/// A lane's number: its scan's position in the plan.
pub type Lane = usize;

/// The merge, newest first.
#[derive(Debug)]
pub struct Merge<E> {
    /// By lane; `None` once nothing is to come.
    bounds: Vec<Option<EventTime>>,
    /// The same by time, to find the highest.
    by_time: BTreeSet<(EventTime, Lane)>,
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
    /// Something older has been released before: its lane returned it out of order.
    pub late: bool,
}

#[derive(Debug)]
struct Held<E> {
    key: EventKey,
    lane: Lane,
    event: E,
}

impl<E> Merge<E> {
    /// A merge of as many lanes as there are bounds: at first the last second of each scan.
    #[must_use]
    pub fn new(bounds: impl IntoIterator<Item = EventTime>) -> Self {
        let bounds: Vec<_> = bounds.into_iter().map(Some).collect();
        Self {
            by_time: (bounds.iter().enumerate())
                .filter_map(|(lane, bound)| Some(((*bound)?, lane)))
                .collect(),
            held_by_lane: vec![0; bounds.len()],
            held: BinaryHeap::new(),
            last_released: None,
            duplicates: 0,
            bounds,
        }
    }

    /// Takes an event that `lane` read.
    pub fn hold(&mut self, lane: Lane, key: EventKey, event: E) {
        self.held_by_lane[lane] += 1;
        self.held.push(Held { key, lane, event });
    }

    /// Lowers a lane's bound; `None` ends the lane. A bound never rises: what comes above it is
    /// out of order.
    pub fn lower(&mut self, lane: Lane, bound: Option<EventTime>) {
        let Some(old) = self.bounds[lane] else {
            return;
        };
        let new = bound.map(|bound| bound.min(old));
        self.by_time.remove(&(old, lane));
        if let Some(new) = new {
            self.by_time.insert((new, lane));
        }
        self.bounds[lane] = new;
    }

    /// The next event in order, if its turn has come.
    pub fn release(&mut self) -> Option<Released<E>> {
        loop {
            let top = self.held.peek()?;
            if self.position().is_some_and(|bound| bound >= top.key.time) {
                return None;
            }
            let Held { key, lane, event } = self.held.pop()?;
            self.held_by_lane[lane] -= 1;
            let order = (self.last_released.as_ref()).map_or(Ordering::Less, |last| key.cmp(last));
            if order == Ordering::Equal && matches!(key.id, EventId::Recorded(_)) {
                self.duplicates += 1;
                continue;
            }
            let late = order == Ordering::Greater;
            if !late {
                self.last_released = Some(key.clone());
            }
            return Some(Released {
                lane,
                key,
                event,
                late,
            });
        }
    }

    /// The highest bound: everything after this second may be released. `None` when every lane has
    /// ended: then everything may be.
    #[must_use]
    pub fn position(&self) -> Option<EventTime> {
        self.by_time.last().map(|(bound, _)| *bound)
    }

    /// The newest second of which something may not have been released yet, be it read already or
    /// not: everything after it has been. `None` when nothing is left.
    #[must_use]
    pub fn unreleased(&self) -> Option<EventTime> {
        let held = self.held.peek().map(|held| held.key.time);
        self.position().max(held)
    }

    /// The lanes that hold the highest bound: what the merge waits for.
    pub fn waiting_for(&self) -> impl Iterator<Item = Lane> + '_ {
        let position = self.position();
        (self.by_time.iter().rev())
            .take_while(move |(bound, _)| Some(*bound) == position)
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
        self.held.is_empty() && self.by_time.is_empty()
    }

    /// Copies dropped so far.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }
}

impl<E> Ord for Held<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Among copies the lower lane goes first, so that which copy stays does not depend on
        // arrival.
        (self.key.cmp(&other.key)).then_with(|| other.lane.cmp(&self.lane))
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

    fn key(time: i64, id: u32) -> EventKey {
        EventKey {
            time: EventTime::from_second(time).unwrap(),
            account: "111122223333".parse().unwrap(),
            id: EventId::Recorded(format!("{id:04}").into()),
        }
    }

    /// Lanes of events, newest first, shuffled within a second, some events in two lanes; and the
    /// order in which lanes deliver pages.
    type Pages = Vec<Vec<(i64, u32)>>;
    type Turns = Vec<(usize, usize)>;

    fn lanes() -> impl Strategy<Value = (Pages, Turns)> {
        let lane = prop::collection::vec((0..12_i64, 0..20_u32), 0..30);
        let lanes = prop::collection::vec(lane, 1..6);
        lanes.prop_flat_map(|mut lanes| {
            for lane in &mut lanes {
                lane.sort_by_key(|(time, id)| (-time, (id * 7) % 11));
                lane.dedup();
            }
            let turns = prop::collection::vec((0..lanes.len(), 1..5_usize), 0..60);
            (Just(lanes), turns)
        })
    }

    proptest! {
        /// Invariant 2: in order, none lost, none twice, whatever arrives when.
        #[test]
        fn released_events_are_all_events_sorted_and_unique((lanes, turns) in lanes()) {
            let last = EventTime::from_second(12).unwrap();
            let mut merge = Merge::new(lanes.iter().map(|_| last));
            let mut rest: Vec<&[(i64, u32)]> = lanes.iter().map(Vec::as_slice).collect();
            let mut released = Vec::new();
            let all_in_turn = (0..lanes.len()).map(|lane| (lane, usize::MAX));
            for (lane, count) in turns.into_iter().chain(all_in_turn) {
                let (page, after) = rest[lane].split_at(count.min(rest[lane].len()));
                rest[lane] = after;
                for (time, id) in page {
                    merge.hold(lane, key(*time, *id), ());
                }
                let bound = page.last().map(|(time, _)| EventTime::from_second(*time).unwrap());
                if after.is_empty() {
                    merge.lower(lane, None);
                } else if bound.is_some() {
                    merge.lower(lane, bound);
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
            expected.sort_by(|a, b| b.cmp(a));
            expected.dedup();
            prop_assert_eq!(merge.duplicates(), (total - expected.len()) as u64);
            prop_assert_eq!(released, expected);
        }
    }

    #[test]
    fn an_event_waits_until_every_bound_is_below_its_second() {
        let mut merge = Merge::new([10, 10].map(|second| EventTime::from_second(second).unwrap()));
        merge.hold(0, key(9, 1), ());
        merge.lower(0, None);
        assert!(merge.release().is_none());
        merge.lower(1, EventTime::from_second(9));
        assert!(
            merge.release().is_none(),
            "lane 1 may still bring one of second 9"
        );
        merge.lower(1, EventTime::from_second(8));
        assert!(merge.release().is_some());
    }

    #[test]
    fn what_is_held_is_not_released_though_its_turn_has_come() {
        let mut merge = Merge::new([EventTime::from_second(10).unwrap()]);
        assert_eq!(merge.unreleased(), EventTime::from_second(10));
        for second in [9, 7] {
            merge.hold(0, key(second, 1), ());
        }
        merge.lower(0, None);
        assert_eq!(merge.unreleased(), EventTime::from_second(9));
        merge.release();
        assert_eq!(merge.unreleased(), EventTime::from_second(7));
        merge.release();
        assert_eq!(merge.unreleased(), None);
    }

    #[test]
    fn what_comes_out_of_order_is_sent_late_and_said() {
        let mut merge = Merge::new([EventTime::from_second(10).unwrap()]);
        merge.hold(0, key(5, 1), ());
        merge.lower(0, EventTime::from_second(4));
        assert!(!merge.release().unwrap().late);
        merge.hold(0, key(7, 2), ());
        assert!(merge.release().unwrap().late);
    }

    #[test]
    fn records_without_an_id_are_never_copies() {
        let mut merge = Merge::new([10, 10].map(|second| EventTime::from_second(second).unwrap()));
        let made = EventKey {
            id: EventId::Made {
                digest: "d".into(),
                ordinal: 0,
            },
            ..key(5, 1)
        };
        for lane in [0, 1] {
            merge.hold(lane, made.clone(), ());
            merge.lower(lane, None);
        }
        assert!(merge.release().is_some() && merge.release().is_some());
    }
}
