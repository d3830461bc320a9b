//! What event history can be narrowed by: one attribute, or nothing.

use super::scan::LookupAttribute;
use crate::query::identity::ArnPrincipal;
use crate::query::{EventFilter, EventQuery, Identity};

/// How far `LookupEvents` can be narrowed for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Narrowing {
    /// The attribute to ask for; none reads everything.
    pub(super) attribute: Option<LookupAttribute>,
    /// Whether the attribute names the identity. If not, event history would read what everybody
    /// did: an archive is better, where there is one.
    pub(super) by_identity: bool,
}

impl Narrowing {
    /// The best attribute for `query`: its identity's, else a single API or AWS service of the
    /// filter.
    pub(super) fn of(query: &EventQuery) -> Self {
        let by_identity = shared_attribute(&query.identities);
        Self {
            by_identity: by_identity.is_some(),
            attribute: by_identity.or_else(|| of_filter(&query.filter)),
        }
    }
}

/// The one attribute that finds all of the identities, if there is one: a user `alice` and a
/// session `alice` share theirs, two users do not.
fn shared_attribute(identities: &[Identity]) -> Option<LookupAttribute> {
    let (first, rest) = identities.split_first()?;
    let attribute = of_identity(first)?;
    rest.iter()
        .all(|other| of_identity(other).as_ref() == Some(&attribute))
        .then_some(attribute)
}

/// `Username` is a user's name, a session's name (never a role's) or `root`.
fn of_identity(identity: &Identity) -> Option<LookupAttribute> {
    let username = |name: &str| Some(LookupAttribute::Username(name.to_owned()));
    match identity {
        Identity::UserName(name) => username(name.as_str()),
        Identity::SessionName(session_name) | Identity::RoleSession { session_name, .. } => {
            username(session_name.as_str())
        }
        Identity::AccessKeyId(key) => Some(LookupAttribute::AccessKeyId(key.as_str().to_owned())),
        Identity::Root => username("root"),
        Identity::RoleName(_) => None,
        Identity::Arn(arn) => match &arn.principal {
            ArnPrincipal::User { name, .. } => username(name.as_str()),
            ArnPrincipal::AssumedRole { session_name, .. } => username(session_name.as_str()),
            ArnPrincipal::Root => username("root"),
            ArnPrincipal::Role { .. } => None,
        },
    }
}

fn of_filter(filter: &EventFilter) -> Option<LookupAttribute> {
    match (&filter.event_names[..], &filter.event_sources[..]) {
        ([name], _) => Some(LookupAttribute::EventName(name.clone())),
        (_, [source]) => Some(LookupAttribute::EventSource(source.clone())),
        _ => None,
    }
}
