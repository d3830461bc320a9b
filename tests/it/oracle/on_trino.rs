//! The same oracle with a real Trino as Athena's engine: statements of every kind that the service
//! writes run there, and bring the same events.

use identity_trail::sandbox::athena::TrinoConfig;
use identity_trail::sandbox::{AthenaEngine, Data};

use super::corpus::{Present, sandbox};
use super::hold::{Held, Reading, Tally, most};
use super::naive::Lake;
use crate::sandbox::corpus;
use crate::world::{ArchiveSetup, Setup, World};

/// The server that the environment names.
pub fn trino() -> Option<TrinoConfig> {
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
