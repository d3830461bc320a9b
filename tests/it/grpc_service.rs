//! What the tests of the wire share: the whole service beside a sandbox, and clients of it.

use identity_trail::assembly::Assembly;
use identity_trail::config::Config;
use identity_trail::federation::{Federation, HubCredentials};
use identity_trail::grpc::Server;
use identity_trail::grpc::pb::identity::Kind;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{Identity, SearchEventsRequest, SearchOrder};
use identity_trail::sandbox::Sandbox;
use identity_trail::telemetry::Metrics;
use serde_json::Value;
use tonic::transport::Channel;

use crate::sandbox::{HUB, OTHER, REGION, config, record};

/// The sandbox's now.
pub const NOW: &str = "2026-11-01T00:00:00Z";

/// A service on a port of its own, over a sandbox of the accounts [`HUB`] and [`OTHER`].
pub struct Service {
    /// Serves until it is dropped.
    server: Server,
    pub assembly: Assembly,
    pub sandbox: Sandbox,
    pub channel: Channel,
}

impl Service {
    /// Over `records` of [`OTHER`].
    pub async fn start(records: &[Value]) -> Self {
        let sandbox = Sandbox::start(config(records, NOW)).await.unwrap();
        let list = format!(
            "    - {{id: \"{HUB}\", name: hub, credentials: hub}}
    - {{id: \"{OTHER}\"}}"
        );
        let config = service_config(&sandbox, &list);
        Self::over(sandbox, &config).await
    }

    /// Over this sandbox, as configured.
    pub async fn over(sandbox: Sandbox, config: &Config) -> Self {
        let assembly = assembly(&sandbox, config).await;
        Self::of(sandbox, assembly).await
    }

    /// Of these parts.
    pub async fn of(sandbox: Sandbox, assembly: Assembly) -> Self {
        let server = assembly.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        let channel = connect(&server).await;
        Self {
            server,
            assembly,
            sandbox,
            channel,
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.local_addr())
    }

    pub fn client(&self) -> IdentityTrailServiceClient<Channel> {
        IdentityTrailServiceClient::new(self.channel.clone())
    }

    /// All messages of a search.
    pub async fn search(&self, request: SearchEventsRequest) -> Vec<Item> {
        let answer = self.client().search_events(request).await.unwrap();
        let mut stream = answer.into_inner();
        let mut items = Vec::new();
        while let Some(response) = stream.message().await.unwrap() {
            items.push(response.item.unwrap());
        }
        items
    }

    /// Calls that reached AWS.
    pub fn aws_calls(&self) -> u64 {
        self.sandbox.stats().sum(|_| true).received
    }
}

/// A configuration of these accounts over a sandbox.
pub fn service_config(sandbox: &Sandbox, accounts: &str) -> Config {
    service_config_with(sandbox, accounts, "")
}

/// The same with more sections.
pub fn service_config_with(sandbox: &Sandbox, accounts: &str, sections: &str) -> Config {
    let yaml = format!(
        "hub:
  region: {REGION}
  endpoint_url: {}
accounts:
  defaults: {{role_name: {}}}
  list:
{accounts}
regions: [{REGION}]
event_history: {{requests_per_second: off}}
{sections}",
        sandbox.endpoint(),
        sandbox.role_name(),
    );
    Config::parse(&yaml, "test").unwrap()
}

/// The parts of a service of this configuration, with the sandbox's clock and hub.
pub async fn assembly(sandbox: &Sandbox, config: &Config) -> Assembly {
    let hub = sandbox.hub_credentials();
    let hub = HubCredentials {
        access_key_id: hub.access_key_id.clone(),
        secret_access_key: hub.secret_access_key.clone(),
    };
    let federation = Federation::connect_as(config, hub, &Metrics::new()).await;
    Assembly::new(config, federation, sandbox.clock()).unwrap()
}

pub async fn connect(server: &Server) -> Channel {
    let url = format!("http://{}", server.local_addr());
    Channel::from_shared(url).unwrap().connect().await.unwrap()
}

/// What did the user `alice` do?
pub fn request() -> SearchEventsRequest {
    SearchEventsRequest {
        identities: vec![identity(Kind::UserName("alice".into()))],
        ..SearchEventsRequest::default()
    }
}

pub fn identity(kind: Kind) -> Identity {
    Identity { kind: Some(kind) }
}

#[tokio::test]
async fn a_search_is_a_plan_events_in_order_and_a_summary() {
    let records: Vec<Value> = (0..120)
        .map(|number| {
            let (minute, second) = (number / 60, number % 60);
            let user = if number % 3 == 0 { "alice" } else { "bob" };
            record(
                number,
                &format!("2026-10-31T10:{minute:02}:{second:02}Z"),
                user,
            )
        })
        .collect();
    let service = Service::start(&records).await;
    let items = service.search(request()).await;
    let (Some(Item::Plan(plan)), Some(Item::Summary(summary))) = (items.first(), items.last())
    else {
        panic!("{items:?}");
    };
    assert_eq!(plan.accounts_total, 2);
    let times: Vec<i64> = (items.iter())
        .filter_map(|item| match item {
            Item::Event(event) => Some(event.event_time.unwrap().seconds),
            _ => None,
        })
        .collect();
    assert_eq!(times.len(), 40);
    assert!(times.is_sorted_by(|newer, older| newer > older));
    assert!(summary.answered_from_time.is_some() && summary.answered_until_time.is_none());

    let oldest_first = SearchEventsRequest {
        order: SearchOrder::OldestFirst.into(),
        ..request()
    };
    let items = service.search(oldest_first).await;
    let Some(Item::Summary(summary)) = items.last() else {
        panic!("{items:?}");
    };
    let reversed: Vec<i64> = (items.iter())
        .filter_map(|item| match item {
            Item::Event(event) => Some(event.event_time.unwrap().seconds),
            _ => None,
        })
        .collect();
    assert!(reversed.iter().rev().eq(&times));
    assert_eq!(summary.answered_until_time, summary.end_time);
    assert!(summary.answered_from_time.is_none());
    assert_eq!(summary.counts.as_ref().unwrap().events_sent, 40);
    let coverage = summary.coverage.as_ref().unwrap();
    assert_eq!(
        coverage.completeness(),
        identity_trail::grpc::pb::Completeness::Complete
    );
    // Two accounts with one Region each, alike, are one entry.
    assert_eq!(coverage.outcomes.len(), 1);
    assert_eq!(coverage.outcomes[0].account_ids, [HUB, OTHER]);
}
