//! Properties of whole searches: any number of scans under any number of permits, any arrival
//! order, dead and empty scans.

use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;

use super::fake::{Script, account, collect, events_of, query, summary_of, test_caller, world};
use crate::plan::{Completeness, OutcomeState};
use crate::query::{EventQuery, ResumePoint, SearchOrder};
use crate::search::resume::ResumeToken;
use crate::search::{EngineLimits, SearchItem, StopReason};

pub(super) const HOUR: i64 = 3_600;

fn script(breaks: bool) -> impl Strategy<Value = Script> {
    let events = prop::collection::vec((1..60_i64, 0..1_000_u32), 0..40);
    let broken = prop::option::weighted(if breaks { 0.3 } else { 0.001 }, 1..4_usize);
    (events, 1..8_usize, 0..20_usize, broken).prop_map(
        move |(mut events, page, turns, breaks_at_page)| {
            events.sort_unstable();
            events.dedup_by_key(|(_, id)| *id);
            {
                let breaks_at_page = breaks_at_page.filter(|_| breaks);
                Script {
                    events,
                    page,
                    turns,
                    breaks_at_page,
                    ..Script::default()
                }
            }
        },
    )
}

pub(super) fn tight() -> impl Strategy<Value = (usize, EngineLimits)> {
    (
        1..4_usize,
        prop::sample::select(vec![1_u64, 200_000, 64 << 20]),
    )
        .prop_map(|(permits, page_memory_bytes)| {
            (
                permits,
                EngineLimits {
                    page_memory_bytes,
                    ..EngineLimits::default()
                },
            )
        })
}

/// Runs `future`; a search that is stuck runs out of time.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(Duration::from_mins(1), future)
                .await
                .expect("the search is stuck")
        })
}

pub(super) fn orders() -> impl Strategy<Value = SearchOrder> {
    prop::sample::select(vec![SearchOrder::NewestFirst, SearchOrder::OldestFirst])
}

fn ask(order: SearchOrder) -> EventQuery {
    EventQuery {
        order,
        ..query(HOUR)
    }
}

/// The naive answer: every event of every script, in order.
pub(super) fn oracle(
    order: SearchOrder,
    scripts: &[Script],
) -> Vec<(i64, crate::query::AccountId, String)> {
    let mut all: Vec<_> = scripts
        .iter()
        .enumerate()
        .flat_map(|(number, script)| {
            script.events.iter().map(move |(ago, id)| {
                (
                    *ago,
                    account(number),
                    format!("r{id}"),
                    format!("event-{id}"),
                )
            })
        })
        .collect();
    all.sort_by(|a, b| order.compare(&(-a.0, &a.1, &a.3), &(-b.0, &b.1, &b.3)));
    all.into_iter()
        .map(|(ago, account, request, _)| (ago, account, request))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_event_once_in_order_and_never_stuck(
        order in orders(),
        scripts in prop::collection::vec(script(false), 1..12),
        (permits, limits) in tight(),
    ) {
        let expected = oracle(order, &scripts);
        let items = run(async {
            collect(&world(scripts, permits, limits).engine, ask(order)).await
        });
        prop_assert_eq!(events_of(&items), expected);
        let summary = summary_of(&items);
        prop_assert_eq!(summary.coverage.completeness(), Completeness::Complete);
        prop_assert_eq!(summary.stop_reason, StopReason::End);
    }

    /// A scan that breaks costs its own part only: everything in what its outcome covers is there,
    /// and the outcome is told before any event that is read after it.
    #[test]
    fn a_broken_scan_costs_its_own_part_and_no_other(
        order in orders(),
        scripts in prop::collection::vec(script(true), 1..8),
        (permits, limits) in tight(),
    ) {
        let expected = oracle(order, &scripts);
        let items = run(async {
            collect(&world(scripts, permits, limits).engine, ask(order)).await
        });
        let outcomes = &summary_of(&items).coverage.outcomes;
        let covered = |ago: i64, account| outcomes.iter().any(|outcome| {
            let time = crate::query::EventTime::from_second(super::fake::NOW - ago).unwrap();
            outcome.accounts == [account] && outcome.covered.is_some_and(|range| range.contains(time))
        });
        let events = events_of(&items);
        for event in &expected {
            prop_assert!(events.contains(event) || !covered(event.0, event.1), "{:?} is missing", event);
        }
        prop_assert!(events.iter().all(|event| expected.contains(event)));
        let mut sorted = events.clone();
        sorted.sort_by(|a, b| order.compare(&-a.0, &-b.0));
        prop_assert_eq!(sorted.iter().map(|e| e.0).collect::<Vec<_>>(), events.iter().map(|e| e.0).collect::<Vec<_>>());
        for outcome in outcomes.iter().filter(|outcome| outcome.state == OutcomeState::Failed) {
            let told = items.iter().position(|item| matches!(item, SearchItem::Outcomes(told) if told.iter().any(|o| o.accounts == outcome.accounts)));
            let unread = outcome.covered.map_or(order.first(outcome.asked), |covered| order.beyond(covered));
            let beyond = |time| order.rank(time) > order.rank(unread);
            let later = items.iter().position(|item| matches!(item, SearchItem::Event { event, .. } if beyond(event.key.time)));
            prop_assert!(told.is_some() && later.is_none_or(|later| told.unwrap() < later));
        }
    }

    /// Cut anywhere, the two parts are the whole.
    #[test]
    fn a_resumed_search_goes_on_where_the_first_ended(
        order in orders(),
        scripts in prop::collection::vec(script(false), 1..6),
        cut in 1..40_u64,
    ) {
        let expected = oracle(order, &scripts);
        let (first, second) = run(async {
            let engine = world(scripts, 2, EngineLimits::default()).engine;
            let first = collect(&engine, EventQuery { max_events: Some(cut), ..ask(order) }).await;
            let Some(token) = summary_of(&first).resume_token.clone() else {
                return (first, None);
            };
            let token = ResumeToken::decode(&token).unwrap();
            let rest = EventQuery { range: token.range, resume: Some(token.point), ..ask(order) };
            (first, Some(collect(&engine, rest).await))
        });
        let mut events = events_of(&first);
        prop_assert!(events.len() as u64 <= cut);
        events.extend(second.iter().flat_map(|items| events_of(items)));
        prop_assert_eq!(events, expected);
    }

    /// A shutdown in the middle of events that were read and not sent: they are neither lost to the
    /// stream that goes on, nor claimed by the one that ended.
    #[test]
    fn a_drained_search_goes_on_where_the_first_ended(
        order in orders(),
        scripts in prop::collection::vec(script(false), 1..6),
        cut in 1..40_usize,
    ) {
        let expected = oracle(order, &scripts);
        let (first, second) = run(async {
            let world = world(scripts.clone(), 2, EngineLimits::default());
            let stream = world.engine.search(ask(order), test_caller(), None).unwrap();
            let mut stream = stream.fuse();
            let mut first: Vec<_> = stream.by_ref().take(cut).collect().await;
            world.drain.cancel();
            first.extend(stream.collect::<Vec<_>>().await);
            let Some(token) = summary_of(&first).resume_token.clone() else {
                return (first, None);
            };
            let token = ResumeToken::decode(&token).unwrap();
            let rest = EventQuery { range: token.range, resume: Some(token.point), ..ask(order) };
            // On another replica: this one shuts down.
            let other = self::world(scripts, 2, EngineLimits::default()).engine;
            (first, Some(collect(&other, rest).await))
        });
        let mut events = events_of(&first);
        for outcome in &summary_of(&first).coverage.outcomes {
            let covered = |ago: i64, account| outcome.accounts == [account]
                && outcome.covered.is_some_and(|range| range.contains(
                    crate::query::EventTime::from_second(super::fake::NOW - ago).unwrap()
                ));
            for event in expected.iter().filter(|event| covered(event.0, event.1)) {
                prop_assert!(events.contains(event), "{:?} is claimed and was not sent", event);
            }
        }
        events.extend(second.iter().flat_map(|items| events_of(items)));
        prop_assert_eq!(events, expected);
    }

    /// Every event carries a token that continues after exactly that event.
    #[test]
    fn every_token_reads_back(
        order in orders(),
        scripts in prop::collection::vec(script(false), 1..4),
    ) {
        let items = run(async { collect(&world(scripts, 1, EngineLimits::default()).engine, ask(order)).await });
        for item in &items {
            if let SearchItem::Event { event, resume_token } = item {
                let ResumePoint { position, .. } = ResumeToken::decode(resume_token).unwrap().point;
                prop_assert_eq!(position.as_ref(), Some(&event.key));
            }
        }
    }
}
