//! How a stream behaves towards its reader.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;

use super::fake::{
    Script, account, collect, events_of, query, summary_of, test_caller, turns, world,
};
use crate::plan::{Completeness, OutcomeState, ReasonCode, ScanOutcome};
use crate::query::{EventQuery, SearchOrder};
use crate::search::resume::ResumeToken;
use crate::search::{Answered, EngineLimits, Refusal, SearchItem, StopReason};
use crate::usage::{Bounds, UsageLimits};

const HOUR: i64 = 3_600;

fn dense(events: u32) -> Script {
    Script {
        events: (0..events).map(|id| (i64::from(id) + 1, id)).collect(),
        page: 10,
        turns: 3,
        ..Script::default()
    }
}

#[tokio::test]
async fn the_plan_comes_first_and_the_summary_last() {
    let world = world(vec![dense(5)], 1, EngineLimits::default());
    let items = collect(&world.engine, query(HOUR)).await;
    assert!(matches!(items.first(), Some(SearchItem::Plan(_))));
    assert_eq!(summary_of(&items).events_sent, 5);
}

#[tokio::test]
async fn more_events_in_one_second_than_a_page_holds_do_not_stop_the_search() {
    let burst = Script {
        events: (0..500).map(|id| (30, id)).collect(),
        ..dense(0)
    };
    let world = world(vec![burst, dense(100)], 2, EngineLimits::default());
    let items = collect(&world.engine, query(HOUR)).await;
    assert_eq!(events_of(&items).len(), 600);
}

#[tokio::test]
async fn a_reader_who_stops_reading_stops_the_search() {
    let world = world(vec![dense(1_000), dense(1_000)], 8, EngineLimits::default());
    let mut stream = world
        .engine
        .search(query(HOUR), test_caller(), None)
        .unwrap();
    for _ in 0..5 {
        stream.next().await;
    }
    let slow = world.answers.load(Ordering::Relaxed);
    assert!(slow <= 8, "{slow} pages were read for five items");
    turns(1_000).await;
    let ahead = world.answers.load(Ordering::Relaxed);
    assert!(ahead <= slow + 2, "a page ahead in each scan at most");
    drop(stream);
    turns(1_000).await;
    assert_eq!(world.answers.load(Ordering::Relaxed), ahead);
}

#[tokio::test]
async fn a_deadline_is_met_early_with_a_summary_and_a_token() {
    let dead = Script {
        dead: true,
        ..dense(10)
    };
    let late = Script {
        events: vec![(2_000, 1)],
        ..dense(0)
    };
    let world = world(vec![dead, late], 1, EngineLimits::default());
    let deadline = Instant::now() + Duration::from_millis(200);
    let stream = world
        .engine
        .search(query(HOUR), test_caller(), Some(deadline))
        .unwrap();
    let items: Vec<_> = stream.collect().await;
    let summary = summary_of(&items);
    assert_eq!(summary.stop_reason, StopReason::Deadline);
    assert!(summary.resume_token.is_some());
    assert_eq!(summary.coverage.completeness(), Completeness::Incomplete);
    // What the second scan read was never sent: it is not covered either.
    for outcome in &summary.coverage.outcomes {
        assert_eq!(outcome.state, OutcomeState::Truncated);
        assert_eq!(outcome.covered, None);
    }
}

#[tokio::test]
async fn a_drain_ends_every_stream_with_a_token() {
    let world = world(vec![dense(3_000)], 1, EngineLimits::default());
    let mut stream = world
        .engine
        .search(query(HOUR), test_caller(), None)
        .unwrap();
    stream.next().await;
    world.drain.cancel();
    let rest: Vec<_> = stream.collect().await;
    let summary = summary_of(&rest);
    assert_eq!(summary.stop_reason, StopReason::Drain);
    assert!(summary.resume_token.is_some());
}

#[tokio::test]
async fn silence_is_broken_by_progress() {
    let dead = Script {
        dead: true,
        ..dense(10)
    };
    let limits = EngineLimits {
        silence: Duration::from_millis(20),
        ..EngineLimits::default()
    };
    let world = world(vec![dead, dense(10)], 8, limits);
    let mut stream = world
        .engine
        .search(query(HOUR), test_caller(), None)
        .unwrap();
    let progress = loop {
        match stream.next().await {
            Some(SearchItem::Progress(progress)) if progress.scans_done == 1 => break progress,
            Some(_) => {}
            None => panic!("a dead scan does not end by itself"),
        }
    };
    assert_eq!((progress.scans_done, progress.scans_total), (1, 2));
    assert!(progress.waiting_for[0].contains(&account(0).to_string()));
}

#[tokio::test]
async fn progress_is_told_at_its_interval_also_while_events_flow() {
    let world = world(vec![dense(1_000)], 1, EngineLimits::default());
    let asked = EventQuery {
        progress_interval: Some(Duration::from_nanos(1)),
        ..query(HOUR)
    };
    let stream = world.engine.search(asked, test_caller(), None).unwrap();
    // Every item takes longer than that: plan, progress, and so on.
    let items: Vec<_> = stream.take(3).collect().await;
    assert!(matches!(items[1], SearchItem::Progress(_)));
}

/// Whoever resumes with the token of what comes next speaks for the rest only.
#[tokio::test]
async fn a_record_that_could_not_be_read_is_told_before_anything_that_is_read_after_it() {
    let malformed = Script {
        unreadable_at_page: Some(2),
        ..dense(40)
    };
    let world = world(vec![malformed], 1, EngineLimits::default());
    let items = collect(&world.engine, query(HOUR)).await;
    let told = items
        .iter()
        .position(|it| matches!(it, SearchItem::Outcomes(_)));
    let told = told.expect("it is told before the summary");
    let events = events_of(&items[..told]).len();
    assert!(events <= 10, "{events} events of two pages came before");
    let SearchItem::Outcomes(outcomes) = &items[told] else {
        unreachable!();
    };
    let [outcome] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(outcome.state, OutcomeState::Truncated);
    let code = outcome.reason.as_ref().unwrap().code;
    assert_eq!(code, ReasonCode::UnreadableRecords);
    assert_eq!(
        (outcome.asked, outcome.remaining()),
        (query(HOUR).range, Some(outcome.asked))
    );
    assert_eq!(
        summary_of(&items).coverage.completeness(),
        Completeness::Incomplete
    );
}

/// The same of what is complete for the sessions found only, and it is said once.
#[tokio::test]
async fn what_is_inferred_is_told_before_anything_that_is_read_after_it() {
    let by_sessions = Script {
        inferred_from_page: Some(2),
        ..dense(40)
    };
    let world = world(vec![by_sessions, dense(40)], 2, EngineLimits::default());
    let items = collect(&world.engine, query(HOUR)).await;
    let told: Vec<(usize, &Vec<ScanOutcome>)> = (items.iter().enumerate())
        .filter_map(|(at, item)| match item {
            SearchItem::Outcomes(outcomes) => Some((at, outcomes)),
            _ => None,
        })
        .collect();
    let [(at, outcomes)] = &told[..] else {
        panic!("{told:?}");
    };
    let own = (events_of(&items[..*at]).iter())
        .filter(|(_, recipient, _)| *recipient == account(0))
        .count();
    assert!(own <= 10, "{own} events of two pages came before");
    let [outcome] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(outcome.accounts, [account(0)]);
    assert_eq!(outcome.state, OutcomeState::Complete);
    assert!(outcome.role_reading.as_ref().unwrap().inferred);
    let coverage = &summary_of(&items).coverage;
    assert_eq!(coverage.completeness(), Completeness::Complete);
    assert!(coverage.is_inferred());
}

/// A progress message's token passes what has failed, so that is told first.
#[tokio::test]
async fn what_failed_is_told_before_progress_that_passes_it() {
    let broken = Script {
        breaks_at_page: Some(1),
        ..dense(10)
    };
    let dead = Script {
        dead: true,
        ..dense(10)
    };
    let world = world(vec![broken, dead], 2, EngineLimits::default());
    let asked = EventQuery {
        // Sooner than failures that come close together are told.
        progress_interval: Some(Duration::from_millis(10)),
        ..query(HOUR)
    };
    let mut stream = world.engine.search(asked, test_caller(), None).unwrap();
    let mut told = false;
    loop {
        match stream
            .next()
            .await
            .expect("a dead scan does not end by itself")
        {
            SearchItem::Outcomes(_) => told = true,
            SearchItem::Progress(progress) if progress.scans_done == 1 => break,
            _ => {}
        }
    }
    assert!(told);
}

#[tokio::test]
async fn max_events_says_what_is_left_unread() {
    let world = world(vec![dense(50), dense(50)], 8, EngineLimits::default());
    let items = collect(
        &world.engine,
        EventQuery {
            max_events: Some(20),
            ..query(HOUR)
        },
    )
    .await;
    let summary = summary_of(&items);
    assert!(summary.limited);
    assert_eq!(
        (events_of(&items).len(), summary.stop_reason),
        (20, StopReason::MaxEvents)
    );
    for outcome in &summary.coverage.outcomes {
        assert_eq!(outcome.state, OutcomeState::Truncated);
        assert_eq!(outcome.reason.as_ref().unwrap().code, ReasonCode::MaxEvents);
        let covered = outcome.covered.unwrap();
        assert_eq!(Answered::From(covered.start()), summary.answered);
    }
}

#[tokio::test]
async fn exactly_as_many_events_as_the_limit_is_complete() {
    let world = world(vec![dense(20)], 8, EngineLimits::default());
    let items = collect(
        &world.engine,
        EventQuery {
            max_events: Some(20),
            ..query(HOUR)
        },
    )
    .await;
    let summary = summary_of(&items);
    assert_eq!(summary.coverage.completeness(), Completeness::Complete);
    assert!(!summary.limited);
}

#[tokio::test]
async fn one_search_too_many_is_refused_and_an_ended_one_makes_room() {
    let world = world(vec![dense(1)], 1, EngineLimits::default());
    let one = Bounds {
        searches: Some(1),
        ..Bounds::default()
    };
    world.usage.set_limits(UsageLimits {
        process: one,
        ..UsageLimits::default()
    });
    let first = world
        .engine
        .search(query(HOUR), test_caller(), None)
        .unwrap();
    let refused = world.engine.search(query(HOUR), test_caller(), None).err();
    let Some(Refusal::Exceeded(refused)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.key, "limits.concurrent_searches");
    drop(first);
    assert!(
        world
            .engine
            .search(query(HOUR), test_caller(), None)
            .is_ok()
    );
}

#[tokio::test]
async fn an_account_that_is_not_there_is_refused_before_anything_runs() {
    let world = world(vec![dense(1)], 1, EngineLimits::default());
    let unknown = account(77);
    let asked = EventQuery {
        account_ids: vec![account(0), unknown],
        ..query(HOUR)
    };
    let refused = world.engine.search(asked, test_caller(), None).err();
    assert_eq!(refused, Some(Refusal::UnknownAccounts(vec![unknown])));
}

/// Events that AWS returned out of order and that were read when the stream was cut: a resumed
/// stream would not bring them, so this one does, in either order.
#[tokio::test]
async fn what_was_read_out_of_order_is_sent_before_a_cut() {
    for (order, listed) in [
        (SearchOrder::NewestFirst, [50, 60, 10, 20, 70, 80]),
        (SearchOrder::OldestFirst, [60, 50, 90, 80, 40, 30]),
    ] {
        let out_of_order = Script {
            events: listed.into_iter().zip(0..).collect(),
            page: 2,
            as_listed: true,
            ..dense(0)
        };
        // With the first event alone nobody has met anything out of order.
        for cut in 2..6 {
            let world = world(vec![out_of_order.clone()], 1, EngineLimits::default());
            let ask = EventQuery {
                order,
                ..query(HOUR)
            };
            let first = EventQuery {
                max_events: Some(cut),
                ..ask.clone()
            };
            let mut items = collect(&world.engine, first).await;
            let token = summary_of(&items).resume_token.clone().unwrap();
            let token = ResumeToken::decode(&token).unwrap();
            let rest = EventQuery {
                range: token.range,
                resume: Some(token.point),
                ..ask
            };
            items.extend(collect(&world.engine, rest).await);
            let mut events: Vec<i64> = events_of(&items).into_iter().map(|it| it.0).collect();
            events.sort_unstable();
            let mut expected = listed.to_vec();
            expected.sort_unstable();
            assert_eq!(events, expected, "{order:?} cut after {cut}");
        }
    }
}

/// A thousand steps may wait for one account's turn: what they do not read yet takes no memory, so
/// that other searches read as many pages at once as ever.
#[tokio::test]
async fn steps_that_wait_for_their_turn_leave_the_memory_to_others() {
    const WAITING: usize = 20;
    const READING: usize = 8;
    let waiting = Script {
        no_turn: true,
        ..dense(10)
    };
    let reading = Script {
        turns: 50,
        ..dense(5)
    };
    let scripts =
        std::iter::repeat_n(waiting, WAITING).chain(std::iter::repeat_n(reading, READING));
    let limits = EngineLimits {
        // Ten pages.
        page_memory_bytes: 10 * 64 * 1024,
        ..EngineLimits::default()
    };
    let world = world(scripts.collect(), 64, limits);
    let of = |accounts: std::ops::Range<usize>| EventQuery {
        account_ids: accounts.map(account).collect(),
        ..query(HOUR)
    };
    let mut stuck = (world.engine)
        .search(of(0..WAITING), test_caller(), None)
        .unwrap();
    assert!(matches!(stuck.next().await, Some(SearchItem::Plan(_))));
    assert!(futures::poll!(stuck.next()).is_pending());
    turns(100).await;
    let items = collect(&world.engine, of(WAITING..WAITING + READING)).await;
    assert_eq!(events_of(&items).len(), READING * 5);
    assert_eq!(world.under_way.most.load(Ordering::Relaxed), READING);
}
