//! What lookups of event history will cost, each by the first page that a probe read of it.

use std::collections::BTreeMap;

use super::amount::{Amount, Expected};
use super::{Basis, LookupId, Probed};
use crate::plan::lookups::Lookups;
use crate::plan::scan::Scan;
use crate::plan::windows;
use crate::query::{AccountId, EventTime, Region, SearchOrder, TimeRange};

/// Events on a page of LookupEvents.
const EVENTS_PER_PAGE: u64 = 50;
/// A scan that may be read in two ways changes to the other once one has cost what the other is
/// estimated at.
const WAYS: u64 = 2;

/// What the first page of a lookup showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstPage {
    /// Events on it.
    pub events: u64,
    /// Everything newer than this second was on it; `None` if it was the last page as well.
    pub read_down_to: Option<EventTime>,
}

/// What scans of event history will cost.
pub(super) struct History {
    pub requests: Amount,
    pub windows: Windows,
    pub lookups: Probed,
    /// Of each account and Region, which takes its turns by itself.
    pub lanes: BTreeMap<(AccountId, Region), Amount>,
}

/// What reading oldest first, in windows, adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Windows that there are at least: each begins with a page of its own.
    pub at_least: u64,
    /// Requests that newest first would not take.
    pub requests: Expected,
}

/// What one lookup will cost.
#[derive(Clone, Copy)]
struct Cost {
    requests: Amount,
    windows: Windows,
}

impl Default for Windows {
    /// Newest first there are none.
    fn default() -> Self {
        Self {
            at_least: 0,
            requests: Expected::About(0),
        }
    }
}

impl Windows {
    fn and(self, other: Self) -> Self {
        Self {
            at_least: self.at_least.saturating_add(other.at_least),
            requests: self.requests.and(other.requests),
        }
    }
}

/// How many lookups a scan has.
pub(super) fn count(lookups: &Lookups) -> usize {
    match lookups {
        Lookups::Each(attributes) | Lookups::WithFederated { attributes, .. }
            if !lookups.may_be_read_whole() =>
        {
            attributes.len()
        }
        Lookups::Whole
        | Lookups::Each(_)
        | Lookups::WithFederated { .. }
        | Lookups::RoleSessions(_) => 1,
    }
}

/// One scan of event history.
pub(super) struct HistoryScan<'a> {
    pub scan: &'a Scan,
    pub account: AccountId,
    pub region: &'a Region,
    pub lookups: &'a Lookups,
}

impl Basis {
    pub(super) fn history(&self, scans: &[HistoryScan<'_>]) -> History {
        let whole = self.whole_by_account(scans);
        let mut lanes = BTreeMap::new();
        let mut probed = Probed::default();
        let (mut at_least, mut seen) = (0_u64, Cost::NOTHING);
        let mut windows_at_least = 0_u64;
        for scan in scans {
            let lane = (scan.account, scan.region.clone());
            for number in 0..count(scan.lookups) {
                let page = self.probes.get(&LookupId(scan.scan.id, number));
                let whole = whole.get(&scan.account).copied();
                let cost = self.lookup(scan.lookups, scan.scan.range, page, whole);
                probed.total += 1;
                at_least = at_least.saturating_add(cost.requests.at_least);
                windows_at_least = windows_at_least.saturating_add(cost.windows.at_least);
                if page.is_some() {
                    probed.probed += 1;
                    seen = seen.and(cost);
                }
                add(&mut lanes, lane.clone(), cost.requests);
            }
        }
        may_find_sessions(&mut lanes, scans, &whole);
        History {
            requests: Amount {
                at_least,
                expected: probed.extrapolate(seen.requests.expected),
            }
            .consistent(),
            windows: Windows {
                at_least: windows_at_least,
                requests: probed.extrapolate(seen.windows.requests),
            },
            lookups: probed,
            lanes,
        }
    }

    /// What reading all of an account's event history whole is estimated at, in pages, where a role
    /// is asked about and any of it was probed.
    fn whole_by_account(&self, scans: &[HistoryScan<'_>]) -> BTreeMap<AccountId, u64> {
        let mut accounts = BTreeMap::<AccountId, (Probed, u64)>::new();
        for scan in scans {
            if let Lookups::RoleSessions(_) = scan.lookups {
                let (probed, pages) = accounts.entry(scan.account).or_default();
                probed.total += 1;
                if let Some(page) = self.probes.get(&LookupId(scan.scan.id, 0)) {
                    probed.probed += 1;
                    *pages = pages.saturating_add(self.pages(scan.scan.range, page));
                }
            }
        }
        let whole = accounts
            .into_iter()
            .filter_map(|(account, (probed, pages))| {
                match probed.extrapolate(Expected::About(pages)) {
                    Expected::About(whole) => Some((account, whole)),
                    Expected::UpTo(_) | Expected::Unknown => None,
                }
            });
        whole.collect()
    }

    /// One lookup; `whole` is what reading its account whole is estimated at.
    fn lookup(
        &self,
        lookups: &Lookups,
        range: TimeRange,
        page: Option<&FirstPage>,
        whole: Option<u64>,
    ) -> Cost {
        let oldest_first = self.order == SearchOrder::OldestFirst;
        // A user who did nothing is looked at once, and there is nothing to read.
        let may_be_silent = looks_first(lookups) && page.is_none_or(|page| page.events == 0);
        if let Some(page) = page.filter(|_| may_be_silent) {
            let least = if page.read_down_to.is_some() { 2 } else { 1 };
            return Cost {
                requests: Amount::known(least),
                ..Cost::NOTHING
            };
        }
        let windows = if oldest_first && !may_be_silent {
            windows::least(range)
        } else {
            0
        };
        let Some(page) = page else {
            return Cost {
                requests: Amount::at_least(windows.max(1)),
                windows: Windows {
                    at_least: windows,
                    requests: if oldest_first {
                        Expected::Unknown
                    } else {
                        Expected::About(0)
                    },
                },
            };
        };
        let newest_first = newest_first_pages(range, page);
        let pages = self.pages(range, page);
        let extra = pages.saturating_sub(newest_first);
        // The choice between two ways begins with a page that is read whole.
        let another_way = match lookups {
            Lookups::Whole => false,
            Lookups::Each(attributes) | Lookups::WithFederated { attributes, .. } => {
                lookups.may_be_read_whole() && (attributes.len() as u64) < pages.saturating_sub(1)
            }
            Lookups::RoleSessions(by) => {
                newest_first > 1 && whole.is_some_and(|whole| by.worth_while(whole))
            }
        };
        let is_last = page.read_down_to.is_none();
        // A role without sessions takes no second page here.
        let may_end = another_way && matches!(lookups, Lookups::RoleSessions(_));
        let at_least = windows.max(if is_last || may_end { 1 } else { 2 });
        let (requests, extra) = if another_way {
            let most = |pages: u64| pages.saturating_mul(WAYS);
            let requests = Amount::up_to(at_least, most(pages));
            (requests, Expected::UpTo(most(extra)))
        } else {
            (Amount::about(at_least, pages), Expected::About(extra))
        };
        Cost {
            requests: requests.and(Amount::known(to_find_federated(lookups, page))),
            windows: Windows {
                at_least: windows,
                requests: if oldest_first {
                    extra
                } else {
                    Expected::About(0)
                },
            },
        }
    }

    /// The pages of reading `range` by a lookup whose first page was this.
    fn pages(&self, range: TimeRange, page: &FirstPage) -> u64 {
        match self.order {
            SearchOrder::NewestFirst => newest_first_pages(range, page),
            SearchOrder::OldestFirst => windows::pages(range, events(range, page), EVENTS_PER_PAGE),
        }
    }
}

impl Cost {
    const NOTHING: Self = Self {
        requests: Amount {
            at_least: 0,
            expected: Expected::About(0),
        },
        windows: Windows {
            at_least: 0,
            requests: Expected::About(0),
        },
    };

    fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests.and(other.requests),
            windows: self.windows.and(other.windows),
        }
    }
}

impl Probed {
    /// What all lookups take, if those that were not probed are like those that were.
    fn extrapolate(self, seen: Expected) -> Expected {
        match (self.total, self.probed) {
            (0, _) => Expected::About(0),
            (_, 0) => Expected::Unknown,
            (total, probed) => seen.map(|seen| seen.saturating_mul(total).div_ceil(probed)),
        }
    }
}

fn add(
    lanes: &mut BTreeMap<(AccountId, Region), Amount>,
    lane: (AccountId, Region),
    amount: Amount,
) {
    let all = lanes.entry(lane).or_insert(Amount::known(0));
    *all = all.and(amount);
}

/// Finding a role's sessions takes turns in all the account's Regions; with all else it takes no more
/// than the account's scans do together.
fn may_find_sessions(
    lanes: &mut BTreeMap<(AccountId, Region), Amount>,
    scans: &[HistoryScan<'_>],
    whole: &BTreeMap<AccountId, u64>,
) {
    let roles = scans.iter().filter_map(|scan| match scan.lookups {
        Lookups::RoleSessions(by) => Some((scan.account, by)),
        Lookups::Whole | Lookups::Each(_) | Lookups::WithFederated { .. } => None,
    });
    for (account, by) in roles.collect::<BTreeMap<_, _>>() {
        let Some(whole) = whole.get(&account).filter(|whole| by.worth_while(**whole)) else {
            continue;
        };
        let most = whole.saturating_mul(WAYS);
        for region in &by.regions {
            let lane = (account, region.clone());
            add(
                lanes,
                lane.clone(),
                Amount::up_to(0, by.most_to_find(*whole)),
            );
            if let Some(lane) = lanes.get_mut(&lane) {
                lane.expected = lane.expected.map(|expected| expected.min(most));
            }
        }
    }
}

/// Whether a look at what users did comes before anything is read.
fn looks_first(lookups: &Lookups) -> bool {
    matches!(lookups, Lookups::WithFederated { .. }) && !lookups.may_be_read_whole()
}

/// What a lookup of a user takes besides, to find whom it federated: a first look, and the account's
/// calls where it does not show everything.
fn to_find_federated(lookups: &Lookups, page: &FirstPage) -> u64 {
    if looks_first(lookups) {
        1 + u64::from(page.read_down_to.is_some())
    } else {
        0
    }
}

/// The events of a lookup, as densely as on its first page.
fn events(range: TimeRange, page: &FirstPage) -> u64 {
    let Some(reached) = page.read_down_to else {
        return page.events;
    };
    let seconds = |length: i64| u128::try_from(length.max(1)).unwrap_or(1);
    let read = seconds(range.end().second() - reached.second());
    let all = seconds(range.end().second() - range.start().second());
    let events = (u128::from(page.events) * all).div_ceil(read);
    u64::try_from(events).unwrap_or(u64::MAX)
}

fn newest_first_pages(range: TimeRange, page: &FirstPage) -> u64 {
    let least = if page.read_down_to.is_some() { 2 } else { 1 };
    events(range, page).div_ceil(EVENTS_PER_PAGE).max(least)
}
