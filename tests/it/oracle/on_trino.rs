//! The same oracle with a real Trino as Athena's engine: statements of every kind that the service
//! writes run there, and bring the same events.

use identity_trail::query::{BackendKind, Identity};
use identity_trail::sandbox::athena::TrinoConfig;
use identity_trail::sandbox::{AthenaEngine, Data};

use super::corpus::{Present, sandbox};
use super::hold::{Held, Reading, Tally, most};
use super::naive::Lake;
use crate::sandbox::corpus;
use crate::world::{ArchiveSetup, Setup, World, question, range};

/// The server that the environment names.
fn trino() -> Option<TrinoConfig> {
    let Ok(url) = std::env::var("IDENTITY_TRAIL_TRINO") else {
        println!("IDENTITY_TRAIL_TRINO is not set: nothing was run on a real Trino");
        return None;
    };
    let warehouse = std::env::var_os("IDENTITY_TRAIL_TRINO_WAREHOUSE")
        .expect("IDENTITY_TRAIL_TRINO needs IDENTITY_TRAIL_TRINO_WAREHOUSE beside it");
    Some(TrinoConfig {
        url,
        catalog: "hive".to_owned(),
        warehouse: warehouse.into(),
    })
}

/// Some identities of each kind (all with `IDENTITY_TRAIL_ORACLE=all`) of two sets, each table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trino_gives_identities_their_events_in_every_partition_layout() {
    let Some(engine) = trino() else { return };
    let mut all = Tally::default();
    for (set, table) in [
        ("invictus", "cloudtrail_by_account"),
        ("custodian-fixtures", "cloudtrail_by_region"),
        ("panther-fixtures", "cloudtrail_projected"),
        ("invictus", "cloudtrail_legacy"),
    ] {
        let Some(logs) = corpus(set) else { return };
        let data = Data::Logs(vec![logs]);
        let probe = World::start(sandbox(data.clone(), 0), &Setup::default()).await;
        let lake = Lake::of(probe.sandbox.files());
        let mut config = sandbox(data, Present::Late.of(&lake));
        config.athena_engine = AthenaEngine::Trino(engine.clone());
        let archive = ArchiveSetup::of(table);
        let setup = Setup {
            own_regions: false,
            stall_timeout: "5m",
            ..Setup::with_archive(archive)
        };
        let world = World::start(config, &setup).await;
        for (reading, of_a_kind) in [(Reading::Both, 1), (Reading::Archive, 20)] {
            let held = Held {
                world: &world,
                lake: &lake,
                archive: Some(archive),
                reading,
                of_a_kind: most(of_a_kind),
                both_orders: false,
            };
            let tally = held.everybody().await;
            tally.conclude(&format!("Trino, {set}, {table}, {reading:?}"));
            all.add(tally);
        }
    }
    all.conclude("Trino");
    assert!(all.events > 0);
}

#[tokio::test]
async fn trino_keeps_to_filters() {
    let (Some(engine), Some(logs)) = (trino(), corpus("invictus")) else {
        return;
    };
    let now: jiff::Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let mut config = sandbox(Data::Logs(vec![logs]), now.as_second());
    config.athena_engine = AthenaEngine::Trino(engine);
    let setup = Setup::with_archive(ArchiveSetup::of("cloudtrail_projected"));
    let world = World::start(config, &setup).await;
    let benjamin = Identity::UserName("benjamin".parse().unwrap());
    let all = range("2023-07-01T00:00:00Z", "2023-08-01T00:00:00Z");
    let mut query = question(vec![benjamin], all);
    query.backends = vec![BackendKind::Athena];
    let everything = world.ask(query.clone()).await;
    assert_eq!(everything.events().count(), 105);
    let event = everything.events().next().unwrap();
    query.filter.event_names = vec![event.event_name.clone(), "No'such\\Name%_".to_owned()];
    query.filter.event_sources = vec![event.event_source.clone()];
    let filtered = world.ask(query).await;
    assert!(filtered.complete());
    let expected = everything.events().filter(|other| {
        other.event_name == event.event_name && other.event_source == event.event_source
    });
    assert_eq!(filtered.events().count(), expected.count());
}
