//! A number of things at once, which can be changed while they are in use.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets so many in at once.
pub struct Gate {
    semaphore: Arc<Semaphore>,
    size: Mutex<Size>,
}

#[derive(Debug, Clone, Copy)]
struct Size {
    limit: usize,
    /// Those who are in beyond the limit, since it was lowered.
    surplus: usize,
}

/// The right to be in, while it is held.
pub struct Pass {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// For `limit` at once; `None` for any number.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Arc<Self> {
        let limit = size(limit);
        Arc::new(Self {
            semaphore: Arc::new(Semaphore::new(limit)),
            size: Mutex::new(Size { limit, surplus: 0 }),
        })
    }

    /// Changes the limit. Nobody who is in is put out; with a lower limit nobody else gets in until
    /// enough have left.
    pub fn resize(&self, limit: Option<u64>) {
        let limit = size(limit);
        let mut size = self.lock();
        if limit >= size.limit {
            let more = limit - size.limit;
            let forgiven = more.min(size.surplus);
            size.surplus -= forgiven;
            self.semaphore.add_permits(more - forgiven);
        } else {
            let fewer = size.limit - limit;
            size.surplus += fewer - self.semaphore.forget_permits(fewer);
        }
        size.limit = limit;
    }

    /// How many may be in.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.lock().limit as u64
    }

    /// Goes in, if there is room at once.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>) -> Option<Pass> {
        let permit = Arc::clone(&self.semaphore).try_acquire_owned().ok()?;
        Some(Pass {
            gate: Arc::clone(self),
            permit: Some(permit),
        })
    }

    /// Waits for room, first come, first served. Dropping the future gives the place up.
    pub async fn enter(self: &Arc<Self>) -> Pass {
        // The semaphore is never closed: without a permit nobody could be kept out.
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok();
        Pass {
            gate: Arc::clone(self),
            permit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Size> {
        // Nothing in here panics half-way.
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut size = self.gate.lock();
        if size.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            size.surplus -= 1;
            permit.forget();
        }
    }
}

fn size(limit: Option<u64>) -> usize {
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(Semaphore::MAX_PERMITS)
        .min(Semaphore::MAX_PERMITS)
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&*self.lock()).finish()
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Enter,
        Leave(usize),
        Resize(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Enter),
            2 => (0..10usize).prop_map(Step::Leave),
            1 => (0..6u64).prop_map(Step::Resize),
        ]
    }

    proptest! {
        #[test]
        fn nobody_gets_in_beyond_the_limit_and_everybody_up_to_it(
            steps in prop::collection::vec(step(), 1..60)
        ) {
            let gate = Gate::new(Some(3));
            let mut limit = 3;
            let mut inside = Vec::new();
            for step in steps {
                match step {
                    Step::Enter => {
                        let pass = gate.try_enter();
                        prop_assert_eq!(pass.is_some(), inside.len() < limit);
                        inside.extend(pass);
                    }
                    Step::Leave(which) if which < inside.len() => drop(inside.swap_remove(which)),
                    Step::Leave(_) => {}
                    Step::Resize(to) => {
                        gate.resize(Some(to));
                        limit = usize::try_from(to).unwrap();
                    }
                }
            }
        }
    }
}
