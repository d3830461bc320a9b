//! Users in event history: the sessions that they issue with `sts:GetFederationToken`.
//!
//! Such a session acts under a name and a key of its own, by neither of which a lookup of the user
//! finds it. The calls that issued them are the user's own, though, and tell both.

use std::collections::BTreeSet;

use super::facts::AccountFacts;
use super::lookups::LookupAttribute;
use crate::query::identity::ArnPrincipal;
use crate::query::{Case, Condition, EventQuery, EventTime, Identity, Region, TimeRange};

/// The longest that a federated session lives.
pub const LONGEST_FEDERATED_SECONDS: i64 = 36 * 3600;

/// Users whose federated sessions are read besides what they do themselves: complete for the
/// sessions that are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FederatedSessions {
    /// The users. Never empty.
    pub users: BTreeSet<UserSought>,
    /// The account's Regions: a session that was issued in one acts in all.
    pub regions: BTreeSet<Region>,
    /// Of them, those that the configuration accepts as unreadable: nothing is sought there.
    pub unread: BTreeSet<Region>,
    /// The account has others, which are not known.
    pub has_others: bool,
    /// A session that acts in the account's interval was issued in here; all of that interval is too.
    pub issued_in: TimeRange,
}

/// A user, or several that one identity means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserSought {
    /// The identity, whose case counts.
    pub identity: Identity,
    /// What finds what it did itself, calls of `GetFederationToken` included.
    pub attribute: LookupAttribute,
}

impl UserSought {
    /// What the records of its calls are.
    #[must_use]
    pub fn acts(&self) -> Condition {
        self.identity.condition(Case::Kept)
    }
}

impl FederatedSessions {
    /// Whether sessions that may act in the interval were issued before event history begins.
    #[must_use]
    pub fn reach_ends_early(&self, range: TimeRange) -> bool {
        self.issued_in.start() > range.start().plus(-LONGEST_FEDERATED_SECONDS)
    }
}

/// Whether sessions that it issued are what the identity did, although no lookup of it finds them.
pub(super) fn may_federate(identity: &Identity) -> bool {
    match identity {
        Identity::UserName(_) => true,
        Identity::Arn(arn) => matches!(arn.principal, ArnPrincipal::User { .. }),
        _ => false,
    }
}

/// The users among the question's identities, if there are any that an attribute finds.
///
/// `unread` are the Regions of which nothing can be read.
pub(super) fn sought(
    query: &EventQuery,
    of_identity: impl Fn(&Identity, Case) -> Option<LookupAttribute>,
    account: &AccountFacts,
    unread: impl Fn(&Region) -> bool,
    horizon: EventTime,
) -> Option<FederatedSessions> {
    let users = query.identities.iter().filter(|it| may_federate(it));
    let users: BTreeSet<UserSought> = users
        .filter_map(|identity| {
            Some(UserSought {
                identity: identity.clone(),
                attribute: of_identity(identity, query.case)?,
            })
        })
        .collect();
    if users.is_empty() {
        return None;
    }
    let regions = account.regions.iter().chain(&query.regions);
    let (unread, regions) = regions.cloned().partition(unread);
    // All that was asked for, so that it is the same for a stream and what resumes it.
    let asked = query.range;
    let start = asked.start().plus(-LONGEST_FEDERATED_SECONDS).max(horizon);
    Some(FederatedSessions {
        users,
        regions,
        unread,
        has_others: account.regions_unknown.is_some(),
        issued_in: TimeRange::new(start, asked.end()).unwrap_or(asked),
    })
}
