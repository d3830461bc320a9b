use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::plan::Reason;
use crate::query::record::{ReadFrom, TextOrigin, parse_record};
use crate::query::{BackendKind, Event, Provenance};

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
