//! Numbers for records that have no id of their own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::query::{AccountId, EventId, EventKey, Rank, SearchOrder};

/// So many seconds with records without ids are remembered.
const SECONDS: usize = 1024;

/// Numbers equal records without `eventID` through one whole scan, so that a record's number does
/// not depend on where pages end.
///
/// Equal records have the same second. A scan reads one second after the other, so only the last
/// seconds that were met are remembered: memory does not grow with the scan.
#[derive(Debug, Default)]
pub struct Ordinals {
    order: SearchOrder,
    seconds: BTreeMap<Rank, HashMap<(AccountId, Arc<str>), u32>>,
}

impl Ordinals {
    /// For a scan that reads in this order.
    #[must_use]
    pub fn new(order: SearchOrder) -> Self {
        Self {
            order,
            seconds: BTreeMap::new(),
        }
    }

    /// Sets the ordinal of a made id to its number among equals of this scan; a recorded id stays
    /// as it is. To be called once for each event, in the order in which they are read.
    pub fn number(&mut self, key: &mut EventKey) {
        let EventId::Made { digest, ordinal } = &mut key.id else {
            return;
        };
        let second = self.seconds.entry(self.order.rank(key.time)).or_default();
        let next = second.entry((key.account, Arc::clone(digest))).or_default();
        *ordinal = *next;
        *next += 1;
        if self.seconds.len() > SECONDS {
            self.seconds.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::EventTime;

    fn key(second: i64, digest: &str) -> EventKey {
        EventKey {
            time: EventTime::from_second(second).unwrap(),
            account: "111122223333".parse().unwrap(),
            id: EventId::Made {
                digest: digest.into(),
                ordinal: 0,
            },
        }
    }

    #[test]
    fn equals_are_numbered_and_others_are_not() {
        let mut ordinals = Ordinals::default();
        let mut numbers = Vec::new();
        for digest in ["a", "b", "a", "a", "b"] {
            let mut key = key(7, digest);
            ordinals.number(&mut key);
            let EventId::Made { ordinal, .. } = key.id else {
                unreachable!()
            };
            numbers.push(ordinal);
        }
        assert_eq!(numbers, [0, 0, 1, 2, 1]);
    }

    #[test]
    fn memory_is_bounded_by_forgetting_the_seconds_that_were_read_first() {
        for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
            let mut seconds: Vec<i64> = (0..5000).collect();
            seconds.sort_by_key(|second| order.rank(EventTime::from_second(*second).unwrap()));
            let mut ordinals = Ordinals::new(order);
            for second in &seconds {
                ordinals.number(&mut key(*second, "a"));
            }
            assert_eq!(ordinals.seconds.len(), SECONDS);
            let mut again = key(seconds[4999], "a");
            ordinals.number(&mut again);
            assert_eq!(
                again.id,
                EventId::Made {
                    digest: "a".into(),
                    ordinal: 1
                }
            );
        }
    }
}
