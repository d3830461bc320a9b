//! Days of which an archive has no log file: an answer about them is not called complete.

use std::collections::BTreeSet;

use futures::StreamExt;
use identity_trail::plan::{OutcomeState, ReasonCode, ScanOutcome, Unverified};
use identity_trail::query::{
    AccountId, BackendKind, EventId, EventKey, EventQuery, Identity, SearchOrder, TimeRange,
};
use identity_trail::sandbox::athena::{Queries, QueryFailure};
use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use identity_trail::sandbox::{Account, Data, SandboxConfig};
use identity_trail::search::resume::ResumeToken;
use identity_trail::search::{SearchItem, StopReason};
use serde_json::Value;

use crate::sandbox::record;
use crate::world::{Answer, ArchiveSetup, Setup, World, question, range};

pub const NOW: &str = "2026-11-01T06:00:00Z";
pub const ACCOUNTS: [&str; 3] = ["111111111111", "222222222222", "333333333333"];
pub const REGION: &str = "eu-west-1";

/// A log file a day of each account, with one event of alice, from 25 to 31 October; the trail did
/// not deliver those of `without`.
pub fn sandbox(without: &[(&str, i8)]) -> SandboxConfig {
    let mut files = Vec::new();
    for (number, account) in (0..).zip(ACCOUNTS) {
        for day in (25..=31).filter(|day| !without.contains(&(account, *day))) {
            let time = format!("2026-10-{day}T10:00:00Z");
            let id = number * 100 + u32::try_from(day).unwrap();
            let mut record = record(id, &time, "alice");
            record["recipientAccountId"] = Value::from(account);
            record["awsRegion"] = Value::from(REGION);
            files.push(LogFile {
                key: format!("AWSLogs/{account}/CloudTrail/{REGION}/2026/10/{day}/all.json.gz"),
                account_id: account.to_owned(),
                region: REGION.to_owned(),
                delivered_at: format!("2026-10-{day}T10:10:00Z").parse().unwrap(),
                records: vec![LogRecord::from_value(&record).into()],
            });
        }
    }
    let accounts = ACCOUNTS.map(|id| Account {
        id: id.to_owned(),
        name: id.to_owned(),
    });
    let mut config = SandboxConfig::new(Data::Files {
        accounts: accounts.into(),
        files,
    });
    config.now = Some(NOW.parse().unwrap());
    config.lookup_rate = None;
    config
}

fn verified(table: &'static str) -> Setup {
    Setup::with_archive(ArchiveSetup {
        verify_days: true,
        ..ArchiveSetup::of(table)
    })
}

/// What did alice do from the noon of the 25th to the 31st, as the archive has it?
fn asked() -> EventQuery {
    EventQuery {
        backends: vec![BackendKind::Athena],
        ..question(
            vec![Identity::UserName("alice".parse().unwrap())],
            range("2026-10-25T12:00:00Z", "2026-10-31T00:00:00Z"),
        )
    }
}

fn unverified(answer: &Answer) -> Vec<Unverified> {
    let outcomes = answer.outcomes().iter();
    outcomes
        .flat_map(|outcome| outcome.unverified.clone())
        .collect()
}

fn only_outcome(answer: &Answer) -> &ScanOutcome {
    let [outcome] = answer.outcomes() else {
        panic!("{:?}", answer.outcomes());
    };
    outcome
}

#[tokio::test]
async fn a_day_without_a_log_file_is_unverified_and_no_more_than_that_day() {
    for table in [
        "cloudtrail_by_region",
        "cloudtrail_by_account",
        "cloudtrail_projected",
    ] {
        let missing = [(ACCOUNTS[1], 27), (ACCOUNTS[1], 28), (ACCOUNTS[2], 25)];
        let world = World::start(sandbox(&missing), &verified(table)).await;
        let answer = world.ask(asked()).await;
        // Five days of three accounts, without two.
        assert_eq!(answer.events().count(), 13, "{table}");
        assert!(!answer.complete(), "{table}");
        let outcome = only_outcome(&answer);
        assert_eq!(outcome.state, OutcomeState::Unverified);
        assert_eq!(outcome.reason, None);
        assert_eq!(outcome.covered, Some(outcome.asked));
        let told: Vec<_> = (unverified(&answer).iter())
            .map(|days| (days.accounts.clone(), days.range, days.reason.code))
            .collect();
        let account = |number: usize| vec![ACCOUNTS[number].parse().unwrap()];
        assert_eq!(
            told,
            [
                (
                    account(2),
                    range("2026-10-25T12:00:00Z", "2026-10-26T00:00:00Z"),
                    ReasonCode::NoLogFiles,
                ),
                (
                    account(1),
                    range("2026-10-27T00:00:00Z", "2026-10-29T00:00:00Z"),
                    ReasonCode::NoLogFiles,
                ),
            ],
            "{table}"
        );
        let message = &outcome.unverified[0].reason.message;
        assert!(message.contains("either nothing happened or the trail did not deliver"));
    }
}

#[tokio::test]
async fn log_files_that_were_seen_are_not_looked_for_again() {
    let missing = [(ACCOUNTS[1], 28)];
    let world = World::start(sandbox(&missing), &verified("cloudtrail_by_account")).await;
    let first = world.ask(asked()).await;
    let queries = world.sandbox.athena_stats().started;
    assert_eq!(queries, 3, "a scan, a look at some files, one at the rest");
    let second = world.ask(asked()).await;
    assert_eq!(
        world.sandbox.athena_stats().started,
        queries + 2,
        "what had no file before is looked at at once"
    );
    assert_eq!(unverified(&second), unverified(&first));
    let bytes = |answer: &Answer| answer.summary().bytes_scanned;
    let by_scan = only_outcome(&second).counts.bytes_scanned;
    assert_eq!(
        bytes(&second),
        by_scan,
        "there is nothing to scan in an empty partition"
    );
    assert_eq!(
        bytes(&first) + bytes(&second),
        world.sandbox.athena_stats().scanned_bytes
    );

    // Nothing is missing in this account: nothing is asked.
    let known = EventQuery {
        account_ids: vec![ACCOUNTS[0].parse().unwrap()],
        ..asked()
    };
    let third = world.ask(known).await;
    assert!(third.complete(), "{:?}", third.outcomes());
    assert_eq!(world.sandbox.athena_stats().started, queries + 3);
}

#[tokio::test]
async fn days_with_many_log_files_are_verified_by_a_few_of_them() {
    // Two hundred files a day of one account, two of another, one day without.
    let mut config = sandbox(&[]);
    let Data::Files { files, .. } = &mut config.data else {
        panic!("these are files");
    };
    let templates = std::mem::take(files);
    for file in templates {
        let copies = match &*file.account_id {
            account if account == ACCOUNTS[0] => 200,
            account if account == ACCOUNTS[1] => 2,
            _ if file.key.contains("/10/28/") => 0,
            _ => 1,
        };
        files.extend((0..copies).map(|number| LogFile {
            key: file.key.replace("all", &number.to_string()),
            ..file.clone()
        }));
    }
    let world = World::start(config, &verified("cloudtrail_by_account")).await;
    let first = world.ask(asked()).await;
    assert_eq!(unverified(&first).len(), 1);
    let by_scan = only_outcome(&first).counts.bytes_scanned;
    let by_verification = first.summary().bytes_scanned - by_scan;
    assert!(by_verification > 0);
    let percent = by_verification * 100 / by_scan;
    assert!(percent < 10, "{percent} % of what the scan reads");
    // And then never again.
    let second = world.ask(asked()).await;
    assert_eq!(unverified(&second), unverified(&first));
    assert_eq!(second.summary().bytes_scanned, by_scan);
}

#[tokio::test]
async fn an_archive_can_be_believed_instead() {
    let setup = Setup::with_archive(ArchiveSetup::of("cloudtrail_by_account"));
    let world = World::start(sandbox(&[(ACCOUNTS[1], 28)]), &setup).await;
    let answer = world.ask(asked()).await;
    assert!(answer.complete());
    assert_eq!(world.sandbox.athena_stats().started, 1);
}

#[tokio::test]
async fn what_could_not_be_found_out_is_unverified_with_why() {
    let world = World::start(sandbox(&[]), &verified("cloudtrail_by_account")).await;
    let failure = QueryFailure {
        retryable: false,
        message: "GENERIC_INTERNAL_ERROR: no more memory".into(),
    };
    let verification = Queries::With("GROUP BY");
    world.sandbox.athena_faults().fail(failure, verification);
    let answer = world.ask(asked()).await;
    assert_eq!(answer.events().count(), 15);
    assert!(!answer.complete());
    let outcome = only_outcome(&answer);
    assert_eq!(outcome.state, OutcomeState::Unverified);
    let [days] = &outcome.unverified[..] else {
        panic!("{:?}", outcome.unverified);
    };
    assert_eq!((days.range, days.accounts.len()), (outcome.asked, 3));
    assert_eq!(days.reason.code, ReasonCode::QueryFailed);
    assert!(days.reason.message.contains("no more memory"), "{days:?}");
}

#[tokio::test]
async fn a_search_that_is_cut_off_does_not_claim_what_it_did_not_verify() {
    let world = World::start(sandbox(&[]), &verified("cloudtrail_by_account")).await;
    let answer = world
        .ask(EventQuery {
            max_scan_bytes: Some(1),
            ..asked()
        })
        .await;
    assert!(!answer.complete());
    let days = unverified(&answer);
    assert!(
        days.iter()
            .all(|days| days.reason.code == ReasonCode::MaxScanBytes),
        "{days:?}"
    );
    // The one scan went over the limit, so nothing was spent beyond it.
    assert_eq!(world.sandbox.athena_stats().started, 1);

    let limited = world
        .ask(EventQuery {
            max_events: Some(2),
            ..asked()
        })
        .await;
    assert_eq!(limited.summary().stop_reason, StopReason::MaxEvents);
    assert!(!limited.complete());
}

/// With a limit of bytes verification waits until the events are sent: a search that ends before that
/// has verified nothing, and says so also of the slices that it has read to their ends.
#[tokio::test]
async fn what_was_left_for_later_is_not_claimed_when_a_search_ends_early() {
    let setup = Setup {
        first_slice: "24h",
        ..verified("cloudtrail_by_account")
    };
    let world = World::start(sandbox(&[]), &setup).await;
    let answer = world
        .ask(EventQuery {
            max_scan_bytes: Some(1 << 40),
            max_events: Some(5),
            ..asked()
        })
        .await;
    assert_eq!(answer.summary().stop_reason, StopReason::MaxEvents);
    let read: Vec<_> = (answer.outcomes().iter())
        .filter(|outcome| outcome.covered == Some(outcome.asked))
        .collect();
    assert!(!read.is_empty(), "{:?}", answer.outcomes());
    for outcome in read {
        assert_eq!(outcome.state, OutcomeState::Unverified);
        let [days] = &outcome.unverified[..] else {
            panic!("{:?}", outcome.unverified);
        };
        assert_eq!(
            (days.range, days.reason.code),
            (outcome.asked, ReasonCode::MaxEvents)
        );
    }
}

/// Which days are unverified is told by the summary, and a stream that breaks has none: whoever goes on
/// from any of its tokens, be it at the far end, is told of all days.
#[tokio::test]
async fn a_stream_that_is_resumed_speaks_for_the_days_of_the_broken_one_too() {
    let missing = [(ACCOUNTS[1], 26), (ACCOUNTS[1], 30)];
    let world = World::start(sandbox(&missing), &verified("cloudtrail_by_account")).await;
    let told = |answer: &Answer| -> BTreeSet<(Vec<AccountId>, TimeRange)> {
        let days = unverified(answer).into_iter();
        days.map(|days| (days.accounts, days.range)).collect()
    };
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let ask = EventQuery { order, ..asked() };
        let mut stream = world.search(ask.clone());
        let token = loop {
            match stream.next().await.expect("events of the 28th") {
                SearchItem::Event {
                    event,
                    resume_token,
                } if event.key.time.to_string().contains("-28T") => {
                    break ResumeToken::decode(&resume_token).unwrap();
                }
                SearchItem::Outcomes(outcomes) => panic!("{outcomes:?}"),
                _ => {}
            }
        };
        drop(stream);
        let mut at_the_end = token.point.clone();
        at_the_end.position = Some(EventKey {
            time: order.boundary(order.beyond(token.range)),
            account: AccountId::from_u64(0).unwrap(),
            id: EventId::Recorded("".into()),
        });
        let whole = world.ask(ask.clone()).await;
        assert_eq!(told(&whole).len(), 2);
        for point in [token.point, at_the_end] {
            let rest = EventQuery {
                range: token.range,
                resume: Some(point),
                ..ask.clone()
            };
            let answer = world.ask(rest).await;
            assert_eq!(told(&answer), told(&whole), "{order:?}");
            assert!(!answer.complete());
            for outcome in answer.outcomes().iter().filter(|it| it.covered.is_none()) {
                assert_eq!(outcome.state, OutcomeState::Unverified);
            }
        }
    }
}
