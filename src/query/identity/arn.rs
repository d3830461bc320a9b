//! Identities by ARN.

use std::fmt;
use std::str::FromStr;

use super::{kind, session_without};
use crate::query::condition::{Condition, Member};
use crate::query::ids::{
    AccountId, FederatedUserName, IamPath, InvalidId, Partition, RoleName, SessionName, UserName,
};
use crate::query::pattern::{Case, NamePattern, TextPattern};

/// An IAM or STS ARN, read for what it is. In what follows the account `*` stands for any
/// characters, slashes too, as in IAM's own policies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityArn {
    /// The partition.
    pub partition: Partition,
    /// The account that owns the identity.
    pub account: AccountId,
    /// What it names there.
    pub principal: ArnPrincipal,
}

/// What an identity's ARN names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArnPrincipal {
    /// `arn:aws:iam::ACCOUNT:user/PATH/NAME`: the user, and the federated users whose sessions it
    /// issued.
    User {
        /// The path, `/` if none.
        path: NamePattern<IamPath>,
        /// The name.
        name: NamePattern<UserName>,
    },
    /// `arn:aws:iam::ACCOUNT:role/PATH/NAME`: every session of the role.
    Role {
        /// The path, `/` if none.
        path: NamePattern<IamPath>,
        /// The name.
        name: NamePattern<RoleName>,
    },
    /// `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION` (which has no path).
    AssumedRole {
        /// The role's name.
        role_name: NamePattern<RoleName>,
        /// The session's name.
        session_name: NamePattern<SessionName>,
    },
    /// `arn:aws:sts::ACCOUNT:federated-user/NAME`
    FederatedUser {
        /// The name that the session was given.
        name: NamePattern<FederatedUserName>,
    },
    /// `arn:aws:iam::ACCOUNT:root`
    Root,
}

impl IdentityArn {
    /// The ARN, if it is one: without a `*`.
    #[must_use]
    pub fn exact(&self) -> Option<String> {
        let text = self.to_string();
        (!text.contains('*')).then_some(text)
    }

    pub(super) fn condition(&self, case: Case) -> Condition {
        let written =
            |member| Condition::Is(member, TextPattern::wildcard(&self.to_string(), case));
        match &self.principal {
            ArnPrincipal::User { .. } => Condition::Any(vec![
                Condition::All(vec![kind("IAMUser"), written(Member::Arn)]),
                Condition::All(vec![kind("FederatedUser"), written(Member::IssuerArn)]),
            ]),
            ArnPrincipal::Role { name, .. } => {
                let Self {
                    partition, account, ..
                } = self;
                // The session's own ARN has no path: a `*` that may stand for a part of the path
                // says of the name only what follows it.
                let name = match name.as_str().rsplit_once('*') {
                    Some((_, rest)) => format!("*{rest}"),
                    None => name.to_string(),
                };
                let session = format!("arn:{partition}:sts:*:{account}:assumed-role/{name}/*");
                Condition::Any(vec![
                    written(Member::IssuerArn),
                    session_without(Member::IssuerArn, TextPattern::wildcard(&session, case)),
                ])
            }
            ArnPrincipal::AssumedRole { .. } | ArnPrincipal::FederatedUser { .. } => {
                written(Member::Arn)
            }
            ArnPrincipal::Root => Condition::All(vec![
                kind("Root"),
                Condition::is(Member::AccountId, self.account.to_string()),
            ]),
        }
    }
}

impl fmt::Display for IdentityArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            account,
            principal,
        } = self;
        match principal {
            ArnPrincipal::User { path, name } => {
                write!(f, "arn:{partition}:iam::{account}:user{path}{name}")
            }
            ArnPrincipal::Role { path, name } => {
                write!(f, "arn:{partition}:iam::{account}:role{path}{name}")
            }
            ArnPrincipal::AssumedRole {
                role_name,
                session_name,
            } => write!(
                f,
                "arn:{partition}:sts::{account}:assumed-role/{role_name}/{session_name}"
            ),
            ArnPrincipal::FederatedUser { name } => {
                write!(f, "arn:{partition}:sts::{account}:federated-user/{name}")
            }
            ArnPrincipal::Root => write!(f, "arn:{partition}:iam::{account}:root"),
        }
    }
}

impl FromStr for IdentityArn {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const EXPECTED: InvalidId = InvalidId {
            expected: "an identity's ARN is arn:PARTITION:iam::ACCOUNT:user/NAME, …:role/NAME, …:root, \
                       arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION (* is any session) or \
                       …:federated-user/NAME",
        };
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = fields[..] else {
            return Err(EXPECTED);
        };
        let principal = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => ArnPrincipal::Root,
            ("iam", Some(("user", rest))) => {
                let (path, name) = split_path(rest)?;
                ArnPrincipal::User {
                    path,
                    name: name.parse()?,
                }
            }
            ("iam", Some(("role", rest))) => {
                let (path, name) = split_path(rest)?;
                ArnPrincipal::Role {
                    path,
                    name: name.parse()?,
                }
            }
            ("sts", Some(("assumed-role", rest))) => {
                let (role, session) = rest.split_once('/').ok_or(EXPECTED)?;
                ArnPrincipal::AssumedRole {
                    role_name: role.parse()?,
                    session_name: session.parse()?,
                }
            }
            ("sts", Some(("federated-user", name))) => ArnPrincipal::FederatedUser {
                name: name.parse()?,
            },
            _ => return Err(EXPECTED),
        };
        Ok(Self {
            partition: partition.parse()?,
            account: account.parse()?,
            principal,
        })
    }
}

/// Splits what follows `user/` or `role/` into the path (with its slashes) and the name.
fn split_path(rest: &str) -> Result<(NamePattern<IamPath>, &str), InvalidId> {
    match rest.rsplit_once('/') {
        None => Ok(("/".parse()?, rest)),
        Some((path, name)) => Ok((format!("/{path}/").parse()?, name)),
    }
}
