//! What the process and each caller use, at once and over time, and the bounds of both.
//!
//! One [`Usage`] serves the process, across changes of its configuration. A request is admitted by it
//! or not begun at all ([`Usage::admit`]); what it then holds ([`InUse`]) counts against the process and
//! against its caller, and is given back when it is dropped. Callers are told apart by their names; the
//! table of them is bounded, and forgets only who uses nothing and has nothing left to pay.

mod bounds;
mod gate;
mod over_time;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::caller::Caller;
use bounds::{Bound, Scope};
pub use bounds::{Bounds, Exceeded, UsageLimits};
pub use gate::{Gate, Pass};
use over_time::{Day, Minute, until_tomorrow};

/// Callers that are remembered at the same time.
const CALLERS: usize = 10_000;
/// What a caller waits before it asks again when too much runs at once.
const BUSY: Duration = Duration::from_secs(5);

/// Who uses what. See the module's text.
pub struct Usage {
    limits: ArcSwap<UsageLimits>,
    all: Arc<Account>,
    callers: Mutex<HashMap<Arc<str>, Arc<Account>>>,
}

/// What the process or one caller uses.
#[derive(Debug)]
struct Account {
    searches: Arc<Gate>,
    scans: Arc<Gate>,
    calls: Arc<Gate>,
    over_time: Mutex<OverTime>,
}

#[derive(Debug)]
struct OverTime {
    /// `None` until the first event.
    events: Option<Minute>,
    bytes: Day,
}

impl Account {
    fn new(bounds: &Bounds) -> Self {
        Self {
            searches: Gate::new(bounds.searches),
            scans: Gate::new(bounds.open_scans),
            calls: Gate::new(bounds.aws_calls),
            over_time: Mutex::new(OverTime {
                events: None,
                bytes: Day::default(),
            }),
        }
    }

    fn resize(&self, bounds: &Bounds) {
        self.searches.resize(bounds.searches);
        self.scans.resize(bounds.open_scans);
        self.calls.resize(bounds.aws_calls);
    }

    fn lock(&self) -> MutexGuard<'_, OverTime> {
        // Numbers only: a panic leaves nothing half-way.
        self.over_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether forgetting it gives its caller nothing.
    fn is_settled(&self, bounds: &Bounds, now: Instant, today: Timestamp) -> bool {
        let mut over_time = self.lock();
        let events = match (bounds.events_per_minute, &mut over_time.events) {
            (Some(limit), Some(minute)) => {
                #[allow(clippy::cast_precision_loss)]
                let full = limit as f64;
                minute.left(limit, now) >= full
            }
            _ => true,
        };
        let bytes = bounds.scan_bytes_per_day.is_none() || over_time.bytes.spent(today) == 0;
        events && bytes
    }
}

impl Usage {
    /// Nothing in use yet, within `limits`.
    #[must_use]
    pub fn new(limits: UsageLimits) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Account::new(&limits.process)),
            callers: Mutex::default(),
            limits: ArcSwap::from_pointee(limits),
        })
    }

    /// Other bounds for what is admitted from now on. What runs keeps its own, but counts.
    pub fn set_limits(&self, limits: UsageLimits) {
        let callers = self.callers();
        self.limits.store(Arc::new(limits));
        self.all.resize(&limits.process);
        for account in callers.values() {
            account.resize(&limits.per_caller);
        }
    }

    /// Admits one search or check of `caller`, or says what is used up; then nothing has begun.
    pub fn admit(self: &Arc<Self>, caller: &Caller) -> Result<Admitted, Exceeded> {
        let own = self.account(caller)?;
        let limits = self.limits.load_full();
        let searches = |account: &Account, scope: Scope| {
            account
                .searches
                .try_enter()
                .ok_or_else(|| scope.exceeded(Bound::Searches, account.searches.limit(), BUSY))
        };
        let of_caller = searches(&own, Scope::Caller)?;
        let of_process = searches(&self.all, Scope::Process)?;
        let in_use = InUse {
            usage: Arc::clone(self),
            limits,
            own,
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        for (scope, account, bounds) in in_use.scopes() {
            if let Some(limit) = bounds.events_per_minute {
                let now = Instant::now();
                let mut over_time = account.lock();
                let minute = over_time
                    .events
                    .get_or_insert_with(|| Minute::full(limit, now));
                if minute.left(limit, now) < 1.0 {
                    let retry_after = minute.retry_after(limit, now);
                    return Err(scope.exceeded(Bound::EventsPerMinute, limit, retry_after));
                }
            }
        }
        Ok(Admitted {
            in_use: Arc::new(in_use),
            _passes: [of_caller, of_process],
        })
    }

    fn account(&self, caller: &Caller) -> Result<Arc<Account>, Exceeded> {
        let mut callers = self.callers();
        // Under the lock: whoever changes them resizes whom it finds there.
        let limits = self.limits.load();
        if let Some(account) = callers.get(&caller.name) {
            return Ok(Arc::clone(account));
        }
        if callers.len() >= CALLERS {
            let (now, today) = (Instant::now(), Timestamp::now());
            callers.retain(|_, account| {
                Arc::strong_count(account) > 1
                    || !account.is_settled(&limits.per_caller, now, today)
            });
            if callers.len() >= CALLERS {
                return Err(Exceeded {
                    key: "limits.per_caller",
                    what: format!("{CALLERS} callers are being counted, which is the most"),
                    retry_after: Duration::from_mins(1),
                });
            }
        }
        let account = Arc::new(Account::new(&limits.per_caller));
        callers.insert(Arc::clone(&caller.name), Arc::clone(&account));
        Ok(account)
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Account>>> {
        // Entries are only ever added and removed whole.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usage")
            .field("limits", &self.limits.load())
            .finish_non_exhaustive()
    }
}

/// One search or check that may run. Dropping it makes room for another.
#[derive(Debug)]
pub struct Admitted {
    /// What it uses meanwhile.
    pub in_use: Arc<InUse>,
    _passes: [Pass; 2],
}

/// What one search or check uses: counted for its caller and for the process.
#[derive(Debug)]
pub struct InUse {
    usage: Arc<Usage>,
    /// As they were when it was admitted.
    limits: Arc<UsageLimits>,
    own: Arc<Account>,
    events: AtomicU64,
    bytes: AtomicU64,
}

impl InUse {
    /// Without bounds, for tests and for what nobody asked for.
    ///
    /// # Panics
    /// Never: where nothing is bounded everybody is admitted.
    #[must_use]
    pub fn unbounded(caller: &Caller) -> Arc<Self> {
        let usage = Usage::new(UsageLimits::default());
        usage.admit(caller).expect("nothing is bounded").in_use
    }

    fn scopes(&self) -> [(Scope, &Account, &Bounds); 2] {
        [
            (Scope::Caller, &self.own, &self.limits.per_caller),
            (Scope::Process, &self.usage.all, &self.limits.process),
        ]
    }

    /// Waits until one more scan may read, first as the caller's and then as the process's. Whoever
    /// holds a place gives it back after one answer of AWS, so that every scan has its turn.
    pub async fn scan(&self) -> [Pass; 2] {
        let own = self.own.scans.enter().await;
        [own, self.usage.all.scans.enter().await]
    }

    /// A place among the caller's AWS calls together with a turn of a queue. The queue does not stand
    /// still for a caller who has as many calls in flight as it may: the turn is given up, and waited for
    /// again once there is a place.
    pub async fn call_in_turn<T, F: Future<Output = T>>(
        &self,
        mut turn: impl FnMut() -> F,
    ) -> (T, Pass) {
        let first = turn().await;
        if let Some(pass) = self.own.calls.try_enter() {
            return (first, pass);
        }
        drop(first);
        let pass = self.own.calls.enter().await;
        (turn().await, pass)
    }

    /// Counts an event that was sent. What it says is used up then, no further event is to follow.
    pub fn event_sent(&self) -> Option<Exceeded> {
        let sent = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        let mut exceeded = None;
        for (scope, account, bounds) in self.scopes() {
            if let Some(limit) = bounds.events_per_minute {
                let now = Instant::now();
                let mut over_time = account.lock();
                let minute = over_time
                    .events
                    .get_or_insert_with(|| Minute::full(limit, now));
                if !minute.take(limit, now) {
                    let retry_after = minute.retry_after(limit, now);
                    exceeded = Some(scope.exceeded(Bound::EventsPerMinute, limit, retry_after));
                }
            }
            if let Some(limit) = bounds.events_per_search.filter(|limit| sent >= *limit) {
                exceeded = Some(scope.exceeded(Bound::EventsPerSearch, limit, Duration::ZERO));
            }
        }
        exceeded
    }

    /// Counts bytes that a query has scanned.
    pub fn scanned(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let now = Timestamp::now();
        for account in [&self.own, &self.usage.all] {
            account.lock().bytes.add(bytes, now);
        }
    }

    /// Bytes that its queries have scanned.
    #[must_use]
    pub fn bytes_scanned(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the day's bytes are used up: what still runs is to be stopped, and nothing more started.
    #[must_use]
    pub fn bytes_exceeded(&self) -> Option<Exceeded> {
        let scopes = self.scopes().into_iter();
        let exceeded = scopes.filter_map(|(scope, account, bounds)| {
            let limit = bounds.scan_bytes_per_day?;
            let now = Timestamp::now();
            (account.lock().bytes.spent(now) >= limit)
                .then(|| scope.exceeded(Bound::ScanBytesPerDay, limit, until_tomorrow(now)))
        });
        exceeded.last()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::thread;

    use super::*;

    fn caller(number: u32) -> Caller {
        Caller::at(Some(IpAddr::from(number.to_be_bytes())))
    }

    fn each(per_caller: Bounds) -> Arc<Usage> {
        Usage::new(UsageLimits {
            process: Bounds {
                searches: Some(3),
                ..Bounds::default()
            },
            per_caller,
        })
    }

    #[test]
    fn a_caller_has_its_own_bound_within_that_of_the_process() {
        let usage = each(Bounds {
            searches: Some(2),
            ..Bounds::default()
        });
        let held = [usage.admit(&caller(1)), usage.admit(&caller(1))];
        let refused = usage.admit(&caller(1)).unwrap_err();
        assert_eq!(refused.key, "limits.per_caller.concurrent_searches");
        let other = usage.admit(&caller(2)).unwrap();
        let refused = usage.admit(&caller(2)).unwrap_err();
        assert_eq!(refused.key, "limits.concurrent_searches");
        drop(held);
        assert!(usage.admit(&caller(2)).is_ok());
        drop(other);
    }

    #[test]
    fn events_of_one_caller_are_used_up_for_its_other_searches_only() {
        let usage = each(Bounds {
            events_per_minute: Some(2),
            ..Bounds::default()
        });
        let search = usage.admit(&caller(1)).unwrap();
        assert_eq!(search.in_use.event_sent(), None);
        let exceeded = search.in_use.event_sent().unwrap();
        assert_eq!(exceeded.key, "limits.per_caller.events_per_minute");
        drop(search);
        let refused = usage.admit(&caller(1)).unwrap_err();
        assert!(refused.retry_after > Duration::from_secs(20), "{refused:?}");
        assert!(usage.admit(&caller(2)).is_ok());
    }

    #[test]
    fn a_days_bytes_are_of_the_caller_whatever_search_scanned_them() {
        let usage = each(Bounds {
            scan_bytes_per_day: Some(100),
            ..Bounds::default()
        });
        usage.admit(&caller(1)).unwrap().in_use.scanned(100);
        let next = usage.admit(&caller(1)).unwrap();
        let exceeded = next.in_use.bytes_exceeded().unwrap();
        assert_eq!(exceeded.key, "limits.per_caller.scan_bytes_per_day");
        let other = usage.admit(&caller(2)).unwrap();
        assert_eq!(other.in_use.bytes_exceeded(), None);
    }

    #[test]
    fn bounds_can_change_while_they_are_in_use() {
        let usage = each(Bounds::default());
        let held = usage.admit(&caller(1)).unwrap();
        let one = Bounds {
            searches: Some(1),
            ..Bounds::default()
        };
        usage.set_limits(UsageLimits {
            process: Bounds::default(),
            per_caller: one,
        });
        assert!(usage.admit(&caller(1)).is_err());
        drop(held);
        assert!(usage.admit(&caller(1)).is_ok());
    }

    #[test]
    fn bounds_that_change_while_a_caller_comes_are_its_bounds_too() {
        let searches = |limit| UsageLimits {
            per_caller: Bounds {
                searches: Some(limit),
                ..Bounds::default()
            },
            ..UsageLimits::default()
        };
        let usage = Usage::new(searches(1));
        for limit in 2..50 {
            let comes = caller(u32::try_from(limit).unwrap());
            let admitted = thread::scope(|scope| {
                // As `set_limits` does, which resizes whom it finds.
                let callers = usage.callers();
                let admitted = scope.spawn(|| usage.admit(&comes).unwrap());
                (0..1_000).for_each(|_| thread::yield_now());
                usage.limits.store(Arc::new(searches(limit)));
                drop(callers);
                admitted.join().unwrap()
            });
            assert_eq!(admitted.in_use.own.searches.limit(), limit);
        }
    }

    #[test]
    fn callers_who_use_nothing_make_room_for_others_and_debtors_do_not() {
        let usage = each(Bounds {
            scan_bytes_per_day: Some(100),
            ..Bounds::default()
        });
        let debtors = u32::try_from(CALLERS).unwrap() - 1;
        for number in 0..debtors {
            usage.admit(&caller(number)).unwrap().in_use.scanned(1);
        }
        for number in debtors..debtors + 3 {
            assert!(
                usage.admit(&caller(number)).is_ok(),
                "one place is left, again and again"
            );
        }
        usage.admit(&caller(debtors)).unwrap().in_use.scanned(1);
        assert_eq!(
            usage.admit(&caller(u32::MAX)).unwrap_err().key,
            "limits.per_caller"
        );
        assert!(usage.admit(&caller(0)).is_ok(), "who is known is served");
    }
}
