//! Scans that differ only in account and Region, together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Amount, Estimate, Probed, Windows};
use crate::plan::scan::{QueryPlan, Scan, ScanId, ScanTarget};
use crate::query::{AccountId, BackendKind, Region, TimeRange};

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

pub(super) fn grouped(plan: &QueryPlan) -> Vec<ScanGroup> {
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
            windows: Windows::default(),
        },
    }
}
