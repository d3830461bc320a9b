//! The same questions through the log group, alone and with event history.

use identity_trail::sandbox::{Data, OrganizationSpec};

use super::corpus::{Present, sandbox};
use super::hold::{Held, Reading, Tally, most};
use super::naive::Lake;
use crate::sandbox::corpus;
use crate::world::{LogGroupSetup, Setup, World};

/// Everybody in `data`, read with both APIs; a few of each kind with event history beside it.
async fn hold(name: &str, data: &Data) -> Tally {
    let probe = World::start(sandbox(data.clone(), 0), &Setup::default()).await;
    let lake = Lake::of(probe.sandbox.files());
    drop(probe);
    let mut all = Tally::default();
    for (read_with, present, reading, of_a_kind) in [
        ("filter", Present::Late, Reading::Logs, usize::MAX),
        ("insights", Present::Late, Reading::Logs, usize::MAX),
        ("auto", Present::SeamInside, Reading::HistoryAndLogs, 1),
        ("auto", Present::SeamInside, Reading::HandedOver, 1),
    ] {
        let mut config = reading.prepared(sandbox(data.clone(), present.of(&lake)));
        config.logs.filter_rate = None;
        config.logs.retention_days = 36_500;
        // Pages are small, and empty where nothing matches.
        config.logs.scanned_events_per_page = 500;
        let setup = Setup {
            own_regions: false,
            stall_timeout: "5m",
            ..Setup::with_log_group(LogGroupSetup::read_with(read_with))
        };
        let world = World::start(config, &setup).await;
        let held = Held {
            world: &world,
            lake: &lake,
            archive: None,
            reading,
            of_a_kind: most(of_a_kind),
        };
        let tally = held.everybody().await;
        tally.conclude(&format!("{name}, {present:?}, {reading:?}, {read_with}"));
        all.add(tally);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_gives_every_identity_of_an_organization_its_events() {
    let data = Data::Organization(OrganizationSpec {
        seed: 7,
        now: "2026-06-01T12:00:00Z".parse().unwrap(),
        days: 3,
        accounts: 5,
        events_per_day: 60,
    });
    let tally = hold("organization", &data).await;
    assert!(tally.events > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_gives_every_identity_of_invictus_its_events() {
    // Of 2023: what was logged before 2024 is queried, whatever the log group is to be read with.
    if let Some(logs) = corpus("invictus") {
        let tally = hold("invictus", &Data::Logs(vec![logs])).await;
        assert!(tally.events > 0);
    }
}
