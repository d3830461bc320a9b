//! Section `accounts`: the federation, and how the service gets into each account.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Invalid, value};
use crate::query::{AccountId, Region, RoleName};

/// The accounts that the service reads.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// What holds for every account that does not say otherwise.
    #[serde(default)]
    pub defaults: AccountDefaults,
    /// The accounts, each once.
    pub list: Vec<Spanned<Account>>,
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

/// How the service gets into an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Access {
    /// With its own credentials.
    Hub,
    /// By assuming this role.
    Role {
        /// The role's ARN.
        arn: String,
        /// The external id to present.
        external_id: Option<ExternalId>,
    },
}

/// What one place (an account, an archive) says about access; what it leaves out, the next says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AccessKeys<'a> {
    pub role_name: Option<&'a RoleName>,
    pub role_arn: Option<&'a RoleArnTemplate>,
    pub external_id: Option<&'a ExternalId>,
    pub hub: bool,
}

impl AccessKeys<'_> {
    /// Resolves access to `account`, from the closest place to the defaults.
    pub(super) fn resolve(places: &[Self], account: AccountId, partition: &str) -> Option<Access> {
        let external_id = places.iter().find_map(|place| place.external_id).cloned();
        places.iter().find_map(|place| {
            let arn = match (place.hub, place.role_arn, place.role_name) {
                (true, ..) => return Some(Access::Hub),
                (_, Some(template), _) => template.for_account(account),
                (_, _, Some(name)) => format!("arn:{partition}:iam::{account}:role/{name}"),
                _ => return None,
            };
            let external_id = external_id.clone();
            Some(Access::Role { arn, external_id })
        })
    }

    /// What is wrong with the combination, if anything.
    pub(super) fn conflict(&self) -> Option<&'static str> {
        if self.role_name.is_some() && self.role_arn.is_some() {
            Some("give role_name or role_arn, not both")
        } else if self.hub
            && (self.role_name.is_some() || self.role_arn.is_some() || self.external_id.is_some())
        {
            Some("credentials: hub needs no role and no external_id: give one or the other")
        } else {
            None
        }
    }
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
    /// The account of this id, if it is in the list.
    #[must_use]
    pub fn get(&self, id: AccountId) -> Option<&Account> {
        self.list
            .iter()
            .map(|entry| &entry.value)
            .find(|account| account.id == id)
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        if let Some(conflict) = self.defaults.access_keys().conflict() {
            return Err(Invalid::new("accounts.defaults", None, conflict));
        }
        let mut seen = std::collections::HashSet::new();
        for (index, entry) in self.list.iter().enumerate() {
            let account = &entry.value;
            let refuse = |why: String| {
                let line = Some(entry.referenced.line());
                Err(Invalid::new(format!("accounts.list[{index}]"), line, why))
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
        if self.list.is_empty() {
            return Err(Invalid::new(
                "accounts.list",
                None,
                "name at least one account",
            ));
        }
        Ok(())
    }
}

fn yes() -> bool {
    true
}

/// A role's ARN with `{account_id}` in place of the account, or a plain one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArnTemplate(String);

impl RoleArnTemplate {
    const ACCOUNT: &str = "{account_id}";

    /// The ARN in `account`.
    #[must_use]
    pub fn for_account(&self, account: AccountId) -> String {
        self.0.replace(Self::ACCOUNT, &account.to_string())
    }
}

impl std::str::FromStr for RoleArnTemplate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use crate::query::identity::{ArnPrincipal, IdentityArn};
        // Whatever the account, what comes out must be a role's ARN.
        let sample = text.replace(Self::ACCOUNT, "000000000000");
        match sample.parse::<IdentityArn>() {
            Ok(arn) if matches!(arn.principal, ArnPrincipal::Role { .. }) => Ok(Self(text.into())),
            _ => Err("a role's ARN is arn:PARTITION:iam::{account_id}:role/PATH/NAME"),
        }
    }
}

/// An external id: part of a trust policy, not a secret to AWS, yet not printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExternalId(String);

impl ExternalId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExternalId(…)")
    }
}

impl std::str::FromStr for ExternalId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let characters = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_+=,.@:/-\\".contains(c));
        if (2..=1224).contains(&text.len()) && characters {
            Ok(Self(text.into()))
        } else {
            Err("an external id is 2 to 1224 letters, digits and any of _+=,.@:/\\-")
        }
    }
}
