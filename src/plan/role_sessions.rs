//! Roles in event history: which of the question's identities can be read by their sessions.
//!
//! `LookupEvents` has no attribute for a role. The events that issued its sessions name the role
//! among their resources, though, and a session's own events are found by its name.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::AccountFacts;
use super::federated_sessions::FederatedSessions;
use super::lookups::{LookupAttribute, Lookups};
use crate::query::identity::ArnPrincipal;
use crate::query::{
    AccountId, Case, Condition, EventQuery, EventTime, Identity, Region, TimeRange,
};

/// The longest that a session lives.
pub const LONGEST_SESSION_SECONDS: i64 = 12 * 3600;

/// Roles that are read by their sessions: complete for the sessions that are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSessions {
    /// The roles whose sessions are sought.
    pub roles: Vec<RoleSought>,
    /// What finds the question's other identities.
    pub beside: BTreeSet<LookupAttribute>,
    /// Of these, the users, whose federated sessions are sought likewise.
    pub federated: Option<Arc<FederatedSessions>>,
    /// The account's Regions: a session that was assumed in one acts in all.
    pub regions: BTreeSet<Region>,
    /// The account has others, which are not known.
    pub has_others: bool,
    /// A session that acts in the account's interval was assumed in here.
    pub assumed_in: TimeRange,
}

impl PartialOrd for RoleSessions {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoleSessions {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// A role, or several that one identity means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSought {
    /// The identity.
    pub identity: Identity,
    /// What the records of its sessions are.
    pub acts: Condition,
    /// How the events that issued its sessions are found.
    pub issued_by: IssuedBy,
}

/// How the `AssumeRole*` events of a role are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IssuedBy {
    /// They are about this role, whose ARN has its path.
    Role {
        /// The ARN.
        arn: String,
    },
    /// Only the role's name is known. Most roles have no path; if this one has, it is learned from
    /// any event that names the role.
    RoleOfUnknownPath {
        /// The ARN, if there is no path.
        without_path: String,
    },
    /// Which roles they are is not known beforehand: all events of these APIs are read.
    Apis(&'static [&'static str]),
}

impl IssuedBy {
    /// The lookups that it takes in each Region; where the role has a path, more once that is known.
    #[must_use]
    pub fn attributes(&self) -> BTreeSet<LookupAttribute> {
        match self {
            Self::Role { arn } | Self::RoleOfUnknownPath { without_path: arn } => {
                BTreeSet::from([LookupAttribute::ResourceName(arn.clone())])
            }
            Self::Apis(apis) => {
                let names = apis.iter().map(|api| (*api).to_owned());
                names.map(LookupAttribute::EventName).collect()
            }
        }
    }
}

/// The APIs that issue sessions of roles.
pub const ASSUME_ROLE: &[&str] = &[
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
];

/// The only API that the trust policies of Identity Center's roles allow.
const ASSUME_PERMISSION_SET: &[&str] = &["AssumeRoleWithSAML"];

/// Sessions are sought where reading whole costs so many times what finding them does at least:
/// below, it costs at most twice what finding and reading a single session would.
const WORTH_WHILE: u64 = 4;

impl RoleSessions {
    /// The requests that finding the sessions takes at least: in each Region one for each lookup.
    #[must_use]
    pub fn least_to_find(&self) -> u64 {
        let lookups = self
            .roles
            .iter()
            .map(|role| role.issued_by.attributes().len());
        (self.regions.len() * lookups.sum::<usize>()) as u64
    }

    /// Whether sessions are sought in an account that takes `whole` requests to read whole.
    #[must_use]
    pub fn worth_while(&self, whole: u64) -> bool {
        whole >= WORTH_WHILE.saturating_mul(self.least_to_find())
    }

    /// The requests that finding them is worth there; beyond that the account is read whole.
    #[must_use]
    pub fn most_to_find(&self, whole: u64) -> u64 {
        self.least_to_find().saturating_add(whole / 2)
    }

    /// What tells it from others of the same question.
    fn key(&self) -> impl Ord {
        let roles = self.roles.iter();
        (
            roles
                .map(|role| (role.identity.clone(), role.issued_by.clone()))
                .collect::<Vec<_>>(),
            self.beside.clone(),
            self.federated.clone(),
            self.regions.clone(),
            (self.assumed_in.start(), self.assumed_in.end()),
        )
    }

    /// Whether sessions that may act in the interval were assumed before event history begins.
    #[must_use]
    pub fn reach_ends_early(&self, range: TimeRange) -> bool {
        self.assumed_in.start() > range.start().plus(-LONGEST_SESSION_SECONDS)
    }
}

/// The identities' lookups in one account, if some are roles whose sessions can be sought and each
/// of the others has an attribute (`of_identity`), users besides their sessions (`federated`).
///
/// `range` is all that event history is read for in the account.
pub(super) fn lookups(
    query: &EventQuery,
    of_identity: impl Fn(&Identity, Case) -> Option<LookupAttribute>,
    account: &AccountFacts,
    federated: Option<Arc<FederatedSessions>>,
    range: TimeRange,
    horizon: EventTime,
) -> Option<Lookups> {
    if query.exact_roles {
        return None;
    }
    let regions: BTreeSet<Region> = (account.regions.iter())
        .chain(&query.regions)
        .cloned()
        .collect();
    let partition = partition_of(regions.first()?);
    let (mut roles, mut beside) = (Vec::new(), BTreeSet::new());
    for identity in &query.identities {
        match of_identity(identity, query.case) {
            Some(attribute) => {
                beside.insert(attribute);
            }
            None => roles.push(RoleSought {
                identity: identity.clone(),
                acts: identity.condition(query.case),
                issued_by: issued_by(identity, query.case, account.id, partition)?,
            }),
        }
    }
    if roles.is_empty() {
        return None;
    }
    let start = range.start().plus(-LONGEST_SESSION_SECONDS).max(horizon);
    Some(Lookups::RoleSessions(Arc::new(RoleSessions {
        roles,
        beside,
        federated,
        regions,
        has_others: account.regions_unknown.is_some(),
        // The same for a stream and what resumes it.
        assumed_in: TimeRange::new(start, query.range.end()).unwrap_or(range),
    })))
}

/// `None` for what is no role, and for service-linked roles: the services that they are linked to
/// do not always record how they come by a session.
fn issued_by(
    identity: &Identity,
    case: Case,
    account: AccountId,
    partition: &str,
) -> Option<IssuedBy> {
    const SERVICE_LINKED_PATH: &str = "/aws-service-role/";
    match identity {
        Identity::RoleName(name) => {
            let exact = name.exact().filter(|_| case == Case::Kept);
            let text = name.to_string();
            if may_be_service_linked(&text, exact.is_some()) {
                return None;
            }
            Some(match exact {
                Some(name) => IssuedBy::RoleOfUnknownPath {
                    without_path: format!("arn:{partition}:iam::{account}:role/{name}"),
                },
                None => IssuedBy::Apis(ASSUME_ROLE),
            })
        }
        Identity::PermissionSet(_) => Some(IssuedBy::Apis(ASSUME_PERMISSION_SET)),
        Identity::Arn(arn) => match &arn.principal {
            ArnPrincipal::Role { path, .. } if case == Case::Kept => {
                let is_service_linked = path.exact()?.starts_with(SERVICE_LINKED_PATH);
                let arn = arn.exact().filter(|_| !is_service_linked)?;
                Some(IssuedBy::Role { arn })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a role of this name, or of this pattern, may be linked to a service.
fn may_be_service_linked(name: &str, is_exact: bool) -> bool {
    const SERVICE_LINKED: &str = "awsservicerolefor";
    let name = name.to_ascii_lowercase();
    let begins = name.split('*').next().unwrap_or_default();
    begins.starts_with(SERVICE_LINKED) || (!is_exact && SERVICE_LINKED.starts_with(begins))
}

/// The partition that a Region belongs to.
fn partition_of(region: &Region) -> &'static str {
    const BY_PREFIX: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("eusc-", "aws-eusc"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-iso-", "aws-iso"),
    ];
    let of = |(prefix, _): &&(&str, &str)| region.as_str().starts_with(prefix);
    BY_PREFIX.iter().find(of).map_or("aws", |(_, name)| name)
}
