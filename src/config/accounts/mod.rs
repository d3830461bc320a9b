//! Section `accounts`: the federation, as a list or as an organization has it, and how the service
//! gets into each account.

mod access;
mod organization;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Invalid, value};
use crate::query::{AccountId, Region, RoleName};

pub(super) use access::AccessKeys;
pub use access::{Access, ExternalId, RoleArnTemplate};
pub use organization::{AccountsMeant, Organization};

/// The accounts that the service reads.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// What holds for every account that does not say otherwise.
    #[serde(default)]
    pub defaults: AccountDefaults,
    /// The accounts, each once; empty where `organization` lists them.
    #[serde(default)]
    pub list: Vec<Spanned<Account>>,
    /// The organization whose accounts they are; not together with `list`.
    #[serde(default)]
    pub organization: Option<Spanned<Organization>>,
}

/// How to get into accounts that do not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountDefaults {
    /// The role's friendly name, the same in every account.
    #[serde(deserialize_with = "value::optional_text")]
    pub role_name: Option<RoleName>,
    /// The role's ARN, with `{account_id}` where the account goes; for roles with a path.
    #[serde(deserialize_with = "value::optional_text")]
    pub role_arn: Option<RoleArnTemplate>,
    /// The external id that the roles' trust policies ask for.
    #[serde(deserialize_with = "value::optional_text")]
    pub external_id: Option<ExternalId>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its id: twelve digits, best in quotes.
    #[serde(deserialize_with = "value::text")]
    pub id: AccountId,
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// The role's friendly name here.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_name: Option<RoleName>,
    /// The role's ARN here.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub role_arn: Option<RoleArnTemplate>,
    /// The external id here.
    #[serde(default, deserialize_with = "value::optional_text")]
    pub external_id: Option<ExternalId>,
    /// `hub`: read this account with the service's own credentials, without a role.
    #[serde(default)]
    pub credentials: Option<CredentialsOf>,
    /// The Regions to read here, instead of the section `regions`.
    #[serde(default, deserialize_with = "value::optional_texts")]
    pub regions: Option<Vec<Region>>,
    /// Whether its event history is read; `false` leaves it to archives.
    #[serde(default = "yes")]
    pub event_history: bool,
}

/// Whose credentials an account is read with, if not a role's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsOf {
    /// The service's own.
    Hub,
}

impl AccountDefaults {
    pub(super) fn access_keys(&self) -> AccessKeys<'_> {
        AccessKeys {
            role_name: self.role_name.as_ref(),
            role_arn: self.role_arn.as_ref(),
            external_id: self.external_id.as_ref(),
            hub: false,
        }
    }
}

impl Account {
    pub(super) fn access_keys(&self) -> AccessKeys<'_> {
        AccessKeys {
            role_name: self.role_name.as_ref(),
            role_arn: self.role_arn.as_ref(),
            external_id: self.external_id.as_ref(),
            hub: self.credentials == Some(CredentialsOf::Hub),
        }
    }
}

impl Accounts {
    /// What the configuration says of this account in particular.
    #[must_use]
    pub fn get(&self, id: AccountId) -> Option<&Account> {
        let overrides = self
            .organization
            .iter()
            .flat_map(|org| &org.value.overrides);
        self.list
            .iter()
            .chain(overrides)
            .map(|entry| &entry.value)
            .find(|account| account.id == id)
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        if let Some(conflict) = self.defaults.access_keys().conflict() {
            return Err(Invalid::new("accounts.defaults", None, conflict));
        }
        if let Some(organization) = &self.organization {
            let line = organization.referenced.line();
            if !self.list.is_empty() {
                return Err(Invalid::new(
                    "accounts",
                    Some(line),
                    "give list or organization, not both: what differs for single accounts of an organization goes to its overrides",
                ));
            }
            organization.value.check(line)?;
            self.check_entries(
                "accounts.organization.overrides",
                &organization.value.overrides,
            )?;
            if self.defaults.role_name.is_none() && self.defaults.role_arn.is_none() {
                return Err(Invalid::new(
                    "accounts.defaults",
                    Some(line),
                    "accounts that an organization lists need a role: give role_name or role_arn",
                ));
            }
            // Roles have names; only a template has a place for the account.
            let template = self.defaults.role_arn.as_ref();
            if template.is_some_and(|template| !template.names_the_account()) {
                return Err(Invalid::new(
                    "accounts.defaults",
                    Some(line),
                    "role_arn is for many accounts: write {account_id} where the account goes",
                ));
            }
            return Ok(());
        }
        self.check_entries("accounts.list", &self.list)?;
        if self.list.is_empty() {
            return Err(Invalid::new(
                "accounts",
                None,
                "name at least one account in list, or give organization",
            ));
        }
        Ok(())
    }

    fn check_entries(&self, key: &str, entries: &[Spanned<Account>]) -> Result<(), Invalid> {
        let mut seen = std::collections::HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let account = &entry.value;
            let refuse = |why: String| {
                let line = Some(entry.referenced.line());
                Err(Invalid::new(format!("{key}[{index}]"), line, why))
            };
            if !seen.insert(account.id) {
                return refuse(format!("account {} is listed twice", account.id));
            }
            if let Some(conflict) = account.access_keys().conflict() {
                return refuse(conflict.into());
            }
            let places = [account.access_keys(), self.defaults.access_keys()];
            match AccessKeys::resolve(&places, account.id, "aws") {
                None => {
                    return refuse(format!(
                        "account {} has no way in: give role_name, role_arn or `credentials: hub`, here or in accounts.defaults",
                        account.id
                    ));
                }
                Some(Access::Role { arn, .. })
                    if !arn.contains(&format!("::{}:role/", account.id)) =>
                {
                    return refuse(format!(
                        "role_arn {arn} is not in account {}: events would be read from the wrong account",
                        account.id
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}
