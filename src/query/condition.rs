//! A question as one condition on a record's members: what the last check evaluates, and what every
//! backend's own language is written from.

use std::collections::BTreeSet;

use super::address::Network;
use super::pattern::{Case, TextPattern};
use super::resource::ResourceRef;
use super::{Event, UserIdentity};

/// What a record must be.
///
/// [`Condition::holds`] decides. A backend may let through more than that, never less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of these; of none, always.
    All(Vec<Condition>),
    /// Any of these; of none, never.
    Any(Vec<Condition>),
    /// The member has a text of this form.
    Is(Member, TextPattern),
    /// The record does not have the member.
    Absent(Member),
    /// The record has the member, and it is not empty.
    Present(Member),
    /// `sourceIPAddress` is an address in this network.
    From(Network),
    /// The record names this as acted upon: in `resources` or `requestParameters`.
    Names(ResourceRef),
}

/// A member of the record that questions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "`path` says what each is")]
pub enum Member {
    Kind,
    UserName,
    PrincipalId,
    Arn,
    AccountId,
    AccessKeyId,
    OnBehalfOfUserId,
    SourceIdentity,
    IssuerKind,
    IssuerUserName,
    IssuerPrincipalId,
    IssuerArn,
    EventId,
    EventName,
    EventSource,
    ErrorCode,
    ReadOnly,
    SourceIpAddress,
    RequestParameters,
    Resources,
}

impl Member {
    /// Its path in the record. In lower case it is a table's column.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Kind => "userIdentity.type",
            Self::UserName => "userIdentity.userName",
            Self::PrincipalId => "userIdentity.principalId",
            Self::Arn => "userIdentity.arn",
            Self::AccountId => "userIdentity.accountId",
            Self::AccessKeyId => "userIdentity.accessKeyId",
            Self::OnBehalfOfUserId => "userIdentity.onBehalfOf.userId",
            Self::SourceIdentity => "userIdentity.sessionContext.sourceIdentity",
            Self::IssuerKind => "userIdentity.sessionContext.sessionIssuer.type",
            Self::IssuerUserName => "userIdentity.sessionContext.sessionIssuer.userName",
            Self::IssuerPrincipalId => "userIdentity.sessionContext.sessionIssuer.principalId",
            Self::IssuerArn => "userIdentity.sessionContext.sessionIssuer.arn",
            Self::EventId => "eventID",
            Self::EventName => "eventName",
            Self::EventSource => "eventSource",
            Self::ErrorCode => "errorCode",
            Self::ReadOnly => "readOnly",
            Self::SourceIpAddress => "sourceIPAddress",
            Self::RequestParameters => "requestParameters",
            Self::Resources => "resources",
        }
    }

    /// The member of this event, as text.
    fn of(self, event: &Event) -> Option<&str> {
        let who = event.user_identity.as_ref();
        let issuer = || who.and_then(UserIdentity::session_issuer);
        match self {
            Self::Kind => who?.kind.as_deref(),
            Self::UserName => who?.user_name.as_deref(),
            Self::PrincipalId => who?.principal_id.as_deref(),
            Self::Arn => who?.arn.as_deref(),
            Self::AccountId => who?.account_id.as_deref(),
            Self::AccessKeyId => who?.access_key_id.as_deref(),
            Self::OnBehalfOfUserId => who?.on_behalf_of.as_ref()?.user_id.as_deref(),
            Self::SourceIdentity => who?.session_context.as_ref()?.source_identity.as_deref(),
            Self::IssuerKind => issuer()?.kind.as_deref(),
            Self::IssuerUserName => issuer()?.user_name.as_deref(),
            Self::IssuerPrincipalId => issuer()?.principal_id.as_deref(),
            Self::IssuerArn => issuer()?.arn.as_deref(),
            Self::EventId => event.key.id.recorded(),
            Self::EventName => Some(&event.event_name),
            Self::EventSource => Some(&event.event_source),
            Self::ErrorCode => event.error_code.as_deref(),
            Self::ReadOnly => event
                .read_only
                .map(|flag| if flag { "true" } else { "false" }),
            Self::SourceIpAddress => event.source_ip_address.as_deref(),
            Self::RequestParameters => event.request_parameters_json.as_deref(),
            // A list, which only `Names` reads.
            Self::Resources => None,
        }
    }
}

impl Condition {
    /// The member is exactly this.
    #[must_use]
    pub fn is(member: Member, text: impl Into<String>) -> Self {
        Self::Is(member, TextPattern::exact(text))
    }

    /// The member is one of these, exactly.
    #[must_use]
    pub fn among<T: Into<String>>(member: Member, texts: impl IntoIterator<Item = T>) -> Self {
        Self::Any(
            texts
                .into_iter()
                .map(|text| Self::is(member, text))
                .collect(),
        )
    }

    /// The flag has this value: a record may write it as a text.
    #[must_use]
    pub fn flag(member: Member, value: bool) -> Self {
        Self::Is(
            member,
            TextPattern::wildcard(&value.to_string(), Case::Ignored),
        )
    }

    /// Whether `event` is so.
    #[must_use]
    pub fn holds(&self, event: &Event) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(event)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(event)),
            Self::Is(member, pattern) => member.of(event).is_some_and(|text| pattern.matches(text)),
            Self::Absent(member) => member.of(event).is_none(),
            Self::Present(member) => member.of(event).is_some_and(|text| !text.is_empty()),
            Self::From(network) => (event.source_ip_address.as_deref())
                .and_then(|text| text.parse().ok())
                .is_some_and(|address| network.contains(address)),
            Self::Names(resource) => resource.is_named_by(event),
        }
    }

    /// The members that decide: without one of them the question cannot be answered.
    #[must_use]
    pub fn members(&self) -> BTreeSet<Member> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::members).collect(),
            Self::Is(member, _) | Self::Absent(member) | Self::Present(member) => {
                BTreeSet::from([*member])
            }
            Self::From(_) => BTreeSet::from([Member::SourceIpAddress]),
            Self::Names(_) => BTreeSet::from([Member::RequestParameters, Member::Resources]),
        }
    }
}
