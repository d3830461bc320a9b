//! A service over a sandbox in this process: what a search is planned to take, and what the sandbox
//! then counts.

use identity_trail::assembly::Assembly;
use identity_trail::config::Config;
use identity_trail::federation::HubCredentials;
use identity_trail::grpc::{Server, pb};
use identity_trail::sandbox::logs::{LOG_GROUP_NAME, LOG_GROUP_REGION};
use identity_trail::sandbox::{Sandbox, SandboxConfig};
use serde_json::json;

use crate::Error;
use crate::client::{self, Client};

/// The calls that read events; sessions, table descriptions and the like are not among them.
const READING: &[&str] = &[
    "LookupEvents",
    "FilterLogEvents",
    "StartQuery",
    "GetQueryResults",
    "StartQueryExecution",
    "GetQueryExecution",
    "GetQueryResultsStream",
    "StopQueryExecution",
];

/// The first day of what is stored: that of [`crate::plan_against_run`]'s records.
const FIRST_DAY: &str = "2026-05-05";

/// A service over a sandbox.
pub struct Counted {
    sandbox: Sandbox,
    pub client: Client,
    _server: Server,
    _assembly: Assembly,
}

/// What was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    pub requests: u64,
    pub bytes: u64,
}

impl Counted {
    /// Every account of the sandbox in these Regions; an archive and a log group for those of
    /// `stored`.
    pub async fn start(
        sandbox: SandboxConfig,
        regions: &[&str],
        stored: &[&str],
    ) -> Result<Self, Error> {
        let sandbox = Sandbox::start(sandbox).await?;
        let accounts = sandbox.accounts().iter().map(|account| {
            let mut entry = json!({"id": account.id});
            if account.id == sandbox.hub_account_id() {
                entry["credentials"] = json!("hub");
            }
            entry
        });
        let holds = json!({"accounts": stored, "first_day": FIRST_DAY});
        let hub = sandbox.hub_account_id();
        let mut yaml = json!({
            "hub": {"region": regions[0], "endpoint_url": sandbox.endpoint()},
            "accounts": {
                "defaults": {"role_name": sandbox.role_name()},
                "list": accounts.collect::<Vec<_>>(),
            },
            "regions": regions,
            "event_history": {"requests_per_second": "off"},
            "limits": {"filter_log_events_per_second": "off"},
        });
        if !stored.is_empty() {
            yaml["archives"] = json!([{
                "name": "archive",
                "account": hub,
                "region": regions[0],
                "credentials": "hub",
                "database": "cloudtrail_logs",
                "table": "cloudtrail_by_account",
                "output_location": "s3://results/",
                "partitions": {"layout": "account_region_date"},
                "holds": holds,
            }]);
            yaml["log_groups"] = json!([{
                "name": "group",
                "account": hub,
                "region": LOG_GROUP_REGION,
                "credentials": "hub",
                "log_group": LOG_GROUP_NAME,
                "holds": holds,
            }]);
        }
        let config = Config::parse(&yaml.to_string(), "bench")?;
        let keys = sandbox.hub_credentials();
        let keys = HubCredentials {
            access_key_id: keys.access_key_id.clone(),
            secret_access_key: keys.secret_access_key.clone(),
        };
        let assembly = Assembly::of(&config, Some(keys), sandbox.clock()).await?;
        let server = assembly.serve(([127, 0, 0, 1], 0).into()).await?;
        let client = client::connect(&format!("http://{}", server.local_addr())).await?;
        Ok(Self {
            sandbox,
            client,
            _server: server,
            _assembly: assembly,
        })
    }

    /// What the search is planned to take, its lookups probed.
    pub async fn plan(
        &mut self,
        search: &pb::SearchEventsRequest,
    ) -> Result<pb::CostEstimate, Error> {
        let request = pb::PlanSearchRequest {
            search: Some(search.clone()),
            probe: true,
            ..pb::PlanSearchRequest::default()
        };
        let plan = self.client.plan_search(request).await?.into_inner();
        match plan.probe_failures.as_slice() {
            [] => plan
                .estimate
                .ok_or_else(|| "a plan without estimate".into()),
            failures => Err(format!("{failures:?}").into()),
        }
    }

    /// Runs a search to its end and returns what that took.
    pub async fn run(&mut self, search: pb::SearchEventsRequest) -> Result<Spent, Error> {
        let before = self.spent();
        client::read_all(&mut self.client, search, None).await?;
        let after = self.spent();
        Ok(Spent {
            requests: after.requests - before.requests,
            bytes: after.bytes - before.bytes,
        })
    }

    fn spent(&self) -> Spent {
        let stats = self.sandbox.stats();
        let requests = stats.sum(|call| READING.contains(&call.operation.as_str()));
        Spent {
            requests: requests.received,
            bytes: self.sandbox.athena_stats().scanned_bytes
                + self.sandbox.logs_stats().scanned_bytes,
        }
    }
}
