//! `accounts.organization`: accounts that AWS Organizations lists.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::Account;
use super::access::{Access, AccessKeys, ExternalId, RoleArnTemplate};
use crate::config::{Invalid, value};
use crate::query::selector::{
    AccountNamePattern, AccountSelector, AccountTag, OrganizationalUnitRef,
};
use crate::query::{AccountId, RoleName};

/// Which organization is read, with whose credentials, how often, and which of its accounts count.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// The management account, or the one that Organizations is delegated to, where `role_name` is.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub account: Option<AccountId>,
    /// The role to list with, by name; needs `account`. By default the hub's own credentials list.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_name: Option<RoleName>,
    /// The same as an ARN.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_arn: Option<RoleArnTemplate>,
    /// The external id for that role.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub external_id: Option<ExternalId>,
    /// How often the organization is read again.
    #[serde(default = "default_refresh", deserialize_with = "refresh")]
    pub refresh: Duration,
    /// Whether the accounts' tags are read: one call for each account.
    #[serde(default = "yes")]
    pub tags: bool,
    /// The accounts that belong to the federation: those that any of these means; empty: all.
    #[serde(default)]
    pub include: Vec<Spanned<AccountsMeant>>,
    /// Of them, those that do not: those that any of these means.
    #[serde(default)]
    pub exclude: Vec<Spanned<AccountsMeant>>,
    /// What differs for single accounts, with the keys of `accounts.list`.
    #[serde(default)]
    pub overrides: Vec<Spanned<Account>>,
}

/// Accounts by what they are called and where they lie. All lists that are given must be met;
/// within one any value will do (tags: any value of the same key).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsMeant {
    /// By id.
    #[serde(default, deserialize_with = "value::optional_texts")]
    pub ids: Option<Vec<AccountId>>,
    /// By name, with `*` for any characters.
    #[serde(default, deserialize_with = "value::optional_texts")]
    pub names: Option<Vec<AccountNamePattern>>,
    /// By organizational unit, id or path of names, with those below.
    #[serde(default, deserialize_with = "value::optional_texts")]
    pub organizational_units: Option<Vec<OrganizationalUnitRef>>,
    /// By tag, `key` or `key=value`.
    #[serde(default, deserialize_with = "value::optional_texts")]
    pub tags: Option<Vec<AccountTag>>,
}

impl AccountsMeant {
    /// Everything but the ids.
    #[must_use]
    pub fn selector(&self) -> AccountSelector {
        AccountSelector {
            names: self.names.clone().unwrap_or_default(),
            organizational_units: self.organizational_units.clone().unwrap_or_default(),
            tags: self.tags.clone().unwrap_or_default(),
        }
    }
}

impl Organization {
    /// Every account of the organization that the hub itself can list, without any exception.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            account: None,
            role_name: None,
            role_arn: None,
            external_id: None,
            refresh: default_refresh(),
            tags: true,
            include: Vec::new(),
            exclude: Vec::new(),
            overrides: Vec::new(),
        }
    }

    /// How to get at the Organizations API, given the hub's partition.
    #[must_use]
    pub fn access(&self, partition: &str) -> Access {
        // The checks have made sure of the account where one is needed.
        let account = self.account.or_else(|| AccountId::from_u64(0));
        let keys = [self.access_keys()];
        let access = account.and_then(|account| AccessKeys::resolve(&keys, account, partition));
        access.unwrap_or(Access::Hub)
    }

    fn access_keys(&self) -> AccessKeys<'_> {
        AccessKeys {
            role_name: self.role_name.as_ref(),
            role_arn: self.role_arn.as_ref(),
            external_id: self.external_id.as_ref(),
            hub: false,
        }
    }

    pub(super) fn check(&self, line: u64) -> Result<(), Invalid> {
        let refuse = |line, key: &str, why: &str| {
            let key = match key {
                "" => "accounts.organization".to_owned(),
                key => format!("accounts.organization.{key}"),
            };
            Err(Invalid::new(key, Some(line), why))
        };
        if let Some(conflict) = self.access_keys().conflict() {
            return refuse(line, "", conflict);
        }
        if self.external_id.is_some() && self.role_name.is_none() && self.role_arn.is_none() {
            return refuse(
                line,
                "",
                "external_id is for a role: give role_name or role_arn too",
            );
        }
        let needs_account = self.role_name.is_some()
            || (self.role_arn.as_ref()).is_some_and(RoleArnTemplate::names_the_account);
        if needs_account && self.account.is_none() {
            return refuse(
                line,
                "",
                "say in which account the role to list with is: give account",
            );
        }
        for (key, list) in [("include", &self.include), ("exclude", &self.exclude)] {
            for (index, entry) in list.iter().enumerate() {
                let (key, line) = (format!("{key}[{index}]"), entry.referenced.line());
                let meant = &entry.value;
                if meant.ids.is_none() && meant.selector().is_empty() {
                    let why = "name accounts by ids, names, organizational_units or tags";
                    return refuse(line, &key, why);
                }
                if meant.tags.is_some() && !self.tags {
                    let why = "tags are not read, as accounts.organization.tags says: leave one of both out";
                    return refuse(line, &key, why);
                }
            }
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}

fn default_refresh() -> Duration {
    Duration::from_hours(1)
}

fn refresh<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(
        deserializer,
        Duration::from_mins(1)..=Duration::from_hours(24),
    )
}
