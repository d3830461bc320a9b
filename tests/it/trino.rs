//! The same statements on a real Trino server, which is right where other engines differ. Only where
//! `IDENTITY_TRAIL_TRINO` names one (see `.ci/trino`).

use identity_trail::sandbox::athena::TrinoConfig;
use identity_trail::sandbox::{AthenaEngine, Data, SandboxConfig};

use crate::athena_world::{self, Ask, World};
use crate::sandbox::corpus;

/// The server that the environment names.
fn trino() -> Option<AthenaEngine> {
    let Ok(url) = std::env::var("IDENTITY_TRAIL_TRINO") else {
        println!("IDENTITY_TRAIL_TRINO is not set: no statement was run on a real Trino");
        return None;
    };
    let warehouse = std::env::var_os("IDENTITY_TRAIL_TRINO_WAREHOUSE")
        .expect("IDENTITY_TRAIL_TRINO needs IDENTITY_TRAIL_TRINO_WAREHOUSE beside it");
    Some(AthenaEngine::Trino(TrinoConfig {
        url,
        catalog: "hive".into(),
        warehouse: warehouse.into(),
    }))
}

#[tokio::test]
async fn every_kind_of_statement_finds_on_trino_what_a_naive_scan_finds() {
    let Some(athena_engine) = trino() else { return };
    let world = World::start(SandboxConfig {
        athena_engine,
        ..athena_world::sandbox()
    })
    .await;
    let mut asks = athena_world::one_for_each_identity(&world);
    asks.extend(athena_world::narrowed(&world));
    let found = world.assert_same_as_naive(&asks).await;
    assert!(found.iter().sum::<usize>() > 300, "{found:?}");
}

/// Some of the identities of the corpus; with `IDENTITY_TRAIL_TRINO_ALL`, each of them.
#[tokio::test]
async fn the_corpus_identities_find_on_trino_what_a_naive_scan_finds() {
    let Some(athena_engine) = trino() else { return };
    let all = std::env::var_os("IDENTITY_TRAIL_TRINO_ALL").is_some();
    for set in athena_world::CORPUS_SETS {
        let Some(directory) = corpus(set) else { return };
        let world = World::start(SandboxConfig {
            athena_engine: athena_engine.clone(),
            ..SandboxConfig::new(Data::Logs(vec![directory]))
        })
        .await;
        let each = if all { 1 } else { 40 };
        let asks: Vec<Ask> = athena_world::corpus_asks(&world, each);
        let found = world.assert_same_as_naive(&asks).await;
        assert!(found.iter().sum::<usize>() > 0, "{set}");
    }
}
