//! How the service gets into each account, and its sessions there.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;

use super::assume_role::Assumer;
use super::session::Session;
use crate::config::Access;
use crate::query::AccountId;

/// Grows with the accounts that are discovered and never shrinks: a search that began before an
/// account left the organization goes on reading it.
#[derive(Debug)]
pub(super) struct Ways {
    assumer: Assumer,
    /// The way into each account that was ever in the inventory.
    access: RwLock<HashMap<AccountId, Access>>,
    /// One for each role, made when it is first needed. Locked for a look or an insertion.
    sessions: RwLock<HashMap<Access, Arc<Session>>>,
}

impl Ways {
    pub fn new(assumer: Assumer) -> Self {
        Self {
            assumer,
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

    /// The session that goes with a way in; `None` for the hub's own credentials.
    pub fn session(&self, access: &Access) -> Option<Arc<Session>> {
        let Access::Role { arn, external_id } = access else {
            return None;
        };
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(access) {
            return Some(Arc::clone(session));
        }
        drop(sessions);
        let (assumer, arn, external_id) = (self.assumer.clone(), arn.clone(), external_id.clone());
        let assume = move || {
            let assumer = assumer.clone();
            assumer.assume(arn.clone(), external_id.clone()).boxed()
        };
        let mut sessions = self
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let session = sessions.entry(access.clone());
        // Somebody else may have made it in between.
        Some(Arc::clone(
            session.or_insert_with(|| Arc::new(Session::new(Box::new(assume)))),
        ))
    }
}
