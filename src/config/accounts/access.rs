//! How the service gets into an account: roles, their ARNs and external ids.

use crate::query::{AccountId, RoleName};

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
pub(in crate::config) struct AccessKeys<'a> {
    pub role_name: Option<&'a RoleName>,
    pub role_arn: Option<&'a RoleArnTemplate>,
    pub external_id: Option<&'a ExternalId>,
    pub hub: bool,
}

impl AccessKeys<'_> {
    /// Resolves access to `account`, from the closest place to the defaults.
    pub(in crate::config) fn resolve(
        places: &[Self],
        account: AccountId,
        partition: &str,
    ) -> Option<Access> {
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
    pub(in crate::config) fn conflict(&self) -> Option<&'static str> {
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

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has a place for the account.
    #[must_use]
    pub fn names_the_account(&self) -> bool {
        self.0.contains(Self::ACCOUNT)
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
