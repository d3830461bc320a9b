//! Who reads what a scan of event history leaves: an archive or a log group that holds it too.
//!
//! The planner says of each scan who could take over which part of it; what of a rest is given to
//! whom, and which scan reads what was given, is decided here. A scan that took over is in no such
//! list: nothing is handed over twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;

use super::facts::{ArchiveFacts, LogGroupFacts, ReadLogsWith};
use super::parts::filterable_from;
use super::scan::{EventPart, LogsMethod, Scan, ScanId, ScanTarget, Share};
use crate::query::{AccountId, EventCategory, Region, TimeRange};

/// An archive or a log group that may take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Which.
    pub store: ReceiverStore,
    /// The management events of the question that it does not hold.
    pub lacks: Vec<EventPart>,
}

/// Where a receiver reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiverStore {
    /// An archive.
    Archive(Arc<ArchiveFacts>),
    /// A log group.
    LogGroup(Arc<LogGroupFacts>),
}

/// A receiver's place in its plan's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiverId(pub usize);

/// Who may take over from which scan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receivers {
    pub(super) all: Vec<Receiver>,
    /// Parts of scans, disjoint, each with who may take it over.
    pub(super) by_scan: BTreeMap<ScanId, Vec<(TimeRange, ReceiverId)>>,
}

/// A rest, divided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Divided {
    /// What others take over.
    pub given: Vec<(ReceiverId, TimeRange)>,
    /// What nobody does.
    pub kept: Vec<TimeRange>,
}

/// A part of a scan of event history that was given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// The scan's account.
    pub account: AccountId,
    /// The scan's Region.
    pub region: Region,
    /// The part.
    pub range: TimeRange,
}

/// What one receiver takes over: at least one rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rests {
    all: Vec<Rest>,
    hull: TimeRange,
}

impl Rests {
    /// Of one.
    #[must_use]
    pub fn of(rest: Rest) -> Self {
        Self {
            hull: rest.range,
            all: vec![rest],
        }
    }

    /// And one more.
    pub fn add(&mut self, rest: Rest) {
        self.hull = self.hull.hull(rest.range);
        self.all.push(rest);
    }
}

/// Which of those who may take over may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// Whoever holds some of it: the scan cannot read it.
    Anyone,
    /// Whoever holds all of it: the scan could still read it.
    WhoHoldsAll,
}

impl Receivers {
    /// A receiver of this plan.
    #[must_use]
    pub fn get(&self, id: ReceiverId) -> &Receiver {
        &self.all[id.0]
    }

    /// Who may take over from a scan, by name.
    #[must_use]
    pub fn names(&self, scan: ScanId) -> BTreeSet<Arc<str>> {
        let parts = self.by_scan.get(&scan).into_iter().flatten();
        let names = parts.map(|(_, id)| Arc::clone(self.get(*id).store.name()));
        names.collect()
    }

    /// Lets another scan that reads `range` of this one leave it to the same receivers.
    pub fn pass_on(&mut self, from: ScanId, range: TimeRange, to: ScanId) {
        let parts = self.by_scan.get(&from).into_iter().flatten();
        let within = parts.filter_map(|(part, id)| Some((part.intersect(range)?, *id)));
        let parts: Vec<_> = within.collect();
        self.by_scan.insert(to, parts);
    }

    /// Divides the rest of a scan: every second of it is given to one receiver or kept.
    #[must_use]
    pub fn divide(&self, scan: ScanId, rest: TimeRange, taking: Taking) -> Divided {
        let parts = self.by_scan.get(&scan).into_iter().flatten();
        let given: Vec<(ReceiverId, TimeRange)> = parts
            .filter(|(_, id)| taking == Taking::Anyone || self.get(*id).lacks.is_empty())
            .filter_map(|(part, id)| Some((*id, part.intersect(rest)?)))
            .collect();
        Divided {
            kept: rest.without(given.iter().map(|(_, range)| *range)),
            given,
        }
    }
}

impl Receiver {
    /// The one scan that reads these rests, and owns nothing else of what it is asked for. A log
    /// group's interval from `insights_from` on is read with Logs Insights.
    #[must_use]
    pub fn scan(&self, id: ScanId, rests: &Rests, insights_from: SignedDuration) -> Scan {
        let range = rests.hull;
        let rests = &rests.all;
        let accounts = rests.iter().map(|rest| rest.account).collect();
        let regions = rests.iter().map(|rest| rest.region.clone()).collect();
        let target = match &self.store {
            ReceiverStore::Archive(archive) => ScanTarget::Athena {
                archive: Arc::clone(archive),
                accounts,
                regions: Some(regions),
            },
            ReceiverStore::LogGroup(log_group) => ScanTarget::Logs {
                method: method(log_group, range, insights_from),
                log_group: Arc::clone(log_group),
                accounts,
                regions,
            },
        };
        Scan {
            id,
            target,
            range,
            categories: BTreeSet::from([EventCategory::Management]),
            shares: Some(shares(rests)),
        }
    }
}

impl ReceiverStore {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Archive(archive) => &archive.name,
            Self::LogGroup(log_group) => &log_group.name,
        }
    }
}

/// One API for all of it: what `FilterLogEvents` cannot read newest first is read by a query.
fn method(
    log_group: &LogGroupFacts,
    range: TimeRange,
    insights_from: SignedDuration,
) -> LogsMethod {
    let queried = match log_group.read_with {
        ReadLogsWith::Insights => true,
        ReadLogsWith::Auto => range.duration() >= insights_from,
        ReadLogsWith::FilterLogEvents => false,
    };
    if queried || range.start() < filterable_from() {
        LogsMethod::Insights
    } else {
        LogsMethod::FilterLogEvents
    }
}

/// The rests in as few products of accounts and Regions as have the same interval.
fn shares(rests: &[Rest]) -> Arc<[Share]> {
    let mut by_account = BTreeMap::<(TimeRange, AccountId), BTreeSet<Region>>::new();
    for rest in rests {
        let place = by_account.entry((rest.range, rest.account)).or_default();
        place.insert(rest.region.clone());
    }
    let mut by_regions = BTreeMap::<(TimeRange, BTreeSet<Region>), BTreeSet<AccountId>>::new();
    for ((range, account), regions) in by_account {
        by_regions
            .entry((range, regions))
            .or_default()
            .insert(account);
    }
    let share = |((range, regions), accounts)| Share {
        accounts,
        regions,
        range,
    };
    by_regions.into_iter().map(share).collect()
}
