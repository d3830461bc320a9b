//! What the scans of one account find out together about the sessions of roles.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::OnceCell;

use super::Place;
use super::discovery::Discovery;
use super::sessions::Sessions;
use crate::backend::PageCost;
use crate::plan::role_sessions::RoleSessions;
use crate::query::{AccountId, EventTime, Region};

/// So many acts are remembered until sessions are found, to hold them against those.
const MOST_ACTED: usize = 1_000;

/// The sessions of roles that one search has found, by account. Gone with the search.
#[derive(Debug, Default)]
pub struct RoleSessionsFound {
    accounts: Mutex<HashMap<AccountId, Arc<OfAccount>>>,
}

impl RoleSessionsFound {
    pub(super) fn of(&self, account: AccountId) -> Arc<OfAccount> {
        Arc::clone(lock(&self.accounts).entry(account).or_default())
    }
}

/// What the scans of one account share.
#[derive(Debug, Default)]
pub(super) struct OfAccount {
    /// Filled by the first scan to which it is worth while; the others wait for it.
    found: OnceCell<Result<Sessions, String>>,
    /// Why the sessions found are not all, once a scan has seen so.
    refuted: OnceLock<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    efforts: HashMap<Region, Effort>,
    /// Roles that were seen to act, by ARN.
    role_arns: BTreeSet<String>,
    /// Their sessions that acted before sessions were sought, and when: to be held against those.
    acted: BTreeSet<(String, EventTime)>,
}

/// What reading whole costs in one Region, in pages.
#[derive(Debug, Clone, Copy, Default)]
struct Effort {
    spent: u64,
    left: u64,
}

impl OfAccount {
    /// What reading whole has cost in a Region, in pages more, and what it would cost from here on.
    pub fn estimate(&self, region: &Region, spent: u64, left: u64) {
        let mut state = lock(&self.state);
        let effort = state.efforts.entry(region.clone()).or_default();
        effort.spent += spent;
        effort.left = left;
    }

    /// A session of this role acted, if its record tells the role's ARN.
    pub fn role_acts(&self, arn: Option<&str>) {
        lock(&self.state).role_arns.extend(arn.map(str::to_owned));
    }

    /// How many session names have been found.
    pub fn names(&self) -> usize {
        let found = self.found.get().and_then(|found| found.as_ref().ok());
        found.map_or(0, Sessions::names)
    }

    /// Why the sessions found are not all, once that was seen.
    pub fn refuted(&self) -> Option<&str> {
        self.refuted.get().map(String::as_str)
    }

    /// All that reading the account whole has cost and would cost, as far as its scans know.
    fn whole(&self) -> u64 {
        let efforts = lock(&self.state)
            .efforts
            .values()
            .copied()
            .collect::<Vec<_>>();
        efforts
            .iter()
            .map(|effort| effort.spent + effort.left)
            .sum()
    }

    /// The sessions, or why they cannot be found; `None` while that is not worth its price.
    pub async fn sessions(
        &self,
        place: &Place,
        by: &RoleSessions,
        cost: &mut PageCost,
    ) -> Option<&Result<Sessions, String>> {
        if !self.found.initialized() && !by.worth_while(self.whole()) {
            return None;
        }
        let found = self.found.get_or_init(|| async {
            let known_arns = lock(&self.state).role_arns.clone();
            let discovery = Discovery {
                place,
                by,
                known_arns,
                // The account's other scans may learn meanwhile how much there is to save.
                budget: &|| by.most_to_find(self.whole()),
            };
            let found = discovery.run(cost).await;
            if let Ok(sessions) = &found {
                let acted = std::mem::take(&mut lock(&self.state).acted);
                for (name, time) in acted {
                    self.hold(sessions, &name, time);
                }
            }
            found
        });
        Some(found.await)
    }

    /// A session of the roles acted: if it is not among those found, they are not all.
    pub fn acted(&self, name: &str, time: EventTime) {
        match self.found.get() {
            Some(Ok(sessions)) => self.hold(sessions, name, time),
            Some(Err(_)) => {}
            None => {
                let acted = &mut lock(&self.state).acted;
                if acted.len() < MOST_ACTED {
                    acted.insert((name.to_owned(), time));
                }
            }
        }
    }

    fn hold(&self, sessions: &Sessions, name: &str, time: EventTime) {
        if !sessions.explain(name, time) {
            self.refuted.get_or_init(|| {
                format!("its session {name} acted at {time}, and no event shows what issued it")
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
