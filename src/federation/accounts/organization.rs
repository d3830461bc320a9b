//! Reading an organization: its accounts, the units that they lie in, and their tags.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::{Account, AccountState as State, AccountStatus};
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::{Member, Members};
use crate::config::accounts::{AccountsMeant, Organization};
use crate::federation::aws_error::failure;
use crate::federation::{Behalf, Federation};
use crate::plan::inventory::{
    AccountState, LeftOutAccount, Membership, OrganizationalUnit, selects,
};
use crate::plan::{Reason, ReasonCode};
use crate::query::AccountId;

/// The most that AWS gives in a page.
const PAGE: i32 = 20;
/// Calls at the same time: Organizations allows few a second.
const AT_ONCE: usize = 4;

/// The units on the way to a place, outermost first.
type Path = Vec<OrganizationalUnit>;

impl Federation {
    /// The accounts of the organization that the configuration includes.
    pub(super) async fn discover(
        &self,
        organization: &Organization,
        now: Timestamp,
    ) -> Result<Members, Reason> {
        let access = organization.access(self.config.hub.partition());
        let region = self.hub_region();
        let config = (self.config_for(&access, region, Duration::ZERO, Behalf::Service))
            .await?
            .sdk;
        let config = aws_sdk_organizations::config::Builder::from(&config)
            .interceptor(self.call_watch())
            .build();
        let reader = Reader {
            client: Client::from_conf(config),
            federation: self,
        };
        let mut places = reader.places().await?;
        let mut listed = reader.accounts().await?;
        if listed
            .iter()
            .any(|account| !places.contains_key(&account.id))
        {
            // An account was opened or moved while the tree was read.
            places = reader.places().await?;
            listed.retain(|account| places.contains_key(&account.id));
        }
        let tags = if organization.tags {
            reader.tags(&listed).await?
        } else {
            HashMap::new()
        };
        let mut members = Members {
            discovered_at: Some(now),
            accounts: Vec::new(),
            left_out: Vec::new(),
        };
        for Listed { id, name, state } in listed {
            let membership = Membership {
                state,
                organizational_units: places.get(&id).cloned().unwrap_or_default(),
                tags: tags.get(&id).cloned().unwrap_or_default(),
            };
            if !is_included(organization, id, name.as_deref(), &membership) {
                continue;
            }
            let membership = Arc::new(membership);
            if state.can_be_read() {
                let membership = Some(membership);
                members.accounts.push(Member {
                    id,
                    name,
                    membership,
                });
            } else {
                members.left_out.push(LeftOutAccount {
                    id,
                    name,
                    membership,
                });
            }
        }
        members.left_out.sort_by_key(|account| account.id);
        Ok(members)
    }
}

fn is_included(
    organization: &Organization,
    id: AccountId,
    name: Option<&str>,
    membership: &Membership,
) -> bool {
    let means = |meant: &AccountsMeant| {
        (meant.ids.as_ref()).is_none_or(|ids| ids.contains(&id))
            && selects(&meant.selector(), name, Some(membership))
    };
    let include = &organization.include;
    (include.is_empty() || include.iter().any(|entry| means(&entry.value)))
        && !organization.exclude.iter().any(|entry| means(&entry.value))
}

/// An account as `ListAccounts` has it.
struct Listed {
    id: AccountId,
    name: Option<Arc<str>>,
    state: AccountState,
}

/// Reads page after page. Empty pages with a token are normal.
struct Reader<'a> {
    client: Client,
    federation: &'a Federation,
}

/// All items of a paged call; one permit for each page.
macro_rules! pages {
    ($self:ident, $action:literal, $call:expr, $items:ident) => {{
        let mut items = Vec::new();
        let mut token = None;
        loop {
            let permit = $self.federation.call_permit().await?;
            let page = $call
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| failure($action, &error).reason)?;
            drop(permit);
            token = page.next_token().map(str::to_owned);
            items.extend(page.$items.into_iter().flatten());
            if token.is_none() {
                break;
            }
        }
        items
    }};
}

impl Reader<'_> {
    async fn accounts(&self) -> Result<Vec<Listed>, Reason> {
        let call = || self.client.list_accounts().max_results(PAGE);
        let accounts: Vec<Account> =
            pages!(self, "list the organization's accounts", call(), accounts);
        let listed = accounts.into_iter().map(|account| {
            Ok(Listed {
                id: account_id(&account)?,
                state: state(&account),
                name: account.name.map(Arc::from),
            })
        });
        listed.collect()
    }

    /// Where each account lies: the tree from its root, level by level.
    async fn places(&self) -> Result<HashMap<AccountId, Path>, Reason> {
        let call = || self.client.list_roots().max_results(PAGE);
        let roots = pages!(self, "list the organization's roots", call(), roots);
        let mut level: Vec<(String, Path)> = roots
            .into_iter()
            .filter_map(|root| Some((root.id?, Path::new())))
            .collect();
        let mut places = HashMap::new();
        while !level.is_empty() {
            let reading = level.drain(..).map(|(id, path)| self.children(id, path));
            let reading: Vec<_> = reading.collect();
            let read = stream::iter(reading).buffer_unordered(AT_ONCE);
            let read: Vec<_> = read.try_collect().await?;
            for (accounts, units) in read {
                places.extend(accounts);
                level.extend(units);
            }
        }
        Ok(places)
    }

    /// The accounts and units right below a root or a unit.
    async fn children(
        &self,
        parent: String,
        path: Path,
    ) -> Result<(Vec<(AccountId, Path)>, Vec<(String, Path)>), Reason> {
        let call = || {
            let call = self.client.list_accounts_for_parent();
            call.parent_id(&parent).max_results(PAGE)
        };
        let accounts = pages!(
            self,
            "list the accounts of an organizational unit",
            call(),
            accounts
        );
        let accounts = accounts.iter().map(|a| Ok((account_id(a)?, path.clone())));
        let accounts = accounts.collect::<Result<_, Reason>>()?;
        let call = || {
            let call = self.client.list_organizational_units_for_parent();
            call.parent_id(&parent).max_results(PAGE)
        };
        let units = pages!(
            self,
            "list organizational units",
            call(),
            organizational_units
        );
        let units = units.into_iter().filter_map(|unit| {
            let id = unit.id?;
            let unit = OrganizationalUnit {
                name: unit.name.as_deref().unwrap_or(&id).into(),
                id: id.as_str().into(),
            };
            let path = path.iter().cloned().chain([unit]).collect();
            Some((id, path))
        });
        Ok((accounts, units.collect()))
    }

    async fn tags(
        &self,
        accounts: &[Listed],
    ) -> Result<HashMap<AccountId, BTreeMap<Arc<str>, Arc<str>>>, Reason> {
        let reading = accounts.iter().map(|account| account.id);
        let reading = reading.map(|id| async move {
            let call = || {
                let call = self.client.list_tags_for_resource();
                call.resource_id(id.to_string())
            };
            let tags = pages!(
                self,
                "list an account's tags (accounts.organization.tags: false does without)",
                call(),
                tags
            );
            let tags = tags
                .into_iter()
                .map(|tag| (tag.key.into(), tag.value.into()));
            Ok::<_, Reason>((id, tags.collect()))
        });
        let reading: Vec<_> = reading.collect();
        stream::iter(reading)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

fn account_id(account: &Account) -> Result<AccountId, Reason> {
    let id = account.id().unwrap_or_default();
    id.parse().map_err(|_| {
        let message =
            format!("AWS Organizations listed {id:?} as an account, which is no account's id");
        Reason::new(ReasonCode::AwsError, message)
    })
}

/// `State` has replaced `Status`; either may be missing. What is not known here is tried: if it
/// cannot be read, the outcome says so.
fn state(account: &Account) -> AccountState {
    match (account.state(), account.status()) {
        (Some(State::Suspended), _) | (None, Some(AccountStatus::Suspended)) => {
            AccountState::Suspended
        }
        (Some(State::PendingClosure), _) | (None, Some(AccountStatus::PendingClosure)) => {
            AccountState::PendingClosure
        }
        (Some(State::Closed), _) => AccountState::Closed,
        (Some(State::PendingActivation), _) => AccountState::PendingActivation,
        _ => AccountState::Active,
    }
}
