//! One question to event history in both ways: reading everything, and whichever way is chosen.

use std::collections::{BTreeMap, BTreeSet};

use identity_trail::query::{BackendKind, Identity, TimeRange};

use crate::oracle::{Seen, counted};
use crate::traffic::{DAY, Traffic, now};
use crate::world::{Answer, Setup, World, question, range};

/// One question, read in both ways.
pub struct Held {
    pub exact: Answer,
    pub exact_requests: u64,
    pub chosen: Answer,
    pub chosen_requests: u64,
}

impl Held {
    pub async fn ask(world: &World, identity: &Identity, range: TimeRange) -> Self {
        let mut query = question(vec![identity.clone()], range);
        query.backends = vec![BackendKind::EventHistory];
        query.exact_roles = false;
        let before = world.lookups();
        let chosen = world.ask(query.clone()).await;
        let chosen_requests = world.lookups() - before;
        query.exact_roles = true;
        let exact = world.ask(query).await;
        assert!(!exact.summary().coverage.is_inferred());
        assert_eq!(chosen.summary().requests, chosen_requests, "all are told");
        Self {
            exact,
            exact_requests: world.lookups() - before - chosen_requests,
            chosen,
            chosen_requests,
        }
    }

    pub fn inferred(&self) -> bool {
        self.chosen.summary().coverage.is_inferred()
    }

    pub fn notes(&self) -> BTreeSet<&str> {
        let outcomes = self.chosen.outcomes().iter();
        let readings = outcomes.filter_map(|outcome| outcome.role_reading.as_ref());
        readings.map(|reading| &*reading.note).collect()
    }

    /// The same events, each as often, and never more than twice as dear as reading whole.
    pub fn check(&self, what: &str) {
        let (found, expected) = (counted(self.chosen.events()), counted(self.exact.events()));
        let missing: Vec<_> = difference(&expected, &found);
        let extra: Vec<_> = difference(&found, &expected);
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{what}: {} missing {:?}, {} extra {:?}; {:?}",
            missing.len(),
            missing.iter().take(3).collect::<Vec<_>>(),
            extra.len(),
            extra.iter().take(3).collect::<Vec<_>>(),
            self.notes()
        );
        assert!(
            self.chosen_requests <= 2 * self.exact_requests,
            "{what}: {} requests, read whole {}: {:?}",
            self.chosen_requests,
            self.exact_requests,
            self.notes()
        );
    }
}

fn difference(left: &BTreeMap<Seen, usize>, right: &BTreeMap<Seen, usize>) -> Vec<Seen> {
    let only = left.iter().filter(|(seen, n)| right.get(seen) != Some(n));
    only.map(|(seen, _)| seen.clone()).collect()
}

/// A sandbox and a service over it.
pub async fn world(traffic: &Traffic) -> World {
    let setup = Setup {
        stall_timeout: "5m",
        ..Setup::default()
    };
    World::start(traffic.sandbox(), &setup).await
}

/// The last 20 days.
pub fn asked() -> TimeRange {
    let time = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
    range(&time(now() - 20 * DAY), &time(now()))
}
