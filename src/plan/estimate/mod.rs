//! What a plan will cost, as far as that can be said beforehand. Pure.
//!
//! | scans of | requests | seconds | bytes |
//! |---|---|---|---|
//! | event history, probed | pages of 50 events, at the density of the first page, and what finds whom a user federated | what pacing takes in the slowest account and Region | none |
//! | the same, by whichever of two ways takes fewer (a role, many lookups) | at most twice what reading whole takes at that density: the way is chosen while reading | likewise | none |
//! | the same, oldest first | the pages of windows, each begun with a page | likewise | none |
//! | event history, not probed | a page for each lookup and window at least | unknown | none |
//! | a log group | to ask once, with Logs Insights to start a query and to read it | unknown | Logs Insights: unknown |
//! | an archive | to start a query, to ask for it and to read it once at least | unknown | the table's bytes a day, by the days and accounts read; unknown where nobody told them |
//! | an archive's log files, on days of which none was seen yet | one more query | unknown | those days' bytes, as row formats are read |

mod amount;
mod bytes;
mod groups;
mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::scan::{LogsMethod, QueryPlan, Scan, ScanId, ScanTarget};
use crate::query::{AccountId, Region, SearchOrder};
pub use amount::{Amount, Expected};
pub use bytes::{BytesBasis, DaysUnseen, Verification};
pub use groups::ScanGroup;
pub use history::{FirstPage, Windows};
use history::{History, HistoryScan, count};

/// To start an Athena query, to ask how it stands and to read its result once.
const LEAST_ATHENA_REQUESTS: u64 = 3;
/// To start a Logs Insights query and to read its result once.
const LEAST_INSIGHTS_REQUESTS: u64 = 2;

/// What scans will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// AWS calls, without retries.
    pub requests: Amount,
    /// Seconds that pacing takes, if nobody else spends the same quota.
    pub seconds: Amount,
    /// Bytes that Athena and Logs Insights will scan; `None` is unknown.
    pub bytes_scanned: Option<u64>,
    /// What the bytes are estimated from; `None` also where archives differ in it.
    pub bytes_basis: Option<BytesBasis>,
    /// Lookups of event history, and how many of them were probed.
    pub lookups: Probed,
    /// Of the requests, what reading event history oldest first adds.
    pub windows: Windows,
}

/// How many lookups there are, and how many were probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Probed {
    /// All.
    pub total: u64,
    /// Those of which a page was read.
    pub probed: u64,
}

/// One lookup of a plan: its scan, and its number among the scan's lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupId(pub ScanId, pub usize);

/// What estimating needs to know besides the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The service's now.
    pub now: Timestamp,
    /// The order of the search.
    pub order: SearchOrder,
    /// Between two lookups of one account and Region.
    pub lookup_interval: Duration,
    /// How many accounts the federation has.
    pub federation_size: usize,
    /// What was probed.
    pub probes: BTreeMap<LookupId, FirstPage>,
}

/// Every lookup of the plan: what a probe can sample.
#[must_use]
pub fn lookups(plan: &QueryPlan) -> Vec<LookupId> {
    let ids = |scan: &Scan| match &scan.target {
        ScanTarget::EventHistory { lookups, .. } => count(lookups),
        ScanTarget::Logs { .. } | ScanTarget::Athena { .. } => 0,
    };
    (plan.scans.iter())
        .flat_map(|scan| (0..ids(scan)).map(|number| LookupId(scan.id, number)))
        .collect()
}

/// The plan's scans in groups, event history first and else in the plan's order, and what all of
/// it will cost, with what finding out about the archives' log files adds.
#[must_use]
pub fn estimate(
    plan: &QueryPlan,
    basis: &Basis,
    verifications: &[Verification],
) -> (Vec<ScanGroup>, Estimate) {
    let groups: Vec<ScanGroup> = groups::grouped(plan)
        .into_iter()
        .map(|mut group| {
            let scans = group.scans.iter().map(|id| &plan.scans[id.0 as usize]);
            group.estimate = basis.of(&scans.collect::<Vec<_>>());
            group
        })
        .collect();
    // Only the sum over groups extrapolates each from its own probes; lanes are shared by groups.
    let mut total = basis.of(&plan.scans.iter().collect::<Vec<_>>());
    let requests = groups.iter().map(|group| group.estimate.requests);
    total.requests = requests.fold(Amount::known(0), Amount::and);
    let windows = groups.iter().map(|group| group.estimate.windows.requests);
    total.windows.requests = windows.fold(Expected::About(0), Expected::and);
    for verification in verifications {
        total = total.and_query(&verification.estimate);
    }
    (groups, total)
}

impl Estimate {
    /// With a query of Athena beside it.
    fn and_query(self, query: &Self) -> Self {
        let is_asked = query.requests.at_least > 0;
        let bytes_basis = match (self.bytes_basis, query.bytes_basis) {
            (basis, None) => basis,
            (None, basis) if self.bytes_scanned == Some(0) => basis,
            (one, other) => one.filter(|_| one == other),
        };
        let bytes = self.bytes_scanned.zip(query.bytes_scanned);
        Self {
            requests: self.requests.and(query.requests),
            seconds: Amount {
                expected: if is_asked {
                    Expected::Unknown
                } else {
                    self.seconds.expected
                },
                ..self.seconds
            },
            bytes_scanned: bytes.map(|(one, other)| one.saturating_add(other)),
            bytes_basis: bytes_basis.filter(|_| bytes.is_some()),
            ..self
        }
    }
}

impl Basis {
    fn of(&self, scans: &[&Scan]) -> Estimate {
        let mut histories = Vec::new();
        let mut queries = Amount::known(0);
        let mut bytes_scanned = Some(0);
        let mut bases = BTreeSet::new();
        for scan in scans {
            match &scan.target {
                ScanTarget::EventHistory {
                    account,
                    region,
                    lookups,
                } => histories.push(HistoryScan {
                    scan,
                    account: *account,
                    region,
                    lookups,
                }),
                ScanTarget::Logs { method, .. } => {
                    let least = match method {
                        LogsMethod::FilterLogEvents => 1,
                        LogsMethod::Insights => {
                            bytes_scanned = None;
                            LEAST_INSIGHTS_REQUESTS
                        }
                    };
                    queries = queries.and(Amount::at_least(least));
                }
                ScanTarget::Athena {
                    archive, accounts, ..
                } => {
                    queries = queries.and(Amount::at_least(LEAST_ATHENA_REQUESTS));
                    let bytes = self.bytes(archive, accounts, scan.range);
                    bases.extend(bytes.map(|(_, basis)| basis));
                    bytes_scanned = bytes_scanned
                        .zip(bytes)
                        .map(|(sum, (bytes, _))| sum + bytes);
                }
            }
        }
        let History {
            requests,
            windows,
            lookups,
            lanes,
        } = self.history(&histories);
        let paced = self.paced(&lanes);
        let waits_for_others = queries.at_least > 0;
        Estimate {
            requests: requests.and(queries),
            seconds: Amount {
                expected: if waits_for_others {
                    Expected::Unknown
                } else {
                    paced.expected
                },
                ..paced
            },
            bytes_scanned,
            bytes_basis: match bases.len() {
                1 if bytes_scanned.is_some() => bases.pop_first(),
                _ => None,
            },
            lookups,
            windows,
        }
    }

    /// The slowest account and Region: each takes its turns by itself, the first at once.
    fn paced(&self, lanes: &BTreeMap<(AccountId, Region), Amount>) -> Amount {
        let seconds = |requests: u64| {
            let turns = u32::try_from(requests.saturating_sub(1)).unwrap_or(u32::MAX);
            let time = self.lookup_interval.saturating_mul(turns);
            time.as_secs() + u64::from(time.subsec_nanos() > 0)
        };
        let at_least = lanes.values().map(|lane| lane.at_least).max();
        let expected = lanes.values().map(|lane| lane.expected);
        Amount {
            at_least: at_least.map_or(0, seconds),
            expected: (expected.fold(Expected::About(0), Expected::max)).map(seconds),
        }
    }
}
