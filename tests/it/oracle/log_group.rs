//! The same questions through the log group: alone, with event history, with event history and an
//! archive.

use std::collections::BTreeMap;

use futures::future::join_all;
use identity_trail::query::{BackendKind, EventTime, SearchOrder, TimeRange};
use identity_trail::sandbox::log_file::LogFile;
use identity_trail::sandbox::{Data, OrganizationSpec};

use super::assert_shows_the_same;
use super::corpus::{Present, sandbox};
use super::hold::{Held, Reading, Tally, most};
use super::identities::Who;
use super::naive::Lake;
use crate::sandbox::corpus;
use crate::world::{ArchiveSetup, LogGroupSetup, Setup, World, question};

/// How a log group is read, when, about how many of a kind is asked, and whether in both orders.
type Asking = (&'static str, Present, Reading, usize, bool);

/// Everybody, in pages or by queries of the log group alone.
fn alone(read_with: &'static str, both_orders: bool) -> Asking {
    let all = usize::MAX;
    (read_with, Present::Late, Reading::Logs, all, both_orders)
}

/// One of a kind, beside event history or instead of it.
fn beside(read_with: &'static str, reading: Reading) -> Asking {
    (read_with, Present::SeamInside, reading, 1, false)
}

/// Everybody in `data`, in these ways.
async fn hold(name: &str, data: &Data, asking: &[Asking], archive: Option<ArchiveSetup>) -> Tally {
    let lake = Lake::of(&files(data).await);
    let mut all = Tally::default();
    for &(read_with, present, reading, of_a_kind, both_orders) in asking {
        let world = world(data, &lake, present, reading, read_with, archive).await;
        let held = Held {
            world: &world,
            lake: &lake,
            archive,
            reading,
            of_a_kind: most(of_a_kind),
            both_orders,
        };
        let tally = held.everybody().await;
        tally.conclude(&format!("{name}, {present:?}, {reading:?}, {read_with}"));
        all.add(tally);
    }
    all
}

async fn files(data: &Data) -> Vec<LogFile> {
    let probe = World::start(sandbox(data.clone(), 0), &Setup::default()).await;
    probe.sandbox.files().to_vec()
}

async fn world(
    data: &Data,
    lake: &Lake,
    present: Present,
    reading: Reading,
    read_with: &'static str,
    archive: Option<ArchiveSetup>,
) -> World {
    let mut config = reading.prepared(sandbox(data.clone(), present.of(lake)));
    config.logs.filter_rate = None;
    config.logs.retention_days = 36_500;
    // Pages are small, and empty where nothing matches.
    config.logs.scanned_events_per_page = 500;
    let setup = Setup {
        archive,
        own_regions: false,
        stall_timeout: "5m",
        ..Setup::with_log_group(LogGroupSetup::read_with(read_with))
    };
    World::start(config, &setup).await
}

fn organization(seed: u64) -> Data {
    Data::Organization(OrganizationSpec {
        seed,
        now: "2026-06-01T12:00:00Z".parse().unwrap(),
        days: 3,
        accounts: 5,
        events_per_day: 60,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_gives_every_identity_of_an_organization_its_events() {
    let asking = [
        alone("filter", true),
        alone("insights", true),
        beside("filter", Reading::HistoryAndLogs),
        beside("filter", Reading::HandedOver),
    ];
    let tally = hold("organization", &organization(7), &asking, None).await;
    assert!(tally.events > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_gives_every_identity_of_invictus_its_events() {
    if let Some(logs) = corpus("invictus") {
        let asking = [
            alone("insights", false),
            beside("auto", Reading::HistoryAndLogs),
            beside("auto", Reading::HandedOver),
        ];
        let tally = hold("invictus", &Data::Logs(vec![logs]), &asking, None).await;
        assert!(tally.events > 0);
    }
}

/// What was logged before 2024 is queried, also where the log group is to be read in pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_gives_every_identity_of_the_small_sets_its_events() {
    let sets = [
        "custodian-fixtures",
        "otrf-s3-breach",
        "panther-fixtures",
        "stratus",
        "traildiscover",
    ];
    join_all(sets.map(async |set| {
        let Some(logs) = corpus(set) else { return };
        let asking = [alone("filter", false)];
        let tally = hold(set, &Data::Logs(vec![logs]), &asking, None).await;
        assert!(tally.events > 0);
    }))
    .await;
}

/// Event history from the seam on, the archive as far as it declares, the log group before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_backends_together_give_every_identity_its_events() {
    let archive = ArchiveSetup {
        // The intrusion began 97 days before the organization's present.
        first_day: jiff::civil::date(2026, 4, 1),
        ..ArchiveSetup::of("cloudtrail_by_account")
    };
    let asking = [beside("filter", Reading::All)];
    let tally = hold("organization", &organization(8), &asking, Some(archive)).await;
    assert!(tally.events > 0);
    assert_eq!(tally.incomplete, 0);
}

/// One question, in one world, to each backend alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_backend_gives_the_same_events_in_the_same_order() {
    let data = organization(9);
    let lake = Lake::of(&files(&data).await);
    let archive = ArchiveSetup::of("cloudtrail_by_account");
    let world = world(
        &data,
        &lake,
        Present::Soon,
        Reading::All,
        "filter",
        Some(archive),
    )
    .await;
    let now = EventTime::floor(world.sandbox.clock().now());
    // Inside the horizon, which moves, and delivered everywhere.
    let (start, end) = (now.plus(3600 - 90 * 24 * 3600), now.plus(-3600));
    let range = TimeRange::new(start, end).unwrap();
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    for who in Who::all(lake.0.iter().map(|stored| &stored.record)) {
        kinds.entry(who.kind()).or_default().extend(who.identity());
    }
    let mut events = 0;
    for (number, kind) in kinds.into_values().enumerate() {
        let step = kind.len().div_ceil(most(1)).max(1);
        for identity in kind.into_iter().step_by(step) {
            let mut answers = Vec::new();
            for backend in [
                BackendKind::Logs,
                BackendKind::EventHistory,
                BackendKind::Athena,
            ] {
                let mut query = question(vec![identity.clone()], range);
                query.backends = vec![backend];
                query.order = [SearchOrder::NewestFirst, SearchOrder::OldestFirst][number % 2];
                let answer = world.ask(query).await;
                assert!(answer.complete(), "{identity} {:?}", answer.outcomes());
                answers.push(answer);
            }
            let [logs, history, archive] = &answers[..] else {
                panic!("three backends")
            };
            for other in [history, archive] {
                let pairs = logs.events().zip(other.events());
                assert!(
                    pairs.map(|(a, b)| (&a.key, &b.key)).all(|(a, b)| a == b),
                    "{identity}"
                );
                assert_eq!(logs.events().count(), other.events().count(), "{identity}");
            }
            for (logged, shown) in logs.events().zip(history.events()) {
                let mut shown = shown.clone();
                shown.provenance.clone_from(&logged.provenance);
                assert_eq!(*logged, shown);
            }
            for (logged, rebuilt) in logs.events().zip(archive.events()) {
                let mut logged = logged.clone();
                // A table has no column for it.
                logged.management_event = None;
                assert_shows_the_same(rebuilt, &logged);
            }
            events += logs.events().count();
        }
    }
    assert!(events > 0);
}
