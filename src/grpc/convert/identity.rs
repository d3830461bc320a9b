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
    if list.is_empty() {
        findings.invalid("identities", "say whom the question is about: one identity");
    } else if list.len() > 1 {
        findings.not_served("identities", "more than one identity in a request");
    }
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
    let mut not_served = |field: &str| {
        findings.not_served(format!("{path}.{field}"), "this kind of identity");
        None
    };
    match kind {
        Kind::PermissionSet(_) => not_served("permission_set"),
        Kind::PrincipalId(_) => not_served("principal_id"),
        Kind::SourceIdentity(_) => not_served("source_identity"),
        Kind::IdentityCenterUserId(_) => not_served("identity_center_user_id"),
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
            let hint = if text.contains('*') {
                "; wildcards are not served"
            } else {
                ""
            };
            findings.malformed(format!("{path}.{field}"), text, format!("{expected}{hint}"));
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
            "al*",
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

    #[test]
    fn later_kinds_are_refused_by_name() {
        let refused = read(Kind::PermissionSet("Admins".into()));
        let Err(Rejection::NotServed(fields)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(fields[0].field, "identities[0].permission_set");
    }
}
