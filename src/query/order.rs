//! The order of an answer: which second is read before which.
//!
//! Whatever depends on the direction asks here, in terms of the *reading order*: the first second
//! of an interval, what of it is left at a second, which of two seconds comes first. So the merge,
//! the bounds of scans and the coverage read alike in both directions.

use std::cmp::Ordering;

use super::{EventTime, TimeRange};

/// In which direction events are read and sent: the total order (time, account, event id), or the
/// same reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SearchOrder {
    /// The total order reversed: the newest event comes first.
    #[default]
    NewestFirst,
    /// The total order: the oldest event comes first.
    OldestFirst,
}

/// A second's rank in the reading order: the lower, the sooner it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rank(i64);

impl SearchOrder {
    /// The design's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewestFirst => "newest_first",
            Self::OldestFirst => "oldest_first",
        }
    }

    /// `Less` if `a` comes before `b` in the reading order.
    #[must_use]
    pub fn compare<T: Ord>(self, a: &T, b: &T) -> Ordering {
        match self {
            Self::NewestFirst => b.cmp(a),
            Self::OldestFirst => a.cmp(b),
        }
    }

    /// The rank of a second: seconds sorted by it are in reading order.
    #[must_use]
    pub fn rank(self, second: EventTime) -> Rank {
        match self {
            Self::NewestFirst => Rank(-second.second()),
            Self::OldestFirst => Rank(second.second()),
        }
    }

    /// The second that is read sooner.
    #[must_use]
    pub fn sooner(self, a: EventTime, b: EventTime) -> EventTime {
        if self.rank(a) <= self.rank(b) { a } else { b }
    }

    /// The second that is read later.
    #[must_use]
    pub fn later(self, a: EventTime, b: EventTime) -> EventTime {
        if self.rank(a) <= self.rank(b) { b } else { a }
    }

    /// The second that is read right after `second`.
    #[must_use]
    pub fn next(self, second: EventTime) -> EventTime {
        match self {
            Self::NewestFirst => second.plus(-1),
            Self::OldestFirst => second.plus(1),
        }
    }

    /// The second of `range` that is read first.
    #[must_use]
    pub fn first(self, range: TimeRange) -> EventTime {
        match self {
            Self::NewestFirst => range.last(),
            Self::OldestFirst => range.start(),
        }
    }

    /// The second that would be read after the last one of `range`.
    #[must_use]
    pub fn beyond(self, range: TimeRange) -> EventTime {
        match self {
            Self::NewestFirst => range.start().plus(-1),
            Self::OldestFirst => range.end(),
        }
    }

    /// The second of `range` that is read after its first `seconds`; the one beyond it if it has
    /// no more than these.
    #[must_use]
    pub fn skip(self, range: TimeRange, seconds: i64) -> EventTime {
        match self {
            Self::NewestFirst => range.last().plus(-seconds),
            Self::OldestFirst => range.start().plus(seconds),
        }
        .clamp(range.start().plus(-1), range.end())
    }

    /// What of `range` is left to read at `second`, that second included.
    #[must_use]
    pub fn rest(self, range: TimeRange, second: EventTime) -> Option<TimeRange> {
        match self {
            Self::NewestFirst => range.before(second.plus(1)),
            Self::OldestFirst => range.from(second),
        }
    }

    /// What of `range` is read before `second`.
    #[must_use]
    pub fn read(self, range: TimeRange, second: EventTime) -> Option<TimeRange> {
        match self {
            Self::NewestFirst => range.from(second.plus(1)),
            Self::OldestFirst => range.before(second),
        }
    }

    /// The instant between what is read before `second` and that second: in [start, end) notation
    /// the start of what is read newest first, and the end of what is read oldest first.
    #[must_use]
    pub fn boundary(self, second: EventTime) -> EventTime {
        match self {
            Self::NewestFirst => second.plus(1),
            Self::OldestFirst => second,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SearchOrder::{NewestFirst, OldestFirst};
    use super::*;

    fn time(second: i64) -> EventTime {
        EventTime::from_second(second).unwrap()
    }

    fn seconds(range: Option<TimeRange>, order: SearchOrder) -> Vec<i64> {
        let mut seconds: Vec<i64> = range
            .map(|range| (range.start().second()..range.end().second()).collect())
            .unwrap_or_default();
        seconds.sort_by_key(|second| order.rank(time(*second)));
        seconds
    }

    proptest! {
        /// Every method agrees with the seconds of an interval, written down in reading order.
        #[test]
        fn the_methods_agree_with_the_seconds_in_reading_order(
            order in prop::sample::select(vec![NewestFirst, OldestFirst]),
            start in -50..50_i64,
            length in 1..20_i64,
            at in -60..80_i64,
            skipped in 0..25_i64,
        ) {
            let range = TimeRange::new(time(start), time(start + length)).unwrap();
            let all = seconds(Some(range), order);
            prop_assert_eq!(order.first(range), time(all[0]));
            prop_assert_eq!(order.beyond(range), order.next(time(*all.last().unwrap())));
            let after = usize::try_from(skipped).unwrap();
            let expected = all.get(after).map_or(order.beyond(range), |second| time(*second));
            prop_assert_eq!(order.skip(range, skipped), expected);
            for pair in all.windows(2) {
                let [a, b] = [time(pair[0]), time(pair[1])];
                prop_assert_eq!(order.next(a), b);
                prop_assert_eq!(order.compare(&a, &b), Ordering::Less);
                prop_assert_eq!((order.sooner(a, b), order.later(b, a)), (a, b));
            }
            let (read, rest): (Vec<i64>, Vec<i64>) =
                all.iter().partition(|second| order.rank(time(**second)) < order.rank(time(at)));
            prop_assert_eq!(seconds(order.read(range, time(at)), order), read);
            prop_assert_eq!(seconds(order.rest(range, time(at)), order), rest);
            let boundary = order.boundary(time(at));
            let (newer, older) = (range.from(boundary), range.before(boundary));
            let (read, rest) = match order {
                NewestFirst => (newer, older),
                OldestFirst => (older, newer),
            };
            prop_assert_eq!((read, rest), (order.read(range, time(at)), order.rest(range, time(at))));
        }
    }
}
