//! What else an event must be, besides having been done by the identity.

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Member};
use super::{ResourceRef, SourceAddress, credential_apis};

/// The kinds of events that CloudTrail records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventCategory {
    /// Control-plane calls: the only kind that event history holds.
    Management,
    /// Data-plane calls, such as S3 `GetObject`.
    Data,
    /// Calls through a VPC endpoint, as its owner records them.
    NetworkActivity,
    /// CloudTrail Insights: what CloudTrail found unusual.
    Insight,
}

impl EventCategory {
    /// CloudTrail's own word for it, as in `eventCategory`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Management => "Management",
            Self::Data => "Data",
            Self::NetworkActivity => "NetworkActivity",
            Self::Insight => "Insight",
        }
    }

    /// The category of that name; none if it is another one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::of_record(Some(name), None)
    }

    /// The one classification of a record: by `eventCategory`; without it by `managementEvent`
    /// (false means data); without both it is a management event. A category that CloudTrail may
    /// add later is none of these, and answers `None`.
    #[must_use]
    pub fn of_record(event_category: Option<&str>, management_event: Option<bool>) -> Option<Self> {
        match (event_category, management_event) {
            (Some("Management"), _) | (None, Some(true) | None) => Some(Self::Management),
            (Some("Data"), _) | (None, Some(false)) => Some(Self::Data),
            (Some("NetworkActivity"), _) => Some(Self::NetworkActivity),
            (Some("Insight"), _) => Some(Self::Insight),
            (Some(_), _) => None,
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// It reads: `readOnly` is true.
    Read,
    /// It writes: `readOnly` is not true. A record that does not say (old ones do not) may be of a
    /// write, so it counts as one.
    Write,
    /// It issues credentials, whatever its `readOnly`: see [`super::credential_apis`].
    IssuesCredentials,
}

impl Access {
    /// The design's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::IssuesCredentials => "issues_credentials",
        }
    }

    fn condition(self) -> Condition {
        match self {
            Self::Read => Condition::flag(Member::ReadOnly, true),
            Self::Write => Condition::Any(vec![
                Condition::flag(Member::ReadOnly, false),
                Condition::Absent(Member::ReadOnly),
            ]),
            Self::IssuesCredentials => credential_apis::condition(),
        }
    }
}

/// Conditions on the event itself. An empty list asks nothing; of a list any value will do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// `eventName`s; compared exactly.
    pub event_names: Vec<String>,
    /// `eventSource`s (AWS services, such as `iam.amazonaws.com`).
    pub event_sources: Vec<String>,
    /// What the call does.
    pub access: Vec<Access>,
    /// `errorCode`s; compared exactly.
    pub error_codes: Vec<String>,
    /// Only calls that failed: with an `errorCode`.
    pub errors_only: bool,
    /// Where the call came from, by `sourceIPAddress`.
    pub source_ips: Vec<SourceAddress>,
    /// What was acted upon.
    pub resources: Vec<ResourceRef>,
    /// `eventID`s.
    pub event_ids: Vec<String>,
    /// Categories asked for; empty means management events only.
    pub categories: Vec<EventCategory>,
}

impl EventFilter {
    /// The categories asked for, with the default applied.
    #[must_use]
    pub fn categories(&self) -> &[EventCategory] {
        if self.categories.is_empty() {
            &[EventCategory::Management]
        } else {
            &self.categories
        }
    }

    /// Whether it names few events, so that a question need not name anybody.
    #[must_use]
    pub fn names_events(&self) -> bool {
        !(self.source_ips.is_empty()
            && self.event_names.is_empty()
            && self.resources.is_empty()
            && self.event_ids.is_empty())
    }

    /// Whether an event whose `readOnly` is this can be asked for.
    #[must_use]
    pub fn asks_for(&self, read_only: bool) -> bool {
        let may_be = |access: &Access| match access {
            Access::Read => read_only,
            Access::Write => !read_only,
            Access::IssuesCredentials => true,
        };
        self.access.is_empty() || self.access.iter().any(may_be)
    }

    /// What a record must be, besides of one of the categories: the one definition, as for
    /// [`super::Identity::condition`].
    #[must_use]
    pub fn condition(&self) -> Condition {
        let mut all = Vec::new();
        for (member, texts) in [
            (Member::EventName, &self.event_names),
            (Member::EventSource, &self.event_sources),
            (Member::ErrorCode, &self.error_codes),
            (Member::EventId, &self.event_ids),
        ] {
            if !texts.is_empty() {
                all.push(Condition::among(member, texts));
            }
        }
        let any = |conditions: Vec<Condition>| {
            (!conditions.is_empty()).then_some(Condition::Any(conditions))
        };
        all.extend(any(self.access.iter().map(|a| a.condition()).collect()));
        if self.errors_only {
            all.push(Condition::Present(Member::ErrorCode));
        }
        all.extend(any(self
            .source_ips
            .iter()
            .map(SourceAddress::condition)
            .collect()));
        let named = self.resources.iter().cloned().map(Condition::Names);
        all.extend(any(named.collect()));
        Condition::All(all)
    }

    /// Whether the event is of a category asked for.
    #[must_use]
    pub fn admits_category(&self, category: Option<EventCategory>) -> bool {
        category.is_some_and(|category| self.categories().contains(&category))
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
