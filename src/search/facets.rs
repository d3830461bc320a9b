//! What an answer looks like, in bounded memory.

use std::collections::HashMap;

use super::item::{Facet, FacetValue, Facets};
use crate::query::{Event, EventTime};

/// Distinct values followed in each dimension; events of values first seen later are counted
/// together.
const FOLLOWED_VALUES: usize = 1_000;
/// Values reported in each dimension.
const REPORTED_VALUES: usize = 50;

/// Counts the events of an answer as they pass.
#[derive(Debug, Default)]
pub struct FacetCounter {
    first_seen: Option<EventTime>,
    last_seen: Option<EventTime>,
    event_names: Dimension,
    accounts: Dimension,
    regions: Dimension,
    source_ips: Dimension,
    error_codes: Dimension,
}

impl FacetCounter {
    /// Counts one event.
    pub fn count(&mut self, event: &Event) {
        let time = event.key.time;
        self.first_seen = Some(self.first_seen.map_or(time, |seen| seen.min(time)));
        self.last_seen = Some(self.last_seen.map_or(time, |seen| seen.max(time)));
        let api = format!("{}:{}", event.event_source, event.event_name);
        self.event_names.count(&api, time);
        self.accounts.count(&event.key.account.to_string(), time);
        for (dimension, value) in [
            (&mut self.regions, &event.aws_region),
            (&mut self.source_ips, &event.source_ip_address),
            (&mut self.error_codes, &event.error_code),
        ] {
            if let Some(value) = value {
                dimension.count(value, time);
            }
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn report(&self) -> Facets {
        Facets {
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            event_names: self.event_names.report(),
            accounts: self.accounts.report(),
            regions: self.regions.report(),
            source_ips: self.source_ips.report(),
            error_codes: self.error_codes.report(),
        }
    }
}

#[derive(Debug, Default)]
struct Dimension {
    values: HashMap<Box<str>, Seen>,
    other_events: u64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    events: u64,
    first: EventTime,
    last: EventTime,
}

impl Dimension {
    fn count(&mut self, value: &str, time: EventTime) {
        if let Some(seen) = self.values.get_mut(value) {
            seen.events += 1;
            seen.first = seen.first.min(time);
            seen.last = seen.last.max(time);
        } else if self.values.len() < FOLLOWED_VALUES {
            let seen = Seen {
                events: 1,
                first: time,
                last: time,
            };
            self.values.insert(value.into(), seen);
        } else {
            self.other_events += 1;
        }
    }

    fn report(&self) -> Facet {
        let mut values: Vec<(&str, Seen)> = self
            .values
            .iter()
            .map(|(name, seen)| (&**name, *seen))
            .collect();
        values.sort_unstable_by(|(a, x), (b, y)| y.events.cmp(&x.events).then(a.cmp(b)));
        let unreported = values.iter().skip(REPORTED_VALUES);
        Facet {
            other_events: self.other_events + unreported.map(|(_, seen)| seen.events).sum::<u64>(),
            values: values
                .iter()
                .take(REPORTED_VALUES)
                .map(|(value, seen)| FacetValue {
                    value: (*value).to_owned(),
                    events: seen.events,
                    first_seen: seen.first,
                    last_seen: seen.last,
                })
                .collect(),
        }
    }
}
