//! How event history is asked: `LookupEvents` takes one attribute in a request, or none.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::federated_sessions::FederatedSessions;
use super::role_sessions::RoleSessions;

/// The lookups of one scan of event history. All are owned by that scan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookups {
    /// One without an attribute: everything that happened.
    Whole,
    /// One for each attribute; together they find everything that can match. Never empty.
    Each(BTreeSet<LookupAttribute>),
    /// One for each attribute, and those of the sessions that some of the users issued, once these
    /// sessions have been found.
    WithFederated {
        /// What finds all that the identities did themselves. Never empty.
        attributes: BTreeSet<LookupAttribute>,
        /// The users and how their sessions are sought.
        federated: Arc<FederatedSessions>,
    },
    /// One for each session of some roles, once these sessions have been found.
    RoleSessions(Arc<RoleSessions>),
}

/// One of LookupEvents' attributes (a request carries at most one; the match is on the full value).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookupAttribute {
    /// An IAM user's name, a session's name, or `root`.
    Username(String),
    /// The key that signed the call.
    AccessKeyId(String),
    /// The event's id.
    EventId(String),
    /// The API.
    EventName(String),
    /// The AWS service.
    EventSource(String),
    /// One of the things that the event is about, by name or ARN.
    ResourceName(String),
    /// What is read-only, or what is not.
    ReadOnly(bool),
}

impl Lookups {
    /// Whether there are so many lookups that reading whole is considered instead, once a page has
    /// shown what that would cost.
    #[must_use]
    pub fn may_be_read_whole(&self) -> bool {
        /// Fewer than these cost at most twice what reading whole does.
        const MANY: usize = 3;
        match self {
            Self::Whole | Self::RoleSessions(_) => true,
            Self::Each(attributes) | Self::WithFederated { attributes, .. } => {
                attributes.len() >= MANY
            }
        }
    }

    /// The attributes that are known beforehand; none where it is read whole.
    #[must_use]
    pub fn attributes(&self) -> Option<&BTreeSet<LookupAttribute>> {
        match self {
            Self::Whole => None,
            Self::Each(attributes) | Self::WithFederated { attributes, .. } => Some(attributes),
            Self::RoleSessions(by) => Some(&by.beside),
        }
    }

    /// The users whose federated sessions are sought.
    #[must_use]
    pub fn federated(&self) -> Option<&Arc<FederatedSessions>> {
        match self {
            Self::Whole | Self::Each(_) => None,
            Self::WithFederated { federated, .. } => Some(federated),
            Self::RoleSessions(by) => by.federated.as_ref(),
        }
    }

    /// A single lookup by `attribute`.
    #[must_use]
    pub fn by(attribute: LookupAttribute) -> Self {
        Self::Each(BTreeSet::from([attribute]))
    }
}

impl FromIterator<LookupAttribute> for Lookups {
    /// One lookup for each attribute; without any, everything.
    fn from_iter<I: IntoIterator<Item = LookupAttribute>>(attributes: I) -> Self {
        let attributes: BTreeSet<_> = attributes.into_iter().collect();
        if attributes.is_empty() {
            Self::Whole
        } else {
            Self::Each(attributes)
        }
    }
}

impl fmt::Display for Lookups {
    /// What it is narrowed by, in words; empty where it is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More would make the plan's message long for no reader's good.
        const NAMED: usize = 5;
        let Some(attributes) = self.attributes() else {
            return Ok(());
        };
        let roles = match self {
            Self::RoleSessions(by) => &by.roles[..],
            Self::Whole | Self::Each(_) | Self::WithFederated { .. } => &[],
        };
        let federated = self.federated().map(|_| "federated sessions".to_owned());
        let parts: Vec<String> = (roles.iter())
            .map(|role| format!("sessions of {}", role.identity))
            .chain(attributes.iter().map(ToString::to_string))
            .chain(federated)
            .collect();
        f.write_str(&parts[..parts.len().min(NAMED)].join(", "))?;
        match parts.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl LookupAttribute {
    /// CloudTrail's name of the attribute.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Username(_) => "Username",
            Self::AccessKeyId(_) => "AccessKeyId",
            Self::EventId(_) => "EventId",
            Self::EventName(_) => "EventName",
            Self::EventSource(_) => "EventSource",
            Self::ResourceName(_) => "ResourceName",
            Self::ReadOnly(_) => "ReadOnly",
        }
    }

    /// What it is matched with, in full.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Username(value)
            | Self::AccessKeyId(value)
            | Self::EventId(value)
            | Self::EventName(value)
            | Self::EventSource(value)
            | Self::ResourceName(value) => value,
            Self::ReadOnly(true) => "true",
            Self::ReadOnly(false) => "false",
        }
    }
}

impl fmt::Display for LookupAttribute {
    /// `Attribute=value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key(), self.value())
    }
}
