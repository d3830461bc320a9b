//! What else an event must be, besides having been done by the identity.

/// The kinds of events that CloudTrail records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// Conditions on the event itself. An empty list asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// `eventName`s, any of which will do; compared exactly.
    pub event_names: Vec<String>,
    /// `eventSource`s (AWS services, such as `iam.amazonaws.com`), any of which will do.
    pub event_sources: Vec<String>,
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

    /// Whether an event of this name, service and category passes.
    #[must_use]
    pub fn admits(&self, name: &str, source: &str, category: Option<EventCategory>) -> bool {
        let any = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
        category.is_some_and(|c| self.categories().contains(&c))
            && any(&self.event_names, name)
            && any(&self.event_sources, source)
    }
}
