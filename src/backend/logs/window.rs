//! The delivery times that a scan of Logs Insights has still to read.

use jiff::SignedDuration;

use crate::query::{EventTime, SearchOrder, TimeRange};

/// Delivery times, in whole seconds: it shrinks from the end that is read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    first: EventTime,
    last: EventTime,
    /// Only the second at the end that is read first is to be read now: it alone has more rows than
    /// a query returns.
    one_second: bool,
    /// The scan's own interval, of event times.
    range: TimeRange,
    skew: SignedDuration,
    order: SearchOrder,
}

impl Window {
    /// When the events of `range` are delivered: not before they happen, and at most `skew` later.
    pub fn of(range: TimeRange, skew: SignedDuration, order: SearchOrder) -> Self {
        Self {
            first: range.start(),
            last: range.last().plus(skew.as_secs()),
            one_second: false,
            range,
            skew,
            order,
        }
    }

    /// What to query next: both seconds are included.
    pub fn query(self) -> (EventTime, EventTime) {
        let edge = self.edge();
        if self.one_second {
            (edge, edge)
        } else {
            (self.first, self.last)
        }
    }

    /// Whether what to query is a single second, which cannot be split.
    pub fn is_a_second(self) -> bool {
        self.one_second || self.first == self.last
    }

    /// The second that is read first.
    pub fn edge(self) -> EventTime {
        match self.order {
            SearchOrder::NewestFirst => self.last,
            SearchOrder::OldestFirst => self.first,
        }
    }

    /// All before `second`, in the order of reading, was read; of the second itself perhaps not
    /// all.
    pub fn read_to(&mut self, second: EventTime) {
        match self.order {
            SearchOrder::NewestFirst => self.last = self.last.min(second).max(self.first),
            SearchOrder::OldestFirst => self.first = self.first.max(second).min(self.last),
        }
    }

    /// The second at the edge is to be read by itself.
    pub fn single_out(&mut self) {
        self.one_second = true;
    }

    /// All that was queried was read. Whether that is all of the window.
    pub fn finish(&mut self) -> bool {
        let was_one_second = std::mem::take(&mut self.one_second);
        if !was_one_second || self.first == self.last {
            return true;
        }
        match self.order {
            SearchOrder::NewestFirst => self.last = self.last.plus(-1),
            SearchOrder::OldestFirst => self.first = self.first.plus(1),
        }
        false
    }

    /// What is still to come happened at or before this (oldest first: at or after).
    pub fn bound(self) -> EventTime {
        let bound = match self.order {
            SearchOrder::NewestFirst => self.last,
            SearchOrder::OldestFirst => self.first.plus(-self.skew.as_secs()),
        };
        bound.clamp(self.range.start(), self.range.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> EventTime {
        EventTime::from_second(second).unwrap()
    }

    fn window(order: SearchOrder) -> Window {
        let range = TimeRange::new(time(100), time(200)).unwrap();
        Window::of(range, SignedDuration::from_secs(50), order)
    }

    #[test]
    fn deliveries_come_later_than_events_and_bounds_say_so() {
        let mut newest = window(SearchOrder::NewestFirst);
        assert_eq!(newest.query(), (time(100), time(249)));
        assert_eq!(newest.bound(), time(199));
        newest.read_to(time(220));
        assert_eq!(
            newest.bound(),
            time(199),
            "delivered later, happened before"
        );
        newest.read_to(time(150));
        assert_eq!(
            (newest.query(), newest.bound()),
            ((time(100), time(150)), time(150))
        );

        let mut oldest = window(SearchOrder::OldestFirst);
        oldest.read_to(time(120));
        assert_eq!(oldest.query(), (time(120), time(249)));
        assert_eq!(oldest.bound(), time(100));
        oldest.read_to(time(170));
        assert_eq!(
            oldest.bound(),
            time(120),
            "what happened 50 seconds ago may still come"
        );
    }

    #[test]
    fn a_second_with_too_many_rows_is_read_by_itself_and_passed() {
        for (order, left, end) in [
            (SearchOrder::NewestFirst, (100, 149), 100),
            (SearchOrder::OldestFirst, (151, 249), 249),
        ] {
            let mut window = window(order);
            window.read_to(time(150));
            window.single_out();
            assert!(window.is_a_second());
            assert_eq!(window.query(), (time(150), time(150)));
            assert!(!window.finish());
            assert_eq!(window.query(), (time(left.0), time(left.1)));
            window.read_to(time(end));
            assert!(window.is_a_second() && window.finish());
        }
    }
}
