//! The same oracle at the far end of the wire: what a client decodes is what the records say, in
//! order, and no message of the stream holds a secret.

use std::collections::BTreeMap;

use identity_trail::grpc::convert::identity::to_wire;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{self, Completeness, RecordView, SearchEventsRequest};
use identity_trail::sandbox::{Data, OrganizationSpec};
use prost::Message;
use tonic::transport::Channel;

use super::corpus::{Present, sandbox};
use super::hold::most;
use super::identities::Who;
use super::naive::{Asked, Lake, Place};
use crate::sandbox::corpus;
use crate::world::{ArchiveSetup, Setup, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_decodes_every_identitys_events() {
    let mut sets = vec![Data::Organization(OrganizationSpec {
        seed: 9,
        now: "2026-06-01T12:00:00Z".parse().unwrap(),
        days: 2,
        accounts: 4,
        events_per_day: 40,
    })];
    sets.extend(corpus("invictus").map(|logs| Data::Logs(vec![logs])));
    for data in sets {
        let told = hold_over_grpc(data).await;
        assert!(told.events > 0 && told.masked > 0, "{told:?}");
    }
}

/// What came over the wire.
#[derive(Debug, Default)]
struct Told {
    events: usize,
    /// Of them, those with masked credentials.
    masked: usize,
}

async fn hold_over_grpc(data: Data) -> Told {
    let probe = World::start(sandbox(data.clone(), 0), &Setup::default()).await;
    let lake = Lake::of(probe.sandbox.files());
    drop(probe);
    let archive = ArchiveSetup::of("cloudtrail_by_account");
    let setup = Setup {
        own_regions: false,
        stall_timeout: "5m",
        ..Setup::with_archive(archive)
    };
    let world = World::start(sandbox(data, Present::SeamInside.of(&lake)), &setup).await;
    let (channel, _server) = world.assembly.connect_in_process().await.unwrap();
    let mut kinds: BTreeMap<&str, Vec<Who>> = BTreeMap::new();
    for who in Who::all(lake.0.iter().map(|stored| &stored.record)) {
        if who.allowed() {
            kinds.entry(who.kind()).or_default().push(who);
        }
    }
    let mut told = Told::default();
    for kind in kinds.into_values() {
        let step = kind.len().div_ceil(most(1));
        for who in kind.iter().step_by(step) {
            let one = hold_one(&world, &lake, channel.clone(), who).await;
            told.events += one.events;
            told.masked += one.masked;
        }
    }
    told
}

async fn hold_one(world: &World, lake: &Lake, channel: Channel, who: &Who) -> Told {
    let (first, last) = lake.span();
    let times = (first - 3600, last + 1);
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = SearchEventsRequest {
        identities: vec![to_wire(&who.identity().unwrap())],
        start_time: time(times.0),
        end_time: time(times.1),
        record_view: RecordView::Full.into(),
        ..SearchEventsRequest::default()
    };
    let mut client = IdentityTrailServiceClient::new(channel);
    let mut stream = client.search_events(request).await.unwrap().into_inner();
    let (mut plan, mut places, mut summary) = (None, Vec::new(), None);
    let secrets = lake.secrets();
    let mut told = Told::default();
    while let Some(message) = stream.message().await.unwrap() {
        let bytes = message.encode_to_vec();
        match message.item.unwrap() {
            Item::Plan(announced) => plan = Some(announced),
            Item::Event(event) => {
                if let Some(secret) = secrets.get(&*event.event_id) {
                    assert!(
                        !contains(&bytes, secret.as_bytes()),
                        "{who:?}: {}",
                        event.event_id
                    );
                    assert!(event.credentials_masked);
                    told.masked += 1;
                }
                places.push(Place::of_message(&event));
            }
            Item::Summary(end) => summary = Some(end),
            Item::Outcome(_) | Item::Progress(_) => {}
        }
    }
    let (plan, summary): (pb::SearchPlan, _) = (plan.unwrap(), summary.unwrap());
    let asked = Asked {
        places: &world.places,
        start: times.0,
        end: times.1,
        now: plan.service_time.unwrap().seconds,
        horizon: plan.horizon_time.unwrap().seconds,
        history: true,
        archive: Some(0),
        log_group: false,
        knows_category: true,
    };
    assert!(
        places.is_sorted_by(|a, b| a.order() >= b.order()),
        "{who:?}"
    );
    told.events = places.len();
    places.sort_by(|a, b| b.cmp(a));
    assert_eq!(places, asked.answer(lake, who), "{who:?}");
    let coverage = summary.coverage.unwrap();
    let complete = coverage.completeness() == Completeness::Complete;
    assert_eq!(complete, asked.complete(), "{who:?}: {coverage:?}");
    told
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}
