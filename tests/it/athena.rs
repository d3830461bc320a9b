//! The Athena backend against the sandbox: the real SDK, and a real engine that runs the SQL.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use identity_trail::backend::{Backend, ScanReader};
use identity_trail::plan::ReasonCode;
use identity_trail::query::event::RecordOrigin;
use identity_trail::query::{Event, EventCategory, Identity, RecordView, SearchOrder};
use identity_trail::sandbox::athena::{Queries, QueryFailure};
use identity_trail::sandbox::{Account, Data, Percent, SandboxConfig};
use tokio::time::timeout;

use crate::athena_records::{self, ACCOUNTS};
use crate::athena_world::{
    Ask, CORPUS_SETS, QUERIES, World, corpus_asks, drain, narrowed, one_for_each_identity, sandbox,
};
use crate::oracle::{self, Seen};
use crate::sandbox::corpus;

fn alice() -> Identity {
    Identity::UserName("alice".parse().unwrap())
}

#[tokio::test]
async fn every_identity_finds_what_a_naive_scan_finds_in_each_table() {
    let world = World::start(sandbox()).await;
    let asks = one_for_each_identity(&world);
    let found: usize = world.assert_same_as_naive(&asks).await.iter().sum();
    assert!(found > 200, "{found}");
}

#[tokio::test]
async fn filters_accounts_regions_and_times_narrow_like_a_naive_scan() {
    let world = World::start(sandbox()).await;
    let asks = narrowed(&world);
    let found = world.assert_same_as_naive(&asks).await;
    assert!(found.iter().all(|events| *events > 0), "{found:?}");
}

#[tokio::test]
async fn identities_of_real_records_find_what_a_naive_scan_finds() {
    for set in CORPUS_SETS {
        let Some(directory) = corpus(set) else { return };
        let world = World::start(SandboxConfig::new(Data::Logs(vec![directory]))).await;
        let asks = corpus_asks(&world, 40);
        let found = world.assert_same_as_naive(&asks).await;
        assert!(found.iter().sum::<usize>() > 0, "{set}");
    }
}

#[tokio::test]
async fn a_rebuilt_record_is_the_delivered_one_but_for_what_the_table_cannot_show() {
    let world = World::start(sandbox()).await;
    let ask = Ask {
        identities: oracle::identities(world.sandbox.files()),
        record_view: RecordView::Full,
        ..Ask::of(alice())
    };
    let mut delivered = oracle::events(world.sandbox.files(), true);
    delivered.retain(|event| ask.admits(event));
    let delivered: BTreeMap<Seen, Event> = delivered
        .into_iter()
        .map(|event| (Seen::of(&event), event))
        .collect();
    let drained = world.read("cloudtrail_projected", &ask).await;
    let mut compared = 0;
    for event in drained.events.iter().filter(|event| ask.admits(event)) {
        let original = &delivered[&Seen::of(event)];
        oracle::assert_shows_the_same(event, original);
        assert_eq!(
            event.provenance.archive.as_deref(),
            Some("cloudtrail_projected")
        );
        assert!(event.provenance.aws_request_id.is_some());
        assert!(
            event
                .provenance
                .log_file
                .as_deref()
                .unwrap()
                .starts_with("s3://")
        );
        let record = event.record.as_ref().unwrap();
        let RecordOrigin::Rebuilt { unseen_fields } = &record.origin else {
            panic!("{:?}", record.origin);
        };
        assert!(unseen_fields.iter().any(|name| name == "managementEvent"));
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
}

#[tokio::test]
async fn a_result_of_many_pages_is_read_page_by_page() {
    let mut config = sandbox();
    config.data = Data::Files {
        accounts: vec![Account {
            id: ACCOUNTS[0].into(),
            name: "one".into(),
        }],
        files: athena_records::many(2_500),
    };
    let world = World::start(config).await;
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let ask = Ask {
            order,
            ..Ask::of(alice())
        };
        let drained = world.read("cloudtrail_by_account", &ask).await;
        assert_eq!(drained.error, None);
        assert_eq!(drained.events.len(), 2_500);
        let times = drained.events.iter().map(|event| event.key.time);
        assert!(times.is_sorted_by_key(|time| order.rank(time)));
        let with_events = drained
            .pages
            .iter()
            .filter(|page| page.cost.events_read > 0);
        assert_eq!(with_events.count(), 3);
        let last = drained.pages.last().unwrap();
        assert!(last.cost.bytes_scanned_total > 0);
        assert!(drained.requests() >= 5);
    }
}

#[tokio::test]
async fn a_dropped_reader_stops_its_query_and_gives_its_permit_back() {
    let world = World::start(sandbox()).await;
    world
        .sandbox
        .athena_faults()
        .slow(Duration::from_mins(10), Queries::Next(QUERIES.into()));
    let mut readers = readers(&world, QUERIES).await;
    let pages = readers.iter_mut().map(|reader| reader.next_page());
    for page in join_all(pages).await {
        let page = page.unwrap();
        assert!(page.events.is_empty() && !page.end);
        assert!(page.cost.requests > 0 && page.cost.bytes_scanned_total > 0);
    }
    drop(readers);
    world.until_stopped(QUERIES.into()).await;
    let drained = world.read("cloudtrail_projected", &Ask::of(alice())).await;
    assert_eq!(drained.error, None);
    assert!(!drained.events.is_empty());
}

#[tokio::test]
async fn a_query_whose_start_is_in_flight_is_stopped_too() {
    let world = World::start(sandbox()).await;
    let faults = world.sandbox.athena_faults();
    faults.slow(Duration::from_mins(10), Queries::ALL);
    faults.delay_starts(Duration::from_millis(500), Queries::ALL);
    let mut reader = world.open("cloudtrail_projected", &Ask::of(alice())).await;
    let reading = tokio::spawn(async move { reader.next_page().await });
    world
        .until("the query is started", |sandbox| {
            sandbox.athena_stats().started == 1
        })
        .await;
    // Its answer, with the query's id, is still on its way.
    reading.abort();
    assert!(reading.await.unwrap_err().is_cancelled());
    assert_eq!(world.sandbox.athena_stats().stopped, 0);
    world.until_stopped(1).await;
    assert_eq!(world.sandbox.athena_stats().started, 1);
}

#[tokio::test]
async fn shutting_down_waits_for_what_is_still_to_be_stopped() {
    let world = World::start(sandbox()).await;
    let faults = world.sandbox.athena_faults();
    faults.slow(Duration::from_mins(10), Queries::ALL);
    faults.delay_starts(Duration::from_millis(200), Queries::ALL);
    let mut reader = world.open("cloudtrail_projected", &Ask::of(alice())).await;
    let reading = tokio::spawn(async move { reader.next_page().await });
    world
        .until("the query is started", |sandbox| {
            sandbox.athena_stats().started == 1
        })
        .await;
    reading.abort();
    assert!(reading.await.unwrap_err().is_cancelled());
    world.athena.shutdown(Duration::from_secs(30)).await;
    assert_eq!(world.sandbox.athena_stats().stopped, 1);
}

/// More readers than may run queries at once wait, and ask nothing.
#[tokio::test]
async fn queries_beyond_the_archives_bound_wait_without_asking() {
    let world = World::start(sandbox()).await;
    let faults = world.sandbox.athena_faults();
    faults.slow(Duration::from_mins(10), Queries::ALL);
    let mut running = readers(&world, QUERIES).await;
    let mut pages: Vec<_> = (running.iter_mut()).map(|it| it.next_page()).collect();
    assert!(pages.iter_mut().all(left_alone));
    let queries = u64::from(QUERIES);
    until_active(&world, QUERIES).await;
    let mut one_more = Box::pin(drain(
        world.open("cloudtrail_projected", &Ask::of(alice())).await,
    ));
    assert!(futures::poll!(&mut one_more).is_pending());
    assert_eq!(world.sandbox.athena_stats().started, queries);
    faults.clear();
    pages.pop();
    let drained = one_more.await;
    assert_eq!(drained.error, None);
    assert_eq!(world.sandbox.athena_stats().started, queries + 1);
}

/// As a caller who stops reading leaves them.
#[tokio::test]
async fn queries_of_readers_that_are_left_alone_end_and_others_have_their_turn() {
    let world = World::start(sandbox()).await;
    let mut left = readers(&world, QUERIES).await;
    let mut pages: Vec<_> = left.iter_mut().map(|it| it.next_page()).collect();
    assert!(pages.iter_mut().all(left_alone));
    let ask = Ask::of(alice());
    let others = world.read("cloudtrail_projected", &ask);
    let drained = timeout(PATIENCE, others).await.expect("no permit is kept");
    assert_eq!(drained.error, None);
    assert!(!drained.events.is_empty());
    // Nothing of theirs is lost meanwhile.
    for page in join_all(pages).await {
        let page = page.unwrap();
        assert_eq!(page.events.len(), drained.events.len());
        // Its start, once at least how it stands, and its result.
        assert!(page.cost.requests >= 3 && page.cost.bytes_scanned_total > 0);
    }
}

#[tokio::test]
async fn a_reader_that_is_left_alone_in_the_line_lets_the_next_one_pass() {
    let world = World::start(sandbox()).await;
    let faults = world.sandbox.athena_faults();
    faults.slow(Duration::from_mins(10), Queries::Next(QUERIES.into()));
    let mut running = readers(&world, QUERIES).await;
    let mut pages: Vec<_> = (running.iter_mut()).map(|it| it.next_page()).collect();
    assert!(pages.iter_mut().all(left_alone));
    until_active(&world, QUERIES).await;
    let mut waiting = readers(&world, 1).await.remove(0);
    let mut waiting = waiting.next_page();
    assert!(left_alone(&mut waiting));
    // The only permit that becomes free is for the one that waits.
    pages.pop();
    let ask = Ask::of(alice());
    let next = world.read("cloudtrail_projected", &ask);
    let drained = timeout(PATIENCE, next).await.expect("no permit is kept");
    assert_eq!(drained.error, None);
    assert!(!drained.events.is_empty());
}

#[tokio::test]
async fn a_query_is_stopped_in_time_also_when_its_reader_is_left_alone() {
    let world = World::start_with(sandbox(), "1s").await;
    let faults = world.sandbox.athena_faults();
    faults.slow(Duration::from_mins(10), Queries::ALL);
    let mut reader = readers(&world, 1).await.remove(0);
    let mut page = reader.next_page();
    assert!(left_alone(&mut page));
    world.until_stopped(1).await;
    let error = page.await.unwrap_err();
    assert!(error.reason.message.contains("query_timeout"), "{error}");
    assert!(error.cost.requests > 0 && error.cost.bytes_scanned_total > 0);
}

/// A test gives up after this long.
const PATIENCE: Duration = Duration::from_mins(1);

async fn readers(world: &World, number: u8) -> Vec<Box<dyn ScanReader>> {
    let archive = world.archive("cloudtrail_projected").await;
    let ask = Ask::of(alice());
    let open = || world.athena.open(&ask.scan(&archive), &ask.search());
    std::iter::repeat_with(open).take(number.into()).collect()
}

/// Polls `page` once. Nobody polls it any more then, unless the test does.
fn left_alone<T>(page: &mut BoxFuture<'_, T>) -> bool {
    page.now_or_never().is_none()
}

async fn until_active(world: &World, queries: u8) {
    world
        .until("the queries run", |sandbox| {
            sandbox.athena_stats().active == u64::from(queries)
        })
        .await;
}

#[tokio::test]
async fn a_retryable_failure_is_tried_once_more_and_another_is_told_in_athenas_words() {
    let world = World::start(sandbox()).await;
    let fail = |retryable, queries| {
        let message = "HIVE_CURSOR_ERROR: a file is broken".to_owned();
        world
            .sandbox
            .athena_faults()
            .fail(QueryFailure { retryable, message }, queries);
    };
    let ask = Ask::of(alice());
    fail(true, Queries::Next(1));
    let drained = world.read("cloudtrail_projected", &ask).await;
    assert_eq!(drained.error, None);
    assert!(!drained.events.is_empty());
    assert_eq!(world.sandbox.athena_stats().started, 2);

    fail(true, Queries::Next(2));
    let error = world
        .read("cloudtrail_projected", &ask)
        .await
        .error
        .unwrap();
    assert_eq!(error.reason.code, ReasonCode::QueryFailed);
    assert_eq!(world.sandbox.athena_stats().started, 4);

    fail(false, Queries::ALL);
    let error = world
        .read("cloudtrail_projected", &ask)
        .await
        .error
        .unwrap();
    assert_eq!(error.reason.code, ReasonCode::QueryFailed);
    assert!(error.reason.message.contains("a file is broken"), "{error}");
    assert!(error.reason.message.contains("user error"), "{error}");
    assert!(error.reason.aws_request_id.is_some());
    assert!(error.cost.bytes_scanned_total > 0);
    assert_eq!(world.sandbox.athena_stats().started, 5);
    assert_eq!(world.sandbox.athena_stats().stopped, 0);
}

#[tokio::test]
async fn a_query_that_outlasts_its_time_is_stopped_and_said_so() {
    let world = World::start_with(sandbox(), "1s").await;
    world
        .sandbox
        .athena_faults()
        .slow(Duration::from_mins(10), Queries::ALL);
    let error = world
        .read("cloudtrail_projected", &Ask::of(alice()))
        .await
        .error
        .unwrap();
    assert_eq!(error.reason.code, ReasonCode::QueryFailed);
    assert!(error.reason.message.contains("query_timeout"), "{error}");
    world.until_stopped(1).await;
}

#[tokio::test]
async fn a_spent_byte_budget_stops_the_query_and_starts_no_other() {
    let world = World::start(sandbox()).await;
    // The bytes that a slow query reports grow as it runs.
    world
        .sandbox
        .athena_faults()
        .slow(Duration::from_secs(20), Queries::ALL);
    let ask = Ask {
        max_scan_bytes: Some(1),
        ..Ask::of(alice())
    };
    let archive = world.archive("cloudtrail_projected").await;
    let search = ask.search();
    let error = drain(world.athena.open(&ask.scan(&archive), &search))
        .await
        .error
        .unwrap();
    assert_eq!(error.reason.code, ReasonCode::MaxScanBytes);
    assert!(error.cost.bytes_scanned_total > 0);
    world.until_stopped(1).await;

    let error = drain(world.athena.open(&ask.scan(&archive), &search))
        .await
        .error
        .unwrap();
    assert_eq!(error.reason.code, ReasonCode::MaxScanBytes);
    assert_eq!(world.sandbox.athena_stats().started, 1);
}

#[tokio::test]
async fn throttled_calls_are_repeated_and_counted() {
    let mut config = sandbox();
    config.faults.throttle = Percent::try_from(30).unwrap();
    let world = World::start(config).await;
    let mut throttles = 0;
    for _ in 0..5 {
        let ask = Ask::of(alice());
        let drained = world.read("cloudtrail_by_region", &ask).await;
        assert_eq!(
            drained.seen(&ask),
            world.naive("cloudtrail_by_region", &ask)
        );
        throttles += (drained.pages.iter())
            .map(|page| page.cost.throttles)
            .sum::<u64>();
    }
    assert!(throttles > 0);
    assert_eq!(world.sandbox.athena_stats().started, 5);
}

#[tokio::test]
async fn a_table_that_is_not_there_or_lacks_a_column_is_a_reason() {
    let world = World::start(sandbox()).await;
    let missing = world.archive("no_such_table").await;
    let reason = missing.table.clone().unwrap_err();
    assert_eq!(reason.code, ReasonCode::ArchiveUnusable);
    assert!(reason.message.contains("no_such_table"), "{reason:?}");

    // The older table cannot tell data events.
    let mut ask = Ask::of(alice());
    ask.filter.categories = vec![EventCategory::Data];
    let error = world.read("cloudtrail_legacy", &ask).await.error.unwrap();
    assert_eq!(error.reason.code, ReasonCode::ArchiveUnusable);
    assert!(error.reason.message.contains("eventcategory"), "{error}");
    assert_eq!(world.sandbox.athena_stats().started, 0);
}
