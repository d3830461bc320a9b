//! An AWS look-alike on a loopback port that speaks the real wire protocols.
//!
//! ```text
//! load / organization ─▶ LogFile ─┬▶ event_history ─▶ lookup_events ┐
//!                                 ├▶ athena ────────────────────────┤
//!                                 └▶ logs ──────────────────────────┤
//! front_door ─▶ protocol ─▶ services (sigv4, faults, stats) ─▶ sts ─┤
//!                                       organizations, account_api ─┴▶ answer
//! ```
//!
//! It keeps AWS's rules (whose account a call is for, who may assume what, quotas, pages, the 90
//! days) and misbehaves on demand ([`Faults`]). Nothing in it is meant for real data of others: it
//! binds loopback addresses only.

mod account_api;
pub mod args;
pub mod athena;
mod call_rate;
mod config;
mod credentials;
pub mod error;
mod event_history;
mod faults;
mod front_door;
mod history_event;
mod holdings;
pub mod load;
pub mod log_file;
pub mod logs;
mod lookup_events;
pub mod organization;
pub mod organizations;
mod page_token;
mod protocol;
pub mod query_faults;
mod services;
mod sigv4;
mod stats;
mod sts;
mod trail;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use crate::clock::Clock;

pub use config::{AthenaEngine, Data, SandboxConfig};
pub use credentials::Credentials;
pub use faults::{Denial, FaultSettings, Faults, NotAPercentage, Percent};
pub use organization::{Account, OrganizationSpec, Story};
pub use stats::{Call, Counts, Stats};
pub use sts::AssumedRole;
pub use trail::{Selectors, TrailSettings};

use account_api::AccountApi;
use athena::engine::Engine;
use athena::{
    AthenaFaults, AthenaService, AthenaStats, DataFusionEngine, TableFiles, TrinoEngine,
    TrinoStartError,
};
use call_rate::CallRate;
use credentials::{Keyring, Principal, unique_id};
use event_history::EventHistories;
use front_door::FrontDoor;
use holdings::Holdings;
use load::LoadError;
use log_file::LogFile;
use logs::{LogsFaults, LogsService, LogsStats};
use lookup_events::CloudTrail;
use organizations::Organizations;
use page_token::PageTokens;
use services::Services;
use stats::Counters;
use sts::Sts;
use trail::Trails;

/// A running sandbox. Dropping it closes its port, its connections and its queries.
#[derive(Debug)]
pub struct Sandbox {
    front_door: FrontDoor,
    services: Arc<Services>,
    accounts: Vec<Account>,
    hub_account_id: String,
    hub_credentials: Credentials,
    role_name: String,
    external_id: Option<String>,
    files: Arc<[LogFile]>,
    load_problems: Vec<load::Problem>,
    story: Option<Story>,
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its log files cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The Trino server that was named cannot serve.
    #[error(transparent)]
    Trino(#[from] TrinoStartError),
    /// It has no account, and so no hub.
    #[error("a sandbox needs at least one account")]
    NoAccounts,
    /// It only ever listens on loopback: its credentials are printed, and so no secret.
    #[error("{0} is not a loopback address: the sandbox listens on 127.0.0.0/8 or ::1 only")]
    NotLoopback(SocketAddr),
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl Sandbox {
    /// Loads the data and serves until the sandbox is dropped.
    pub async fn start(config: SandboxConfig) -> Result<Self, StartError> {
        if !config.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(config.listen));
        }
        let seed = config.seed;
        let clock = config.clock();
        let athena_faults = config.athena_faults();
        let logs_faults = config.logs_faults();
        let loading = tokio::task::spawn_blocking(move || Holdings::of(config.data));
        let holdings = match loading.await {
            Ok(holdings) => holdings?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Holdings {
            accounts,
            directory,
            hub_account_id,
            files,
            load_problems,
            story,
        } = holdings;

        let faults = Arc::new(Faults::new(config.faults, seed));
        let keyring = Arc::new(Keyring::new(seed));
        let hub = keyring.issue(hub_principal(&hub_account_id), None);
        let cloudtrail = CloudTrail {
            histories: EventHistories::new(&files, seed, config.prerender),
            rate: CallRate::new(config.lookup_rate, config.other_tenants_rate, seed),
            tokens: PageTokens::new(seed, config.page_token_lifetime, config.page_token_uses),
            faults: Arc::clone(&faults),
            seed,
        };
        let account_ids: BTreeSet<String> =
            accounts.iter().map(|account| account.id.clone()).collect();
        let sts = Sts {
            keyring: Arc::clone(&keyring),
            faults: Arc::clone(&faults),
            hub_account_id: hub_account_id.clone(),
            accounts: account_ids
                .into_iter()
                .chain([hub_account_id.clone()])
                .collect(),
            role_name: config.role_name.clone(),
            external_id: config.external_id.clone(),
            files: Arc::clone(&files),
            assumed: Mutex::default(),
        };
        let table_files = Arc::new(TableFiles::new(Arc::clone(&files), clock));
        let engine: Arc<dyn Engine> = match config.athena_engine {
            AthenaEngine::DataFusion => Arc::new(DataFusionEngine::new(&table_files)),
            AthenaEngine::Trino(trino) => {
                Arc::new(TrinoEngine::start(trino, Arc::clone(&table_files)).await?)
            }
        };
        let athena = AthenaService::new(engine, table_files, config.athena, athena_faults);
        let logs = LogsService::new(&hub_account_id, &files, config.logs, logs_faults, seed);
        let trails = Trails::new(
            config.trail,
            hub_account_id.clone(),
            logs.group_arn().to_owned(),
            Arc::clone(&files),
        );
        let page_tokens = || PageTokens::new(seed, config.page_token_lifetime, None);
        let services = Arc::new(Services {
            organizations: Organizations {
                directory: RwLock::new(Arc::new(directory)),
                tokens: page_tokens(),
            },
            account_api: AccountApi::new(&files, page_tokens()),
            keyring,
            faults,
            counters: Counters::default(),
            clock,
            sts,
            cloudtrail: Arc::new(cloudtrail),
            trails,
            athena,
            logs,
        });
        let front_door = FrontDoor::open(config.listen, Arc::clone(&services)).await;
        let front_door = front_door.map_err(|source| StartError::Bind {
            address: config.listen,
            source,
        })?;
        Ok(Self {
            front_door,
            services,
            accounts,
            hub_account_id,
            hub_credentials: hub.credentials.clone(),
            role_name: config.role_name,
            external_id: config.external_id,
            files,
            load_problems,
            story,
        })
    }

    /// Where all its services are: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.front_door.address())
    }

    /// Its clock, for event times; a service beside it shares it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.services.clock
    }

    /// The accounts whose events it holds.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Its AWS Organizations; can be changed while it serves.
    #[must_use]
    pub fn organizations(&self) -> &Organizations {
        &self.services.organizations
    }

    /// The account of [`Sandbox::hub_credentials`], where Athena and the log group are: the first account of an
    /// organization; with log files an account of its own, which is not in the data.
    #[must_use]
    pub fn hub_account_id(&self) -> &str {
        &self.hub_account_id
    }

    /// What a service beside it starts with: an IAM user's key in the hub account.
    #[must_use]
    pub fn hub_credentials(&self) -> &Credentials {
        &self.hub_credentials
    }

    /// Every key that it has issued: the hub's, and one for each session. For tests that look for them
    /// where they must not be.
    #[must_use]
    pub fn issued_credentials(&self) -> Vec<Credentials> {
        let keys = self.services.keyring.all();
        keys.iter().map(|key| key.credentials.clone()).collect()
    }

    /// The role in `account_id` that the hub may assume.
    #[must_use]
    pub fn role_arn(&self, account_id: &str) -> String {
        format!("arn:aws:iam::{account_id}:role/{}", self.role_name)
    }

    /// The name of that role, which is the same in every account.
    #[must_use]
    pub fn role_name(&self) -> &str {
        &self.role_name
    }

    /// What the hub must say to assume a role, if anything.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }

    /// Everything it holds, in order of delivery: what an oracle scans.
    #[must_use]
    pub fn files(&self) -> &[LogFile] {
        &self.files
    }

    /// What of the log files could not be read.
    #[must_use]
    pub fn load_problems(&self) -> &[load::Problem] {
        &self.load_problems
    }

    /// What there is to find, in a generated organization.
    #[must_use]
    pub fn story(&self) -> Option<&Story> {
        self.story.as_ref()
    }

    /// What it was asked so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.services.counters.snapshot()
    }

    /// Every role that was assumed so far, in order.
    #[must_use]
    pub fn assumed_roles(&self) -> Vec<AssumedRole> {
        let assumed = self.services.sts.assumed.lock();
        assumed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its Athena has done so far.
    #[must_use]
    pub fn athena_stats(&self) -> AthenaStats {
        self.services.athena.stats()
    }

    /// What its Athena's queries do wrong; can be changed while it serves.
    #[must_use]
    pub fn athena_faults(&self) -> &AthenaFaults {
        self.services.athena.faults()
    }

    /// The ARN of the log group that all records were sent to: [`logs::LOG_GROUP_NAME`] in the
    /// hub's account and [`logs::LOG_GROUP_REGION`].
    #[must_use]
    pub fn log_group_arn(&self) -> &str {
        self.services.logs.group_arn()
    }

    /// What its CloudWatch Logs has been asked of Insights so far.
    #[must_use]
    pub fn logs_stats(&self) -> LogsStats {
        self.services.logs.stats()
    }

    /// What its Insights queries do wrong; can be changed while it serves.
    #[must_use]
    pub fn logs_faults(&self) -> &LogsFaults {
        self.services.logs.faults()
    }

    /// What it does wrong; can be changed while it serves.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.services.faults
    }
}

fn hub_principal(account_id: &str) -> Principal {
    let arn = format!("arn:aws:iam::{account_id}:user/identity-trail");
    Principal {
        account_id: account_id.to_owned(),
        user_id: unique_id("AIDA", &Sha256::digest(&arn)),
        arn,
        is_session: false,
    }
}
