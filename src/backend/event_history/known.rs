//! What was read of the oldest second so far: a lookup that must be begun anew ends in that second,
//! and shows these events again.

use std::collections::HashMap;

use crate::query::{AccountId, EventId, EventTime};

/// An event as far as it must be known again: a made id counts as often as its record was read.
type Id = (AccountId, EventId);

/// The events of the oldest second that was read.
#[derive(Debug, Default)]
pub(super) struct KnownSecond {
    second: Option<EventTime>,
    read: HashMap<Id, u32>,
    /// What the lookup that was begun anew has yet to show again, all of the second given. Kept
    /// while older seconds are read: a page may show its newest event last.
    expected: Option<(EventTime, HashMap<Id, u32>)>,
}

impl KnownSecond {
    /// The oldest second of which anything was read.
    pub fn second(&self) -> Option<EventTime> {
        self.second
    }

    /// Whether the event is new; it is known from then on. Made ids must not be numbered yet.
    pub fn is_new(&mut self, time: EventTime, account: AccountId, id: &EventId) -> bool {
        let id = (account, id.clone());
        if let Some((second, expected)) = &mut self.expected
            && *second == time
            && let Some(left) = expected.get_mut(&id).filter(|left| **left > 0)
        {
            *left -= 1;
            return false;
        }
        if self.second.is_none_or(|second| time < second) {
            self.second = Some(time);
            self.read.clear();
        }
        // What is newer came out of order, and no lookup begun anew will show it.
        if self.second == Some(time) {
            *self.read.entry(id).or_default() += 1;
        }
        true
    }

    /// The lookup begins anew, at the end of this second.
    pub fn begin_anew(&mut self) {
        self.expected = self.second.map(|second| (second, self.read.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(known: &mut KnownSecond, second: i64, id: &str) -> bool {
        let time = EventTime::from_second(second).unwrap();
        let account = "111122223333".parse().unwrap();
        known.is_new(time, account, &EventId::Recorded(id.into()))
    }

    #[test]
    fn what_was_read_of_the_last_second_is_skipped_once_for_each_time() {
        let mut known = KnownSecond::default();
        // The same record twice, as two equal ones without ids would be.
        for (second, id) in [(9, "a"), (8, "b"), (8, "c"), (8, "c"), (9, "late")] {
            assert!(new(&mut known, second, id));
        }
        known.begin_anew();
        let again: Vec<bool> = ["c", "d", "c", "c", "b"]
            .map(|id| new(&mut known, 8, id))
            .to_vec();
        assert_eq!(again, [false, true, false, true, false]);
        // Begun anew once more, all of these are known.
        known.begin_anew();
        assert!(
            ["b", "c", "c", "c", "d"]
                .iter()
                .all(|id| !new(&mut known, 8, id))
        );
        assert!(new(&mut known, 7, "b"));
        // A page may show its newest event last.
        known.begin_anew();
        assert!(new(&mut known, 6, "e"));
        assert!(!new(&mut known, 7, "b"));
    }
}
