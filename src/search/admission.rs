//! The last word on every event: whatever a backend returned, only what the whole request means
//! leaves the service.

use std::collections::BTreeSet;

use crate::plan::{Scan, ScanTarget};
use crate::query::{AccountId, Condition, Event, EventQuery, Identity, RecordView, Region};

/// Checks events against the whole request.
#[derive(Debug)]
pub struct Admission<'a> {
    query: &'a EventQuery,
    accounts: &'a BTreeSet<AccountId>,
    /// What each identity's events are.
    identities: Vec<(&'a Identity, Condition)>,
    filter: Condition,
}

impl<'a> Admission<'a> {
    /// For a question, and the accounts that the search may answer about.
    #[must_use]
    pub fn new(query: &'a EventQuery, accounts: &'a BTreeSet<AccountId>) -> Self {
        let identities = query.identities.iter();
        Self {
            query,
            accounts,
            identities: identities
                .map(|identity| (identity, identity.condition(query.case)))
                .collect(),
            filter: query.filter.condition(),
        }
    }

    /// Whether `event`, read by `scan`, belongs to the answer; notes which identities it matched.
    ///
    /// An event that a resume point has passed does not.
    pub fn admit(&self, scan: &Scan, event: &mut Event) -> bool {
        if !self.in_scope(scan, event) || !self.passes_filter(event) || self.passed(event) {
            return false;
        }
        event.matched_identities = (self.identities.iter())
            .filter(|(_, condition)| condition.holds(event))
            .map(|(identity, _)| (*identity).clone())
            .collect();
        if self.query.record_view != RecordView::Full {
            event.record = None;
        }
        self.identities.is_empty() || !event.matched_identities.is_empty()
    }

    /// Ownership: the scan's own seconds and categories, and the accounts and Regions asked for.
    fn in_scope(&self, scan: &Scan, event: &Event) -> bool {
        let owned = scan.range.contains(event.key.time)
            && (event.category).is_some_and(|category| scan.categories.contains(&category));
        if !owned || !self.accounts.contains(&event.key.account) {
            return false;
        }
        if let Some(shares) = &scan.shares {
            return shares.iter().any(|share| {
                share.range.contains(event.key.time)
                    && share.accounts.contains(&event.key.account)
                    && is_of(event, &share.regions)
            });
        }
        match &scan.target {
            // A record that one Region's history shows with another awsRegion is kept: the
            // Region read was asked for.
            ScanTarget::EventHistory { .. } => true,
            ScanTarget::Logs {
                accounts, regions, ..
            } => accounts.contains(&event.key.account) && is_of(event, regions),
            ScanTarget::Athena {
                accounts, regions, ..
            } => {
                accounts.contains(&event.key.account)
                    && regions.as_ref().is_none_or(|regions| is_of(event, regions))
            }
        }
    }

    fn passes_filter(&self, event: &Event) -> bool {
        self.query.filter.admits_category(event.category) && self.filter.holds(event)
    }

    fn passed(&self, event: &Event) -> bool {
        let position = self.query.resume.as_ref().and_then(|r| r.position.as_ref());
        let order = self.query.order;
        position.is_some_and(|position| order.compare(&event.key, position).is_le())
    }
}

/// Whether the event's own `awsRegion` is one of these.
fn is_of(event: &Event, regions: &BTreeSet<Region>) -> bool {
    let region = event.aws_region.as_deref();
    region.is_some_and(|name| regions.iter().any(|r| r.as_str() == name))
}
