//! The whole service while AWS misbehaves: what is lost is said, and nothing else is.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use identity_trail::plan::{OutcomeState, ReasonCode, ScanOutcome};
use identity_trail::query::{Event, EventId, EventQuery, Identity, TimeRange};
use identity_trail::sandbox::athena::{Queries, QueryFailure};
use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use identity_trail::sandbox::{Account, Data, Denial, Sandbox, SandboxConfig};
use identity_trail::search::SearchItem;
use serde_json::Value;

use crate::sandbox::record;
use crate::world::{Answer, ArchiveSetup, Setup, World, question, range};

const NOW: &str = "2026-11-01T00:00:00Z";
const DENIED: &str = "222222222222";

/// As many accounts, the first of them the hub.
pub fn accounts(count: u64) -> Vec<String> {
    (1..=count)
        .map(|number| format!("{:012}", number * 111_111_111_111 % 1_000_000_000_000))
        .collect()
}

/// `each` events of alice in each account and Region, one a second, all accounts at the same time.
pub fn sandbox(accounts: &[String], regions: &[&str], each: u32) -> SandboxConfig {
    let mut files = Vec::new();
    for (number, account) in (0..).zip(accounts) {
        for (region_number, region) in (0..).zip(regions) {
            let records = (0..each).map(|event| {
                let id = (number * 100 + region_number) * 100_000 + event;
                let time = format!(
                    "2026-10-20T{:02}:{:02}:{:02}Z",
                    event / 3600,
                    event / 60 % 60,
                    event % 60
                );
                let mut record = record(id, &time, "alice");
                record["recipientAccountId"] = Value::from(account.clone());
                record["awsRegion"] = Value::from(*region);
                LogRecord::from_value(&record).into()
            });
            files.push(LogFile {
                key: format!("AWSLogs/{account}/CloudTrail/{region}/2026/10/20/all.json.gz"),
                account_id: account.clone(),
                region: (*region).to_owned(),
                delivered_at: "2026-10-20T23:00:00Z".parse().unwrap(),
                records: records.collect(),
            });
        }
    }
    let accounts = accounts.iter().map(|id| Account {
        id: id.clone(),
        name: id.clone(),
    });
    let mut config = SandboxConfig::new(Data::Files {
        accounts: accounts.collect(),
        files,
    });
    config.now = Some(NOW.parse().unwrap());
    config.lookup_rate = None;
    config
}

fn october() -> TimeRange {
    range("2026-10-01T00:00:00Z", NOW)
}

pub fn alice() -> EventQuery {
    question(
        vec![Identity::UserName("alice".parse().unwrap())],
        october(),
    )
}

/// The archive is asked first for what no attribute narrows.
fn by_archive() -> EventQuery {
    EventQuery {
        backends: vec![identity_trail::query::BackendKind::Athena],
        ..alice()
    }
}

pub fn with_archive() -> Setup {
    Setup::with_archive(ArchiveSetup::of("cloudtrail_by_account"))
}

/// Every eventID that the sandbox holds, but for those of `without`.
pub fn held(sandbox: &Sandbox, without: &str) -> BTreeSet<String> {
    let files = sandbox
        .files()
        .iter()
        .filter(|file| file.account_id != without);
    let records = files.flat_map(|file| file.records.iter().map(|record| record.value()));
    records
        .map(|record| record["eventID"].as_str().unwrap().to_owned())
        .collect()
}

fn id(event: &Event) -> String {
    match &event.key.id {
        EventId::Recorded(id) => id.to_string(),
        EventId::Made { .. } => panic!("every record has an id"),
    }
}

/// Each event once, all of `expected`.
pub fn assert_events(answer: &Answer, expected: &BTreeSet<String>) {
    let found: Vec<String> = answer.events().map(id).collect();
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), distinct.len(), "an event came twice");
    let missing = expected.difference(&distinct).count();
    let extra = distinct.difference(expected).count();
    assert_eq!(
        (missing, extra),
        (0, 0),
        "missing and extra of {}",
        expected.len()
    );
}

fn failed(answer: &Answer) -> Vec<&ScanOutcome> {
    let bad = |outcome: &&ScanOutcome| outcome.state != OutcomeState::Complete;
    answer.outcomes().iter().filter(bad).collect()
}

/// Waits for what the sandbox counts, for at most half a minute.
async fn until(what: &str, seen: impl Fn() -> bool) {
    for _ in 0..3000 {
        if seen() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the sandbox never saw {what}");
}

#[tokio::test]
async fn one_denied_account_of_twelve_costs_its_own_part_only_and_is_told_first() {
    for (denial, code) in [
        (Denial::NotAllowed, ReasonCode::AssumeRoleDenied),
        (
            Denial::ServiceControlPolicy,
            ReasonCode::DeniedByServiceControlPolicy,
        ),
    ] {
        let mut config = sandbox(&accounts(12), &["eu-west-1", "us-east-1"], 3);
        config.faults.denied_accounts.insert(DENIED.into(), denial);
        let world = World::start(config, &Setup::default()).await;
        let answer = world.ask(alice()).await;

        assert_events(&answer, &held(&world.sandbox, DENIED));
        assert!(!answer.complete());
        let failed = failed(&answer);
        assert_eq!(failed.len(), 2, "one for each Region");
        for outcome in failed {
            assert_eq!(outcome.state, OutcomeState::Failed);
            assert_eq!(outcome.accounts, [DENIED.parse().unwrap()]);
            assert_eq!(outcome.covered, None);
            let reason = outcome.reason.as_ref().unwrap();
            assert_eq!(reason.code, code, "{reason:?}");
            assert_eq!(reason.aws_code.as_deref(), Some("AccessDenied"));
            assert!(reason.aws_message.is_some());
        }
        // Nothing of the denied account is newer than these events: it is told before them all.
        let first = |is: fn(&SearchItem) -> bool| answer.0.iter().position(is).unwrap();
        let told = first(|item| matches!(item, SearchItem::Outcomes(_)));
        assert!(told < first(|item| matches!(item, SearchItem::Event { .. })));
    }
}

#[tokio::test]
async fn thirty_percent_throttles_lose_nothing() {
    let mut config = sandbox(&accounts(3), &["eu-west-1"], 200);
    config.faults.throttle = 30.try_into().unwrap();
    let world = World::start(config, &with_archive()).await;
    for query in [alice(), by_archive()] {
        let answer = world.ask(query).await;
        assert!(answer.complete(), "{:?}", failed(&answer));
        assert_events(&answer, &held(&world.sandbox, ""));
    }
    assert!(world.sandbox.stats().sum(|_| true).throttled > 0);
}

#[tokio::test]
async fn a_search_outlives_its_sessions() {
    let mut config = sandbox(&accounts(2), &["eu-west-1"], 400);
    config.faults.credential_lifetime = Some(Duration::from_secs(2));
    config.faults.latency = Duration::from_millis(400);
    let world = World::start(config, &Setup::default()).await;
    let answer = world.ask(alice()).await;
    assert!(answer.complete(), "{:?}", failed(&answer));
    assert_events(&answer, &held(&world.sandbox, ""));
    assert!(world.sandbox.stats().of("AssumeRole").succeeded > 1);
}

#[tokio::test]
async fn stale_tokens_and_events_out_of_order_lose_and_repeat_nothing() {
    let mut config = sandbox(&accounts(3), &["eu-west-1"], 400);
    config.faults.stale_token = 40.try_into().unwrap();
    config.faults.out_of_order = 30.try_into().unwrap();
    let world = World::start(config, &Setup::default()).await;
    let answer = world.ask(alice()).await;
    assert!(answer.complete(), "{:?}", failed(&answer));
    assert_events(&answer, &held(&world.sandbox, ""));
    let late = answer.events().filter(|event| event.late).count() as u64;
    assert_eq!(late, answer.summary().late_events);
    // Whatever is not flagged is in order.
    let in_order: Vec<_> = answer.events().filter(|event| !event.late).collect();
    assert!(in_order.is_sorted_by(|a, b| a.key > b.key));
}

#[tokio::test]
async fn a_region_that_never_answers_ends_as_unresponsive_and_holds_up_no_other() {
    let mut config = sandbox(&accounts(3), &["eu-west-1", "us-east-1"], 20);
    config.faults.dead_regions.insert("us-east-1".into());
    // The role is assumed in the hub's Region, which is the first by name.
    let setup = Setup {
        stall_timeout: "2s",
        ..Setup::default()
    };
    let world = World::start(config, &setup).await;
    let answer = world.ask(alice()).await;
    let failed = failed(&answer);
    assert_eq!(failed.len(), 3, "one for each account");
    for outcome in failed {
        let reason = outcome.reason.as_ref().unwrap();
        assert_eq!(reason.code, ReasonCode::Unresponsive, "{reason:?}");
        assert_eq!(outcome.regions, ["us-east-1".parse().unwrap()]);
    }
    assert_eq!(answer.events().count(), 60);
}

#[tokio::test]
async fn a_failed_athena_query_fails_its_slice_and_the_rest_is_there() {
    let world = World::start(sandbox(&accounts(3), &["eu-west-1"], 40), &with_archive()).await;
    let failure = QueryFailure {
        retryable: false,
        message: "HIVE_BAD_DATA: on demand".into(),
    };
    world.sandbox.athena_faults().fail(failure, Queries::ALL);
    // Roles that no attribute narrows: the archive for all but the last hour, then event history.
    let role = Identity::RoleName("no-role-of-alice".parse().unwrap());
    let user = Identity::UserName("alice".parse().unwrap());
    let answer = world.ask(question(vec![role, user], october())).await;
    let failed = failed(&answer);
    assert_eq!(failed.len(), 1, "{failed:?}");
    let reason = failed[0].reason.as_ref().unwrap();
    assert_eq!(reason.code, ReasonCode::QueryFailed);
    assert_eq!(
        reason.aws_message.as_deref(),
        Some("HIVE_BAD_DATA: on demand")
    );
    let complete = answer
        .outcomes()
        .iter()
        .filter(|outcome| outcome.state == OutcomeState::Complete);
    assert_eq!(complete.count(), 3, "the last hour of each account");
    assert!(!answer.complete());
}

#[tokio::test]
async fn what_the_horizon_passes_during_a_search_is_said_to_be_missing() {
    // Everything lies between the horizon as it is planned and as it is when pages are read.
    let mut config = sandbox(&accounts(2), &["eu-west-1"], 300);
    let first: jiff::Timestamp = "2026-10-20T00:00:00Z".parse().unwrap();
    let ninety_days = jiff::SignedDuration::from_hours(90 * 24);
    config.now = Some(first + ninety_days);
    config.faults.latency = Duration::from_millis(300);
    let world = World::start(config, &Setup::default()).await;
    let start = first.to_string();
    let mut query = alice();
    query.range = range(&start, "2026-11-01T00:00:00Z");
    let answer = world.ask(query).await;

    assert!(!answer.complete());
    for outcome in failed(&answer) {
        let code = outcome.reason.as_ref().unwrap().code;
        assert!(
            matches!(code, ReasonCode::AgedOut | ReasonCode::BeyondHorizon),
            "{outcome:?}"
        );
    }
    let aged_out = |outcome: &&ScanOutcome| {
        let reason = outcome.reason.as_ref();
        reason.is_some_and(|reason| reason.code == ReasonCode::AgedOut)
    };
    let aged_out = answer.outcomes().iter().filter(aged_out).count();
    assert_eq!(aged_out, 2, "the horizon moved on in both accounts");
    // Whatever is covered is there.
    let all = world.sandbox.files().iter().flat_map(|file| {
        file.records
            .iter()
            .map(move |record| (file.account_id.clone(), record.value()))
    });
    let covered = all.filter(|(account, record)| {
        let time: jiff::Timestamp = record["eventTime"].as_str().unwrap().parse().unwrap();
        let time = identity_trail::query::EventTime::floor(time);
        answer.outcomes().iter().any(|outcome| {
            outcome.accounts.iter().any(|id| id.to_string() == *account)
                && outcome
                    .covered
                    .is_some_and(|covered| covered.contains(time))
        })
    });
    let covered: BTreeSet<String> = covered
        .map(|(_, record)| record["eventID"].as_str().unwrap().to_owned())
        .collect();
    let found: BTreeSet<String> = answer.events().map(id).collect();
    assert_eq!(
        covered.difference(&found).count(),
        0,
        "covered, yet not in the answer"
    );
    assert!(!covered.is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_lookups() {
    let world = World::start(
        sandbox(&accounts(2), &["eu-west-1"], 2000),
        &Setup::default(),
    )
    .await;
    let mut search = world.search(alice());
    while !matches!(search.next().await.unwrap(), SearchItem::Event { .. }) {}
    drop(search);
    // Whoever comes next is served, and nothing of the dropped search is asked beside it.
    let at_drop = world.lookups();
    let mut other = alice();
    other.range = range("2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z");
    assert!(world.ask(other).await.complete());
    // A lookup of each account may have been on its way.
    let own = 2;
    assert!(
        world.lookups() <= at_drop + own + 2,
        "{} after {at_drop}",
        world.lookups()
    );
}

#[tokio::test]
async fn a_client_that_goes_away_stops_its_athena_queries() {
    let world = World::start(sandbox(&accounts(2), &["eu-west-1"], 20), &with_archive()).await;
    let sandbox = &world.sandbox;
    // One that runs.
    sandbox
        .athena_faults()
        .slow(Duration::from_mins(10), Queries::ALL);
    let mut search = world.search(by_archive());
    assert!(matches!(search.next().await, Some(SearchItem::Plan(_))));
    let running = async {
        until("the query", || sandbox.athena_stats().active > 0).await;
    };
    tokio::select! {
        item = search.next() => panic!("a query of ten minutes has ended: {item:?}"),
        () = running => {}
    }
    drop(search);
    until("the query stopped", || sandbox.athena_stats().stopped == 1).await;
    assert_eq!(sandbox.athena_stats().active, 0);

    // One whose start is in flight: the sandbox has begun it and not answered yet.
    sandbox
        .athena_faults()
        .delay_starts(Duration::from_secs(2), Queries::ALL);
    let mut search = world.search(by_archive());
    assert!(matches!(search.next().await, Some(SearchItem::Plan(_))));
    let begun = async {
        until("the start", || sandbox.athena_stats().started == 2).await;
    };
    tokio::select! {
        item = search.next() => panic!("a query of ten minutes has ended: {item:?}"),
        () = begun => {}
    }
    assert_eq!(sandbox.stats().of("StartQueryExecution").succeeded, 1);
    drop(search);
    until("the second query stopped", || {
        sandbox.athena_stats().stopped == 2
    })
    .await;
    assert_eq!(sandbox.athena_stats().active, 0);
}

#[tokio::test]
async fn a_slow_client_is_read_for_no_further_than_a_page_ahead() {
    const PAGES: u64 = 40;
    let each = 50 * u32::try_from(PAGES).unwrap();
    let world = World::start(
        sandbox(&accounts(2), &["eu-west-1"], each),
        &Setup::default(),
    )
    .await;
    let mut search = world.search(alice());
    let mut taken = 0;
    while let Some(item) = search.next().await {
        if !matches!(item, SearchItem::Event { .. }) {
            continue;
        }
        taken += 1;
        // Both accounts have an event each second: pages are used up evenly. Two requests of each showed
        // that alice federated nobody.
        let used = taken / 100;
        let lookups = world.lookups();
        assert!(
            lookups <= 2 * (used + 5),
            "{lookups} lookups for {taken} events"
        );
        // As slow as a client can be: everything else that can happen happens meanwhile.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(taken, 2 * u64::from(each));
}
