//! Which accounts there are, and how to get into them: sessions, pacing, and the SDK's configuration.
//!
//! One [`Federation`] serves the whole process. It owns a session for each role (see [`session`]),
//! the queues that keep to the lookup quota and the bound on AWS calls in flight.

mod accounts;
mod assume_role;
mod attribution;
pub mod aws_error;
mod call_watch;
mod hub;
mod key_owner;
pub mod pacing;
pub mod session;
mod ways;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};

use crate::config::{Access, Config};
use crate::plan::inventory::Known;
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccessKeyId, AccountId, Region};
use crate::telemetry::metrics::{Metrics, PacedApi};
use accounts::Rules;
use assume_role::Assumer;
use attribution::Attribution;
use hub::{hub_config, in_region, session_name};
use key_owner::KeyOwners;
use pacing::Pacing;
use session::{Session, SessionCredentials};
use ways::Ways;

pub use attribution::Behalf;
pub use call_watch::CallWatch;
pub use hub::HubCredentials;

/// The federation: accounts, and sessions in them.
#[derive(Debug)]
pub struct Federation {
    /// What is known of the accounts: replaced as a whole by [`Self::keep_current`] alone.
    known: watch::Sender<Known>,
    /// What the process was started with: which accounts there are, and the ways into them.
    config: Config,
    ways: Ways,
    hub: SdkConfig,
    /// Whose account the hub's own credentials are, once asked.
    hub_account: OnceCell<AccountId>,
    key_owners: KeyOwners,
    quotas: Quotas,
    /// The hub's credentials, where they do not come from the SDK's default chain.
    given: Option<Credentials>,
    metrics: Metrics,
}

/// What keeps the process to AWS's quotas, whatever its configuration becomes. Clones are the same.
#[derive(Debug, Clone)]
struct Quotas {
    lookups: Arc<Pacing>,
    log_filters: Arc<Pacing>,
    calls: Arc<Semaphore>,
    assume_role_calls: Arc<Semaphore>,
}

impl Quotas {
    fn new(config: &Config, metrics: &Metrics) -> Self {
        let bound = |calls| Arc::new(Semaphore::new(permits(calls)));
        Self {
            lookups: Arc::new(Pacing::new(
                config.event_history.requests_per_second,
                metrics.pacing_wait(PacedApi::LookupEvents),
            )),
            log_filters: Arc::new(Pacing::new(
                config.limits.filter_log_events_per_second,
                metrics.pacing_wait(PacedApi::FilterLogEvents),
            )),
            calls: bound(config.limits.aws_calls),
            assume_role_calls: bound(config.limits.assume_role_calls),
        }
    }
}

/// An SDK configuration whose calls are made in someone's session.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Renews its session by itself: it can be kept.
    pub sdk: SdkConfig,
    /// When the session in use ends; `None` for the hub's own credentials, whose end is not known
    /// here. What cannot be renewed on the way (a query that runs in AWS) must end before.
    pub expires_at: Option<Instant>,
}

impl Federation {
    /// Prepares a session for each role; assumes none yet. The hub's credentials come from the
    /// SDK's default chain. What is asked of AWS is counted in `metrics`.
    pub async fn connect(config: &Config, metrics: &Metrics) -> Self {
        let quotas = Quotas::new(config, metrics);
        Self::loaded(config, None, quotas, metrics).await
    }

    /// The same with the hub's credentials given: for a service beside a sandbox.
    pub async fn connect_as(config: &Config, hub: HubCredentials, metrics: &Metrics) -> Self {
        let credentials = Credentials::new(
            hub.access_key_id,
            hub.secret_access_key,
            None,
            None,
            "identity-trail",
        );
        let quotas = Quotas::new(config, metrics);
        Self::loaded(config, Some(credentials), quotas, metrics).await
    }

    /// The federation of another configuration of the same process: both keep to the same quotas
    /// together. What the hub was given as credentials it keeps; `known` begins with what is known here,
    /// if the same accounts are meant.
    pub async fn succeeded_by(&self, config: &Config) -> Self {
        let (given, quotas) = (self.given.clone(), self.quotas.clone());
        let next = Self::loaded(config, given, quotas, &self.metrics).await;
        let old = &self.config;
        let same = (&old.accounts, &old.hub, &old.regions)
            == (&config.accounts, &config.hub, &config.regions);
        if same {
            let known = self.known.borrow().clone();
            let accounts = known.inventory.iter().flat_map(|it| &it.accounts);
            next.learn_ways(accounts.map(|account| account.id));
            next.known.send_replace(known);
        }
        next
    }

    async fn loaded(
        config: &Config,
        given: Option<Credentials>,
        quotas: Quotas,
        metrics: &Metrics,
    ) -> Self {
        let mut loader = hub_config(config);
        if let Some(credentials) = &given {
            loader = loader.credentials_provider(credentials.clone());
        }
        let hub = Box::pin(loader.load()).await;
        let sts = sts_client(&hub, metrics);
        let assumer = Assumer {
            client: sts.clone(),
            metrics: metrics.clone(),
            in_flight: Arc::clone(&quotas.assume_role_calls),
        };
        let own_name = (config.hub.session_name.clone())
            .unwrap_or_else(|| session_name(std::env::var("HOSTNAME").ok().as_deref()));
        let attribution = Attribution::new(config.hub.attribution, &own_name);
        let federation = Self {
            known: watch::channel(Rules::new(config).known_at_once()).0,
            config: config.clone(),
            ways: Ways::new(assumer, attribution),
            hub,
            hub_account: OnceCell::new(),
            key_owners: KeyOwners::new(sts),
            quotas,
            given,
            metrics: metrics.clone(),
        };
        federation.learn_ways(config.accounts.list.iter().map(|entry| entry.value.id));
        federation
    }

    /// What every client that calls AWS is to be given.
    #[must_use]
    pub fn call_watch(&self) -> CallWatch {
        CallWatch::new(self.metrics.clone())
    }

    /// Where the process counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The accounts as they are known from time to time.
    #[must_use]
    pub fn known(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// What an account is called, in the configuration or the organization.
    #[must_use]
    pub fn account_name(&self, id: AccountId) -> Option<Arc<str>> {
        let known = self.known.borrow();
        known.inventory.as_ref()?.account(id)?.name.clone()
    }

    /// Makes these accounts of the federation reachable, from now on.
    fn learn_ways(&self, accounts: impl Iterator<Item = AccountId>) {
        let way = |id| Some((id, self.config.account_access(id)?));
        self.ways.learn(accounts.filter_map(way));
    }

    fn rules(&self) -> Rules<'_> {
        Rules::new(&self.config)
    }

    /// The Region of the calls that belong to none.
    #[must_use]
    pub fn hub_region(&self) -> &Region {
        &self.config.hub.region
    }

    /// How the service gets into an account; `None` if it is not in the federation.
    #[must_use]
    pub fn access(&self, account: AccountId) -> Option<Access> {
        self.ways.access(account)
    }

    /// The hub's own credentials in `region`.
    #[must_use]
    pub fn hub_config(&self, region: &Region) -> SdkConfig {
        in_region(&self.hub, region).build()
    }

    /// A configuration that calls `account` in `region`, with a session that is good now.
    ///
    /// Waits for at most one `AssumeRole`, which it shares with everyone who waits for the same
    /// role. The configuration renews the session by itself. Dropping the future is safe.
    pub async fn sdk_config(
        &self,
        account: AccountId,
        region: &Region,
        behalf: Behalf<'_>,
    ) -> Result<SdkConfig, Reason> {
        let access = self.checked_access(account).await?;
        let config = self
            .config_for(&access, region, Duration::ZERO, behalf)
            .await?;
        Ok(config.sdk)
    }

    /// What signs calls to `account`, with a session that is good now; `None` for the hub's own
    /// credentials. For a client that many accounts share, where one for each would cost memory.
    ///
    /// Waits for at most one `AssumeRole`, as [`Self::sdk_config`] does.
    pub async fn credentials_for(
        &self,
        account: AccountId,
        behalf: Behalf<'_>,
    ) -> Result<Option<SharedCredentialsProvider>, Reason> {
        let access = self.checked_access(account).await?;
        let Some(session) = self.ways.session(&access, behalf) else {
            return Ok(None);
        };
        session.credentials(Duration::ZERO).await?;
        let provider = SharedCredentialsProvider::new(SessionCredentials(session));
        Ok(Some(provider))
    }

    async fn checked_access(&self, account: AccountId) -> Result<Access, Reason> {
        let access = self.ways.access(account).ok_or_else(|| {
            let message = format!("account {account} is not in the federation");
            Reason::new(ReasonCode::Internal, message)
        })?;
        if access == Access::Hub {
            self.check_hub_account(account).await?;
        }
        Ok(access)
    }

    /// The same for any configured way in, such as an archive's
    /// ([`Config::archive_access`]), with a session that is good for `need` more, as far as the
    /// role's sessions last that long: compare with `expires_at`.
    pub async fn config_for(
        &self,
        access: &Access,
        region: &Region,
        need: Duration,
        behalf: Behalf<'_>,
    ) -> Result<SessionConfig, Reason> {
        let Some(session) = self.ways.session(access, behalf) else {
            return Ok(SessionConfig {
                sdk: self.hub_config(region),
                expires_at: None,
            });
        };
        let issued = session.credentials(need).await?;
        let provider = SharedCredentialsProvider::new(SessionCredentials(Arc::clone(&session)));
        let sdk = in_region(&self.hub, region)
            .credentials_provider(provider)
            // The session is the cache: the SDK's own holds 64 identities.
            .identity_cache(IdentityCache::no_cache())
            .build();
        Ok(SessionConfig {
            sdk,
            expires_at: Some(issued.expires_at()),
        })
    }

    /// What a session on somebody's behalf is called.
    #[must_use]
    pub fn session_name(&self, behalf: Behalf<'_>) -> Arc<str> {
        self.ways.session_name(behalf)
    }

    /// The session in which an account is read on somebody's behalf; `None` for the hub's own
    /// credentials.
    #[must_use]
    pub fn session(&self, account: AccountId, behalf: Behalf<'_>) -> Option<Arc<Session>> {
        self.ways.session(&self.ways.access(account)?, behalf)
    }

    /// Whether the session in which `account` is read is good at all: a Region that does not know
    /// a good session is disabled in the account.
    pub async fn check_session(
        &self,
        account: AccountId,
        behalf: Behalf<'_>,
    ) -> Result<(), Reason> {
        let config = self.sdk_config(account, self.hub_region(), behalf).await?;
        self.caller_account(&config).await?;
        Ok(())
    }

    /// Whether the hub's own credentials are good: without them nothing can be read.
    pub async fn check_hub(&self) -> Result<(), Reason> {
        self.caller_account(&self.hub).await?;
        Ok(())
    }

    /// Refuses to read the hub's own events as another account's.
    async fn check_hub_account(&self, account: AccountId) -> Result<(), Reason> {
        let ask = || self.caller_account(&self.hub);
        let own = *self.hub_account.get_or_try_init(ask).await?;
        if own == account {
            return Ok(());
        }
        Err(Reason::new(
            ReasonCode::AccessDenied,
            format!(
                "account {account} is configured with `credentials: hub`, but the hub's credentials \
                 are for account {own}: give it a role"
            ),
        ))
    }

    /// The account that signs with this configuration (`sts:GetCallerIdentity`).
    async fn caller_account(&self, config: &SdkConfig) -> Result<AccountId, Reason> {
        let call = sts_client(config, &self.metrics).get_caller_identity();
        let _permit = self.call_permit().await?;
        let identity = call.send().await;
        let identity = identity
            .map_err(|error| aws_error::failure("ask whose session this is", &error).reason)?;
        let account = identity.account().and_then(|account| account.parse().ok());
        account.ok_or_else(|| {
            Reason::new(
                ReasonCode::AwsError,
                "AWS named no account as the session's own",
            )
        })
    }

    /// The queues that keep to the quota of `LookupEvents`.
    #[must_use]
    pub fn lookups(&self) -> &Pacing {
        &self.quotas.lookups
    }

    /// The queues that keep to the quota of `FilterLogEvents`.
    #[must_use]
    pub fn log_filters(&self) -> &Pacing {
        &self.quotas.log_filters
    }

    /// One of `limits.aws_calls`, to be held for one call. Fails only when the service shuts down.
    pub async fn call_permit(&self) -> Result<OwnedSemaphorePermit, Reason> {
        let permit = Arc::clone(&self.quotas.calls).acquire_owned().await;
        permit.map_err(|_| Reason::new(ReasonCode::Drain, "the service is shutting down"))
    }

    /// The account that owns an access key (`sts:GetAccessKeyInfo`), remembered once known.
    pub async fn access_key_owner(&self, key: &AccessKeyId) -> Result<AccountId, Reason> {
        self.key_owners.owner(key).await
    }
}

fn sts_client(config: &SdkConfig, metrics: &Metrics) -> aws_sdk_sts::Client {
    let config = aws_sdk_sts::config::Builder::from(config)
        .interceptor(CallWatch::new(metrics.clone()))
        .build();
    aws_sdk_sts::Client::from_conf(config)
}

fn permits(limit: u64) -> usize {
    usize::try_from(limit)
        .unwrap_or(Semaphore::MAX_PERMITS)
        .min(Semaphore::MAX_PERMITS)
}
