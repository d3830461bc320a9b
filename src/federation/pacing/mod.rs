//! Keeping to a quota of AWS's: a few requests a second for each account and Region, in
//! the whole process, in turns between callers and then between their searches.

mod lane;
mod queue;
mod rate;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::config::RequestRate;
use crate::query::{AccountId, Region};
use crate::telemetry::metrics::Durations;
use lane::{Advice, Lane, Wake};
use queue::Ticket;

/// The queues of all accounts and Regions.
#[derive(Debug)]
pub struct Pacing {
    rate: RequestRate,
    waits: Durations,
    /// Each is made when first used; there are no more than the federation has accounts and Regions.
    queues: Mutex<HashMap<(AccountId, Region), PacedQueue>>,
}

impl Pacing {
    /// Queues that keep to `rate`, and count in `waits` how long turns are waited for.
    #[must_use]
    pub fn new(rate: RequestRate, waits: Durations) -> Self {
        Self {
            rate,
            waits,
            queues: Mutex::default(),
        }
    }

    /// The queue of one account and Region.
    #[must_use]
    pub fn queue(&self, account: AccountId, region: &Region) -> PacedQueue {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry((account, region.clone()));
        let new = || PacedQueue::new(self.rate, self.waits.clone());
        queue.or_insert_with(new).clone()
    }
}

/// The queue of one account and Region. Cheap to clone; all clones are the same queue.
#[derive(Clone)]
pub struct PacedQueue {
    /// `None` does not pace.
    shared: Option<Arc<Mutex<State>>>,
    waits: Durations,
}

/// Changed by whoever waits, begins or leaves; no task of its own.
struct State {
    lane: Lane,
    /// Of the tickets that wait, how to wake each.
    waiting: HashMap<Ticket, Arc<Notify>>,
}

impl PacedQueue {
    fn new(rate: RequestRate, waits: Durations) -> Self {
        let RequestRate::Paced(requests_per_second) = rate else {
            return Self {
                shared: None,
                waits,
            };
        };
        let state = State {
            lane: Lane::new(requests_per_second),
            waiting: HashMap::new(),
        };
        Self {
            shared: Some(Arc::new(Mutex::new(state))),
            waits,
        }
    }

    /// Waits for a turn, as one of `search`'s requests, for `caller`.
    ///
    /// The queue stands still until the turn's request begins or the turn is dropped: do nothing
    /// slow in between. Dropping the future gives the place up.
    pub async fn turn(&self, caller: &Arc<str>, search: u64) -> Turn {
        let Some(shared) = &self.shared else {
            return Turn { place: None };
        };
        let began = Instant::now();
        let place = Place::join(Arc::clone(shared), caller, search);
        loop {
            // A wake-up that comes before the wait is kept for it, so none is lost in between.
            match place.ask() {
                Advice::Go => break,
                Advice::Wait => place.notify.notified().await,
                Advice::AskAgainAt(when) => {
                    tokio::select! {
                        () = place.notify.notified() => {}
                        () = tokio::time::sleep_until(when.into()) => {}
                    }
                }
            }
        }
        self.waits.observe(began.elapsed());
        Turn { place: Some(place) }
    }

    /// Tells that AWS throttled a request: slower from now on.
    pub fn throttled(&self) {
        if let Some(shared) = &self.shared {
            lock(shared).lane.throttled(Instant::now());
        }
    }

    /// Tells that AWS answered a request: a little faster, if it was slowed down.
    pub fn succeeded(&self) {
        if let Some(shared) = &self.shared {
            lock(shared).lane.succeeded();
        }
    }
}

impl fmt::Debug for PacedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedQueue")
            .field("paced", &self.shared.is_some())
            .finish_non_exhaustive()
    }
}

/// The right to make one request. Dropped without having begun, it goes to the next in the queue.
#[derive(Debug)]
#[must_use = "the queue stands still until the request begins"]
pub struct Turn {
    place: Option<Place>,
}

impl Turn {
    /// The request begins now: the next turn comes one interval later.
    pub fn begin(self) {
        if let Some(place) = self.place {
            let mut state = lock(&place.shared);
            let wake = state.lane.begin(place.ticket, Instant::now());
            state.wake(wake);
            // The place's own drop finds nothing left to give up.
        }
    }
}

/// A ticket that leaves its queue when it is dropped.
struct Place {
    shared: Arc<Mutex<State>>,
    ticket: Ticket,
    notify: Arc<Notify>,
}

impl Place {
    fn join(shared: Arc<Mutex<State>>, caller: &Arc<str>, search: u64) -> Self {
        let notify = Arc::new(Notify::new());
        let ticket = {
            let mut state = lock(&shared);
            let ticket = state.lane.join(caller, search);
            state.waiting.insert(ticket, Arc::clone(&notify));
            ticket
        };
        Self {
            shared,
            ticket,
            notify,
        }
    }

    fn ask(&self) -> Advice {
        let mut state = lock(&self.shared);
        let (advice, wake) = state.lane.ask(self.ticket, Instant::now());
        state.wake(wake);
        advice
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        state.waiting.remove(&self.ticket);
        let wake = state.lane.leave(self.ticket);
        state.wake(wake);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.ticket).finish()
    }
}

impl State {
    fn wake(&self, wake: Wake) {
        if let Some(notify) = wake.and_then(|ticket| self.waiting.get(&ticket)) {
            notify.notify_one();
        }
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic in the state machine is a defect of one request: the others' turns must go on.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Metrics, PacedApi};

    fn caller() -> Arc<str> {
        "caller".into()
    }

    fn queue(rate: RequestRate) -> PacedQueue {
        let waits = Metrics::new().pacing_wait(PacedApi::LookupEvents);
        PacedQueue::new(rate, waits)
    }

    #[tokio::test]
    async fn every_task_that_waits_gets_its_turn() {
        let queue = queue(RequestRate::Paced(200.0));
        let mut tasks = tokio::task::JoinSet::new();
        for search in 0..20 {
            let queue = queue.clone();
            tasks.spawn(async move { queue.turn(&caller(), search % 3).await.begin() });
        }
        assert_eq!(tasks.join_all().await.len(), 20);
        assert!(lock(queue.shared.as_ref().unwrap()).waiting.is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_is_dropped_goes_to_the_next_at_once() {
        let queue = queue(RequestRate::Paced(0.001));
        let caller = caller();
        let unused = queue.turn(&caller, 1).await;
        let mut leaves = Box::pin(queue.turn(&caller, 2));
        let mut next = Box::pin(queue.turn(&caller, 3));
        assert!(futures::poll!(&mut leaves).is_pending());
        assert!(futures::poll!(&mut next).is_pending());
        drop(unused);
        drop(leaves);
        // At this rate a turn that was lost would come back after a quarter of an hour.
        next.await.begin();
        assert!(lock(queue.shared.as_ref().unwrap()).waiting.is_empty());
    }

    #[tokio::test]
    async fn without_a_rate_nothing_waits() {
        let queue = queue(RequestRate::Off);
        for _ in 0..1000 {
            queue.turn(&caller(), 1).await.begin();
        }
    }
}
