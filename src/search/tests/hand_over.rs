//! Whole searches in which event history leaves what an archive holds too.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::archive::Archive;
use super::fake::{
    NOW, Script, World, account, collect, events_of, query, summary_of, world_routed,
};
use super::properties::{HOUR, oracle, orders, run, tight};
use crate::plan::facts::Routing;
use crate::plan::{Completeness, OutcomeState, ReasonCode, ScanOutcome};
use crate::query::{BackendKind, EventQuery, EventTime, SearchOrder};
use crate::search::resume::ResumeToken;
use crate::search::{EngineLimits, SearchItem};

/// Asked from so long before now until an archive surely holds everything.
const FROM: i64 = 6 * HOUR;
const UNTIL: i64 = 2 * HOUR;

fn settled(order: SearchOrder) -> EventQuery {
    let whole = query(FROM).range;
    EventQuery {
        order,
        range: whole.before(whole.end().plus(-UNTIL)).unwrap(),
        ..query(FROM)
    }
}

/// A history with events that lie close, so that seconds are shared, and something wrong with it.
fn script() -> impl Strategy<Value = Script> {
    let events = prop::collection::vec((UNTIL + 1..UNTIL + 60, 0..1_000_u32), 0..40);
    let broken = prop::option::weighted(0.4, 1..5_usize);
    let forgets = prop::option::weighted(0.2, UNTIL - 10..UNTIL + 70);
    (events, 1..8_usize, 0..20_usize, broken, forgets).prop_map(
        |(mut events, page, turns, breaks_at_page, forgets)| {
            events.sort_unstable();
            events.dedup_by_key(|(_, id)| *id);
            Script {
                events,
                page,
                turns,
                breaks_at_page,
                forgets,
                ..Script::default()
            }
        },
    )
}

/// These histories beside an archive that holds all of their events.
fn beside(
    scripts: &[Script],
    (permits, limits): (usize, EngineLimits),
    max_lookup_pages: u64,
) -> (World, Archive) {
    let events = scripts.iter().enumerate().flat_map(|(number, script)| {
        let events = script.events.iter();
        events.map(move |(ago, id)| (account(number), *ago, *id))
    });
    let archive = Archive {
        // It holds something of an account that nobody asks about, so that there always is one.
        events: events.chain([(account(99), UNTIL + 1, 1)]).collect(),
        ..Archive::default()
    };
    let routing = Routing {
        max_lookup_pages,
        ..Routing::default()
    };
    let world = world_routed(scripts.to_vec(), permits, limits, archive.clone(), routing);
    (world, archive)
}

fn outcomes(items: &[SearchItem], state: OutcomeState) -> Vec<&ScanOutcome> {
    let all = summary_of(items).coverage.outcomes.iter();
    all.filter(|outcome| outcome.state == state).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever breaks, ages out or turns out long, and wherever the answer is cut: every event once
    /// and in order, the two parts are the whole, and every second has exactly one outcome that says
    /// how it was read.
    #[test]
    fn what_is_handed_over_is_answered_whole(
        order in orders(),
        scripts in prop::collection::vec(script(), 1..8),
        tight in tight(),
        max_lookup_pages in prop::sample::select(vec![1_u64, 2, 4, 1_000]),
        cut in prop::option::of(1..60_u64),
    ) {
        let expected = oracle(order, &scripts);
        let (first, second) = run(async {
            let (world, _) = beside(&scripts, tight, max_lookup_pages);
            let engine = &world.engine;
            let first = collect(engine, EventQuery { max_events: cut, ..settled(order) }).await;
            let Some(token) = summary_of(&first).resume_token.clone() else {
                return (first, None);
            };
            let token = ResumeToken::decode(&token).unwrap();
            let rest = EventQuery { range: token.range, resume: Some(token.point), ..settled(order) };
            (first, Some(collect(engine, rest).await))
        });
        let mut events = events_of(&first);
        events.extend(second.iter().flat_map(|items| events_of(items)));
        prop_assert_eq!(events, expected);
        let last = second.as_ref().unwrap_or(&first);
        let summary = summary_of(last);
        let coverage = &summary.coverage;
        prop_assert_eq!(coverage.completeness(), Completeness::Complete, "{:#?}", coverage);
        prop_assert_eq!(summary.late_events, 0);
        for items in [&first, last] {
            let outcomes = &summary_of(items).coverage.outcomes;
            for number in 0..scripts.len() {
                // The second stream speaks for what the first one left only.
                for ago in [FROM, UNTIL + 61, UNTIL + 30, UNTIL + 1] {
                    let time = EventTime::from_second(NOW - ago).unwrap();
                    let own = |it: &&ScanOutcome| it.accounts.contains(&account(number))
                        && it.asked.contains(time);
                    let (handed, read): (Vec<&ScanOutcome>, Vec<_>) = (outcomes.iter().filter(own))
                        .partition(|it| it.state == OutcomeState::HandedOver);
                    prop_assert!(read.len() == 1 || (read.is_empty() && second.is_some()), "{:?}", read);
                    prop_assert!(handed.len() <= read.len(), "{:?}", handed);
                    for handed in handed {
                        prop_assert_eq!(&handed.archive, &read[0].archive);
                        prop_assert!(handed.reason.is_some() && handed.covered.is_none());
                    }
                }
            }
        }
    }
}

/// Histories that refuse the first page.
fn denied(accounts: usize) -> Vec<Script> {
    let denied = |(number, ago): (usize, i64)| Script {
        events: vec![(ago, 1), (FROM - 1, 2)],
        breaks_at_page: Some(1),
        turns: number * 3,
        ..Script::default()
    };
    (0..accounts).zip(UNTIL + 1..).map(denied).collect()
}

const ROOMY: (usize, EngineLimits) = (
    64,
    EngineLimits {
        max_accounts: 100,
        page_memory_bytes: 1 << 26,
        queries_per_search: 4,
        facts_timeout: std::time::Duration::from_secs(1),
        silence: std::time::Duration::from_mins(1),
    },
);

#[test]
fn all_scans_that_fail_together_are_one_query() {
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let mut scripts = denied(7);
        scripts.extend((0..5).map(|_| {
            Script {
                events: (0..40_u32)
                    .map(|n| (UNTIL + 1 + i64::from(n) * 60, n))
                    .collect(),
                page: 5,
                ..Script::default()
            }
        }));
        let (world, archive) = beside(&scripts, ROOMY, 1_000);
        let items = run(collect(&world.engine, settled(order)));
        assert_eq!(events_of(&items), oracle(order, &scripts));
        assert_eq!(archive.queries.load(Ordering::Relaxed), 1);
        assert_eq!(outcomes(&items, OutcomeState::HandedOver).len(), 7);
        let complete = outcomes(&items, OutcomeState::Complete);
        let of_archive: Vec<_> = complete.iter().filter(|it| it.archive.is_some()).collect();
        assert_eq!(of_archive.len(), 1, "the same Regions and times");
        assert_eq!(
            of_archive[0].accounts,
            (0..7).map(account).collect::<Vec<_>>()
        );
        assert_eq!(complete.len(), 1 + 5);
    }
}

#[test]
fn what_an_archive_may_not_hold_yet_stays_unread() {
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let (world, _) = beside(&denied(2), ROOMY, 1_000);
        let ask = EventQuery {
            order,
            ..query(FROM)
        };
        let items = run(collect(&world.engine, ask.clone()));
        assert_eq!(events_of(&items), oracle(order, &denied(2)));
        let delivered = ask.range.end().plus(-HOUR);
        let failed = outcomes(&items, OutcomeState::Failed);
        assert_eq!(failed.len(), 2);
        for outcome in failed {
            assert_eq!(outcome.asked, ask.range.from(delivered).unwrap());
            assert_eq!(outcome.reason.as_ref().unwrap().message, "scripted");
            assert_eq!(outcome.remaining(), Some(outcome.asked));
        }
        let handed = outcomes(&items, OutcomeState::HandedOver);
        assert!(
            handed
                .iter()
                .all(|it| Some(it.asked) == ask.range.before(delivered))
        );
        let coverage = &summary_of(&items).coverage;
        assert_eq!(coverage.completeness(), Completeness::Incomplete);
    }
}

#[test]
fn backends_that_leave_the_archive_out_are_heard() {
    let (world, archive) = beside(&denied(2), ROOMY, 1);
    let ask = EventQuery {
        backends: vec![BackendKind::EventHistory],
        ..settled(SearchOrder::NewestFirst)
    };
    let items = run(collect(&world.engine, ask));
    assert_eq!(events_of(&items), []);
    assert_eq!(archive.queries.load(Ordering::Relaxed), 0);
    assert_eq!(outcomes(&items, OutcomeState::Failed).len(), 2);
    assert!(outcomes(&items, OutcomeState::HandedOver).is_empty());
}

/// Histories with an event every minute, a page for each.
fn long(accounts: u32) -> Vec<Script> {
    let long = |account| Script {
        events: (0..200_u32)
            .map(|n| (UNTIL + 1 + i64::from(n) * 60, account * 1_000 + n))
            .collect(),
        page: 1,
        ..Script::default()
    };
    (0..accounts).map(long).collect()
}

#[test]
fn long_scans_leave_the_rest_to_few_queries() {
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let (world, archive) = beside(&long(6), ROOMY, 20);
        let items = run(collect(&world.engine, settled(order)));
        assert_eq!(events_of(&items), oracle(order, &long(6)));
        let queries = archive.queries.load(Ordering::Relaxed);
        assert!((1..=2).contains(&queries), "{queries} queries");
        assert!(world.answers.load(Ordering::Relaxed) <= 6 * 22);
        let handed = outcomes(&items, OutcomeState::HandedOver);
        assert_eq!(handed.len(), 6);
        for outcome in handed {
            let reason = outcome.reason.as_ref().unwrap();
            assert_eq!(reason.code, ReasonCode::MaxLookupPages);
        }
        assert_eq!(
            summary_of(&items).coverage.completeness(),
            Completeness::Complete
        );
    }
}

/// Oldest first what an archive may not hold yet lies at the far end: it is read on.
#[test]
fn a_long_scan_reads_on_what_nobody_takes_over() {
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let scripts = vec![Script {
            events: (0..120_u32).map(|n| (i64::from(n) * 60 + 1, n)).collect(),
            page: 1,
            ..Script::default()
        }];
        let (world, archive) = beside(&scripts, ROOMY, 10);
        let items = run(collect(
            &world.engine,
            EventQuery {
                order,
                ..query(FROM)
            },
        ));
        assert_eq!(events_of(&items), oracle(order, &scripts));
        assert_eq!(archive.queries.load(Ordering::Relaxed), 1);
        let coverage = &summary_of(&items).coverage;
        assert_eq!(
            coverage.completeness(),
            Completeness::Complete,
            "{coverage:#?}"
        );
    }
}

#[test]
fn whoever_limits_bytes_waits_for_event_history() {
    let (world, archive) = beside(&long(2), ROOMY, 20);
    let ask = EventQuery {
        max_scan_bytes: Some(1_000_000),
        ..settled(SearchOrder::NewestFirst)
    };
    let items = run(collect(&world.engine, ask));
    assert_eq!(
        events_of(&items),
        oracle(SearchOrder::NewestFirst, &long(2))
    );
    assert_eq!(archive.queries.load(Ordering::Relaxed), 0);
    assert!(outcomes(&items, OutcomeState::HandedOver).is_empty());
}

/// What was handed over and meets the end of the bytes costs its own part, as its failure did.
#[test]
fn bytes_that_are_spent_on_it_end_no_other_part() {
    let mut scripts = denied(1);
    scripts.extend(long(1));
    let (_, archive) = beside(&scripts, ROOMY, 1_000);
    let archive = Archive {
        stopped: true,
        ..archive
    };
    let world = world_routed(scripts.clone(), 64, ROOMY.1, archive, Routing::default());
    let ask = EventQuery {
        max_scan_bytes: Some(1),
        ..settled(SearchOrder::NewestFirst)
    };
    let items = run(collect(&world.engine, ask));
    let of_the_other = oracle(SearchOrder::NewestFirst, &scripts)
        .into_iter()
        .filter(|(_, of, _)| *of == account(1));
    assert_eq!(events_of(&items), of_the_other.collect::<Vec<_>>());
    let cut = outcomes(&items, OutcomeState::Truncated);
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0].accounts, [account(0)]);
    assert_eq!(
        cut[0].reason.as_ref().unwrap().code,
        ReasonCode::MaxScanBytes
    );
}

/// What would still have come late belongs to no second that is handed over: nobody reads it.
#[test]
fn a_cut_among_events_out_of_order_is_no_complete_answer() {
    let events = [(10, 1), (100, 2), (150, 3), (50, 4), (200, 5), (300, 6)];
    let out_of_order = |breaks_at_page| Script {
        events: (events.iter())
            .map(|(ago, id)| (UNTIL + ago, *id))
            .collect(),
        page: 1,
        as_listed: true,
        breaks_at_page,
        ..Script::default()
    };
    let (world, _) = beside(&[out_of_order(Some(5))], ROOMY, 1_000);
    let items = run(collect(&world.engine, settled(SearchOrder::NewestFirst)));
    assert!(!outcomes(&items, OutcomeState::HandedOver).is_empty());
    let cut = outcomes(&items, OutcomeState::Truncated);
    assert_eq!(cut.len(), 1);
    let why = &cut[0].reason.as_ref().unwrap().message;
    assert!(why.contains("out of order"), "{why}");

    // Nor is it cut for its length.
    let (world, archive) = beside(&[out_of_order(None)], ROOMY, 5);
    let items = run(collect(&world.engine, settled(SearchOrder::NewestFirst)));
    assert_eq!(archive.queries.load(Ordering::Relaxed), 0);
    assert_eq!(events_of(&items).len(), 6);
    let coverage = &summary_of(&items).coverage;
    assert_eq!(coverage.completeness(), Completeness::Complete);
}
