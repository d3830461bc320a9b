//! How a sandbox is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;

use super::athena::{AthenaConfig, AthenaFaults, QueryFailure, TrinoConfig};
use super::faults::{FaultSettings, Percent};
use super::log_file::LogFile;
use super::logs::{InsightsFailure, LogsConfig, LogsFaults};
use super::query_faults::Queries;
use super::trail::TrailSettings;
use super::{Account, OrganizationSpec};

/// Everything about a sandbox that is fixed when it starts.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where to listen; port 0 takes a free one. Only loopback addresses are bound.
    pub listen: SocketAddr,
    /// The records it holds.
    pub data: Data,
    /// What its clock reads at the start; if none, the organization's present or the real one.
    pub now: Option<Timestamp>,
    /// What everything random in it follows from.
    pub seed: u64,
    /// The name of the role that each account has for the hub to assume.
    pub role_name: String,
    /// What the hub must say to assume a role, if the trust policies ask for anything.
    pub external_id: Option<String>,
    /// LookupEvents calls a second for each account and Region; none: no quota.
    pub lookup_rate: Option<f64>,
    /// How much of that quota others ask for, in calls a second.
    pub other_tenants_rate: f64,
    /// How long page tokens of event history live, in real time.
    pub page_token_lifetime: Duration,
    /// How often one page token can be used; no limit if none.
    pub page_token_uses: Option<u32>,
    /// Whether an event's JSON is written once and kept (twice the memory), for benchmarks in
    /// which the sandbox is not what is measured.
    pub prerender: bool,
    /// What the trail behind the log files says of itself.
    pub trail: TrailSettings,
    /// What runs Athena's statements.
    pub athena_engine: AthenaEngine,
    /// How Athena is set up. It lies in the hub's account, in every Region.
    pub athena: AthenaConfig,
    /// How long each Athena query takes at least.
    pub athena_slow: Duration,
    /// How many Athena queries fail.
    pub athena_fail: Percent,
    /// How CloudWatch Logs is set up. Its log group lies in the hub's account.
    pub logs: LogsConfig,
    /// How long each Insights query takes at least.
    pub insights_slow: Duration,
    /// How many Insights queries fail.
    pub insights_fail: Percent,
    /// What else goes wrong from the start.
    pub faults: FaultSettings,
}

/// Where a sandbox's records come from.
#[derive(Debug, Clone)]
pub enum Data {
    /// From `AWSLogs/` trees below these directories. The hub is an account of its own, which
    /// does not occur in the data.
    Logs(Vec<PathBuf>),
    /// Records that are at hand. The first account is the hub.
    Files {
        /// All accounts, also those without records.
        accounts: Vec<Account>,
        /// Their log files, in any order.
        files: Vec<LogFile>,
    },
    /// A generated organization, whose first account is the hub. Unless told otherwise, the
    /// sandbox's clock starts at the organization's present.
    Organization(OrganizationSpec),
}

/// What runs Athena's statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AthenaEngine {
    /// Apache DataFusion, in this process.
    DataFusion,
    /// A Trino server, which is right where the two differ.
    Trino(TrinoConfig),
}

impl SandboxConfig {
    /// The defaults for `data`: AWS's own rules, and nothing goes wrong.
    #[must_use]
    pub fn new(data: Data) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data,
            now: None,
            seed: 0,
            role_name: "identity-trail-reader".to_owned(),
            external_id: None,
            lookup_rate: Some(2.0),
            other_tenants_rate: 0.0,
            page_token_lifetime: Duration::from_hours(1),
            page_token_uses: None,
            prerender: false,
            trail: TrailSettings::default(),
            athena_engine: AthenaEngine::DataFusion,
            athena: AthenaConfig::default(),
            athena_slow: Duration::ZERO,
            athena_fail: Percent::NEVER,
            logs: LogsConfig::default(),
            insights_slow: Duration::ZERO,
            insights_fail: Percent::NEVER,
            faults: FaultSettings::default(),
        }
    }

    /// The clock that this sandbox starts with.
    pub(super) fn clock(&self) -> Clock {
        let organization = match &self.data {
            Data::Organization(spec) => Some(spec.now),
            Data::Logs(_) | Data::Files { .. } => None,
        };
        let now = self.now.or(organization);
        now.map_or_else(Clock::system, Clock::starting_at)
    }

    /// What Athena's queries do wrong from the start.
    pub(super) fn athena_faults(&self) -> AthenaFaults {
        let faults = AthenaFaults::default();
        if !self.athena_slow.is_zero() {
            faults.slow(self.athena_slow, Queries::ALL);
        }
        if self.athena_fail != Percent::NEVER {
            let failure = QueryFailure {
                retryable: true,
                message: "The query failed because the sandbox was told to let it.".to_owned(),
            };
            faults.fail(failure, Queries::Share(self.athena_fail));
        }
        faults
    }

    /// What Insights queries do wrong from the start.
    pub(super) fn logs_faults(&self) -> LogsFaults {
        let faults = LogsFaults::default();
        if !self.insights_slow.is_zero() {
            faults.slow(self.insights_slow, Queries::ALL);
        }
        if self.insights_fail != Percent::NEVER {
            faults.fail(InsightsFailure::Failed, Queries::Share(self.insights_fail));
        }
        faults
    }
}
