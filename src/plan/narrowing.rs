//! What event history can be narrowed by: attributes that together find everything, or nothing.

use std::collections::BTreeSet;

use super::federated_sessions::may_federate;
use super::lookups::{LookupAttribute, Lookups};
use crate::query::identity::ArnPrincipal;
use crate::query::{Access, Case, EventFilter, EventQuery, Identity, credential_apis};

/// How far `LookupEvents` can be narrowed for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Narrowing {
    /// What to ask for.
    pub(super) lookups: Lookups,
    /// Whether every lookup names whom or which events the question is about. If not, event history
    /// would read what everybody did: an archive is better, where there is one.
    pub(super) selective: bool,
    /// Whether the lookups find so much that, where the question is about roles, their sessions are
    /// sought instead.
    pub(super) broad: bool,
}

impl Narrowing {
    /// The best lookups for `query`: the events' ids, its identities', else what the filter has.
    pub(super) fn of(query: &EventQuery) -> Self {
        let ids = query.filter.event_ids.iter().cloned();
        let ids: BTreeSet<_> = ids.map(LookupAttribute::EventId).collect();
        let selective = if ids.is_empty() {
            of_identities(query)
        } else {
            Some(Lookups::Each(ids))
        };
        let filter = &query.filter;
        Self {
            broad: selective.is_none()
                && filter.event_names.is_empty()
                && filter.event_sources.is_empty(),
            selective: selective.is_some(),
            lookups: selective.unwrap_or_else(|| of_filter(filter)),
        }
    }
}

/// A lookup for each identity, if each has one: a user `alice` and a session `alice` share theirs.
/// None of a user shows the sessions that it issued: whoever wants these exactly wants everything.
fn of_identities(query: &EventQuery) -> Option<Lookups> {
    let attributes = query.identities.iter().map(|identity| {
        let shows_all = !(query.exact_roles && may_federate(identity));
        of_identity(identity, query.case).filter(|_| shows_all)
    });
    let attributes: Option<BTreeSet<_>> = attributes.collect();
    attributes
        .filter(|attributes| !attributes.is_empty())
        .map(Lookups::Each)
}

/// `Username` is a user's name, a session's name (never a role's) or `root`: the whole of it, in
/// its own case.
pub(super) fn of_identity(identity: &Identity, case: Case) -> Option<LookupAttribute> {
    let username = |name: Option<&str>| {
        let name = name.filter(|_| case == Case::Kept)?;
        Some(LookupAttribute::Username(name.to_owned()))
    };
    let root = || Some(LookupAttribute::Username("root".to_owned()));
    match identity {
        Identity::UserName(name) => username(name.exact()),
        Identity::SessionName(session_name) | Identity::RoleSession { session_name, .. } => {
            username(session_name.exact())
        }
        Identity::AccessKeyId(key) => Some(LookupAttribute::AccessKeyId(key.as_str().to_owned())),
        Identity::Root => root(),
        Identity::Arn(arn) => match &arn.principal {
            ArnPrincipal::User { name, .. } => username(name.exact()),
            ArnPrincipal::AssumedRole { session_name, .. } => username(session_name.exact()),
            ArnPrincipal::Root => root(),
            ArnPrincipal::Role { .. } | ArnPrincipal::FederatedUser { .. } => None,
        },
        // A principal id is also in the records of the accounts that its calls reached, which name
        // no user: no attribute finds those, and the session's name after a colon only the others.
        Identity::PrincipalId(_)
        | Identity::RoleName(_)
        | Identity::PermissionSet(_)
        | Identity::SourceIdentity(_)
        | Identity::IdentityCenterUserId(_) => None,
    }
}

/// APIs, else AWS services, else what kind of call it is.
///
/// Two attributes are not used, since each would lose events that the filter means:
/// - `ResourceName` finds what AWS lists among an event's resources, as far as it does: of the types
///   that it knows, and not all that the request names. `filter.resources` looks at the request.
/// - `ReadOnly` `false`: a record without `readOnly` (older ones, sign-ins) counts as a write here,
///   and nothing says which of the two AWS takes it for.
fn of_filter(filter: &EventFilter) -> Lookups {
    let only =
        |access: Access| !filter.access.is_empty() && filter.access.iter().all(|it| *it == access);
    if !filter.event_names.is_empty() {
        let names = filter.event_names.iter().cloned();
        names.map(LookupAttribute::EventName).collect()
    } else if !filter.event_sources.is_empty() {
        let sources = filter.event_sources.iter().cloned();
        sources.map(LookupAttribute::EventSource).collect()
    } else if only(Access::Read) {
        Lookups::by(LookupAttribute::ReadOnly(true))
    } else if only(Access::IssuesCredentials) {
        let names = credential_apis::names().into_iter().map(str::to_owned);
        names.map(LookupAttribute::EventName).collect()
    } else {
        Lookups::Whole
    }
}
