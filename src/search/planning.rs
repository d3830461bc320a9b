//! A search planned and not run: its scans, what each would ask, and what that would cost.
//!
//! Nothing is read but the facts, unless a probe is asked for: then the first page of each lookup
//! of event history, or of a sample of them where there are many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;

use super::engine::{Engine, Refusal, Scope, Shared};
use super::outcomes::failed;
use super::verification::days_asked;
use crate::backend::{Asks, Page, ScanError, SearchContext};
use crate::plan::estimate::{self, Basis, Estimate, FirstPage, LookupId, ScanGroup, Verification};
use crate::plan::{Lookups, QueryPlan, Reason, Scan, ScanOutcome, ScanTarget};
use crate::query::{EventQuery, SearchOrder, TimeRange};

/// Lookups that one probe reads a page of, at most.
const MOST_PROBES: usize = 200;
/// Of them at once.
const PROBES_AT_ONCE: usize = 32;
/// What was not probed within this is not probed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
/// The answer leaves this long before the caller's deadline.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);

/// A search, planned.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedSearch {
    /// The service's now, for which it was planned.
    pub now: Timestamp,
    /// The interval asked for, frozen.
    pub range: TimeRange,
    /// The plan.
    pub plan: QueryPlan,
    /// Its scans, in groups.
    pub groups: Vec<PlannedGroup>,
    /// Whether its archives have log files of the days: asked beside the scans.
    pub verifications: Vec<Verification>,
    /// What all of it will cost.
    pub total: Estimate,
    /// What was probed, where that was asked for.
    pub probe: Option<ProbeReport>,
    /// All accounts are asked about, and the caller may not read all.
    pub scope_limited: bool,
}

/// Scans that differ only in account and Region, and what they ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedGroup {
    /// The scans.
    pub scans: ScanGroup,
    /// What each asks, or why it cannot be asked and will fail.
    pub asks: Result<Asks, Reason>,
    /// The archives and log groups that some of what they leave would be handed over to.
    pub receivers: BTreeSet<Arc<str>>,
}

/// What a probe did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProbeReport {
    /// LookupEvents calls that it made, retries included.
    pub requests: u64,
    /// Those whose first page could not be read: the search would fail there too.
    pub failures: Vec<ScanOutcome>,
}

impl Engine {
    /// Plans the search of a scope for `now` without running it. With `probe` it reads the first page of some
    /// lookups, paced as those of searches and counted among these; then it ends before
    /// `deadline`.
    pub async fn plan(
        &self,
        scope: Scope,
        now: Timestamp,
        probe: bool,
        deadline: Option<Instant>,
    ) -> Result<PlannedSearch, Refusal> {
        let shared = &self.shared;
        let scope_limited = scope.is_limited();
        let Scope {
            query,
            caller,
            accounts,
            ..
        } = scope;
        let admitted = if probe {
            Some(self.admit(&caller)?)
        } else {
            None
        };
        let left = left_until(deadline);
        let limit = shared.parts.limits.facts_timeout.min(left);
        let warning = accounts.warning();
        let facts = shared.read_facts(accounts.selected, limit).await;
        let mut plan = crate::plan::plan(&query, &facts, now);
        plan.warnings.extend(warning);
        let (probes, probe) = if let Some(admitted) = &admitted {
            // Whatever the order of the search, density is read from the newest page.
            let newest_first = EventQuery {
                order: SearchOrder::NewestFirst,
                ..query.clone()
            };
            let context = Arc::new(self.context(newest_first, caller, deadline, admitted));
            let time = PROBE_TIMEOUT.min(left_until(deadline));
            let (probes, report) = read_first_pages(shared, &context, &plan, time).await;
            (probes, Some(report))
        } else {
            (BTreeMap::new(), None)
        };
        let basis = Basis {
            now,
            order: query.order,
            lookup_interval: shared.parts.lookup_interval,
            federation_size: accounts.access.federation_size,
            probes,
        };
        let verifications: Vec<Verification> =
            days_asked(plan.scans.iter().chain(&plan.read_before))
                .values()
                .filter_map(|asked| shared.parts.athena.days_unseen(asked))
                .map(|unseen| basis.verification(&unseen))
                .collect();
        let (groups, total) = estimate::estimate(&plan, &basis, &verifications);
        let groups = groups.into_iter().map(|scans| {
            let first = &plan.scans[scans.scans[0].0 as usize];
            PlannedGroup {
                asks: shared.backend(first).asks(first, &query),
                receivers: (scans.scans.iter())
                    .flat_map(|scan| plan.receivers.names(*scan))
                    .collect(),
                scans,
            }
        });
        Ok(PlannedSearch {
            now,
            range: query.range,
            groups: groups.collect(),
            verifications,
            total,
            probe,
            plan,
            scope_limited,
        })
    }
}

fn left_until(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        left.saturating_sub(DEADLINE_MARGIN)
    })
}

/// Reads the first page of lookups that are spread evenly over the plan.
async fn read_first_pages(
    shared: &Shared,
    context: &Arc<SearchContext>,
    plan: &QueryPlan,
    time: Duration,
) -> (BTreeMap<LookupId, FirstPage>, ProbeReport) {
    let lookups = estimate::lookups(plan);
    let every = lookups.len().div_ceil(MOST_PROBES).max(1);
    let samples = lookups.into_iter().step_by(every).filter_map(|id| {
        let scan = single(&plan.scans[id.0.0 as usize], id.1)?;
        Some(async move {
            let mut reader = shared.backend(&scan).open(&scan, context);
            (id, scan, reader.next_page().await)
        })
    });
    let timeout = tokio::time::sleep(time);
    let mut pages = stream::iter(samples)
        .buffer_unordered(PROBES_AT_ONCE)
        .take_until(Box::pin(timeout));
    let mut found = BTreeMap::new();
    let mut report = ProbeReport::default();
    while let Some((id, scan, page)) = pages.next().await {
        match page {
            Ok(page) => {
                report.requests += page.cost.requests;
                found.insert(id, first_page(&page));
            }
            Err(ScanError {
                not_applicable: true,
                cost,
                ..
            }) => {
                report.requests += cost.requests;
                // A Region that is disabled has nothing to read: the one call tells it.
                let nothing = FirstPage {
                    events: 0,
                    read_down_to: None,
                };
                found.insert(id, nothing);
            }
            Err(error) => {
                report.requests += error.cost.requests;
                report.failures.push(failed(&scan, error.reason));
            }
        }
    }
    (found, report)
}

fn first_page(page: &Page) -> FirstPage {
    FirstPage {
        events: page.cost.events_read,
        read_down_to: page.bound.filter(|_| !page.end),
    }
}

/// The scan with one of its lookups alone.
fn single(scan: &Scan, number: usize) -> Option<Scan> {
    let ScanTarget::EventHistory {
        account,
        region,
        lookups,
    } = &scan.target
    else {
        return None;
    };
    let lookups = match lookups {
        Lookups::Each(attributes) | Lookups::WithFederated { attributes, .. }
            if !lookups.may_be_read_whole() =>
        {
            Lookups::by(attributes.iter().nth(number)?.clone())
        }
        // Its first page is read whole, whichever way it goes on from there.
        Lookups::Whole
        | Lookups::Each(_)
        | Lookups::WithFederated { .. }
        | Lookups::RoleSessions(_) => Lookups::Whole,
    };
    Some(Scan {
        target: ScanTarget::EventHistory {
            account: *account,
            region: region.clone(),
            lookups,
        },
        ..scan.clone()
    })
}
