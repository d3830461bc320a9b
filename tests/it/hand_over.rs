//! What event history leaves, the archive or log group that holds it reads instead.

use identity_trail::plan::{OutcomeState, ReasonCode, ScanOutcome};
use identity_trail::query::{BackendKind, EventQuery, SearchOrder};
use identity_trail::sandbox::{Denial, SandboxConfig};
use identity_trail::search::resume::ResumeToken;
use identity_trail::search::{SearchItem, StopReason};

use crate::service_faults::{accounts, alice, assert_events, held, sandbox, with_archive};
use crate::world::{Answer, ArchiveSetup, LogGroupSetup, Setup, World, range};

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
const ORDERS: [SearchOrder; 2] = [SearchOrder::NewestFirst, SearchOrder::OldestFirst];

/// Before what an archive may not hold yet.
fn settled(order: SearchOrder) -> EventQuery {
    EventQuery {
        order,
        range: range("2026-10-01T00:00:00Z", "2026-10-31T12:00:00Z"),
        ..alice()
    }
}

/// Five accounts of which all but the hub and one deny their role.
fn denying(each: u32) -> SandboxConfig {
    let accounts = accounts(5);
    let mut config = sandbox(&accounts, &REGIONS, each);
    for denied in &accounts[2..] {
        let denied = denied.clone();
        (config.faults.denied_accounts).insert(denied, Denial::NotAllowed);
    }
    config
}

fn outcomes(answer: &Answer, state: OutcomeState) -> Vec<&ScanOutcome> {
    let all = answer.outcomes().iter();
    all.filter(|outcome| outcome.state == state).collect()
}

fn queries(world: &World) -> u64 {
    world.sandbox.stats().of("StartQueryExecution").received
}

/// Everything once and in order, and nothing of it unread.
fn assert_whole(answer: &Answer, world: &World, order: SearchOrder) {
    assert_events(answer, &held(&world.sandbox, ""));
    assert!(answer.complete(), "{:#?}", answer.outcomes());
    assert!(
        answer
            .events()
            .is_sorted_by(|a, b| order.compare(&a.key, &b.key).is_lt())
    );
    assert_eq!(answer.summary().late_events, 0);
    assert_eq!(answer.summary().stop_reason, StopReason::End);
}

#[tokio::test]
async fn accounts_that_deny_their_role_are_one_query_of_the_archive() {
    let world = World::start(denying(60), &with_archive()).await;
    for order in ORDERS {
        let before = queries(&world);
        let answer = world.ask(settled(order)).await;
        assert_whole(&answer, &world, order);
        assert_eq!(queries(&world) - before, 1);
        let handed = outcomes(&answer, OutcomeState::HandedOver);
        assert_eq!(handed.len(), 3 * REGIONS.len());
        for outcome in handed {
            assert_eq!(outcome.backend, Some(BackendKind::EventHistory));
            assert_eq!(outcome.archive.as_deref(), Some("archive"));
            assert_eq!(
                (outcome.asked, outcome.covered),
                (settled(order).range, None)
            );
            let reason = outcome.reason.as_ref().unwrap();
            assert_eq!(reason.code, ReasonCode::AssumeRoleDenied);
        }
        let complete = outcomes(&answer, OutcomeState::Complete);
        let instead: Vec<&&ScanOutcome> = (complete.iter())
            .filter(|outcome| outcome.backend == Some(BackendKind::Athena))
            .collect();
        assert_eq!(instead.len(), 1);
        assert_eq!(instead[0].accounts.len(), 3);
        assert_eq!(instead[0].regions.len(), REGIONS.len());
        assert_eq!(instead[0].covered, Some(settled(order).range));
    }
}

#[tokio::test]
async fn what_no_archive_holds_yet_stays_unread_and_backends_are_heard() {
    let world = World::start(denying(3), &with_archive()).await;
    let answer = world.ask(alice()).await;
    assert_events(&answer, &held(&world.sandbox, ""));
    assert!(!answer.complete());
    let failed = outcomes(&answer, OutcomeState::Failed);
    assert_eq!(failed.len(), 3 * REGIONS.len());
    for outcome in failed {
        let seconds = outcome.asked.duration().as_secs();
        assert!((3_500..=3_600).contains(&seconds), "{}", outcome.asked);
        let reason = outcome.reason.as_ref().unwrap();
        assert_eq!(reason.code, ReasonCode::AssumeRoleDenied);
    }
    let before = queries(&world);
    let answer = world
        .ask(EventQuery {
            backends: vec![BackendKind::EventHistory],
            ..settled(SearchOrder::NewestFirst)
        })
        .await;
    assert!(!answer.complete());
    assert!(outcomes(&answer, OutcomeState::HandedOver).is_empty());
    assert_eq!(answer.events().count(), 2 * REGIONS.len() * 3);
    assert_eq!(queries(&world), before);
}

/// Cut anywhere, the two streams are the whole, whichever of them hands over.
#[tokio::test]
async fn a_search_that_is_cut_goes_on_across_the_hand_over() {
    let world = World::start(denying(30), &with_archive()).await;
    for order in ORDERS {
        let whole = world.ask(settled(order)).await;
        let keys = |answer: &Answer| -> Vec<_> {
            answer.events().map(|event| event.key.clone()).collect()
        };
        for cut in [1, 95, 299] {
            let first = world
                .ask(EventQuery {
                    max_events: Some(cut),
                    ..settled(order)
                })
                .await;
            let token = first.summary().resume_token.clone().unwrap();
            let token = ResumeToken::decode(&token).unwrap();
            let rest = EventQuery {
                range: token.range,
                resume: Some(token.point),
                ..settled(order)
            };
            let second = world.ask(rest).await;
            assert!(second.complete(), "{:#?}", second.outcomes());
            assert_eq!([keys(&first), keys(&second)].concat(), keys(&whole));
        }
    }
}

#[tokio::test]
async fn a_region_that_never_answers_is_read_from_the_archive() {
    let mut config = sandbox(&accounts(3), &REGIONS, 20);
    config.faults.dead_regions.insert("us-east-1".into());
    let setup = Setup {
        stall_timeout: "1s",
        ..with_archive()
    };
    let world = World::start(config, &setup).await;
    let answer = world.ask(settled(SearchOrder::NewestFirst)).await;
    assert_whole(&answer, &world, SearchOrder::NewestFirst);
    assert_eq!(queries(&world), 1);
    let handed = outcomes(&answer, OutcomeState::HandedOver);
    assert_eq!(handed.len(), 3);
    for outcome in handed {
        let reason = outcome.reason.as_ref().unwrap();
        assert_eq!(reason.code, ReasonCode::Unresponsive);
    }
}

#[tokio::test]
async fn long_scans_leave_what_is_left_to_the_archive() {
    // 20 pages in each account.
    let config = sandbox(&accounts(2), &REGIONS[..1], 1_000);
    let setup = Setup {
        max_lookup_pages: 4,
        ..with_archive()
    };
    let world = World::start(config, &setup).await;
    for order in ORDERS {
        let (lookups, asked) = (world.lookups(), queries(&world));
        let answer = world.ask(settled(order)).await;
        assert_whole(&answer, &world, order);
        let (lookups, asked) = (world.lookups() - lookups, queries(&world) - asked);
        assert!((1..=2).contains(&asked), "{asked} queries");
        assert!((4..20).contains(&lookups), "{lookups} lookups");
        let handed = outcomes(&answer, OutcomeState::HandedOver);
        assert_eq!(handed.len(), 2);
        for outcome in handed {
            let reason = outcome.reason.as_ref().unwrap();
            assert_eq!(reason.code, ReasonCode::MaxLookupPages);
        }
        // Beside what the archive read, event history has its own part.
        let complete = outcomes(&answer, OutcomeState::Complete);
        let of = |backend| {
            complete
                .iter()
                .filter(move |it| it.backend == Some(backend))
        };
        assert_eq!(of(BackendKind::EventHistory).count(), 2);
        assert!(of(BackendKind::Athena).count() >= 1);
    }
}

#[tokio::test]
async fn a_log_group_takes_over_where_no_archive_does() {
    for read_with in ["filter", "insights"] {
        let mut config = denying(20);
        config.logs.filter_rate = None;
        let setup = Setup::with_log_group(LogGroupSetup::read_with(read_with));
        let world = World::start(config, &setup).await;
        for order in ORDERS {
            let answer = world.ask(settled(order)).await;
            assert_whole(&answer, &world, order);
            for outcome in outcomes(&answer, OutcomeState::HandedOver) {
                assert_eq!(outcome.log_group.as_deref(), Some("group"));
            }
            assert_eq!(outcomes(&answer, OutcomeState::HandedOver).len(), 6);
        }
    }
}

/// An archive is believed no more for taking over: days of which it has no log file are unverified.
#[tokio::test]
async fn what_the_archive_took_over_is_verified_too() {
    let setup = Setup::with_archive(ArchiveSetup {
        verify_days: true,
        ..ArchiveSetup::of("cloudtrail_by_account")
    });
    let world = World::start(denying(3), &setup).await;
    let answer = world.ask(settled(SearchOrder::NewestFirst)).await;
    assert_events(&answer, &held(&world.sandbox, ""));
    assert!(!answer.complete());
    let unverified = outcomes(&answer, OutcomeState::Unverified);
    assert_eq!(unverified.len(), 1);
    let outcome = unverified[0];
    assert_eq!(outcome.archive.as_deref(), Some("archive"));
    let file = range("2026-10-20T00:00:00Z", "2026-10-21T00:00:00Z");
    for days in &outcome.unverified {
        assert_eq!(days.reason.code, ReasonCode::NoLogFiles);
        assert_eq!(days.range.intersect(file), None, "{days:?}");
        assert!((days.accounts.iter()).all(|account| outcome.accounts.contains(account)));
    }
    assert!(!outcome.unverified.is_empty());

    // A stream that goes on would not know what was handed over: it is told before a token passes it.
    let from_archive = |item: &SearchItem| {
        matches!(item, SearchItem::Event { event, .. }
            if event.provenance.backend == BackendKind::Athena)
    };
    let passed = answer.0.iter().position(from_archive).unwrap();
    let told = answer.0[..passed].iter().filter_map(|item| match item {
        SearchItem::Outcomes(outcomes) => Some(outcomes),
        _ => None,
    });
    let told: Vec<_> = told
        .flatten()
        .filter(|it| it.state == OutcomeState::Unverified)
        .map(|it| &it.unverified)
        .collect();
    assert_eq!(told, [&outcome.unverified]);
}

/// What a Region had before it was disabled is where other Regions' events of the past are.
#[tokio::test]
async fn a_region_that_was_disabled_is_read_from_who_holds_it() {
    let setups = [
        (with_archive(), "archive"),
        (
            Setup::with_log_group(LogGroupSetup::read_with("filter")),
            "group",
        ),
    ];
    for (setup, store) in setups {
        let mut config = sandbox(&accounts(2), &["eu-west-1", "me-south-1"], 20);
        config.faults.disabled_regions.insert("me-south-1".into());
        config.logs.filter_rate = None;
        let world = World::start(config, &setup).await;
        for order in ORDERS {
            let answer = world.ask(settled(order)).await;
            assert_whole(&answer, &world, order);
            let handed = outcomes(&answer, OutcomeState::HandedOver);
            assert_eq!(handed.len(), 2);
            for outcome in handed {
                let reader = (outcome.archive.as_deref()).or(outcome.log_group.as_deref());
                assert_eq!(reader, Some(store));
                let reason = outcome.reason.as_ref().unwrap();
                assert_eq!(reason.code, ReasonCode::RegionDisabled);
            }
            assert!(outcomes(&answer, OutcomeState::NotApplicable).is_empty());
        }
    }
}

#[tokio::test]
async fn what_nobody_holds_of_a_disabled_region_does_not_apply() {
    let mut config = sandbox(&accounts(2), &["eu-west-1", "me-south-1"], 3);
    config.faults.disabled_regions.insert("me-south-1".into());
    let world = World::start(config, &with_archive()).await;
    let answer = world.ask(alice()).await;
    assert_events(&answer, &held(&world.sandbox, ""));
    assert!(answer.complete(), "{:#?}", answer.outcomes());
    let left = outcomes(&answer, OutcomeState::NotApplicable);
    assert_eq!(left.len(), 2);
    for outcome in left {
        let seconds = outcome.asked.duration().as_secs();
        assert!((3_500..=3_600).contains(&seconds), "{}", outcome.asked);
    }
    let before = queries(&world);
    let answer = world
        .ask(EventQuery {
            backends: vec![BackendKind::EventHistory],
            ..settled(SearchOrder::NewestFirst)
        })
        .await;
    assert!(answer.complete(), "{:#?}", answer.outcomes());
    let left = outcomes(&answer, OutcomeState::NotApplicable);
    assert_eq!(left.len(), 2);
    for outcome in left {
        let message = &outcome.reason.as_ref().unwrap().message;
        assert!(message.contains("event history"), "{message}");
    }
    assert_eq!(queries(&world), before);
}
