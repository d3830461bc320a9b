//! What the scans of one account find out together about the sessions of roles and users.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::OnceCell;

use super::Place;
use super::discovery::{Discovery, RolesFound};
use super::federated::FederatedFound;
use super::sessions::Sessions;
use crate::backend::PageCost;
use crate::plan::RoleReading;
use crate::plan::role_sessions::RoleSessions;
use crate::query::{AccountId, EventTime, Region, TimeRange};

/// Said where sessions may have been issued in Regions that nobody knows of.
pub(super) const NOT_IN_OTHERS: &str =
    "; none were sought in the account's other Regions, which could not be listed";

/// So many acts are remembered until sessions are found, to hold them against those.
const MOST_ACTED: usize = 1_000;

/// The sessions of roles and users that one search has found, by account. Gone with the search.
#[derive(Debug, Default)]
pub struct SessionsFound {
    accounts: Mutex<HashMap<AccountId, Arc<OfAccount>>>,
}

impl SessionsFound {
    pub(super) fn of(&self, account: AccountId) -> Arc<OfAccount> {
        Arc::clone(lock(&self.accounts).entry(account).or_default())
    }
}

/// What the scans of one account share.
#[derive(Debug, Default)]
pub(super) struct OfAccount {
    /// Filled by the first scan to which it is worth while; the others wait for it.
    found: OnceCell<Result<RolesFound, String>>,
    /// Why the sessions found are not all, once a scan has seen so.
    refuted: OnceLock<String>,
    /// The sessions that users issued, filled by the first scan that asks.
    pub federated: OnceCell<FederatedFound>,
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

    /// How far what is read by the sessions that were found is complete.
    pub fn reading(&self, by: &RoleSessions, range: TimeRange) -> RoleReading {
        let found = self.found.get().and_then(|found| found.as_ref().ok());
        let names = found.map_or(0, |found| found.sessions.names());
        let mut note = format!(
            "complete for the {names} session names found by the events that issued them from {} on",
            by.assumed_in.start()
        );
        if by.reach_ends_early(range) {
            note.push_str(
                ", where event history begins: older sessions may have acted until 12 hours later",
            );
        }
        if by.has_others {
            note.push_str(NOT_IN_OTHERS);
        }
        let never = found.map_or(&[][..], |found| &found.never_issued[..]);
        if !never.is_empty() {
            note.push_str("; no event that issued a session of ");
            note.push_str(&never.join(" or "));
            note.push_str(
                " was found: nobody assumed it, or it was come by otherwise (exact_roles reads \
                 everything)",
            );
        }
        RoleReading {
            inferred: true,
            note: note.into(),
        }
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
    ) -> Option<&Result<RolesFound, String>> {
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
            if let Ok(found) = &found {
                let acted = std::mem::take(&mut lock(&self.state).acted);
                for (name, time) in acted {
                    self.hold(&found.sessions, &name, time);
                }
            }
            found
        });
        Some(found.await)
    }

    /// A session of the roles acted: if it is not among those found, they are not all.
    pub fn acted(&self, name: &str, time: EventTime) {
        match self.found.get() {
            Some(Ok(found)) => self.hold(&found.sessions, name, time),
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
