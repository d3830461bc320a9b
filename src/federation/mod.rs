//! Which accounts there are, and how to get into them: sessions, pacing, and the SDK's configuration.
//!
//! One [`Federation`] serves the whole process. It owns a session for each role (see [`session`]),
//! the queues that keep to the lookup quota and the bound on AWS calls in flight.

mod assume_role;
pub mod aws_error;
mod hub;
mod key_owner;
pub mod pacing;
pub mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::FutureExt;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::config::{Access, Config};
use crate::plan::facts::AccountFacts;
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccessKeyId, AccountId, Region};
use assume_role::Assumer;
use hub::{hub_config, in_region, session_name};
use key_owner::KeyOwners;
use pacing::Pacing;
use session::{Session, SessionCredentials};

pub use hub::HubCredentials;

/// The federation: accounts, and sessions in them.
#[derive(Debug)]
pub struct Federation {
    accounts: Vec<AccountFacts>,
    access: BTreeMap<AccountId, Access>,
    /// By role, for accounts and archives: made when the service starts, so never locked.
    sessions: HashMap<Access, Arc<Session>>,
    hub: SdkConfig,
    hub_region: Region,
    /// Whose account the hub's own credentials are, once asked.
    hub_account: OnceCell<AccountId>,
    key_owners: KeyOwners,
    lookups: Pacing,
    calls: Arc<Semaphore>,
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
    /// SDK's default chain.
    pub async fn connect(config: &Config) -> Self {
        Self::over(config, hub_config(config).load().await)
    }

    /// The same with the hub's credentials given: for a service beside a sandbox.
    pub async fn connect_as(config: &Config, hub: HubCredentials) -> Self {
        let credentials = Credentials::new(
            hub.access_key_id,
            hub.secret_access_key,
            None,
            None,
            "identity-trail",
        );
        let loader = hub_config(config).credentials_provider(credentials);
        Self::over(config, loader.load().await)
    }

    fn over(config: &Config, hub: SdkConfig) -> Self {
        let sts = aws_sdk_sts::Client::new(&hub);
        let assumer = Assumer {
            client: sts.clone(),
            in_flight: Arc::new(Semaphore::new(permits(config.limits.assume_role_calls))),
            session_name: session_name(std::env::var("HOSTNAME").ok().as_deref()).into(),
        };
        let access: BTreeMap<_, _> = config
            .accounts
            .list
            .iter()
            .filter_map(|entry| {
                let id = entry.value.id;
                Some((id, config.account_access(id)?))
            })
            .collect();
        let archives = config
            .archives
            .iter()
            .filter_map(|entry| config.archive_access(&entry.value));
        let sessions = access
            .values()
            .cloned()
            .chain(archives)
            .filter_map(|access| {
                let session = Arc::new(role_session(&assumer, &access)?);
                Some((access, session))
            })
            .collect();
        Self {
            accounts: account_facts(config),
            access,
            sessions,
            hub,
            hub_region: config.hub.region.clone(),
            hub_account: OnceCell::new(),
            key_owners: KeyOwners::new(sts),
            lookups: Pacing::new(config.event_history.requests_per_second),
            calls: Arc::new(Semaphore::new(permits(config.limits.aws_calls))),
        }
    }

    /// The accounts, in order of their ids.
    #[must_use]
    pub fn accounts(&self) -> &[AccountFacts] {
        &self.accounts
    }

    /// What is known of one account; `None` if it is not in the federation.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&AccountFacts> {
        let at = self
            .accounts
            .binary_search_by_key(&id, |account| account.id);
        at.ok().map(|at| &self.accounts[at])
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
    ) -> Result<SdkConfig, Reason> {
        let access = self.access.get(&account).ok_or_else(|| {
            let message = format!("account {account} is not in the federation");
            Reason::new(ReasonCode::Internal, message)
        })?;
        if *access == Access::Hub {
            self.check_hub_account(account).await?;
        }
        let config = self.config_for(access, region, Duration::ZERO).await?;
        Ok(config.sdk)
    }

    /// The same for any configured way in, such as an archive's
    /// ([`Config::archive_access`]), with a session that is good for `need` more, as far as the
    /// role's sessions last that long: compare with `expires_at`.
    pub async fn config_for(
        &self,
        access: &Access,
        region: &Region,
        need: Duration,
    ) -> Result<SessionConfig, Reason> {
        if *access == Access::Hub {
            return Ok(SessionConfig {
                sdk: self.hub_config(region),
                expires_at: None,
            });
        }
        let session = self.sessions.get(access).ok_or_else(|| {
            let message = format!("no session was configured for {access:?}");
            Reason::new(ReasonCode::Internal, message)
        })?;
        let issued = session.credentials(need).await?;
        let provider = SharedCredentialsProvider::new(SessionCredentials(Arc::clone(session)));
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

    /// The session in which an account is read; `None` for the hub's own credentials.
    #[must_use]
    pub fn session(&self, account: AccountId) -> Option<&Arc<Session>> {
        self.sessions.get(self.access.get(&account)?)
    }

    /// Whether the session in which `account` is read is good at all: a Region that does not know
    /// a good session is disabled in the account.
    pub async fn check_session(&self, account: AccountId) -> Result<(), Reason> {
        let config = self.sdk_config(account, &self.hub_region).await?;
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
        let call = aws_sdk_sts::Client::new(config).get_caller_identity();
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
        &self.lookups
    }

    /// One of `limits.aws_calls`, to be held for one call. Fails only when the service shuts down.
    pub async fn call_permit(&self) -> Result<OwnedSemaphorePermit, Reason> {
        let permit = Arc::clone(&self.calls).acquire_owned().await;
        permit.map_err(|_| Reason::new(ReasonCode::Drain, "the service is shutting down"))
    }

    /// The account that owns an access key (`sts:GetAccessKeyInfo`), remembered once known.
    pub async fn access_key_owner(&self, key: &AccessKeyId) -> Result<AccountId, Reason> {
        self.key_owners.owner(key).await
    }
}

fn role_session(assumer: &Assumer, access: &Access) -> Option<Session> {
    let Access::Role { arn, external_id } = access else {
        return None;
    };
    let (assumer, arn, external_id) = (assumer.clone(), arn.clone(), external_id.clone());
    Some(Session::new(Box::new(move || {
        assumer
            .clone()
            .assume(arn.clone(), external_id.clone())
            .boxed()
    })))
}

fn account_facts(config: &Config) -> Vec<AccountFacts> {
    let mut accounts: Vec<_> = config
        .accounts
        .list
        .iter()
        .map(|entry| {
            let account = &entry.value;
            AccountFacts {
                id: account.id,
                name: account.name.as_deref().map(Arc::from),
                regions: account
                    .regions
                    .clone()
                    .unwrap_or_else(|| config.regions.clone()),
                event_history: account.event_history,
            }
        })
        .collect();
    accounts.sort_by_key(|account| account.id);
    accounts
}

fn permits(limit: u64) -> usize {
    usize::try_from(limit)
        .unwrap_or(Semaphore::MAX_PERMITS)
        .min(Semaphore::MAX_PERMITS)
}
