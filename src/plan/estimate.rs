//! What a plan will cost, as far as that can be said beforehand. Pure.
//!
//! | scans of | requests | seconds | bytes |
//! |---|---|---|---|
//! | event history, probed | pages of 50 events, at the density of the first page | what pacing takes in the slowest account and Region | none |
//! | event history, not probed | a page for each lookup at least | unknown | none |
//! | a log group | to ask once, with Logs Insights to start a query and to read it | unknown | Logs Insights: unknown |
//! | an archive | to start a query, to ask for it and to read it once at least | unknown | the table's bytes a day, by the days and accounts read; unknown where nobody told them |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::facts::ArchiveFacts;
use super::lookups::Lookups;
use super::scan::{LogsMethod, QueryPlan, Scan, ScanId, ScanTarget};
use crate::query::{AccountId, BackendKind, EventTime, Region, TimeRange};

/// Events on a page of LookupEvents.
const EVENTS_PER_PAGE: u64 = 50;
/// To start an Athena query, to ask how it stands and to read its result once.
const LEAST_ATHENA_REQUESTS: u64 = 3;
/// To start a Logs Insights query and to read its result once.
const LEAST_INSIGHTS_REQUESTS: u64 = 2;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// How much, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Surely not less.
    pub at_least: u64,
    /// The estimate; `None` is unknown.
    pub about: Option<u64>,
}

/// What scans will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// AWS calls, without retries.
    pub requests: Amount,
    /// Seconds, if nobody else spends the same quota.
    pub seconds: Amount,
    /// Bytes that Athena and Logs Insights will scan; `None` is unknown.
    pub bytes_scanned: Option<u64>,
    /// What the bytes are estimated from; `None` also where archives differ in it.
    pub bytes_basis: Option<BytesBasis>,
    /// Lookups of event history, and how many of them were probed.
    pub lookups: Probed,
}

/// How many lookups there are, and how many were probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Probed {
    /// All.
    pub total: u64,
    /// Those of which a page was read.
    pub probed: u64,
}

/// What a number of bytes is estimated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BytesBasis {
    /// The size that the data catalog has for the whole table, spread evenly over its days.
    TableStatistics,
    /// `estimated_bytes_per_day` of the archive in the configuration.
    Configuration,
}

/// What the first page of a lookup showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstPage {
    /// Events on it.
    pub events: u64,
    /// Everything newer than this second was on it; `None` if it was the last page as well.
    pub read_down_to: Option<EventTime>,
}

/// One lookup of a plan: its scan, and its number among the scan's lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupId(pub ScanId, pub usize);

/// Scans that differ only in account and Region: every one of the accounts in every one of the
/// Regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanGroup {
    /// The backend.
    pub backend: BackendKind,
    /// The archive, for Athena.
    pub archive: Option<Arc<str>>,
    /// The log group, for CloudWatch Logs.
    pub log_group: Option<Arc<str>>,
    /// The interval.
    pub range: TimeRange,
    /// The accounts.
    pub accounts: BTreeSet<AccountId>,
    /// The Regions; `None` is every Region.
    pub regions: Option<BTreeSet<Region>>,
    /// The scans. Never empty.
    pub scans: Vec<ScanId>,
    /// What they will cost together.
    pub estimate: Estimate,
}

/// What estimating needs to know besides the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The service's now.
    pub now: Timestamp,
    /// Between two lookups of one account and Region.
    pub lookup_interval: Duration,
    /// How many accounts the federation has.
    pub federation_size: usize,
    /// What was probed.
    pub probes: BTreeMap<LookupId, FirstPage>,
}

/// Where lookups take turns, and what is asked there.
type Lanes<'a> = BTreeMap<(AccountId, &'a Region), Amount>;

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
/// it will cost.
#[must_use]
pub fn estimate(plan: &QueryPlan, basis: &Basis) -> (Vec<ScanGroup>, Estimate) {
    let groups: Vec<ScanGroup> = grouped(plan)
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
    (groups, total)
}

impl Basis {
    fn of(&self, scans: &[&Scan]) -> Estimate {
        let mut lanes = Lanes::new();
        let mut queries = Amount::known(0);
        let mut bytes_scanned = Some(0);
        let mut bases = BTreeSet::new();
        let mut lookups = Probed::default();
        let mut seen = Amount::known(0);
        for scan in scans {
            match &scan.target {
                ScanTarget::EventHistory {
                    account,
                    region,
                    lookups: asked,
                } => {
                    let lane = lanes.entry((*account, region)).or_insert(Amount::known(0));
                    for number in 0..count(asked) {
                        let probe = self.probes.get(&LookupId(scan.id, number));
                        let pages = pages(scan.range, probe);
                        lookups.total += 1;
                        lookups.probed += u64::from(probe.is_some());
                        *lane = lane.and(pages);
                        seen.at_least += pages.at_least;
                        if let (Some(sum), Some(about)) = (&mut seen.about, pages.about) {
                            *sum += about;
                        }
                    }
                }
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
        let history = lookups.extrapolated(seen);
        let paced = self.paced(&lanes);
        let waits_for_others = queries.at_least > 0;
        Estimate {
            requests: history.and(queries),
            seconds: Amount {
                about: paced.about.filter(|_| !waits_for_others),
                ..paced
            },
            bytes_scanned,
            bytes_basis: match bases.len() {
                1 if bytes_scanned.is_some() => bases.pop_first(),
                _ => None,
            },
            lookups,
        }
    }

    /// The slowest account and Region: each takes its turns by itself, the first at once.
    fn paced(&self, lanes: &Lanes<'_>) -> Amount {
        let seconds = |requests: u64| {
            let turns = u32::try_from(requests.saturating_sub(1)).unwrap_or(u32::MAX);
            let time = self.lookup_interval.saturating_mul(turns);
            time.as_secs() + u64::from(time.subsec_nanos() > 0)
        };
        let slowest = |requests: Option<u64>| requests.map_or(0, seconds);
        let about: Option<Vec<u64>> = lanes.values().map(|lane| lane.about).collect();
        Amount {
            at_least: slowest(lanes.values().map(|lane| lane.at_least).max()),
            about: about.map(|lanes| slowest(lanes.into_iter().max())),
        }
    }

    /// What a query of these accounts and days scans, each account taken for equally large and all
    /// Regions read.
    fn bytes(
        &self,
        archive: &ArchiveFacts,
        accounts: &BTreeSet<AccountId>,
        range: TimeRange,
    ) -> Option<(u64, BytesBasis)> {
        let table = archive.table.as_ref().ok()?;
        let today = day(EventTime::floor(self.now));
        let (bytes, of_days, basis) = match (table.bytes, archive.bytes_per_day) {
            (Some(bytes), _) => {
                let held = today - day(archive.holds.first_time) + 1;
                (bytes, held.max(1), BytesBasis::TableStatistics)
            }
            (None, Some(bytes)) => (bytes, 1, BytesBasis::Configuration),
            (None, None) => return None,
        };
        // A day's files may still be delivered on the next.
        let last = (day(range.last()) + 1).min(today);
        let days = (last - day(range.start()) + 1).max(1);
        let asked = accounts.len();
        let held = (archive.holds.accounts.as_ref()).map_or(self.federation_size, BTreeSet::len);
        let (asked, held) = if archive.partitioned_by_account {
            (asked, held.max(asked))
        } else {
            (1, 1)
        };
        let numerator = i128::from(bytes) * i128::from(days) * i128::try_from(asked).ok()?;
        let share = numerator / (i128::from(of_days) * i128::try_from(held).ok()?);
        Some((u64::try_from(share).unwrap_or(u64::MAX), basis))
    }
}

impl Amount {
    /// So much, and no doubt of it.
    #[must_use]
    pub fn known(amount: u64) -> Self {
        Self {
            at_least: amount,
            about: Some(amount),
        }
    }

    /// So much at least, and unknown beyond.
    fn at_least(amount: u64) -> Self {
        Self {
            at_least: amount,
            about: None,
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            at_least: self.at_least.saturating_add(other.at_least),
            about: (self.about.zip(other.about)).map(|(one, other)| one.saturating_add(other)),
        }
    }
}

impl Probed {
    /// What all lookups take, if those that were not probed are like those that were.
    fn extrapolated(self, seen: Amount) -> Amount {
        let about = match (self.total, self.probed) {
            (0, _) => Some(0),
            (_, 0) => None,
            (total, probed) => seen
                .about
                .map(|about| about.saturating_mul(total).div_ceil(probed)),
        };
        Amount {
            about: about.map(|about| about.max(seen.at_least)),
            ..seen
        }
    }
}

/// The pages of one lookup over `range`.
fn pages(range: TimeRange, probe: Option<&FirstPage>) -> Amount {
    match probe {
        None => Amount::at_least(1),
        Some(FirstPage {
            read_down_to: None, ..
        }) => Amount::known(1),
        Some(FirstPage {
            events,
            read_down_to: Some(reached),
        }) => {
            let seconds = |length: i64| u128::try_from(length.max(1)).unwrap_or(1);
            let read = seconds(range.end().second() - reached.second());
            let all = seconds(range.end().second() - range.start().second());
            let events = (u128::from(*events) * all).div_ceil(read);
            let pages = u64::try_from(events.div_ceil(u128::from(EVENTS_PER_PAGE)));
            Amount {
                at_least: 2,
                about: Some(pages.unwrap_or(u64::MAX).max(2)),
            }
        }
    }
}

fn count(lookups: &Lookups) -> usize {
    match lookups {
        Lookups::Each(attributes) if !lookups.may_be_read_whole() => attributes.len(),
        Lookups::Whole | Lookups::Each(_) | Lookups::RoleSessions(_) => 1,
    }
}

/// Days since the epoch.
fn day(time: EventTime) -> i64 {
    time.second().div_euclid(SECONDS_PER_DAY)
}

fn grouped(plan: &QueryPlan) -> Vec<ScanGroup> {
    // The Regions of each account that are asked alike, then the accounts with the same Regions.
    let mut regions = BTreeMap::<_, BTreeMap<Region, ScanId>>::new();
    let mut others = Vec::new();
    for scan in &plan.scans {
        match &scan.target {
            ScanTarget::EventHistory {
                account,
                region,
                lookups,
            } => {
                let (start, end) = (scan.range.start(), scan.range.end());
                let alike = (std::cmp::Reverse((end, start)), lookups);
                let place = regions.entry((alike, account)).or_default();
                place.insert(region.clone(), scan.id);
            }
            ScanTarget::Logs {
                log_group,
                accounts,
                regions,
                ..
            } => others.push(ScanGroup {
                log_group: Some(Arc::clone(&log_group.name)),
                accounts: accounts.clone(),
                regions: Some(regions.clone()),
                ..group_of(scan)
            }),
            ScanTarget::Athena {
                archive,
                accounts,
                regions,
            } => others.push(ScanGroup {
                archive: Some(Arc::clone(&archive.name)),
                accounts: accounts.clone(),
                regions: regions.clone(),
                ..group_of(scan)
            }),
        }
    }
    let mut groups = BTreeMap::<_, ScanGroup>::new();
    for ((alike, account), places) in regions {
        let names: BTreeSet<Region> = places.keys().cloned().collect();
        let scan = places.values().next().map(|id| &plan.scans[id.0 as usize]);
        let Some(scan) = scan else { continue };
        let group = groups
            .entry((alike, names.clone()))
            .or_insert_with(|| ScanGroup {
                regions: Some(names),
                scans: Vec::new(),
                ..group_of(scan)
            });
        group.accounts.insert(*account);
        group.scans.extend(places.into_values());
    }
    groups.into_values().chain(others).collect()
}

fn group_of(scan: &Scan) -> ScanGroup {
    ScanGroup {
        backend: scan.target.backend(),
        archive: None,
        log_group: None,
        range: scan.range,
        accounts: BTreeSet::new(),
        regions: None,
        scans: vec![scan.id],
        estimate: Estimate {
            requests: Amount::known(0),
            seconds: Amount::known(0),
            bytes_scanned: Some(0),
            bytes_basis: None,
            lookups: Probed::default(),
        },
    }
}
