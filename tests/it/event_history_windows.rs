//! Event history oldest first, in windows, against the sandbox.

use identity_trail::backend::{Lost, Page, ScanError, ScanReader};
use identity_trail::plan::{Lookups, ReasonCode};
use identity_trail::query::{Event, EventTime, SearchOrder, TimeRange};
use serde_json::Value;

use crate::event_history::{
    NOW, World, assert_same, by_users, expected, october, overlapping, range, records, time,
};
use crate::sandbox::{REGION, config, record};

/// A window's events: not more than this, and a page.
const MOST_EVENTS: usize = 400;
const PAGE: usize = 50;

#[derive(Default)]
struct Drained {
    events: Vec<Event>,
    lost: Vec<Lost>,
    requests: u64,
    error: Option<ScanError>,
}

/// Reads to the end, and holds every page against the bounds before it.
async fn drain(mut reader: Box<dyn ScanReader>, range: TimeRange) -> Drained {
    let mut drained = Drained::default();
    let mut bound = range.start();
    loop {
        let Page {
            mut events,
            bound: next,
            lost,
            end,
            cost,
            ..
        } = match reader.next_page().await {
            Ok(page) => page,
            Err(error) => {
                drained.requests += error.cost.requests;
                drained.error = Some(error);
                return drained;
            }
        };
        assert!(events.len() <= MOST_EVENTS + PAGE);
        assert!(events.iter().all(|event| event.key.time >= bound));
        drained.events.append(&mut events);
        drained.lost.extend(lost);
        drained.requests += cost.requests;
        assert_eq!(end, next.is_none());
        let Some(next) = next else { return drained };
        assert!(next >= bound, "the bound moved back");
        bound = next;
    }
}

async fn read(world: &World, range: TimeRange, by: &Lookups) -> Drained {
    let reader = world.open_in(SearchOrder::OldestFirst, REGION, range, by);
    drain(reader, range).await
}

#[tokio::test]
async fn windows_bring_what_a_naive_scan_finds() {
    let records = records(1_000);
    let world = World::start(config(&records, NOW)).await;
    let second = |second: u32| format!("2026-10-20T10:00:{second:02}Z");
    for (range, user) in [
        (october(), None),
        (october(), Some("alice")),
        (october(), Some("nobody")),
        (range(&second(10), &second(50)), Some("bob")),
        (range(&second(10), &second(11)), None),
    ] {
        let before = world.lookups();
        let drained = read(&world, range, &by_users(user.as_slice())).await;
        assert!(drained.error.is_none(), "{:?}", drained.error);
        assert_same(&drained.events, &expected(&records, range, user));
        assert_eq!(
            drained.requests,
            world.lookups() - before,
            "every attempt is counted"
        );
    }
    let drained = read(&world, october(), &overlapping()).await;
    assert_same(&drained.events, &expected(&records, october(), None));
}

#[tokio::test]
async fn windows_outlast_stale_tokens_disorder_throttles_and_resets() {
    let records = records(1_000);
    let mut sandbox = config(&records, NOW);
    sandbox.faults.stale_token = 30.try_into().unwrap();
    sandbox.faults.out_of_order = 30.try_into().unwrap();
    sandbox.faults.throttle = 10.try_into().unwrap();
    sandbox.faults.reset = 3.try_into().unwrap();
    let world = World::start(sandbox).await;
    let drained = read(&world, october(), &Lookups::Whole).await;
    assert!(drained.error.is_none(), "{:?}", drained.error);
    assert_same(&drained.events, &expected(&records, october(), None));
    assert_eq!(
        drained.requests,
        world.lookups(),
        "every attempt is counted"
    );
}

#[tokio::test]
async fn a_second_with_more_events_than_a_window_is_read_all_the_same() {
    let crowd: Vec<Value> = (0..900)
        .map(|number| record(number, "2026-10-20T10:00:00Z", "alice"))
        .collect();
    let world = World::start(config(&crowd, NOW)).await;
    let drained = read(&world, october(), &by_users(&["alice"])).await;
    assert!(drained.error.is_none(), "{:?}", drained.error);
    assert_same(&drained.events, &expected(&crowd, october(), None));
}

#[tokio::test]
async fn what_the_horizon_has_passed_is_named_and_the_rest_is_read() {
    // 90 days before the sandbox's now is 2026-08-03T00:00:00Z, and moves on from there.
    let old = record(1, "2026-08-02T23:59:00Z", "alice");
    let young = record(2, "2026-08-10T00:00:00Z", "alice");
    let world = World::start(config(&[old, young], NOW)).await;
    let asked = range("2026-08-02T00:00:00Z", "2026-11-01T00:00:00Z");
    for by in [by_users(&[]), by_users(&["alice", "bob"])] {
        let drained = read(&world, asked, &by).await;
        assert!(drained.error.is_none(), "{:?}", drained.error);
        assert_eq!(drained.events.len(), 1);
        let [Lost { range, reason }] = &drained.lost[..] else {
            panic!("{:?}", drained.lost);
        };
        assert_eq!(reason.code, ReasonCode::AgedOut);
        assert_eq!(range.start(), asked.start());
        assert!(range.end() >= time("2026-08-03T00:00:00Z"));
        assert!(range.end() < time("2026-08-03T01:00:00Z"));
    }

    // All of it: AWS is not even asked.
    let lookups = world.lookups();
    let asked = range("2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z");
    let drained = read(&world, asked, &Lookups::Whole).await;
    let lost: Vec<TimeRange> = drained.lost.iter().map(|lost| lost.range).collect();
    assert_eq!((lost, world.lookups()), (vec![asked], lookups));
}

#[tokio::test]
async fn a_window_that_breaks_ends_the_scan_at_its_beginning() {
    let records = records(200);
    let mut sandbox = config(&records, NOW);
    sandbox.faults.dead_regions.insert("eu-south-1".into());
    let world = World::start_with(sandbox, "1s", "off").await;
    let reader = world.open_in(
        SearchOrder::OldestFirst,
        "eu-south-1",
        october(),
        &Lookups::Whole,
    );
    let error = drain(reader, october()).await.error.unwrap();
    assert_eq!(error.reason.code, ReasonCode::Unresponsive);
    assert_eq!(error.stopped_at, Some(october().start()));
    let first: Option<EventTime> = read(&world, october(), &Lookups::Whole)
        .await
        .events
        .iter()
        .map(|event| event.key.time)
        .min();
    assert_eq!(first, Some(time("2026-10-20T10:00:00Z")));
}
