//! Places for connections. Where callers are authenticated, whoever has never been one makes room when
//! all places are taken, the one that came first before the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    strangers_make_room: bool,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// How many there have been.
    arrivals: u64,
    /// Those who make room, by arrival, and how they are told to.
    strangers: BTreeMap<u64, CancellationToken>,
}

/// A connection's place: free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    visitor: Visitor,
    /// Whether a stranger had to go.
    was_taken: bool,
    /// Cancelled when somebody else has it.
    given_away: CancellationToken,
}

/// Who has a place.
#[derive(Debug, Clone)]
pub struct Visitor {
    arrival: u64,
    places: Arc<Places>,
}

impl Places {
    /// So many; strangers make room only where a caller can stop being one.
    pub fn new(limit: usize, callers_are_authenticated: bool) -> Arc<Self> {
        Arc::new(Self {
            limit,
            strangers_make_room: callers_are_authenticated,
            taken: Mutex::default(),
        })
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A place, unless all are taken and nobody makes room.
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.lock();
        let was_taken = taken.count >= self.limit;
        if was_taken {
            // Its connection ends as soon as it is looked at; the place changes hands now.
            let (_, first) = taken.strangers.pop_first()?;
            first.cancel();
        } else {
            taken.count += 1;
        }
        taken.arrivals += 1;
        let place = Place {
            visitor: Visitor {
                arrival: taken.arrivals,
                places: Arc::clone(self),
            },
            was_taken,
            given_away: CancellationToken::new(),
        };
        if self.strangers_make_room {
            let given_away = place.given_away.clone();
            taken.strangers.insert(place.visitor.arrival, given_away);
        }
        Some(place)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Who has it.
    pub fn visitor(&self) -> Visitor {
        self.visitor.clone()
    }

    /// Whether a stranger had to go.
    pub fn was_taken(&self) -> bool {
        self.was_taken
    }

    /// Cancelled when somebody else has it.
    pub fn given_away(&self) -> &CancellationToken {
        &self.given_away
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.visitor.places.lock();
        taken.strangers.remove(&self.visitor.arrival);
        if !self.given_away.is_cancelled() {
            taken.count -= 1;
        }
    }
}

impl Visitor {
    /// It has shown whose it is: it makes no room for others any more.
    pub fn becomes_caller(&self) {
        self.places.lock().strangers.remove(&self.arrival);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Places::new(1, false);
        let first = places.take().unwrap();
        assert!(places.take().is_none());
        assert!(!first.given_away().is_cancelled());
        drop(first);
        assert!(places.take().is_some());
    }

    #[test]
    fn the_first_stranger_makes_room_and_a_caller_does_not() {
        let places = Places::new(3, true);
        let [caller, first, second] = [(); 3].map(|()| places.take().unwrap());
        caller.visitor().becomes_caller();
        let third = places.take().unwrap();
        let given_away =
            [&caller, &first, &second, &third].map(|it| it.given_away().is_cancelled());
        assert_eq!(given_away, [false, true, false, false]);
        second.visitor().becomes_caller();
        third.visitor().becomes_caller();
        assert!(places.take().is_none(), "all are callers");
        // Its place has long been somebody else's.
        drop(first);
        assert!(places.take().is_none());
        drop(caller);
        let last = places.take().unwrap();
        assert!(places.take().is_some());
        assert!(last.given_away().is_cancelled());
    }

    #[test]
    fn who_introduces_itself_too_late_gets_no_place_for_it() {
        let places = Places::new(1, true);
        let first = places.take().unwrap();
        let second = places.take().unwrap();
        first.visitor().becomes_caller();
        drop(first);
        second.visitor().becomes_caller();
        assert!(places.take().is_none());
    }
}
