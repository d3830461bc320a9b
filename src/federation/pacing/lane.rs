//! The queue of one account and Region, as a plain state machine over a time that it is told.
//!
//! A turn is granted to one ticket at a time and is over when its request begins: only then does
//! the next interval start to run, so requests are never closer than the interval, however long a
//! holder takes to begin. One of the waiting tickets keeps the timer for all.

use std::sync::Arc;
use std::time::Instant;

use super::queue::{Queue, Ticket};
use super::rate::Rate;

#[derive(Debug)]
pub(super) struct Lane {
    rate: Rate,
    /// No request begins before this.
    next_at: Option<Instant>,
    queue: Queue,
    /// Has its turn, and has not begun yet.
    turn: Option<Ticket>,
    /// The waiting ticket that wakes up when the next turn comes.
    timer: Option<Ticket>,
    last_ticket: u64,
}

/// What a ticket is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advice {
    /// It is your turn.
    Go,
    /// Ask again then, or when woken.
    AskAgainAt(Instant),
    /// Ask again when woken.
    Wait,
}

/// Who must be woken after a change; always a ticket that still waits or has its turn.
pub(super) type Wake = Option<Ticket>;

impl Lane {
    pub fn new(requests_per_second: f64) -> Self {
        Self {
            rate: Rate::new(requests_per_second),
            next_at: None,
            queue: Queue::default(),
            turn: None,
            timer: None,
            last_ticket: 0,
        }
    }

    /// Joins the queue. The ticket must then ask, and in the end begin or leave.
    pub fn join(&mut self, caller: &Arc<str>, search: u64) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.queue.push(caller, search, ticket);
        ticket
    }

    /// What `ticket` is to do now.
    pub fn ask(&mut self, ticket: Ticket, now: Instant) -> (Advice, Wake) {
        if self.turn == Some(ticket) {
            return (Advice::Go, None);
        }
        if self.turn.is_some() || self.timer.is_some_and(|timer| timer != ticket) {
            return (Advice::Wait, None);
        }
        self.timer = Some(ticket);
        if let Some(next_at) = self.next_at.filter(|next_at| now < *next_at) {
            return (Advice::AskAgainAt(next_at), None);
        }
        self.turn = self.queue.pop();
        if self.turn == Some(ticket) {
            self.timer = None;
            (Advice::Go, None)
        } else {
            (Advice::Wait, self.turn)
        }
    }

    /// The holder of the turn begins its request now.
    pub fn begin(&mut self, ticket: Ticket, now: Instant) -> Wake {
        debug_assert_eq!(self.turn, Some(ticket), "only the holder begins");
        self.next_at = Some(now + self.rate.interval());
        self.turn = None;
        self.timekeeper()
    }

    /// A ticket is given up, wherever it stands; a turn that it had is another's.
    pub fn leave(&mut self, ticket: Ticket) -> Wake {
        self.queue.remove(ticket);
        if self.turn == Some(ticket) {
            self.turn = None;
        }
        if self.timer == Some(ticket) {
            self.timer = None;
        }
        if self.turn.is_some() {
            return None;
        }
        self.timekeeper()
    }

    /// AWS throttled a request.
    pub fn throttled(&mut self, now: Instant) {
        self.rate.throttled();
        let next_at = now + self.rate.interval();
        self.next_at = Some(self.next_at.map_or(next_at, |at| at.max(next_at)));
    }

    /// AWS answered a request.
    pub fn succeeded(&mut self) {
        self.rate.succeeded();
    }

    /// Who is to look at the time next, now that nobody has the turn.
    fn timekeeper(&self) -> Wake {
        self.timer.or_else(|| self.queue.any())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// What happens to one request, in the order of the steps below.
    #[derive(Debug, Clone)]
    struct Request {
        arrives_ms: u64,
        caller: u8,
        search: u64,
        /// How long after its turn was granted it begins.
        hesitates_ms: u64,
        /// When it is dropped, if it has not begun by then.
        dropped_ms: Option<u64>,
        throttled: bool,
    }

    fn request() -> impl Strategy<Value = Request> {
        (
            0..8_000u64,
            0..3u8,
            0..3u64,
            prop_oneof![Just(0u64), 0..900u64],
            prop::option::weighted(0.2, 0..12_000u64),
            prop::bool::weighted(0.2),
        )
            .prop_map(
                |(arrives_ms, caller, search, hesitates_ms, dropped_ms, throttled)| Request {
                    arrives_ms,
                    caller,
                    search: search + 10 * u64::from(caller),
                    hesitates_ms,
                    dropped_ms,
                    throttled,
                },
            )
    }

    /// Runs requests through a lane, millisecond by millisecond, asking only for tickets that are
    /// woken or whose time has come: what a runtime does.
    struct World {
        lane: Lane,
        begin: Instant,
        now_ms: u64,
        waiting: BTreeMap<Ticket, usize>,
        holder: Option<(Ticket, usize, u64)>,
        alarms: BTreeSet<(Instant, Ticket)>,
        woken: Vec<Ticket>,
        begun: Vec<(u64, usize)>,
    }

    impl World {
        fn now(&self) -> Instant {
            self.begin + Duration::from_millis(self.now_ms)
        }

        fn settle(&mut self, requests: &[Request]) {
            while let Some(ticket) = self.woken.pop() {
                let Some(index) = self.waiting.get(&ticket).copied() else {
                    continue;
                };
                let (advice, wake) = self.lane.ask(ticket, self.now());
                self.woken.extend(wake);
                match advice {
                    Advice::Go => {
                        assert!(self.holder.is_none(), "two have the turn");
                        self.waiting.remove(&ticket);
                        let begins = self.now_ms + requests[index].hesitates_ms;
                        self.holder = Some((ticket, index, begins));
                    }
                    Advice::AskAgainAt(when) => {
                        self.alarms.insert((when, ticket));
                    }
                    Advice::Wait => {}
                }
            }
        }

        fn step(&mut self, requests: &[Request]) {
            for (index, request) in requests.iter().enumerate() {
                if request.arrives_ms == self.now_ms {
                    let caller = Arc::from(format!("caller {}", request.caller));
                    let ticket = self.lane.join(&caller, request.search);
                    self.waiting.insert(ticket, index);
                    self.woken.push(ticket);
                    self.settle(requests);
                }
            }
            let dropped: Vec<Ticket> = self
                .waiting
                .iter()
                .map(|(ticket, index)| (*ticket, *index))
                .chain(self.holder.map(|(ticket, index, _)| (ticket, index)))
                .filter(|(_, index)| {
                    requests[*index]
                        .dropped_ms
                        .is_some_and(|at| at <= self.now_ms)
                })
                .map(|(ticket, _)| ticket)
                .collect();
            for ticket in dropped {
                self.waiting.remove(&ticket);
                self.holder = self.holder.filter(|(holder, ..)| *holder != ticket);
                self.woken.extend(self.lane.leave(ticket));
                self.settle(requests);
            }
            while let Some((when, ticket)) = self.alarms.first().copied()
                && when <= self.now()
            {
                self.alarms.pop_first();
                self.woken.push(ticket);
                self.settle(requests);
            }
            if let Some((ticket, index, begins)) = self.holder
                && begins <= self.now_ms
            {
                self.holder = None;
                self.woken.extend(self.lane.begin(ticket, self.now()));
                self.begun.push((self.now_ms, index));
                if requests[index].throttled {
                    self.lane.throttled(self.now());
                } else {
                    self.lane.succeeded();
                }
                self.settle(requests);
            }
        }
    }

    fn run(requests: &[Request], until_ms: u64) -> World {
        let mut world = World {
            lane: Lane::new(2.0),
            begin: Instant::now(),
            now_ms: 0,
            waiting: BTreeMap::new(),
            holder: None,
            alarms: BTreeSet::new(),
            woken: Vec::new(),
            begun: Vec::new(),
        };
        let last_arrival = requests.iter().map(|request| request.arrives_ms).max();
        while world.now_ms <= until_ms {
            world.step(requests);
            let idle = world.waiting.is_empty() && world.holder.is_none();
            if idle && Some(world.now_ms) > last_arrival {
                break;
            }
            world.now_ms += 1;
        }
        world
    }

    fn steady(caller: u8, search: u64, arrives_ms: u64) -> Request {
        Request {
            arrives_ms,
            caller,
            search,
            hesitates_ms: 0,
            dropped_ms: None,
            throttled: false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whoever comes, hesitates, leaves or is throttled: never two requests within half a
        /// second, and everyone who stays gets a turn.
        #[test]
        fn never_faster_than_the_rate_and_nobody_forgotten(
            requests in prop::collection::vec(request(), 1..40),
        ) {
            // Forty requests at the slowest pace, and the longest hesitation before each.
            let world = run(&requests, 20_000 + 40 * 5_000);
            for pair in world.begun.windows(2) {
                prop_assert!(pair[1].0 - pair[0].0 >= 500, "{:?}", world.begun);
            }
            prop_assert!(world.waiting.is_empty() && world.holder.is_none());
            let begun: BTreeSet<usize> = world.begun.iter().map(|(_, index)| *index).collect();
            prop_assert_eq!(begun.len(), world.begun.len());
            for (index, request) in requests.iter().enumerate() {
                prop_assert!(begun.contains(&index) || request.dropped_ms.is_some());
            }
        }
    }

    #[test]
    fn the_rate_is_used_whole_while_anyone_waits() {
        let requests: Vec<Request> = (0..20).map(|n| steady(0, n, 0)).collect();
        let times: Vec<u64> = run(&requests, 20_000)
            .begun
            .iter()
            .map(|(at, _)| *at)
            .collect();
        let expected: Vec<u64> = (0..20).map(|n| n * 500).collect();
        assert_eq!(times, expected);
    }

    #[test]
    fn a_caller_with_many_searches_does_not_delay_one_with_few() {
        let mut requests: Vec<Request> = (0..30).map(|n| steady(0, n, 0)).collect();
        requests.extend((0..3).map(|_| steady(1, 100, 100)));
        let world = run(&requests, 30_000);
        let places: Vec<usize> = world
            .begun
            .iter()
            .enumerate()
            .filter(|(_, (_, index))| requests[*index].caller == 1)
            .map(|(place, _)| place)
            .collect();
        assert_eq!(places, [2, 4, 6]);
    }
}
