//! How long to wait between requests: longer when AWS throttles, because others spend the same
//! quota, and shorter again with each success.

use std::time::Duration;

/// What a throttle leaves of the rate.
const BACK_OFF: f64 = 0.7;
/// What a success gives back, as a share of the configured rate.
const RECOVER: f64 = 0.05;
/// The slowest, as a share of the configured rate: a quota that others spend whole still has gaps.
const SLOWEST: f64 = 0.125;

/// The rate of one account and Region.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// As configured, in requests a second.
    most: f64,
    /// Of it, the share in use.
    share: f64,
}

impl Rate {
    pub fn new(requests_per_second: f64) -> Self {
        Self {
            most: requests_per_second,
            share: 1.0,
        }
    }

    /// The time between two requests.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / (self.most * self.share))
    }

    pub fn throttled(&mut self) {
        self.share = (self.share * BACK_OFF).max(SLOWEST);
    }

    pub fn succeeded(&mut self) {
        self.share = (self.share + RECOVER).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_slow_down_to_a_floor_and_successes_recover_to_what_is_configured() {
        let mut rate = Rate::new(2.0);
        let half = Duration::from_millis(500);
        assert_eq!(rate.interval(), half);
        rate.throttled();
        assert!(rate.interval() > half);
        for _ in 0..100 {
            rate.throttled();
        }
        assert_eq!(rate.interval(), half * 8);
        for _ in 0..100 {
            rate.succeeded();
        }
        assert_eq!(rate.interval(), half);
    }
}
