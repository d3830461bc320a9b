//! Where the engine takes the accounts from: a value that others replace while searches run.

use std::sync::Arc;

use tokio::sync::watch;

use crate::plan::Inventory;
use crate::plan::inventory::Known;

/// The accounts, always as last known. Cheap to clone. Reading takes a lock for the length of a
/// pointer's copy.
#[derive(Debug, Clone)]
pub struct AccountsView(watch::Receiver<Known>);

impl AccountsView {
    /// Of whoever discovers them.
    #[must_use]
    pub fn new(discovered: watch::Receiver<Known>) -> Self {
        Self(discovered)
    }

    /// Accounts that never change.
    #[must_use]
    pub fn fixed(inventory: Inventory) -> Self {
        let known = Known {
            inventory: Some(Arc::new(inventory)),
            failure: None,
        };
        // A value that was sent is there without its sender.
        Self(watch::channel(known).1)
    }

    /// What is known now.
    #[must_use]
    pub fn now(&self) -> Known {
        self.0.borrow().clone()
    }

    /// Waits until the accounts are known or the first attempt to read them has failed.
    pub async fn first(&mut self) -> Known {
        let tried = |known: &Known| known.inventory.is_some() || known.failure.is_some();
        // An error says that nobody will try: what there is, is all there is.
        let waited = self.0.wait_for(tried).await.map(|known| known.clone());
        waited.unwrap_or_else(|_| self.now())
    }
}
