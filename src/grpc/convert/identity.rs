//! Identities: the request's oneof ⇄ the domain's checked names.

use std::str::FromStr;

use super::Findings;
use crate::config::Limits;
use crate::grpc::pb;
use crate::grpc::pb::identity::Kind;
use crate::query::Identity;
use crate::query::ids::InvalidId;

/// Reads whom a request is about.
pub(super) fn identities(
    list: &[pb::Identity],
    limits: &Limits,
    findings: &mut Findings,
) -> Vec<Identity> {
    findings.check_length(
        "identities",
        list.len(),
        limits.max_identities,
        "limits.max_identities",
    );
    list.iter()
        .take(usize::try_from(limits.max_identities).unwrap_or(usize::MAX))
        .enumerate()
        .filter_map(|(index, wire)| identity(wire, &format!("identities[{index}]"), findings))
        .collect()
}

fn identity(wire: &pb::Identity, path: &str, findings: &mut Findings) -> Option<Identity> {
    let Some(kind) = &wire.kind else {
        findings.invalid(
            path,
            "say which identity: user_name, role_name, arn or another",
        );
        return None;
    };
    match kind {
        Kind::PermissionSet(text) => {
            let name = name(text, path, "permission_set", findings)?;
            Some(Identity::PermissionSet(name))
        }
        Kind::PrincipalId(text) => Some(Identity::PrincipalId(name(
            text,
            path,
            "principal_id",
            findings,
        )?)),
        Kind::SourceIdentity(text) => {
            let name = name(text, path, "source_identity", findings)?;
            Some(Identity::SourceIdentity(name))
        }
        Kind::IdentityCenterUserId(text) => {
            let id = name(text, path, "identity_center_user_id", findings)?;
            Some(Identity::IdentityCenterUserId(id))
        }
        Kind::UserName(text) => Some(Identity::UserName(name(text, path, "user_name", findings)?)),
        Kind::RoleName(text) => Some(Identity::RoleName(name(text, path, "role_name", findings)?)),
        Kind::SessionName(text) => Some(Identity::SessionName(name(
            text,
            path,
            "session_name",
            findings,
        )?)),
        Kind::RoleSession(session) => {
            let path = format!("{path}.role_session");
            let role_name = name(&session.role_name, &path, "role_name", findings);
            let session_name = name(&session.session_name, &path, "session_name", findings);
            Some(Identity::RoleSession {
                role_name: role_name?,
                session_name: session_name?,
            })
        }
        Kind::AccessKeyId(text) => Some(Identity::AccessKeyId(name(
            text,
            path,
            "access_key_id",
            findings,
        )?)),
        Kind::Root(pb::RootUser {}) => Some(Identity::Root),
        Kind::Arn(text) => Some(Identity::Arn(name(text, path, "arn", findings)?)),
    }
}

fn name<T: FromStr<Err = InvalidId>>(
    text: &str,
    path: &str,
    field: &str,
    findings: &mut Findings,
) -> Option<T> {
    text.parse()
        .map_err(|InvalidId { expected }| {
            findings.malformed(format!("{path}.{field}"), text, expected);
        })
        .ok()
}

/// Writes an identity, as in an event's `matched_identities`.
#[must_use]
pub fn to_wire(identity: &Identity) -> pb::Identity {
    let kind = match identity {
        Identity::UserName(name) => Kind::UserName(name.to_string()),
        Identity::SessionName(name) => Kind::SessionName(name.to_string()),
        Identity::RoleSession {
            role_name,
            session_name,
        } => Kind::RoleSession(pb::RoleSession {
            role_name: role_name.to_string(),
            session_name: session_name.to_string(),
        }),
        Identity::RoleName(name) => Kind::RoleName(name.to_string()),
        Identity::PermissionSet(name) => Kind::PermissionSet(name.to_string()),
        Identity::PrincipalId(id) => Kind::PrincipalId(id.to_string()),
        Identity::SourceIdentity(name) => Kind::SourceIdentity(name.to_string()),
        Identity::IdentityCenterUserId(id) => Kind::IdentityCenterUserId(id.to_string()),
        Identity::AccessKeyId(key) => Kind::AccessKeyId(key.to_string()),
        Identity::Root => Kind::Root(pb::RootUser {}),
        Identity::Arn(arn) => Kind::Arn(arn.to_string()),
    };
    pb::Identity { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::Rejection;

    fn read(kind: Kind) -> Result<Identity, Rejection> {
        let mut findings = Findings::default();
        let list = [pb::Identity { kind: Some(kind) }];
        let mut read = identities(&list, &Limits::default(), &mut findings);
        findings.finish().map(|()| read.remove(0))
    }

    #[test]
    fn what_is_read_is_written_as_it_was() {
        for kind in [
            Kind::UserName("alice".into()),
            Kind::RoleName("Admin".into()),
            Kind::SessionName("alice@example.com".into()),
            Kind::RoleSession(pb::RoleSession {
                role_name: "Admin".into(),
                session_name: "alice".into(),
            }),
            Kind::UserName("al*".into()),
            Kind::PermissionSet("AdministratorAccess".into()),
            Kind::PrincipalId("AROACKCEVSQ6C2EXAMPLE:alice".into()),
            Kind::SourceIdentity("alice@example.com".into()),
            Kind::IdentityCenterUserId("906786f9-f5a6-4e9b-a0c4-example00001".into()),
            Kind::Arn("arn:aws:sts::111122223333:assumed-role/Admin/*".into()),
            Kind::AccessKeyId("AKIAIOSFODNN7EXAMPLE".into()),
            Kind::Root(pb::RootUser {}),
            Kind::Arn("arn:aws:iam::111122223333:role/team/Admin".into()),
        ] {
            let identity = read(kind.clone()).unwrap();
            assert_eq!(to_wire(&identity).kind, Some(kind));
        }
    }

    #[test]
    fn names_that_iam_does_not_allow_are_refused() {
        let long = "x".repeat(10_000);
        for wrong in [
            "",
            "a'b",
            "a\"b",
            "a\\b",
            "al'*",
            "x' OR '1'='1",
            "a;--",
            "a b",
            "a\0b",
            &long,
        ] {
            for kind in [
                Kind::UserName(wrong.into()),
                Kind::RoleName(wrong.into()),
                Kind::SessionName(wrong.into()),
                Kind::AccessKeyId(wrong.into()),
                Kind::PermissionSet(wrong.into()),
                Kind::PrincipalId(wrong.into()),
                Kind::SourceIdentity(wrong.into()),
                Kind::IdentityCenterUserId(wrong.into()),
                Kind::Arn(wrong.into()),
                Kind::Arn(format!("arn:aws:iam::111122223333:user/{wrong}")),
                Kind::RoleSession(pb::RoleSession {
                    role_name: "Admin".into(),
                    session_name: wrong.into(),
                }),
            ] {
                assert!(
                    matches!(read(kind.clone()), Err(Rejection::Invalid(_))),
                    "{kind:?}"
                );
            }
        }
    }
}
