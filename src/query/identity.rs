//! Whom the question is about, and which records that means.

use std::fmt;
use std::str::FromStr;

use super::UserIdentity;
use super::ids::{
    AccessKeyId, AccountId, IamPath, InvalidId, Partition, RoleName, SessionName, UserName,
};

/// An identity to ask about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// IAM users of this name, in any account.
    UserName(UserName),
    /// Sessions of this name, of any role.
    SessionName(SessionName),
    /// Sessions of this name of roles of this name.
    RoleSession {
        /// The role.
        role_name: RoleName,
        /// The session.
        session_name: SessionName,
    },
    /// All sessions of roles of this name, in any account.
    RoleName(RoleName),
    /// Whatever was signed with this key.
    AccessKeyId(AccessKeyId),
    /// The root user of any account.
    Root,
    /// What an ARN names.
    Arn(IdentityArn),
}

/// An IAM or STS ARN, read for what it is.
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
    /// `arn:aws:iam::ACCOUNT:user/PATH/NAME`
    User {
        /// The path, `/` if none.
        path: IamPath,
        /// The name.
        name: UserName,
    },
    /// `arn:aws:iam::ACCOUNT:role/PATH/NAME`: every session of the role.
    Role {
        /// The path, `/` if none.
        path: IamPath,
        /// The name.
        name: RoleName,
    },
    /// `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION` (which has no path).
    AssumedRole {
        /// The role's name.
        role_name: RoleName,
        /// The session's name.
        session_name: SessionName,
    },
    /// `arn:aws:iam::ACCOUNT:root`
    Root,
}

impl Identity {
    /// Whether a record with this `userIdentity` was done by this identity: the one predicate that
    /// every event passes before it leaves the service, whatever the backend narrowed.
    #[must_use]
    pub fn matches(&self, who: &UserIdentity) -> bool {
        match self {
            Self::UserName(name) => is_user(who) && who.user_name.as_deref() == Some(name.as_str()),
            Self::SessionName(name) => session_of(who) == Some(name.as_str()),
            Self::RoleSession {
                role_name,
                session_name,
            } => {
                session_of(who) == Some(session_name.as_str())
                    && role_name_of(who) == Some(role_name.as_str())
            }
            Self::RoleName(name) => role_name_of(who) == Some(name.as_str()),
            Self::AccessKeyId(key) => who.access_key_id.as_deref() == Some(key.as_str()),
            Self::Root => who.kind.as_deref() == Some("Root"),
            Self::Arn(arn) => arn.matches(who),
        }
    }
}

impl fmt::Display for Identity {
    /// `kind=value`: for logs, plans and the digest that a resume token holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserName(name) => write!(f, "user_name={name}"),
            Self::SessionName(name) => write!(f, "session_name={name}"),
            Self::RoleSession {
                role_name,
                session_name,
            } => write!(f, "role_session={role_name}/{session_name}"),
            Self::RoleName(name) => write!(f, "role_name={name}"),
            Self::AccessKeyId(key) => write!(f, "access_key_id={key}"),
            Self::Root => f.write_str("root"),
            Self::Arn(arn) => write!(f, "arn={arn}"),
        }
    }
}

impl IdentityArn {
    fn matches(&self, who: &UserIdentity) -> bool {
        match &self.principal {
            ArnPrincipal::User { .. } => is_user(who) && self.is_written(who.arn.as_deref()),
            ArnPrincipal::Role { name, .. } => {
                match who
                    .session_issuer()
                    .and_then(|issuer| issuer.arn.as_deref())
                {
                    Some(issuer) => self.is_written(Some(issuer)),
                    // Without an issuer only the session's own ARN is left, which has no path.
                    None => assumed_role(who).is_some_and(|session| {
                        session.partition == self.partition.as_str()
                            && session.account == self.account.to_string()
                            && session.role == name.as_str()
                    }),
                }
            }
            ArnPrincipal::AssumedRole { .. } => self.is_written(who.arn.as_deref()),
            ArnPrincipal::Root => {
                who.kind.as_deref() == Some("Root")
                    && who.account_id.as_deref() == Some(&*self.account.to_string())
            }
        }
    }

    fn is_written(&self, text: Option<&str>) -> bool {
        text == Some(&*self.to_string())
    }
}

fn is_user(who: &UserIdentity) -> bool {
    who.kind.as_deref() == Some("IAMUser")
}

/// The session's name: of an assumed role, what follows the colon of its principal id.
fn session_of(who: &UserIdentity) -> Option<&str> {
    if who.kind.as_deref() != Some("AssumedRole") {
        return None;
    }
    Some(who.principal_id.as_deref()?.split_once(':')?.1)
}

/// The role's name: from the session's issuer, else from the session's ARN.
fn role_name_of(who: &UserIdentity) -> Option<&str> {
    match who.session_issuer() {
        Some(issuer) => {
            let is_role = matches!(issuer.kind.as_deref(), Some("Role") | None);
            issuer.user_name.as_deref().filter(|_| is_role)
        }
        None => assumed_role(who).map(|session| session.role),
    }
}

struct AssumedRoleArn<'a> {
    partition: &'a str,
    account: &'a str,
    role: &'a str,
}

fn assumed_role(who: &UserIdentity) -> Option<AssumedRoleArn<'_>> {
    if who.kind.as_deref() != Some("AssumedRole") {
        return None;
    }
    let mut fields = who.arn.as_deref()?.strip_prefix("arn:")?.splitn(5, ':');
    let (partition, service, _region) = (fields.next()?, fields.next()?, fields.next()?);
    let (account, resource) = (fields.next()?, fields.next()?);
    let (role, _session) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    (service == "sts").then_some(AssumedRoleArn {
        partition,
        account,
        role,
    })
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
            ArnPrincipal::Root => write!(f, "arn:{partition}:iam::{account}:root"),
        }
    }
}

impl FromStr for IdentityArn {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const EXPECTED: InvalidId = InvalidId {
            expected: "an identity's ARN is arn:PARTITION:iam::ACCOUNT:user/NAME, …:role/NAME, …:root \
                       or arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION",
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
fn split_path(rest: &str) -> Result<(IamPath, &str), InvalidId> {
    match rest.rsplit_once('/') {
        None => Ok(("/".parse()?, rest)),
        Some((path, name)) => Ok((format!("/{path}/").parse()?, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::user_identity::{SessionContext, SessionIssuer};

    fn session(role_arn: Option<&str>) -> UserIdentity {
        UserIdentity {
            kind: Some("AssumedRole".into()),
            principal_id: Some("AROAEXAMPLE:alice".into()),
            arn: Some("arn:aws:sts::111122223333:assumed-role/Admin/alice".into()),
            session_context: role_arn.map(|arn| SessionContext {
                session_issuer: Some(SessionIssuer {
                    kind: Some("Role".into()),
                    user_name: Some("Admin".into()),
                    arn: Some(arn.into()),
                    ..SessionIssuer::default()
                }),
                ..SessionContext::default()
            }),
            ..UserIdentity::default()
        }
    }

    #[test]
    fn arns_are_read_for_what_they_are_and_printed_as_they_were() {
        for arn in [
            "arn:aws:iam::111122223333:user/alice",
            "arn:aws:iam::111122223333:user/division/team/alice",
            "arn:aws-cn:iam::111122223333:role/ci/deploy",
            "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.com",
            "arn:aws:iam::111122223333:root",
        ] {
            assert_eq!(arn.parse::<IdentityArn>().unwrap().to_string(), arn);
        }
        for wrong in [
            "",
            "arn:aws:iam::111122223333:group/admins",
            "arn:aws:iam:us-east-1:111122223333:user/alice",
            "arn:aws:iam::11112222333:user/alice",
            "arn:aws:s3:::bucket",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::111122223333:user/al*",
            "arn:aws:sts::111122223333:assumed-role/Admin",
        ] {
            assert!(wrong.parse::<IdentityArn>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_role_is_found_by_its_issuer_else_by_the_sessions_arn() {
        let role: IdentityArn = "arn:aws:iam::111122223333:role/Admin".parse().unwrap();
        let with_path: IdentityArn = "arn:aws:iam::111122223333:role/team/Admin".parse().unwrap();
        let plain = session(Some("arn:aws:iam::111122223333:role/Admin"));
        assert!(Identity::Arn(role.clone()).matches(&plain));
        assert!(!Identity::Arn(with_path.clone()).matches(&plain));
        assert!(Identity::Arn(role).matches(&session(None)));
        assert!(Identity::Arn(with_path).matches(&session(None)));
        assert!(Identity::RoleName("Admin".parse().unwrap()).matches(&session(None)));
    }

    #[test]
    fn a_session_name_is_not_a_user_name() {
        let who = session(None);
        assert!(Identity::SessionName("alice".parse().unwrap()).matches(&who));
        assert!(!Identity::UserName("alice".parse().unwrap()).matches(&who));
        assert!(
            !Identity::RoleSession {
                role_name: "Reader".parse().unwrap(),
                session_name: "alice".parse().unwrap()
            }
            .matches(&who)
        );
    }
}
