//! Which accounts there are: listed in the configuration, or discovered and kept current.
//!
//! ```text
//! config list ─────────────┐
//! organization (AWS) ──────┴▶ members ─▶ enabled Regions (AWS) ─▶ Inventory ─▶ watch
//! ```
//!
//! What was discovered last stays until something newer is known: a refresh that fails changes
//! nothing but [`Known::failure`].

mod organization;
mod regions;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Federation;
use crate::clock::Clock;
use crate::config::accounts::Organization;
use crate::config::{Accounts, Config, Regions};
use crate::plan::facts::AccountFacts;
use crate::plan::inventory::{Known, LeftOutAccount, Membership};
use crate::plan::{Inventory, Reason};
use crate::query::{AccountId, Region};

/// How soon an organization that could not be read is read again: at first, and at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_AT_MOST: Duration = Duration::from_mins(5);
/// How soon accounts are asked again for Regions that they did not tell.
const RETRY_REGIONS: Duration = Duration::from_mins(5);
/// How old known Regions may get: a Region is enabled about never.
const REGIONS_LIVE: Duration = Duration::from_hours(1);

/// What the configuration says about accounts and Regions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    accounts: &'a Accounts,
    regions: &'a Regions,
}

/// The accounts that count, before their Regions are known.
struct Members {
    /// When an organization told of them.
    discovered_at: Option<Timestamp>,
    accounts: Vec<Member>,
    left_out: Vec<LeftOutAccount>,
}

/// One of them.
struct Member {
    id: AccountId,
    name: Option<Arc<str>>,
    membership: Option<Arc<Membership>>,
}

impl<'a> Rules<'a> {
    pub fn new(config: &'a Config) -> Self {
        Self {
            accounts: &config.accounts,
            regions: &config.regions,
        }
    }

    fn organization(&self) -> Option<&'a Organization> {
        self.accounts.organization.as_ref().map(|org| &org.value)
    }

    /// What is known without asking anybody, if that is all there is to know.
    pub fn known_at_once(self) -> Known {
        let listed = matches!(self.regions, Regions::Listed(_))
            || self.accounts.list.iter().all(|a| a.value.regions.is_some());
        let inventory = (self.organization().is_none() && listed).then(|| {
            let members = self.listed().accounts;
            let facts = members.iter().map(|member| self.facts(member)).collect();
            Arc::new(Inventory::of_list(facts))
        });
        Known {
            inventory,
            failure: None,
        }
    }

    fn listed(&self) -> Members {
        let member = |account: &crate::config::accounts::Account| Member {
            id: account.id,
            name: account.name.as_deref().map(Arc::from),
            membership: None,
        };
        Members {
            discovered_at: None,
            accounts: (self.accounts.list.iter())
                .map(|entry| member(&entry.value))
                .collect(),
            left_out: Vec::new(),
        }
    }

    /// What the configuration says of an account, over what its organization does. Regions that
    /// must be asked for are none yet.
    fn facts(&self, member: &Member) -> AccountFacts {
        let own = self.accounts.get(member.id);
        let regions = own.and_then(|own| own.regions.clone());
        let own_name = own.and_then(|own| own.name.as_deref()).map(Arc::from);
        AccountFacts {
            name: own_name.or_else(|| member.name.clone()),
            event_history: own.is_none_or(|own| own.event_history),
            membership: member.membership.clone(),
            ..AccountFacts::new(
                member.id,
                regions.unwrap_or_else(|| match self.regions {
                    Regions::Listed(regions) => regions.clone(),
                    Regions::Enabled { .. } => Vec::new(),
                }),
            )
        }
    }

    /// The Regions to fall back to, if this account is to be asked for its own.
    fn asks_for_regions(&self, account: AccountId) -> Option<&'a [Region]> {
        match self.regions {
            Regions::Enabled { fallback } => {
                let own = self.accounts.get(account);
                own.is_none_or(|own| own.regions.is_none())
                    .then_some(fallback)
            }
            Regions::Listed(_) => None,
        }
    }
}

/// What one round of discovery leaves for the next.
struct Discovery<'a> {
    federation: &'a Federation,
    clock: Clock,
    members: Option<Arc<Members>>,
    regions: regions::KnownRegions,
    failures: u32,
}

impl Federation {
    /// Whether accounts or Regions must be asked for, so that [`Self::keep_current`] has a task.
    #[must_use]
    pub fn discovers_accounts(&self) -> bool {
        self.rules().known_at_once().inventory.is_none()
    }

    /// Discovers the accounts and keeps them current until `stop`; returns at once where there is
    /// nothing to discover. Makes a bounded number of AWS calls at a time. Dropping it is safe.
    pub async fn keep_current(&self, clock: Clock, stop: &CancellationToken) {
        if self.discovers_accounts() {
            let mut discovery = Discovery {
                federation: self,
                clock,
                members: None,
                regions: regions::KnownRegions::default(),
                failures: 0,
            };
            stop.run_until_cancelled(discovery.run()).await;
        }
    }
}

impl Discovery<'_> {
    async fn run(&mut self) {
        let refresh = self
            .federation
            .rules()
            .organization()
            .map(|org| org.refresh);
        let mut read_at = Instant::now();
        loop {
            if Instant::now() >= read_at {
                match self.members().await {
                    Ok(members) => {
                        self.failures = 0;
                        self.members = Some(Arc::new(members));
                        read_at = Instant::now() + refresh.unwrap_or(REGIONS_LIVE);
                    }
                    Err(reason) => {
                        read_at = Instant::now() + self.fail(reason);
                    }
                }
            }
            let all_known = match self.members.clone() {
                Some(members) => self.publish(&members).await,
                None => true,
            };
            let next = if all_known {
                read_at
            } else {
                read_at.min(Instant::now() + RETRY_REGIONS)
            };
            tokio::time::sleep_until(next).await;
        }
    }

    async fn members(&self) -> Result<Members, Reason> {
        match self.federation.rules().organization() {
            Some(organization) => {
                let now = self.clock.now();
                self.federation.discover(organization, now).await
            }
            None => Ok(self.federation.rules().listed()),
        }
    }

    /// Notes that the organization could not be read; says how long to wait.
    fn fail(&mut self, reason: Reason) -> Duration {
        let wait = RETRY
            .saturating_mul(2_u32.saturating_pow(self.failures))
            .min(RETRY_AT_MOST);
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(
            failures = self.failures,
            retry_seconds = wait.as_secs(),
            last_known = self.members.is_some(),
            "the organization's accounts could not be read: {}",
            reason.message
        );
        let failure = Some(reason);
        self.federation
            .known
            .send_modify(|known| known.failure = failure);
        wait
    }

    /// Makes an inventory of the members and makes it known; whether all Regions are known.
    async fn publish(&mut self, members: &Members) -> bool {
        let rules = self.federation.rules();
        self.federation
            .learn_ways(members.accounts.iter().map(|member| member.id));
        let mut facts: Vec<_> = members.accounts.iter().map(|m| rules.facts(m)).collect();
        self.regions.learn(self.federation, &mut facts).await;
        let unknown = facts.iter().filter(|a| a.regions_unknown.is_some()).count();
        let inventory = Inventory {
            left_out: members.left_out.clone(),
            discovered_at: members.discovered_at,
            ..Inventory::of_list(facts)
        };
        self.warn_of_overrides(&inventory);
        tracing::info!(
            accounts = inventory.accounts.len(),
            left_out = inventory.left_out.len(),
            regions_unknown = unknown,
            "accounts are known"
        );
        let failed = self.failures > 0;
        self.federation.known.send_modify(|known| {
            known.inventory = Some(Arc::new(inventory));
            if !failed {
                known.failure = None;
            }
        });
        unknown == 0
    }

    /// An override for an account that is not there does nothing: most likely a slip.
    fn warn_of_overrides(&self, inventory: &Inventory) {
        let organization = self.federation.rules().organization();
        let overrides = organization.iter().flat_map(|org| &org.overrides);
        let left_out: HashSet<_> = inventory
            .left_out
            .iter()
            .map(|account| account.id)
            .collect();
        for entry in overrides {
            let id = entry.value.id;
            if inventory.account(id).is_none() && !left_out.contains(&id) {
                tracing::warn!(account = %id, "accounts.organization.overrides names an account that is not among the organization's included ones");
            }
        }
    }
}
