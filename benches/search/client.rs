//! A caller of the service.

use std::time::{Duration, Instant};

use identity_trail::grpc::pb;
use pb::identity_trail_service_client::IdentityTrailServiceClient;
use pb::search_events_response::Item;
use prost::Message;
use tonic::transport::Channel;

use crate::Error;
use crate::fixture::{ROLE, SESSION};

/// A connection to the service.
pub type Client = IdentityTrailServiceClient<Channel>;

pub async fn connect(url: &str) -> Result<Client, Error> {
    let channel = Channel::from_shared(url.to_owned())?.connect().await?;
    Ok(Client::new(channel))
}

/// Everything that the role did in [from, to): event history cannot narrow it, and all of it matches.
pub fn by_role((from, to): (i64, i64)) -> pb::SearchEventsRequest {
    pb::SearchEventsRequest {
        // What is measured is reading everything, not the choice of a cheaper way.
        exact_roles: true,
        ..asked(pb::identity::Kind::RoleName(ROLE.to_owned()), from, to)
    }
}

/// What one session did in [from, to): event history looks it up by name.
pub fn by_session((from, to): (i64, i64)) -> pb::SearchEventsRequest {
    asked(
        pb::identity::Kind::SessionName(SESSION.to_owned()),
        from,
        to,
    )
}

/// What this identity did in [from, to).
pub fn asked(kind: pb::identity::Kind, from: i64, to: i64) -> pb::SearchEventsRequest {
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    pb::SearchEventsRequest {
        identities: vec![pb::Identity { kind: Some(kind) }],
        start_time: time(from),
        end_time: time(to),
        ..pb::SearchEventsRequest::default()
    }
}

/// What came in a search.
#[derive(Debug, Default)]
pub struct Read {
    pub events: u64,
    /// In bytes, as it was sent.
    pub largest_message: usize,
}

/// Reads a search to its end, at most `per_second` events a second, and returns what came. Anything but a complete answer is an error: an incomplete one is no measure.
pub async fn read_all(
    client: &mut Client,
    request: pb::SearchEventsRequest,
    per_second: Option<f64>,
) -> Result<Read, Error> {
    let began = Instant::now();
    let mut stream = client.search_events(request).await?.into_inner();
    let mut read = Read::default();
    let mut completeness = None;
    while let Some(message) = stream.message().await? {
        // Events are bounded by CloudTrail; measuring each would slow the client.
        if !matches!(message.item, Some(Item::Event(_))) {
            read.largest_message = read.largest_message.max(message.encoded_len());
        }
        match message.item {
            Some(Item::Event(_)) => {
                read.events += 1;
                if let Some(per_second) = per_second {
                    #[expect(clippy::cast_precision_loss, reason = "a few million at most")]
                    let due = began + Duration::from_secs_f64(read.events as f64 / per_second);
                    // A timer's tick early is soon enough.
                    if due > Instant::now() + Duration::from_millis(1) {
                        tokio::time::sleep_until(due.into()).await;
                    }
                }
            }
            Some(Item::Summary(summary)) => {
                completeness = summary.coverage.map(|coverage| coverage.completeness());
            }
            Some(Item::Outcome(report)) => {
                // How roles are read is told as well.
                let read = |it: &pb::ScanOutcome| it.state() == pb::OutcomeState::Complete;
                if !report.outcomes.iter().all(read) {
                    return Err(format!("{report:?}").into());
                }
            }
            Some(Item::Plan(_) | Item::Progress(_)) | None => {}
        }
    }
    match completeness {
        Some(pb::Completeness::Complete) => Ok(read),
        other => Err(format!("not complete but {other:?}").into()),
    }
}

/// What was seen up to the first event.
#[derive(Debug)]
pub struct FirstEvent {
    pub after: Duration,
    /// How many scans of event history and of Athena the plan has.
    pub scans: (i64, i64),
}

/// Asks, and goes away with the first event.
pub async fn first_event(
    client: &mut Client,
    request: pb::SearchEventsRequest,
) -> Result<FirstEvent, Error> {
    let began = Instant::now();
    let mut stream = client.search_events(request).await?.into_inner();
    let mut scans = (0, 0);
    while let Some(message) = stream.message().await? {
        match message.item {
            Some(Item::Plan(plan)) => {
                for route in &plan.routes {
                    match route.backend() {
                        pb::Backend::Athena => scans.1 += route.scans,
                        _ => scans.0 += route.scans,
                    }
                }
            }
            Some(Item::Event(_)) => {
                let after = began.elapsed();
                return Ok(FirstEvent { after, scans });
            }
            _ => {}
        }
    }
    Err("the search had no event".into())
}
