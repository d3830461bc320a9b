//! What event history can be narrowed by: attributes that together find everything, or nothing.

use std::collections::BTreeSet;

use super::lookups::{LookupAttribute, Lookups};
use crate::query::identity::ArnPrincipal;
use crate::query::{EventFilter, EventQuery, Identity};

/// How far `LookupEvents` can be narrowed for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Narrowing {
    /// What to ask for.
    pub(super) lookups: Lookups,
    /// Whether every lookup names an identity. If not, event history would read what everybody
    /// did: an archive is better, where there is one.
    pub(super) by_identity: bool,
}

impl Narrowing {
    /// The best lookups for `query`: its identities', else those of the filter's APIs or AWS
    /// services.
    pub(super) fn of(query: &EventQuery) -> Self {
        let by_identity = of_identities(&query.identities);
        Self {
            by_identity: by_identity.is_some(),
            lookups: by_identity.unwrap_or_else(|| of_filter(&query.filter)),
        }
    }
}

/// A lookup for each identity, if each has one: a user `alice` and a session `alice` share theirs.
fn of_identities(identities: &[Identity]) -> Option<Lookups> {
    let attributes: Option<BTreeSet<_>> = identities.iter().map(of_identity).collect();
    attributes
        .filter(|attributes| !attributes.is_empty())
        .map(Lookups::Each)
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

fn of_filter(filter: &EventFilter) -> Lookups {
    if filter.event_names.is_empty() {
        let sources = filter.event_sources.iter().cloned();
        sources.map(LookupAttribute::EventSource).collect()
    } else {
        let names = filter.event_names.iter().cloned();
        names.map(LookupAttribute::EventName).collect()
    }
}
