//! How the service gets into each account, and its sessions there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;

use super::assume_role::Assumer;
use super::attribution::{Attribution, Behalf, SessionNames};
use super::session::Session;
use crate::config::Access;
use crate::query::AccountId;

/// Grows with the accounts that are discovered and never shrinks: a search that began before an
/// account left the organization goes on reading it.
#[derive(Debug)]
pub(super) struct Ways {
    assumer: Assumer,
    attribution: Attribution,
    /// The way into each account that was ever in the inventory.
    access: RwLock<HashMap<AccountId, Access>>,
    /// One for each role and name, made when it is first needed. Locked for a look or an insertion.
    sessions: RwLock<HashMap<(Access, SessionNames), Kept>>,
    /// Counts the uses of sessions: which was used last.
    uses: AtomicU64,
}

/// Sessions that are kept, where callers have their own. Who needs a forgotten one again assumes the
/// role again.
const SESSIONS: usize = 20_000;

#[derive(Debug)]
struct Kept {
    session: Arc<Session>,
    last_use: AtomicU64,
}

impl Ways {
    pub fn new(assumer: Assumer, attribution: Attribution) -> Self {
        Self {
            assumer,
            attribution,
            uses: AtomicU64::new(0),
            access: RwLock::default(),
            sessions: RwLock::default(),
        }
    }

    /// Adds ways into accounts that are now in the inventory.
    pub fn learn(&self, ways: impl IntoIterator<Item = (AccountId, Access)>) {
        let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
        access.extend(ways);
    }

    /// The way into an account of the inventory.
    pub fn access(&self, account: AccountId) -> Option<Access> {
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        access.get(&account).cloned()
    }

    /// What a session on somebody's behalf is called.
    pub fn session_name(&self, behalf: Behalf<'_>) -> Arc<str> {
        self.attribution.names(behalf).session_name
    }

    /// The session that goes with a way in, in somebody's name; `None` for the hub's own credentials.
    pub fn session(&self, access: &Access, behalf: Behalf<'_>) -> Option<Arc<Session>> {
        let Access::Role { arn, external_id } = access else {
            return None;
        };
        let names = self.attribution.names(behalf);
        let key = (access.clone(), names.clone());
        let use_number = self.uses.fetch_add(1, Ordering::Relaxed);
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = sessions.get(&key) {
            kept.last_use.store(use_number, Ordering::Relaxed);
            return Some(Arc::clone(&kept.session));
        }
        drop(sessions);
        let (assumer, arn, external_id) = (self.assumer.clone(), arn.clone(), external_id.clone());
        let assume = move || {
            let assumer = assumer.clone();
            assumer
                .assume(arn.clone(), external_id.clone(), names.clone())
                .boxed()
        };
        let mut sessions = self
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS {
            forget_some(&mut sessions);
        }
        // Somebody else may have made it in between.
        let kept = sessions.entry(key).or_insert_with(|| Kept {
            session: Arc::new(Session::new(Box::new(assume))),
            last_use: AtomicU64::new(use_number),
        });
        Some(Arc::clone(&kept.session))
    }
}

/// Forgets the tenth that was not used for longest. Whoever uses one of them still has it.
fn forget_some<K: Eq + std::hash::Hash>(sessions: &mut HashMap<K, Kept>) {
    let mut uses: Vec<u64> = (sessions.values())
        .map(|kept| kept.last_use.load(Ordering::Relaxed))
        .collect();
    let tenth = uses.len() / 10;
    let (_, newest_forgotten, _) = uses.select_nth_unstable(tenth);
    let newest_forgotten = *newest_forgotten;
    sessions.retain(|_, kept| kept.last_use.load(Ordering::Relaxed) > newest_forgotten);
}
