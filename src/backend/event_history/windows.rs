//! Event history oldest first, which AWS does not offer: windows from the interval's old end, each
//! read newest first to its end and delivered reversed. How long they are is said in
//! [`crate::plan::windows`].
//!
//! A window of one second needs no reversing, and may be of any length. What a window that was given
//! up cost is counted; its events are not, since they come again.

use async_trait::async_trait;

use super::reader::aged_out;
use crate::backend::{Lost, Page, PageCost, ScanError, ScanReader};
use crate::plan::windows::{MOST_EVENTS, first_length, next_length, shorter_length};
use crate::plan::{ReasonCode, RoleReading};
use crate::query::{Event, EventTime, TimeRange};

/// Opens a reader of an interval, newest first.
pub(super) type Open = Box<dyn Fn(TimeRange) -> Box<dyn ScanReader> + Send + Sync>;
/// The oldest second that event history holds now.
pub(super) type Horizon = Box<dyn Fn() -> EventTime + Send + Sync>;

/// One scan of event history, oldest first.
pub(super) struct Windows {
    open: Open,
    horizon: Horizon,
    /// What no window has been opened for yet, and how long the next one is, in seconds.
    left: Option<TimeRange>,
    length: i64,
    window: Option<Window>,
    /// The window broke, and what was read of it is delivered.
    broken: Option<ScanError>,
    /// How the windows so far read roles: inferred if any was.
    role_reading: Option<RoleReading>,
}

/// A window that is being read.
struct Window {
    range: TimeRange,
    reader: Box<dyn ScanReader>,
    /// Newest first, as they were read.
    events: Vec<Event>,
    /// What the events cost; requests are told with the page that made them.
    cost: PageCost,
    /// Everything after this second was read.
    bound: EventTime,
}

impl Window {
    /// Keeps what events cost until they are delivered; gives back the calls, which are told at
    /// once.
    fn spend(&mut self, cost: PageCost) -> PageCost {
        self.cost.events_read += cost.events_read;
        self.cost.unreadable_records += cost.unreadable_records;
        self.cost.memory_bytes += cost.memory_bytes;
        PageCost {
            requests: cost.requests,
            throttles: cost.throttles,
            ..PageCost::default()
        }
    }
}

impl Windows {
    pub fn new(range: TimeRange, horizon: Horizon, open: Open) -> Self {
        Self {
            open,
            horizon,
            length: first_length(range),
            left: Some(range),
            window: None,
            broken: None,
            role_reading: None,
        }
    }

    async fn read(&mut self) -> Result<Page, ScanError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let Some(mut window) = self.window.take().or_else(|| self.next_window()) else {
            return Ok(self.pass_over_what_aged_out());
        };
        match window.reader.next_page().await {
            Ok(page) => Ok(self.take(window, page)),
            Err(error) if error.reason.code == ReasonCode::AgedOut => {
                Ok(self.end_aged_out(window, error))
            }
            Err(error) => Ok(self.end_broken(window, error)),
        }
    }

    /// The next window; none where the horizon has passed its first second, or nothing is left.
    fn next_window(&mut self) -> Option<Window> {
        let left = self.left?;
        if (self.horizon)() > left.start() {
            return None;
        }
        let end = left.start().plus(self.length);
        let range = left.before(end)?;
        self.left = left.from(end);
        Some(Window {
            range,
            reader: (self.open)(range),
            events: Vec::new(),
            cost: PageCost::default(),
            bound: range.last(),
        })
    }

    fn pass_over_what_aged_out(&mut self) -> Page {
        let horizon = (self.horizon)();
        let lost = self.left.and_then(|left| left.before(horizon));
        self.left = self.left.and_then(|left| left.from(horizon));
        Page {
            lost: lost.map(|range| Lost {
                range,
                reason: aged_out(horizon),
            }),
            ..self.between_windows()
        }
    }

    /// A page of the window: kept until it is whole, unless there is nothing to reverse.
    fn take(&mut self, mut window: Window, page: Page) -> Page {
        let Page {
            mut events,
            bound,
            end,
            cost,
            role_reading,
            ..
        } = page;
        self.read_roles(role_reading);
        let now = window.spend(cost);
        window.bound = bound.unwrap_or(window.bound);
        window.events.append(&mut events);
        if end {
            let length = window.range.duration().as_secs();
            self.length = next_length(length, window.cost.events_read);
            return self.deliver(window, now);
        }
        let second = window.range.start();
        let waiting = Page {
            bound: Some(second),
            cost: now,
            role_reading: self.role_reading.clone(),
            ..Page::default()
        };
        let seconds = window.range.duration().as_secs();
        if seconds == 1 {
            let events = std::mem::take(&mut window.events);
            let cost = std::mem::take(&mut window.cost);
            self.window = Some(window);
            return Page {
                events,
                cost: with_calls(cost, now),
                ..waiting
            };
        }
        if window.cost.events_read >= MOST_EVENTS {
            let read = window.range.end().second() - window.bound.second();
            self.length = shorter_length(seconds, read);
            self.left = match self.left {
                Some(left) => TimeRange::new(second, left.end()),
                None => Some(window.range),
            };
            return waiting;
        }
        let held_back_bytes = window.cost.memory_bytes;
        self.window = Some(window);
        Page {
            cost: PageCost {
                held_back_bytes,
                ..now
            },
            ..waiting
        }
    }

    fn read_roles(&mut self, reading: Option<RoleReading>) {
        let inferred = (self.role_reading.as_ref()).is_some_and(|reading| reading.inferred);
        if let Some(reading) = reading.filter(|reading| reading.inferred || !inferred) {
            self.role_reading = Some(reading);
        }
    }

    /// All of a window in reading order.
    fn deliver(&mut self, mut window: Window, calls: PageCost) -> Page {
        window.events.reverse();
        Page {
            events: window.events,
            cost: with_calls(window.cost, calls),
            ..self.between_windows()
        }
    }

    /// The horizon moved into the window while it was read.
    fn end_aged_out(&mut self, mut window: Window, error: ScanError) -> Page {
        let calls = window.spend(error.cost);
        let until = error.stopped_at.unwrap_or(window.bound).plus(1);
        let lost = window.range.before(until).map(|range| Lost {
            range,
            reason: error.reason,
        });
        Page {
            lost,
            ..self.deliver(window, calls)
        }
    }

    /// What was read of the window stays in the answer, and none of it is covered: it lies beyond
    /// what was not read. Why is told next.
    fn end_broken(&mut self, mut window: Window, error: ScanError) -> Page {
        let stopped_at = window.range.start();
        let calls = window.spend(error.cost);
        self.broken = Some(ScanError {
            stopped_at: Some(stopped_at),
            cost: PageCost::default(),
            ..error
        });
        Page {
            bound: Some(stopped_at),
            end: false,
            ..self.deliver(window, calls)
        }
    }

    fn between_windows(&self) -> Page {
        Page {
            bound: self.left.map(TimeRange::start),
            end: self.left.is_none(),
            role_reading: self.role_reading.clone(),
            ..Page::default()
        }
    }
}

/// What events cost, with the calls of the last page.
fn with_calls(events: PageCost, calls: PageCost) -> PageCost {
    PageCost {
        requests: calls.requests,
        throttles: calls.throttles,
        ..events
    }
}

#[async_trait]
impl ScanReader for Windows {
    async fn wait_for_turn(&mut self) {
        if self.broken.is_none() {
            self.window = self.window.take().or_else(|| self.next_window());
        }
        if let Some(window) = &mut self.window {
            window.reader.wait_for_turn().await;
        }
    }

    fn give_up_turn(&mut self) {
        if let Some(window) = &mut self.window {
            window.reader.give_up_turn();
        }
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        self.read().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::plan::Reason;
    use crate::query::record::{ReadFrom, TextOrigin, parse_record};
    use crate::query::{BackendKind, Provenance};

    /// A history that forgets its oldest seconds as it is asked.
    #[derive(Debug, Default)]
    struct History {
        /// Seconds and numbers, oldest first.
        events: Vec<(i64, u32)>,
        horizon: AtomicI64,
        /// Seconds by which the horizon moves with each page.
        forgets: i64,
        /// Break instead of giving this page.
        breaks_at: Option<u64>,
        pages: AtomicU64,
        page: usize,
    }

    /// Reads an interval newest first, as the real reader does.
    struct Scripted {
        history: Arc<History>,
        range: TimeRange,
        /// Newest last.
        rest: Vec<(i64, u32)>,
        bound: EventTime,
        begun: bool,
        aged_out: bool,
    }

    fn time(second: i64) -> EventTime {
        EventTime::from_second(second).unwrap()
    }

    fn event((second, number): (i64, u32)) -> Event {
        let time = time(second);
        let json = format!(
            r#"{{"eventTime":"{time}","eventSource":"iam.amazonaws.com","eventName":"ListUsers",
            "eventID":"{number}","recipientAccountId":"111122223333"}}"#
        );
        let read_from = ReadFrom {
            provenance: Provenance {
                backend: BackendKind::EventHistory,
                account_id: "111122223333".parse().unwrap(),
                account_name: None,
                region: None,
                archive: None,
                log_group: None,
                aws_request_id: None,
                log_file: None,
            },
            origin: TextOrigin::Delivered,
            keep_record: false,
        };
        parse_record(&json, &read_from).unwrap()
    }

    impl Scripted {
        fn horizon(&self) -> EventTime {
            time(self.history.horizon.load(Ordering::Relaxed))
        }

        fn aged_out(&self, stopped_at: EventTime) -> ScanError {
            ScanError {
                reason: aged_out(self.horizon()),
                not_applicable: false,
                stopped_at: Some(stopped_at),
                cost: PageCost::default(),
            }
        }
    }

    #[async_trait]
    impl ScanReader for Scripted {
        async fn next_page(&mut self) -> Result<Page, ScanError> {
            if self.aged_out {
                return Err(self.aged_out(self.bound));
            }
            if !std::mem::replace(&mut self.begun, true) {
                let horizon = self.horizon();
                if horizon > self.range.last() {
                    return Err(self.aged_out(self.range.last()));
                }
                let events = self.history.events.iter().copied();
                self.rest = events
                    .filter(|(second, _)| {
                        self.range.contains(time(*second)) && time(*second) >= horizon
                    })
                    .collect();
            }
            let page = self.history.pages.fetch_add(1, Ordering::Relaxed) + 1;
            let cost = PageCost {
                requests: 1,
                ..PageCost::default()
            };
            if self.history.breaks_at == Some(page) {
                return Err(ScanError {
                    reason: Reason::new(ReasonCode::AwsError, "scripted"),
                    not_applicable: false,
                    stopped_at: None,
                    cost,
                });
            }
            self.history
                .horizon
                .fetch_add(self.history.forgets, Ordering::Relaxed);
            let first = self.rest.len().saturating_sub(self.history.page);
            let events: Vec<Event> = self
                .rest
                .split_off(first)
                .into_iter()
                .rev()
                .map(event)
                .collect();
            self.bound = events.last().map_or(self.bound, |event| event.key.time);
            let cost = PageCost {
                events_read: events.len() as u64,
                memory_bytes: events.len() as u64 * 1_000,
                ..cost
            };
            let page = Page {
                events,
                cost,
                ..Page::default()
            };
            if !self.rest.is_empty() {
                return Ok(Page {
                    bound: Some(self.bound),
                    ..page
                });
            }
            if self.horizon() <= self.range.start() {
                return Ok(Page { end: true, ..page });
            }
            self.aged_out = true;
            self.bound = self.horizon().plus(-1).min(self.range.last());
            Ok(Page {
                bound: Some(self.bound),
                ..page
            })
        }
    }

    fn windows(history: &Arc<History>, range: TimeRange) -> Windows {
        let (now, read) = (Arc::clone(history), Arc::clone(history));
        Windows::new(
            range,
            Box::new(move || time(now.horizon.load(Ordering::Relaxed))),
            Box::new(move |range| {
                Box::new(Scripted {
                    history: Arc::clone(&read),
                    range,
                    rest: Vec::new(),
                    bound: range.last(),
                    begun: false,
                    aged_out: false,
                })
            }),
        )
    }

    /// Some events spread over the interval, and some that crowd in few seconds.
    fn events() -> impl Strategy<Value = Vec<(i64, u32)>> {
        let spread = prop::collection::vec(0..100_000_i64, 0..300);
        let crowd = (0..99_990_i64, prop::collection::vec(0..6_i64, 0..900));
        (spread, crowd).prop_map(|(mut seconds, (from, crowd))| {
            seconds.extend(crowd.into_iter().map(|second| from + second));
            seconds.sort_unstable();
            seconds.into_iter().zip(0..).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is where: each event once, before its bound passes it, or its second is named as
        /// lost and had been passed by the horizon; and no more is kept than a window may have.
        #[test]
        fn windows_bring_everything_in_order_or_say_what_aged_out(
            events in events(),
            (start, length) in (0..50_000_i64, 1..100_000_i64),
            horizon in prop::option::of(-100..60_000_i64),
            forgets in prop::sample::select(vec![0_i64, 0, 3, 900]),
            breaks_at in prop::option::weighted(0.2, 1..20_u64),
        ) {
            let range = TimeRange::new(time(start), time(start + length)).unwrap();
            let history = Arc::new(History {
                events: events.clone(),
                horizon: AtomicI64::new(horizon.unwrap_or(-1_000_000_000)),
                forgets: if horizon.is_some() { forgets } else { 0 },
                breaks_at,
                page: 50,
                ..History::default()
            });
            let mut windows = windows(&history, range);
            let (mut found, mut lost, mut requests) = (Vec::new(), Vec::new(), 0);
            let mut bound = range.start();
            let unread = loop {
                match futures::executor::block_on(windows.next_page()) {
                    Ok(page) => {
                        requests += page.cost.requests;
                        prop_assert!(page.cost.held_back_bytes <= 1_000 * (MOST_EVENTS + 50));
                        prop_assert!(page.events.len() as u64 <= MOST_EVENTS + 50);
                        prop_assert!(page.events.iter().all(|event| event.key.time >= bound));
                        let now = time(history.horizon.load(Ordering::Relaxed));
                        if let Some(Lost { range, reason }) = page.lost {
                            prop_assert_eq!(reason.code, ReasonCode::AgedOut);
                            prop_assert!(range.end() <= now, "{:?} is lost at {}", range, now);
                            lost.push(range);
                        }
                        found.extend(page.events.into_iter().map(|event| event.key));
                        prop_assert_eq!(page.end, page.bound.is_none());
                        if page.end {
                            break range.end();
                        }
                        prop_assert!(page.bound.unwrap() >= bound, "the bound moved back");
                        bound = page.bound.unwrap();
                    }
                    Err(error) => {
                        prop_assert_eq!(error.reason.code, ReasonCode::AwsError);
                        requests += error.cost.requests;
                        break error.stopped_at.unwrap();
                    }
                }
            };
            prop_assert_eq!(requests, history.pages.load(Ordering::Relaxed));
            let total = found.len();
            found.sort();
            found.dedup();
            prop_assert_eq!(found.len(), total, "an event came twice");
            for (second, number) in events {
                let key = event((second, number)).key;
                let covered = range.contains(key.time)
                    && key.time < unread
                    && !lost.iter().any(|lost| lost.contains(key.time));
                prop_assert!(found.contains(&key) || !covered, "{:?} is missing", key);
            }
        }
    }

    #[test]
    fn few_events_take_few_requests_and_many_not_many_more() {
        let range = TimeRange::new(time(0), time(90 * 86_400)).unwrap();
        for (events, most) in [(0, 4), (30, 4), (20_000, 700)] {
            let step = 90 * 86_400 / i64::from(events.max(1));
            let history = Arc::new(History {
                events: (0..events)
                    .map(|number| (i64::from(number) * step, number))
                    .collect(),
                horizon: AtomicI64::new(-1),
                page: 50,
                ..History::default()
            });
            let mut windows = windows(&history, range);
            let mut found = 0;
            loop {
                let page = futures::executor::block_on(windows.next_page()).unwrap();
                found += page.events.len();
                if page.end {
                    break;
                }
            }
            let requests = history.pages.load(Ordering::Relaxed);
            assert_eq!(found, events as usize);
            assert!(requests <= most, "{requests} requests for {events} events");
        }
    }
}
