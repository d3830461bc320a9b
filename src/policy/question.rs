//! A request as policies see it: the RPC and the context.

use std::collections::BTreeSet;

use cedar_policy::{Context, EntityUid, RestrictedExpression};
use jiff::Timestamp;

use super::uid;
use crate::query::identity::ArnPrincipal;
use crate::query::{EventQuery, EventTime, Identity, RecordView};

/// Event history's reach: how far a search's horizon lies before the time at which it began.
const HORIZON_SECONDS: i64 = 90 * 24 * 60 * 60;
/// How long after its beginning a search is resumed as reaching back no further than it did at first.
/// Whoever makes a token of their own gains no more than this.
const RESUME_GRACE_SECONDS: i64 = 24 * 60 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// `SearchEvents`
    SearchEvents(SearchQuestion),
    /// `PlanSearch`
    PlanSearch(SearchQuestion),
    /// `ListAccounts`
    ListAccounts,
    /// `CheckAccounts`
    CheckAccounts {
        /// How far back archives and log groups are looked into.
        lookback_seconds: i64,
    },
}

/// What policies see of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuestion {
    /// The kinds of its identities.
    pub identity_kinds: BTreeSet<&'static str>,
    /// How far back from now it reaches.
    pub lookback_seconds: i64,
    /// How much of each event is wanted.
    pub record_view: RecordView,
}

/// The RPCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rpc {
    /// `SearchEvents`
    SearchEvents,
    /// `PlanSearch`
    PlanSearch,
    /// `ListAccounts`
    ListAccounts,
    /// `CheckAccounts`
    CheckAccounts,
}

impl Rpc {
    /// Its name on the wire, which is the action's in policies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SearchEvents => "SearchEvents",
            Self::PlanSearch => "PlanSearch",
            Self::ListAccounts => "ListAccounts",
            Self::CheckAccounts => "CheckAccounts",
        }
    }

    pub(super) fn action(self) -> EntityUid {
        uid("Action", self.as_str())
    }
}

/// Something about a question because of which it may be denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Aspect {
    /// How much of each event it wants.
    RecordView,
    /// How far back it reaches.
    Lookback,
    /// How its identities are named.
    IdentityKind,
}

impl Aspect {
    pub(super) const ALL: [Self; 3] = [Self::RecordView, Self::Lookback, Self::IdentityKind];
}

impl Question {
    /// The RPC that asks.
    #[must_use]
    pub fn rpc(&self) -> Rpc {
        match self {
            Self::SearchEvents(_) => Rpc::SearchEvents,
            Self::PlanSearch(_) => Rpc::PlanSearch,
            Self::ListAccounts => Rpc::ListAccounts,
            Self::CheckAccounts { .. } => Rpc::CheckAccounts,
        }
    }

    /// A check that looks this many days back.
    #[must_use]
    pub fn check_accounts(days: u32) -> Self {
        Self::CheckAccounts {
            lookback_seconds: i64::from(days) * DAY_SECONDS,
        }
    }

    /// The question of an RPC that asks for least.
    pub(super) fn least(rpc: Rpc) -> Self {
        let search = SearchQuestion {
            identity_kinds: BTreeSet::new(),
            lookback_seconds: 0,
            record_view: RecordView::None,
        };
        match rpc {
            Rpc::SearchEvents => Self::SearchEvents(search),
            Rpc::PlanSearch => Self::PlanSearch(search),
            Rpc::ListAccounts => Self::ListAccounts,
            Rpc::CheckAccounts => Self::CheckAccounts {
                lookback_seconds: 0,
            },
        }
    }

    pub(super) fn context(&self) -> Context {
        let pairs = match self {
            Self::SearchEvents(search) | Self::PlanSearch(search) => search.members(),
            Self::ListAccounts => Vec::new(),
            Self::CheckAccounts { lookback_seconds } => vec![lookback(*lookback_seconds)],
        };
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Context::from_pairs(pairs).expect("the members' names differ")
    }

    /// Every other question of the same RPC that differs in these aspects only, as far as policies
    /// can tell: those that ask for least first.
    pub(super) fn others(&self, aspects: &[Aspect]) -> Vec<Self> {
        let may = |aspect| aspects.contains(&aspect);
        match self {
            Self::CheckAccounts { .. } if may(Aspect::Lookback) => vec![Self::CheckAccounts {
                lookback_seconds: 0,
            }],
            Self::ListAccounts | Self::CheckAccounts { .. } => Vec::new(),
            Self::SearchEvents(search) => search.others(may).map(Self::SearchEvents).collect(),
            Self::PlanSearch(search) => search.others(may).map(Self::PlanSearch).collect(),
        }
    }
}

impl SearchQuestion {
    /// What `query` asks at `now`.
    #[must_use]
    pub fn of(query: &EventQuery, now: Timestamp) -> Self {
        Self {
            identity_kinds: query.identities.iter().flat_map(kinds).collect(),
            lookback_seconds: lookback_seconds(query, EventTime::ceil(now)),
            record_view: query.record_view,
        }
    }

    fn members(&self) -> Vec<(&'static str, RestrictedExpression)> {
        let kinds = self.identity_kinds.iter();
        let kinds = kinds.map(|kind| literal("IdentityKind", kind));
        let view = view(self.record_view);
        vec![
            ("identity_kinds", RestrictedExpression::new_set(kinds)),
            lookback(self.lookback_seconds),
            ("record_view", literal("RecordView", view)),
        ]
    }

    fn others(&self, may: impl Fn(Aspect) -> bool) -> impl Iterator<Item = Self> {
        let views = if may(Aspect::RecordView) {
            vec![RecordView::None, RecordView::Fields, RecordView::Full]
        } else {
            vec![self.record_view]
        };
        let kinds: Vec<BTreeSet<&'static str>> = if may(Aspect::IdentityKind) {
            let single = KINDS.iter().map(|kind| BTreeSet::from([*kind]));
            single.chain([BTreeSet::new()]).collect()
        } else {
            vec![self.identity_kinds.clone()]
        };
        let lookback_seconds = if may(Aspect::Lookback) {
            0
        } else {
            self.lookback_seconds
        };
        views.into_iter().flat_map(move |record_view| {
            let question = move |identity_kinds| Self {
                identity_kinds,
                lookback_seconds,
                record_view,
            };
            kinds.clone().into_iter().map(question)
        })
    }
}

/// How far back from `now` a question reaches. A search that goes on after a break reaches back as far
/// as it did when it began, while that is not too long ago: else whoever asks for all that is allowed
/// could never resume.
fn lookback_seconds(query: &EventQuery, now: EventTime) -> i64 {
    let since = |start: EventTime| now.second() - start.second();
    match (&query.resume, query.asked_range.end) {
        (Some(resume), _) => {
            let age = since(resume.horizon) - HORIZON_SECONDS;
            since(query.range.start()) - age.clamp(0, RESUME_GRACE_SECONDS)
        }
        (None, Some(_)) => since(query.range.start()),
        // It ends at the very now for which it was read, which may be a second ago.
        (None, None) => query.range.end().second() - query.range.start().second(),
    }
}

fn lookback(seconds: i64) -> (&'static str, RestrictedExpression) {
    ("lookback_seconds", RestrictedExpression::new_long(seconds))
}

fn literal(kind: &str, id: &str) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid(kind, id))
}

/// The kinds of identities, as the schema and the proto name them.
pub(super) const KINDS: [&str; 11] = [
    "user_name",
    "session_name",
    "role_session",
    "role_name",
    "permission_set",
    "access_key_id",
    "principal_id",
    "source_identity",
    "identity_center_user_id",
    "root",
    "arn",
];

/// How an identity is named; an ARN also as what it is read for, so that what is forbidden of users is
/// forbidden of their ARNs.
fn kinds(identity: &Identity) -> impl Iterator<Item = &'static str> {
    let kind = match identity {
        Identity::UserName(_) => "user_name",
        Identity::SessionName(_) => "session_name",
        Identity::RoleSession { .. } => "role_session",
        Identity::RoleName(_) => "role_name",
        Identity::PermissionSet(_) => "permission_set",
        Identity::AccessKeyId(_) => "access_key_id",
        Identity::PrincipalId(_) => "principal_id",
        Identity::SourceIdentity(_) => "source_identity",
        Identity::IdentityCenterUserId(_) => "identity_center_user_id",
        Identity::Root => "root",
        Identity::Arn(_) => "arn",
    };
    let read_for = match identity {
        Identity::Arn(arn) => match &arn.principal {
            ArnPrincipal::User { .. } => Some("user_name"),
            ArnPrincipal::Role { .. } => Some("role_name"),
            ArnPrincipal::AssumedRole { .. } => Some("role_session"),
            ArnPrincipal::Root => Some("root"),
            ArnPrincipal::FederatedUser { .. } => None,
        },
        _ => None,
    };
    std::iter::once(kind).chain(read_for)
}

fn view(view: RecordView) -> &'static str {
    match view {
        RecordView::Fields => "fields",
        RecordView::Full => "full",
        RecordView::None => "none",
    }
}
