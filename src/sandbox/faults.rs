//! What the sandbox can be told to do wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A share of requests, 0 to 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

/// Why a number is no percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPercentage {
    /// Over 100.
    #[error("{0} is more than 100 percent")]
    TooLarge(u8),
    /// Not a whole number.
    #[error("not a whole number of percent: {0}")]
    NotANumber(#[from] ParseIntError),
}

impl Percent {
    /// Every request.
    pub const ALWAYS: Self = Self(100);
    /// No request.
    pub const NEVER: Self = Self(0);
}

impl TryFrom<u8> for Percent {
    type Error = NotAPercentage;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        if value <= 100 {
            Ok(Self(value))
        } else {
            Err(NotAPercentage::TooLarge(value))
        }
    }
}

impl FromStr for Percent {
    type Err = NotAPercentage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u8>()?.try_into()
    }
}

/// Who denies an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Nobody allows it: the role's trust policy, or the caller's own.
    NotAllowed,
    /// A service control policy of the organization denies it.
    ServiceControlPolicy,
}

/// Everything that can go wrong on demand; by default nothing does.
#[derive(Debug, Clone, Default)]
pub struct FaultSettings {
    /// How much later than it could every call is answered.
    pub latency: Duration,
    /// How many calls are throttled beyond what a quota asks for.
    pub throttle: Percent,
    /// Accounts whose role cannot be assumed, and where sessions that exist may read nothing.
    pub denied_accounts: BTreeMap<String, Denial>,
    /// Actions that nobody may do, such as `cloudtrail:LookupEvents`.
    pub denied_actions: BTreeMap<String, Denial>,
    /// How long sessions last (real time), whatever was asked for.
    pub credential_lifetime: Option<Duration>,
    /// Regions whose endpoints take requests and never answer.
    pub dead_regions: BTreeSet<String>,
    /// Regions that no account has enabled: credentials are unknown there.
    pub disabled_regions: BTreeSet<String>,
    /// How many calls end with the connection reset instead of an answer.
    pub reset: Percent,
    /// How many page tokens have gone stale by the time they are used.
    pub stale_token: Percent,
    /// How many pages of event history show their newest event last.
    pub out_of_order: Percent,
}

/// The faults of a running sandbox, which can be changed while it serves.
#[derive(Debug)]
pub struct Faults {
    settings: RwLock<FaultSettings>,
    dice: Mutex<SmallRng>,
}

impl Faults {
    pub(super) fn new(settings: FaultSettings, seed: u64) -> Self {
        Self {
            settings: RwLock::new(settings),
            dice: Mutex::new(SmallRng::seed_from_u64(seed)),
        }
    }

    /// The faults as they are now.
    #[must_use]
    pub fn settings(&self) -> FaultSettings {
        self.read(Clone::clone)
    }

    /// Changes the faults, for calls that arrive from now on.
    pub fn change(&self, change: impl FnOnce(&mut FaultSettings)) {
        change(
            &mut self
                .settings
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&FaultSettings) -> T) -> T {
        read(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Throws the dice: whether this one is hit.
    pub(super) fn hits(&self, share: impl FnOnce(&FaultSettings) -> Percent) -> bool {
        let Percent(share) = self.read(share);
        share > 0 && self.throw() < share
    }

    fn throw(&self) -> u8 {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        dice.random_range(0..100)
    }
}

impl Percent {
    /// Whether the thing with this hash is hit: the same thing always or never.
    pub(super) fn hits_hash(self, hash: u64) -> bool {
        hash % 100 < u64::from(self.0)
    }
}
