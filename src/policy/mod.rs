//! Who may ask what: Cedar policies over the caller, the RPC, the accounts and the question.
//!
//! Decided once for each request, before anything is looked up: [`Authorizer::access`] says which of
//! the federation's accounts the caller may ask this question about. All that follows sees these
//! accounts and no others, so that one which is not permitted reads like one that does not exist. A
//! search goes on with what it was allowed when it began; whoever resumes it asks anew.
//!
//! Deny is the default once there are policies. Without any, all who are authenticated may ask
//! everything.

mod entities;
mod judge;
mod load;
mod question;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use cedar_policy::entities_errors::EntitiesError;
use cedar_policy::{Entities, EntityId, EntityTypeName, EntityUid};

use crate::caller::Caller;
use crate::plan::Inventory;
use crate::query::AccountId;
use judge::Judge;
use load::Policies;

pub use load::{PolicyError, PolicyFinding};
pub use question::{Aspect, Question, Rpc, SearchQuestion};

/// Judges kept for one state of policies and accounts: one for each caller and RPC. Beyond that many
/// all are made anew.
const MOST_JUDGES: usize = 64;

/// Decides who may ask what. One serves the whole process.
pub struct Authorizer {
    rules: Option<Rules>,
}

/// Policies, and where they come from.
struct Rules {
    place: PathBuf,
    known_of_accounts: KnownOfAccounts,
    policies: ArcSwap<Policies>,
    /// What was worked out for the policies and accounts of late.
    bench: ArcSwapOption<Bench>,
}

/// What the federation knows of its accounts besides ids and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOfAccounts {
    /// Whether it reads their tags.
    pub tags: bool,
    /// Whether it knows the organizational units that they lie in.
    pub organizational_units: bool,
}

/// By RPC and the caller's name.
type Judges = HashMap<(Rpc, Arc<str>), (Arc<Caller>, Arc<Judge>)>;

/// The judges for one set of policies and one inventory.
struct Bench {
    policies: Arc<Policies>,
    inventory: Arc<Inventory>,
    accounts: Entities,
    judges: Mutex<Judges>,
}

/// What a caller may read, for one request.
#[derive(Debug, Clone)]
pub struct Access {
    /// The accounts.
    pub inventory: Arc<Inventory>,
    /// Whether the federation has others.
    pub limited: bool,
    /// How many accounts the whole federation has: for estimates of what an archive holds of each.
    pub federation_size: usize,
}

/// Why a request has no access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused<E> {
    /// The question is not the caller's to ask.
    Denied(Denial),
    /// What is asked about does not exist, or not for this caller.
    NotFound(E),
}

/// Why a question is denied. It tells of the caller's own rights only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The caller may ask nothing through this RPC, about no account.
    Rpc(Rpc),
    /// It would be allowed but for this.
    Aspect(Rpc, Aspect),
    /// It is denied for several reasons together.
    Question(Rpc),
    /// The policies could not be evaluated; why is in the service's log.
    Undecided(Rpc),
}

impl Denial {
    /// What the caller is told.
    #[must_use]
    pub fn message(self) -> String {
        let (rpc, why) = match self {
            Self::Rpc(rpc) => (rpc, "to this caller, about any account"),
            Self::Aspect(rpc, Aspect::RecordView) => (rpc, "with this record_view"),
            Self::Aspect(rpc, Aspect::Lookback) => (rpc, "this far back"),
            Self::Aspect(rpc, Aspect::IdentityKind) => (rpc, "by these kinds of identities"),
            Self::Question(rpc) => (
                rpc,
                "with this record_view, lookback and kinds of identities together",
            ),
            Self::Undecided(rpc) => (rpc, "while its policies cannot be evaluated"),
        };
        format!("{} is not allowed {why}", rpc.as_str())
    }

    /// `ErrorInfo.reason`
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Rpc(_) => "RPC_NOT_PERMITTED",
            Self::Aspect(_, Aspect::RecordView) => "RECORD_VIEW_NOT_PERMITTED",
            Self::Aspect(_, Aspect::Lookback) => "LOOKBACK_NOT_PERMITTED",
            Self::Aspect(_, Aspect::IdentityKind) => "IDENTITY_KIND_NOT_PERMITTED",
            Self::Question(_) => "QUESTION_NOT_PERMITTED",
            Self::Undecided(_) => "NOT_DECIDED",
        }
    }

    /// The RPC that was denied.
    #[must_use]
    pub fn rpc(self) -> Rpc {
        match self {
            Self::Rpc(rpc) | Self::Aspect(rpc, _) | Self::Question(rpc) | Self::Undecided(rpc) => {
                rpc
            }
        }
    }
}

impl Authorizer {
    /// Without policies: everything is allowed.
    #[must_use]
    pub fn allow_all() -> Self {
        Self { rules: None }
    }

    /// With the policies at `place`, a file or a folder of `.cedar` files.
    ///
    /// # Errors
    /// All that is wrong with them, with file, line and column; and policies that ask for what the
    /// federation does not know of its accounts, for they would never hold.
    pub fn open(place: &Path, known_of_accounts: KnownOfAccounts) -> Result<Self, PolicyError> {
        let policies = read(place, known_of_accounts)?;
        Ok(Self {
            rules: Some(Rules {
                place: place.to_owned(),
                known_of_accounts,
                policies: ArcSwap::from_pointee(policies),
                bench: ArcSwapOption::empty(),
            }),
        })
    }

    /// How many policies there are; `None` where everything is allowed.
    #[must_use]
    pub fn policies(&self) -> Option<usize> {
        let rules = self.rules.as_ref()?;
        Some(rules.policies.load().set.num_of_policies())
    }

    /// Reads the policies again, for all requests from then on, and says how many there are. Running
    /// searches go on with what they were allowed.
    ///
    /// # Errors
    /// As [`open`](Self::open); then the policies are what they were.
    pub fn reload(&self) -> Result<Option<usize>, PolicyError> {
        if let Some(rules) = &self.rules {
            let policies = read(&rules.place, rules.known_of_accounts)?;
            rules.policies.store(Arc::new(policies));
        }
        Ok(self.policies())
    }

    /// What `caller` may read to answer `question`, if what it asks about is there: `meant` names the
    /// accounts of an inventory that it asks about, or says why there is none.
    ///
    /// An account about which the caller may ask other questions but not this one makes the question
    /// denied, if it is meant; any other that is not permitted is not there.
    pub fn access<E>(
        &self,
        caller: &Arc<Caller>,
        question: &Question,
        inventory: &Arc<Inventory>,
        meant: impl Fn(&Inventory) -> Result<Vec<AccountId>, E>,
    ) -> Result<Access, Refused<E>> {
        let Some(rules) = &self.rules else {
            meant(inventory).map_err(Refused::NotFound)?;
            return Ok(Access {
                inventory: Arc::clone(inventory),
                limited: false,
                federation_size: inventory.accounts.len(),
            });
        };
        let rpc = question.rpc();
        let judge = rules.judge(caller, rpc, inventory).map_err(|error| {
            tracing::error!(%caller, "denied, for what policies are to see cannot be described: {error}");
            Refused::Denied(Denial::Undecided(rpc))
        })?;
        let permitted = judge.permitted(question);
        if !is_nothing(&permitted, rpc) && meant(&permitted).is_ok() {
            return Ok(Access {
                limited: !Arc::ptr_eq(&permitted, inventory),
                federation_size: inventory.accounts.len(),
                inventory: permitted,
            });
        }
        let visible = judge.visible();
        if is_nothing(visible, rpc) {
            return Err(Refused::Denied(Denial::Rpc(rpc)));
        }
        let mut denied = meant(visible).map_err(Refused::NotFound)?;
        denied.retain(|account| permitted.account(*account).is_none());
        Err(Refused::Denied(judge.why_denied(question, &denied)))
    }
}

/// Only a listing shows accounts that nobody can read.
fn is_nothing(inventory: &Inventory, rpc: Rpc) -> bool {
    inventory.accounts.is_empty() && (rpc != Rpc::ListAccounts || inventory.left_out.is_empty())
}

fn read(place: &Path, known: KnownOfAccounts) -> Result<Policies, PolicyError> {
    let policies = Policies::read(place)?;
    let asks_for = policies.asks_for;
    let unanswerable = if asks_for.tags && !known.tags {
        "policies ask for accounts' tags, which are not known here: they are read with \
         accounts.organization where its `tags` is not false"
    } else if asks_for.organizational_units && !known.organizational_units {
        "policies ask for organizational units, which are not known here: they are read with \
         accounts.organization"
    } else {
        return Ok(policies);
    };
    Err(PolicyError::Unanswerable {
        path: place.display().to_string(),
        why: unanswerable,
    })
}

impl Rules {
    fn judge(
        &self,
        caller: &Arc<Caller>,
        rpc: Rpc,
        inventory: &Arc<Inventory>,
    ) -> Result<Arc<Judge>, Box<EntitiesError>> {
        let policies = self.policies.load_full();
        let bench = match self.bench.load_full() {
            Some(bench) if bench.is_for(&policies, inventory) => bench,
            _ => {
                let bench = Arc::new(Bench {
                    accounts: entities::accounts(inventory)?,
                    policies,
                    inventory: Arc::clone(inventory),
                    judges: Mutex::default(),
                });
                self.bench.store(Some(Arc::clone(&bench)));
                bench
            }
        };
        bench.judge(caller, rpc)
    }
}

impl Bench {
    fn is_for(&self, policies: &Arc<Policies>, inventory: &Arc<Inventory>) -> bool {
        Arc::ptr_eq(&self.policies, policies) && Arc::ptr_eq(&self.inventory, inventory)
    }

    fn judge(&self, caller: &Arc<Caller>, rpc: Rpc) -> Result<Arc<Judge>, Box<EntitiesError>> {
        let key = (rpc, Arc::clone(&caller.name));
        let known = self.judges().get(&key).cloned();
        match known {
            // The groups are the token's, and may differ from one to the next.
            Some((of, judge)) if of == *caller => Ok(judge),
            _ => {
                let inventory = Arc::clone(&self.inventory);
                let policies = &self.policies.set;
                let judge = Judge::new(policies, caller, rpc, &self.accounts, inventory)?;
                let judge = Arc::new(judge);
                let mut judges = self.judges();
                if judges.len() >= MOST_JUDGES {
                    judges.clear();
                }
                judges.insert(key, (Arc::clone(caller), Arc::clone(&judge)));
                Ok(judge)
            }
        }
    }

    fn judges(&self) -> MutexGuard<'_, Judges> {
        self.judges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("place", &self.rules.as_ref().map(|rules| &rules.place))
            .field("policies", &self.policies())
            .finish_non_exhaustive()
    }
}

/// A type of the schema.
fn entity_type(name: &str) -> EntityTypeName {
    EntityTypeName::from_str(name).expect("the schema's types are plain names")
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type(kind), EntityId::new(id))
}
