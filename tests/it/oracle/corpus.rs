//! Real records, set by set, with the horizon before, in and after them.

use identity_trail::query::{BackendKind, Identity};
use identity_trail::sandbox::{Data, SandboxConfig};

use super::hold::{Held, Reading, Tally, most};
use super::naive::Lake;
use crate::sandbox::corpus;
use crate::world::{ArchiveSetup, Setup, World, question, range};

const DAY: i64 = 24 * 3600;
const HOUR: i64 = 3600;

/// Where the sandbox's present lies.
#[derive(Debug, Clone, Copy)]
pub enum Present {
    /// Just after the 90 days with the most records: event history shows as many as it can.
    Soon,
    /// The horizon is in the middle of the records.
    HorizonInside,
    /// The seam between both backends, an hour inside the horizon, is in the middle of the records.
    SeamInside,
    /// More than 90 days after the last record.
    Late,
}

impl Present {
    /// As a time, at which no answer depends on the very second.
    pub fn of(self, lake: &Lake) -> i64 {
        lake.quiet(match self {
            Self::Soon => lake.busiest(90 * DAY) + 2 * HOUR,
            Self::HorizonInside => lake.median() + 90 * DAY,
            Self::SeamInside => lake.median() + 90 * DAY - HOUR,
            Self::Late => lake.span().1 + 91 * DAY,
        })
    }
}

/// A sandbox of `data` without a quota, its clock at `now`.
pub fn sandbox(data: Data, now: i64) -> SandboxConfig {
    let mut config = SandboxConfig::new(data);
    config.now = Some(jiff::Timestamp::from_second(now).unwrap());
    config.lookup_rate = None;
    config
}

/// The identities of a set at every horizon, through event history and the archive together and
/// through each alone; the archive alone is asked about all of them.
async fn hold(set: &str, table: &'static str, of_a_kind: usize, both: usize) -> Option<Tally> {
    let data = Data::Logs(vec![corpus(set)?]);
    let tally = hold_data(set, &data, ArchiveSetup::of(table), of_a_kind, both).await;
    tally.conclude(set);
    Some(tally)
}

/// The same for any data. `both` is how many of a kind are asked about with both backends.
pub async fn hold_data(
    name: &str,
    data: &Data,
    archive: ArchiveSetup,
    of_a_kind: usize,
    both: usize,
) -> Tally {
    let probe = World::start(sandbox(data.clone(), 0), &Setup::default()).await;
    let lake = Lake::of(probe.sandbox.files());
    drop(probe);
    let mut all = Tally::default();
    for (present, reading, of_a_kind) in [
        (Present::Soon, Reading::History, of_a_kind),
        (Present::HorizonInside, Reading::History, 2),
        (Present::Soon, Reading::Both, both.min(1)),
        (Present::SeamInside, Reading::Both, both),
        (Present::SeamInside, Reading::HandedOver, both.min(1)),
        (Present::SeamInside, Reading::CutShort, both.min(1)),
        (Present::Late, Reading::Archive, usize::MAX),
    ] {
        if of_a_kind == 0 {
            continue;
        }
        let now = present.of(&lake);
        let setup = Setup {
            own_regions: reading == Reading::History,
            // A busy machine is not what is tested.
            stall_timeout: "5m",
            max_lookup_pages: if reading == Reading::CutShort {
                1
            } else {
                1_000
            },
            ..Setup::with_archive(archive)
        };
        let config = reading.prepared(sandbox(data.clone(), now));
        let world = World::start(config, &setup).await;
        let held = Held {
            world: &world,
            lake: &lake,
            archive: Some(archive),
            reading,
            of_a_kind: most(of_a_kind),
            both_orders: false,
        };
        let tally = held.everybody().await;
        tally.conclude(&format!(
            "{name}, {present:?}, {reading:?}, {}",
            archive.table
        ));
        all.add(tally);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invictus_gives_every_identity_its_events() {
    if let Some(tally) = hold("invictus", "cloudtrail_by_account", 10, 2).await {
        assert!(tally.with_secrets > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stratus_gives_every_identity_its_events() {
    hold("stratus", "cloudtrail_projected", 4, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panther_gives_every_identity_its_events() {
    hold("panther-fixtures", "cloudtrail_by_region", 6, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traildiscover_gives_every_identity_its_events() {
    hold("traildiscover", "cloudtrail_legacy", 10, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn otrf_gives_every_identity_its_events() {
    hold("otrf-s3-breach", "cloudtrail_by_region", 10, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custodian_gives_every_identity_its_events() {
    hold("custodian-fixtures", "cloudtrail_by_account", 10, 0).await;
}

#[tokio::test]
async fn benjamin_has_105_events_in_event_history() {
    let Some(logs) = corpus("invictus") else {
        return;
    };
    let now: jiff::Timestamp = "2023-08-01T00:00:00Z".parse().unwrap();
    let sandbox = sandbox(Data::Logs(vec![logs]), now.as_second());
    let world = World::start(sandbox, &Setup::default()).await;
    let benjamin = Identity::UserName("benjamin".parse().unwrap());
    let all = range("2023-07-01T00:00:00Z", "2023-08-01T00:00:00Z");
    let mut query = question(vec![benjamin], all);
    query.backends = vec![BackendKind::EventHistory];
    let answer = world.ask(query).await;
    assert!(answer.complete(), "{:?}", answer.outcomes());
    assert_eq!(answer.events().count(), 105);
    assert_eq!(
        world.lookups(),
        5,
        "narrowed to the user: 105 in pages of 50, and whether it federated anybody"
    );
}
