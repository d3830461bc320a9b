//! The service's clock for event times.

use jiff::{SignedDuration, Timestamp};

/// What "now" is for event times: horizon, settle time, default end of an interval.
///
/// In production it is the system clock. Against a sandbox started with `--now` it is shifted, and
/// ticks on from there. Deadlines, signatures, expiry of credentials and pacing never use it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    offset: SignedDuration,
}

impl Clock {
    /// The system clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that reads `now` at this moment and ticks on.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self {
            offset: now.duration_since(Timestamp::now()),
        }
    }

    /// The present, in this clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + self.offset
    }
}
