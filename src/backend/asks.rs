//! What a backend will send for a scan, in its own words, and what it leaves to be checked here.

use crate::plan::{LookupAttribute, Lookups};
use crate::query::{EventFilter, EventQuery};

/// What will be sent for a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// The words.
    pub words: Words,
    /// The conditions of the request, by their fields, by which the backend does not narrow: they
    /// are checked on every event that it returns. (All others are checked once more, too.)
    pub checked_afterwards: Vec<&'static str>,
}

/// The backend's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// Lookups of event history.
    Lookups(Lookups),
    /// FilterLogEvents' pattern.
    FilterPattern(String),
    /// A query of Logs Insights.
    InsightsQuery(String),
    /// An Athena statement.
    Sql(String),
}

impl Asks {
    /// Lookups: each narrows by the one attribute that it has.
    #[must_use]
    pub fn lookups(lookups: &Lookups, query: &EventQuery) -> Self {
        // Named one by one, so that a condition that is added here cannot be forgotten.
        let EventFilter {
            event_names,
            event_sources,
            access,
            error_codes,
            errors_only,
            source_ips,
            resources,
            event_ids,
            // A scan of event history reads management events only, which is all that it owns.
            categories: _,
        } = &query.filter;
        let by = |is: fn(&LookupAttribute) -> bool| match lookups {
            Lookups::Whole | Lookups::RoleSessions(_) => false,
            Lookups::Each(attributes) | Lookups::WithFederated { attributes, .. } => {
                attributes.iter().all(is)
            }
        };
        let by_identity = by(|it| {
            matches!(
                it,
                LookupAttribute::Username(_) | LookupAttribute::AccessKeyId(_)
            )
        });
        let by_name = by(|it| matches!(it, LookupAttribute::EventName(_)));
        let by_source = by(|it| matches!(it, LookupAttribute::EventSource(_)));
        // By the names of the APIs that issue credentials, where no APIs are named.
        let by_access = by(|it| matches!(it, LookupAttribute::ReadOnly(_)))
            || (by_name && event_names.is_empty());
        let by_id = by(|it| matches!(it, LookupAttribute::EventId(_)));
        let conditions = [
            ("identities", !query.identities.is_empty(), by_identity),
            ("filter.event_names", !event_names.is_empty(), by_name),
            ("filter.event_sources", !event_sources.is_empty(), by_source),
            ("filter.access", !access.is_empty(), by_access),
            ("filter.error_codes", !error_codes.is_empty(), false),
            ("filter.errors_only", *errors_only, false),
            ("filter.source_ips", !source_ips.is_empty(), false),
            ("filter.resources", !resources.is_empty(), false),
            ("filter.event_ids", !event_ids.is_empty(), by_id),
        ];
        Self {
            words: Words::Lookups(lookups.clone()),
            checked_afterwards: (conditions.into_iter())
                .filter(|(_, asked, narrowed)| *asked && !narrowed)
                .map(|(field, ..)| field)
                .collect(),
        }
    }
}
