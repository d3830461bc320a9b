//! Whom the question is about, and which records that means.

mod arn;
#[cfg(test)]
mod tests;

use std::fmt;

use super::condition::{Condition, Member};
use super::ids::{
    AccessKeyId, IdentityCenterUserId, PermissionSetName, PrincipalId, RoleName, SessionName,
    SourceIdentity, UserName,
};
use super::pattern::{Case, NamePattern, Part, TextPattern};

pub use arn::{ArnPrincipal, IdentityArn};

/// An identity to ask about. In names `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// IAM users of this name, in any account, and the federated users whose sessions they issued.
    UserName(NamePattern<UserName>),
    /// Sessions of this name, of any role.
    SessionName(NamePattern<SessionName>),
    /// Sessions of this name of roles of this name.
    RoleSession {
        /// The role.
        role_name: NamePattern<RoleName>,
        /// The session.
        session_name: NamePattern<SessionName>,
    },
    /// All sessions of roles of this name, in any account.
    RoleName(NamePattern<RoleName>),
    /// All sessions of an Identity Center permission set, in any account: of the roles
    /// `AWSReservedSSO_SET_HASH`, whose hash differs in each.
    PermissionSet(NamePattern<PermissionSetName>),
    /// Whatever was signed with this key.
    AccessKeyId(AccessKeyId),
    /// A user, a role (all of its sessions) or one session, by the unique id that a namesake does
    /// not get.
    PrincipalId(PrincipalId),
    /// Sessions that carry this source identity, through whichever roles.
    SourceIdentity(NamePattern<SourceIdentity>),
    /// Whatever was done on behalf of this Identity Center user.
    IdentityCenterUserId(IdentityCenterUserId),
    /// The root user of any account.
    Root,
    /// What an ARN names.
    Arn(IdentityArn),
}

impl Identity {
    /// The records that this identity made: the one definition, which every event is held against
    /// before it leaves the service and from which each backend's narrowing is written.
    ///
    /// `case` is that of names and ARNs; ids have theirs.
    #[must_use]
    pub fn condition(&self, case: Case) -> Condition {
        match self {
            Self::UserName(name) => Condition::Any(vec![
                Condition::All(vec![
                    kind("IAMUser"),
                    Condition::Is(Member::UserName, name.pattern(case)),
                ]),
                Condition::All(vec![
                    kind("FederatedUser"),
                    Condition::is(Member::IssuerKind, "IAMUser"),
                    Condition::Is(Member::IssuerUserName, name.pattern(case)),
                ]),
            ]),
            Self::SessionName(name) => session(name, case),
            Self::RoleSession {
                role_name,
                session_name,
            } => Condition::All(vec![
                session(session_name, case),
                role(role_name.pattern(case)),
            ]),
            Self::RoleName(name) => role(name.pattern(case)),
            Self::PermissionSet(name) => role(name.pattern(case).between(
                &[Part::Text("AWSReservedSSO_".into())],
                &[Part::Text("_".into()), Part::HexDigits(16)],
            )),
            Self::AccessKeyId(key) => Condition::is(Member::AccessKeyId, key.as_str()),
            Self::PrincipalId(id) => principal(id),
            Self::SourceIdentity(name) => Condition::Is(Member::SourceIdentity, name.pattern(case)),
            Self::IdentityCenterUserId(id) => Condition::is(Member::OnBehalfOfUserId, id.as_str()),
            Self::Root => kind("Root"),
            Self::Arn(arn) => arn.condition(case),
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
            Self::PermissionSet(name) => write!(f, "permission_set={name}"),
            Self::AccessKeyId(key) => write!(f, "access_key_id={key}"),
            Self::PrincipalId(id) => write!(f, "principal_id={id}"),
            Self::SourceIdentity(name) => write!(f, "source_identity={name}"),
            Self::IdentityCenterUserId(id) => write!(f, "identity_center_user_id={id}"),
            Self::Root => f.write_str("root"),
            Self::Arn(arn) => write!(f, "arn={arn}"),
        }
    }
}

fn kind(kind: &str) -> Condition {
    Condition::is(Member::Kind, kind)
}

/// The session's name is what follows the colon of an assumed role's principal id.
fn session(name: &NamePattern<SessionName>, case: Case) -> Condition {
    let ends = [Part::Anything, Part::Text(":".into())];
    Condition::All(vec![
        kind("AssumedRole"),
        Condition::Is(Member::PrincipalId, name.pattern(case).between(&ends, &[])),
    ])
}

/// The role's name: of the session's issuer, else in the session's ARN.
fn role(name: TextPattern) -> Condition {
    let issued_by_a_role = Condition::Any(vec![
        Condition::is(Member::IssuerKind, "Role"),
        Condition::Absent(Member::IssuerKind),
    ]);
    let in_arn = name.clone().between(
        &[
            Part::Text("arn:".into()),
            Part::Anything,
            Part::Text(":sts:".into()),
            Part::Anything,
            Part::Text(":assumed-role/".into()),
        ],
        &[Part::Text("/".into()), Part::Anything],
    );
    Condition::Any(vec![
        Condition::All(vec![
            Condition::Is(Member::IssuerUserName, name),
            issued_by_a_role,
        ]),
        session_without(Member::IssuerUserName, in_arn),
    ])
}

/// Sessions whose issuer does not say who it is: only their own ARN tells the role.
fn session_without(issuer: Member, arn: TextPattern) -> Condition {
    Condition::All(vec![
        Condition::Absent(issuer),
        kind("AssumedRole"),
        Condition::Is(Member::Arn, arn),
    ])
}

/// A user's or role's id is also the issuer's of its sessions; `ROLE:SESSION` is one session.
/// (`ACCOUNT:NAME` is a federated user, so that what precedes a colon means a role's session only
/// where an assumed role made the call.)
fn principal(id: &PrincipalId) -> Condition {
    let session = [Part::Text(":".into()), Part::Anything];
    Condition::Any(vec![
        Condition::is(Member::PrincipalId, id.as_str()),
        Condition::is(Member::IssuerPrincipalId, id.as_str()),
        Condition::All(vec![
            kind("AssumedRole"),
            Condition::Is(
                Member::PrincipalId,
                TextPattern::exact(id.as_str()).between(&[], &session),
            ),
        ]),
    ])
}
