//! The service over a log group alone, while CloudWatch Logs behaves and while it does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use identity_trail::backend::Backend;
use identity_trail::backend::logs::Logs;
use identity_trail::config::Config;
use identity_trail::federation::{Federation, HubCredentials};
use identity_trail::plan::{
    LogsMethod, OutcomeState, ReasonCode, Scan, ScanId, ScanOutcome, ScanTarget,
};
use identity_trail::query::{BackendKind, EventId, EventQuery, Identity, SearchOrder};
use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use identity_trail::sandbox::logs::{InsightsFailure, LOG_GROUP_NAME, LOG_GROUP_REGION};
use identity_trail::sandbox::query_faults::Queries;
use identity_trail::sandbox::{Account, Data, Denial, Sandbox, SandboxConfig};
use identity_trail::search::SearchItem;
use identity_trail::search::resume::ResumeToken;
use identity_trail::telemetry::Metrics;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::athena_world::{Ask, drain};
use crate::sandbox::record;
use crate::world::{Answer, LogGroupSetup, Setup, World, question, range};

const ACCOUNTS: [&str; 2] = ["111111111111", "222222222222"];
const ORDERS: [SearchOrder; 2] = [SearchOrder::NewestFirst, SearchOrder::OldestFirst];
const FILTER: &str = "filter";
const INSIGHTS: &str = "insights";

/// How far into its second a file is delivered.
const PART_OF_A_SECOND: SignedDuration = SignedDuration::from_millis(250);

/// In each account a file for each of `files` minutes, delivered five minutes and a part of a second
/// later with `each` events of alice and up to 60 of bob, at most 100 a second.
fn sandbox(files: u32, each: u32) -> SandboxConfig {
    let mut all = Vec::new();
    for (account_number, account) in (0..).zip(ACCOUNTS) {
        for file in 0..files {
            let minute = format!("2026-10-20T{:02}:{:02}", file / 60, file % 60);
            let of_user = |who: u32, name: &'static str| {
                let minute = minute.clone();
                let each = if who == 0 { each } else { each.min(60) };
                (0..each).map(move |event| {
                    let id = ((account_number * 2 + who) * files + file) * 10_000 + event;
                    let time = format!("{minute}:{:02}Z", event / 100 % 60);
                    let mut record = record(id, &time, name);
                    record["recipientAccountId"] = Value::from(account);
                    record["awsRegion"] = Value::from("eu-west-1");
                    LogRecord::from_value(&record).into()
                })
            };
            let begins: jiff::Timestamp = format!("{minute}:00Z").parse().unwrap();
            all.push(LogFile {
                key: format!("AWSLogs/{account}/CloudTrail/eu-west-1/2026/10/20/{file}.json.gz"),
                account_id: account.to_owned(),
                region: "eu-west-1".to_owned(),
                delivered_at: begins + SignedDuration::from_mins(5) + PART_OF_A_SECOND,
                records: of_user(0, "alice").chain(of_user(1, "bob")).collect(),
            });
        }
    }
    let accounts = ACCOUNTS.map(|id| Account {
        id: id.to_owned(),
        name: id.to_owned(),
    });
    let mut config = SandboxConfig::new(Data::Files {
        accounts: accounts.into(),
        files: all,
    });
    config.now = Some("2026-11-01T00:00:00Z".parse().unwrap());
    config.lookup_rate = None;
    config.logs.filter_rate = None;
    config.logs.scanned_events_per_page = 70;
    config
}

fn alice() -> EventQuery {
    let range = range("2026-10-20T00:00:00Z", "2026-10-21T00:00:00Z");
    EventQuery {
        backends: vec![BackendKind::Logs],
        ..question(vec![Identity::UserName("alice".parse().unwrap())], range)
    }
}

fn alice_in(order: SearchOrder) -> EventQuery {
    EventQuery { order, ..alice() }
}

async fn world(config: SandboxConfig, read_with: &'static str) -> World {
    let setup = Setup::with_log_group(LogGroupSetup::read_with(read_with));
    World::start(config, &setup).await
}

/// Every event of alice once, newest first, each read from the log group.
fn assert_all(answer: &Answer, world: &World) {
    assert_all_in(SearchOrder::NewestFirst, answer, world);
}

fn assert_all_in(order: SearchOrder, answer: &Answer, world: &World) {
    let records = world.sandbox.files().iter().flat_map(|file| &file.records);
    let of_alice = records
        .map(|record| record.value())
        .filter(|record| record["userIdentity"]["userName"] == "alice")
        .map(|record| record["eventID"].as_str().unwrap().to_owned());
    let expected: BTreeSet<String> = of_alice.collect();
    let found: Vec<String> = answer
        .events()
        .map(|event| {
            assert_eq!(event.provenance.backend, BackendKind::Logs);
            assert_eq!(event.provenance.log_group.as_deref(), Some("group"));
            assert_eq!(event.provenance.account_id, event.key.account);
            assert!(!event.late);
            match &event.key.id {
                EventId::Recorded(id) => id.to_string(),
                EventId::Made { .. } => panic!("every record has an id"),
            }
        })
        .collect();
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), distinct.len(), "an event came twice");
    assert_eq!(expected.difference(&distinct).count(), 0, "events are lost");
    assert_eq!(distinct.len(), expected.len());
    assert!(
        answer
            .events()
            .is_sorted_by(|a, b| order.compare(&a.key, &b.key).is_lt())
    );
    assert!(answer.complete(), "{:?}", failed(answer));
}

fn failed(answer: &Answer) -> Vec<&ScanOutcome> {
    let bad = |outcome: &&ScanOutcome| outcome.state != OutcomeState::Complete;
    answer.outcomes().iter().filter(bad).collect()
}

/// The only outcome, which has failed, and why.
fn only_failure(answer: &Answer) -> (ReasonCode, String) {
    let failed = failed(answer);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].log_group.as_deref(), Some("group"));
    let reason = failed[0].reason.as_ref().unwrap();
    (reason.code, reason.message.clone())
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
async fn pages_of_the_log_group_give_everything_in_order() {
    let world = world(sandbox(8, 60), FILTER).await;
    for order in ORDERS {
        let answer = world.ask(alice_in(order)).await;
        assert_all_in(order, &answer, &world);
        let read = answer.summary().events_read;
        assert_eq!(read, 8 * 60 * 2, "the pattern leaves bob out");
        assert!(answer.summary().requests > 8, "many pages, some empty");
    }
}

#[tokio::test]
async fn queries_of_the_log_group_give_everything_in_order() {
    let world = world(sandbox(8, 60), INSIGHTS).await;
    for (order, started) in ORDERS.into_iter().zip(1..) {
        let answer = world.ask(alice_in(order)).await;
        assert_all_in(order, &answer, &world);
        assert_eq!(answer.summary().events_read, 8 * 60 * 2);
        assert_eq!(world.sandbox.logs_stats().started, started);
        assert!(answer.summary().bytes_scanned > 0);
    }
}

/// However long a question is: how much there is of other accounts is not the asker's to know.
#[tokio::test]
async fn what_there_is_of_other_accounts_is_not_counted() {
    let world = world(sandbox(2, 20), FILTER).await;
    // With as many identities as these the pattern has no room for the account.
    for identities in 0..16 {
        let mut query = alice();
        query.account_ids = vec![ACCOUNTS[0].parse().unwrap()];
        let others = (0..identities)
            .map(|number| Identity::UserName(format!("u{number:0>60}").parse().unwrap()));
        query.identities.extend(others);
        let answer = world.ask(query).await;
        assert_eq!(answer.events().count(), 2 * 20);
        assert_eq!(answer.summary().events_read, 2 * 20, "{identities}");
        assert!(answer.complete(), "{:?}", failed(&answer));
    }
}

#[tokio::test]
async fn a_query_with_more_rows_than_it_returns_is_split_in_time() {
    // 11,200 rows of alice in eight deliveries, where a query returns 10,000.
    let world = world(sandbox(8, 700), INSIGHTS).await;
    for (order, started) in ORDERS.into_iter().zip([2, 4]) {
        let answer = world.ask(alice_in(order)).await;
        assert_all_in(order, &answer, &world);
        assert_eq!(world.sandbox.logs_stats().started, started);
    }
}

#[tokio::test]
async fn a_second_with_more_rows_than_a_query_returns_is_read_by_itself() {
    // 10,200 rows of alice in one delivery, both accounts' together.
    let world = world(sandbox(1, 5100), INSIGHTS).await;
    for (order, started) in ORDERS.into_iter().zip([4, 8]) {
        let answer = world.ask(alice_in(order)).await;
        assert_all_in(order, &answer, &world);
        // Up to the second, it alone, and what is beyond it.
        assert_eq!(world.sandbox.logs_stats().started, started);
    }
}

/// What is delivered at the very beginning of a second is returned by the query of the second before
/// too: it comes once, and holds up nothing.
#[tokio::test]
async fn the_first_millisecond_of_the_next_second_comes_once() {
    let mut config = sandbox(2, 5100);
    if let Data::Files { files, .. } = &mut config.data {
        let begins: jiff::Timestamp = "2026-10-20T00:06:00Z".parse().unwrap();
        for file in files {
            let first = file.key.ends_with("/0.json.gz");
            let before = if first {
                PART_OF_A_SECOND
            } else {
                SignedDuration::ZERO
            };
            file.delivered_at = begins - before;
        }
    }
    let world = world(config, INSIGHTS).await;
    for order in ORDERS {
        let answer = world.ask(alice_in(order)).await;
        assert_all_in(order, &answer, &world);
    }
}

/// After a refused page token a new read returns what the pages before it left of a millisecond,
/// whether AWS includes the last millisecond that it is asked for or not.
#[tokio::test]
async fn a_refused_page_token_loses_nothing_of_a_millisecond() {
    for end_time_excluded in [false, true] {
        // 80 events in each millisecond, and pages that end within one: with an event of alice, so
        // that what is read anew begins there.
        let mut config = sandbox(3, 20);
        config.logs.scanned_events_per_page = 130;
        config.logs.page_token_uses = Some(0);
        config.logs.end_time_excluded = end_time_excluded;
        let world = world(config, FILTER).await;
        for order in ORDERS {
            let answer = world.ask(alice_in(order)).await;
            assert_all_in(order, &answer, &world);
            // Three pages, where two would do, and two tokens that were refused.
            assert!(answer.summary().requests >= 5);
        }
    }
}

/// Cut anywhere, the two streams are the whole: also where events wait for others that happened
/// before them and were delivered after them.
#[tokio::test]
async fn a_search_that_is_cut_goes_on_in_the_log_group() {
    let keys =
        |answer: &Answer| -> Vec<_> { answer.events().map(|event| event.key.clone()).collect() };
    for read_with in [FILTER, INSIGHTS] {
        let mut config = sandbox(4, 30);
        delay(&mut config);
        let world = world(config, read_with).await;
        for order in ORDERS {
            let whole = world.ask(alice_in(order)).await;
            assert_all_in(order, &whole, &world);
            for cut in [1, 75, 239] {
                let first = world
                    .ask(EventQuery {
                        max_events: Some(cut),
                        ..alice_in(order)
                    })
                    .await;
                let token = first.summary().resume_token.clone().unwrap();
                let token = ResumeToken::decode(&token).unwrap();
                let rest = EventQuery {
                    range: token.range,
                    resume: Some(token.point),
                    ..alice_in(order)
                };
                let second = world.ask(rest).await;
                assert!(second.complete(), "{:?}", failed(&second));
                assert_eq!([keys(&first), keys(&second)].concat(), keys(&whole));
            }
        }
    }
}

/// Delivers every other file half an hour later.
fn delay(config: &mut SandboxConfig) {
    if let Data::Files { files, .. } = &mut config.data {
        for file in files.iter_mut().step_by(2) {
            file.delivered_at += SignedDuration::from_mins(30);
        }
    }
}

#[tokio::test]
async fn throttles_lose_nothing() {
    for read_with in [FILTER, INSIGHTS] {
        let mut config = sandbox(4, 60);
        config.faults.throttle = 30.try_into().unwrap();
        let world = world(config, read_with).await;
        let order = ORDERS[usize::from(read_with == FILTER)];
        let answer = world.ask(alice_in(order)).await;
        assert_all_in(order, &answer, &world);
    }
}

#[tokio::test]
async fn a_log_group_that_does_not_exist_is_said_to_be_looked_for_in_the_configuration() {
    for read_with in [FILTER, INSIGHTS] {
        let setup = Setup::with_log_group(LogGroupSetup {
            log_group: "cloudtrail/elsewhere",
            ..LogGroupSetup::read_with(read_with)
        });
        let world = World::start(sandbox(1, 1), &setup).await;
        let answer = world.ask(alice()).await;
        let (code, message) = only_failure(&answer);
        assert_eq!(code, ReasonCode::AwsError, "{message}");
        assert!(message.contains("check log group group"), "{message}");
        assert!(!answer.complete());
    }
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_or_read_fails_the_log_group_alone() {
    for (denial, code) in [
        (Denial::NotAllowed, ReasonCode::AssumeRoleDenied),
        (
            Denial::ServiceControlPolicy,
            ReasonCode::DeniedByServiceControlPolicy,
        ),
    ] {
        let mut config = sandbox(1, 1);
        config
            .faults
            .denied_accounts
            .insert(ACCOUNTS[1].into(), denial);
        let setup = Setup::with_log_group(LogGroupSetup {
            account: Some(ACCOUNTS[1]),
            ..LogGroupSetup::read_with(FILTER)
        });
        let world = World::start(config, &setup).await;
        assert_eq!(only_failure(&world.ask(alice()).await).0, code);
    }
}

#[tokio::test]
async fn a_failed_query_fails_its_scan_and_says_so() {
    let world = world(sandbox(2, 10), INSIGHTS).await;
    let faults = world.sandbox.logs_faults();
    faults.fail(InsightsFailure::Failed, Queries::Next(1));
    let answer = world.ask(alice()).await;
    let (code, message) = only_failure(&answer);
    assert_eq!(code, ReasonCode::QueryFailed, "{message}");
    assert!(!answer.complete());
    assert_all(&world.ask(alice()).await, &world);
}

#[tokio::test]
async fn a_byte_budget_stops_queries() {
    let world = world(sandbox(2, 10), INSIGHTS).await;
    let slow = Duration::from_mins(10);
    world.sandbox.logs_faults().slow(slow, Queries::ALL);
    let answer = world
        .ask(EventQuery {
            max_scan_bytes: Some(1),
            ..alice()
        })
        .await;
    assert_eq!(only_failure(&answer).0, ReasonCode::MaxScanBytes);
    until("the query stopped", || {
        world.sandbox.logs_stats().stopped == 1
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_stops_its_queries() {
    let world = world(sandbox(2, 10), INSIGHTS).await;
    let sandbox = &world.sandbox;
    let slow = Duration::from_mins(10);
    sandbox.logs_faults().slow(slow, Queries::ALL);
    let mut search = world.search(alice());
    assert!(matches!(search.next().await, Some(SearchItem::Plan(_))));
    tokio::select! {
        item = search.next() => panic!("a query of ten minutes has ended: {item:?}"),
        () = until("the query", || sandbox.logs_stats().active > 0) => {}
    }
    drop(search);
    until("the query stopped", || sandbox.logs_stats().stopped == 1).await;
    assert_eq!(sandbox.logs_stats().active, 0);
}

/// As many readers as the log group runs queries, left alone by a caller who stops reading.
#[tokio::test]
async fn queries_of_readers_that_are_left_alone_end_and_others_have_their_turn() {
    let sandbox = Sandbox::start(sandbox(2, 10)).await.unwrap();
    let (config, logs) = logs(&sandbox).await;
    let ask = Ask {
        identities: vec![Identity::UserName("alice".parse().unwrap())],
        range: range("2026-10-20T00:00:00Z", "2026-10-21T00:00:00Z"),
        accounts: ACCOUNTS.map(|id| id.parse().unwrap()).into(),
        ..Ask::of(Identity::Root)
    };
    let scan = Scan {
        target: ScanTarget::Logs {
            log_group: logs.log_groups().remove(0),
            method: LogsMethod::Insights,
            accounts: ask.accounts.clone(),
            regions: ["eu-west-1".parse().unwrap()].into(),
        },
        id: ScanId(0),
        range: ask.range,
        categories: ask.filter.categories().iter().copied().collect(),
        shares: None,
    };
    let queries = config.log_groups[0].value.max_concurrent_queries;
    let mut left: Vec<_> = (0..queries)
        .map(|_| logs.open(&scan, &ask.search()))
        .collect();
    let mut pages: Vec<_> = left.iter_mut().map(|it| it.next_page()).collect();
    for page in &mut pages {
        assert!(page.now_or_never().is_none());
    }
    let other = drain(logs.open(&scan, &ask.search()));
    let other = timeout(Duration::from_mins(1), other).await;
    let other = other.expect("no permit is kept");
    assert_eq!(other.error, None);
    assert_eq!(other.events.len(), 2 * 2 * 10);
    // Nothing of theirs is lost meanwhile.
    for page in join_all(pages).await {
        let page = page.unwrap();
        assert!(page.end);
        assert_eq!(page.events.len(), other.events.len());
        assert!(page.cost.requests >= 2 && page.cost.bytes_scanned_total > 0);
    }
}

/// The backend alone.
async fn logs(sandbox: &Sandbox) -> (Config, Logs) {
    let hub_account = sandbox.hub_account_id();
    let config = json!({
        "hub": {"region": LOG_GROUP_REGION, "endpoint_url": sandbox.endpoint()},
        "accounts": {"list": [{"id": hub_account, "credentials": "hub"}]},
        "regions": [LOG_GROUP_REGION],
        "log_groups": [{
            "name": "group",
            "account": hub_account,
            "region": LOG_GROUP_REGION,
            "credentials": "hub",
            "log_group": LOG_GROUP_NAME,
            "holds": {"accounts": "all", "first_day": "2000-01-01"},
            "read_with": INSIGHTS,
            "max_concurrent_queries": 2,
        }],
    });
    let config = Config::parse(&config.to_string(), "test").unwrap();
    let hub = sandbox.hub_credentials();
    let hub = HubCredentials {
        access_key_id: hub.access_key_id.clone(),
        secret_access_key: hub.secret_access_key.clone(),
    };
    let federation = Arc::new(Federation::connect_as(&config, hub, &Metrics::new()).await);
    let logs = Logs::new(&config, &federation, sandbox.clock());
    (config, logs)
}
