//! A quota on calls: for each account and Region, and shared with whoever else calls there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Token buckets by account and Region, in real time.
///
/// A bucket holds one second's worth of calls and refills at the quota's rate: two requests a
/// second pass at any spacing, a third within the second does not.
#[derive(Debug)]
pub struct CallRate {
    per_second: Option<f64>,
    other_tenants_per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    buckets: HashMap<(String, String), Bucket>,
    dice: SmallRng,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    /// When the next call of another tenant comes.
    next_other: Option<Instant>,
}

impl CallRate {
    /// A quota of `per_second` (none: no quota), of which others ask for
    /// `other_tenants_per_second`, at random times.
    pub fn new(per_second: Option<f64>, other_tenants_per_second: f64, seed: u64) -> Self {
        Self {
            per_second,
            other_tenants_per_second,
            state: Mutex::new(State {
                buckets: HashMap::new(),
                dice: SmallRng::seed_from_u64(seed),
            }),
        }
    }

    /// Takes one call from the quota of `account_id` in `region`; false if there is none left.
    pub fn take(&self, account_id: &str, region: &str, now: Instant) -> bool {
        let Some(rate) = self.per_second else {
            return true;
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { buckets, dice } = &mut *state;
        let key = (account_id.to_owned(), region.to_owned());
        let bucket = buckets.entry(key).or_insert_with(|| Bucket {
            tokens: rate.max(1.0),
            at: now,
            next_other: after(now, self.other_tenants_per_second, dice),
        });
        while let Some(other) = bucket.next_other.filter(|other| *other <= now) {
            bucket.refill(rate, other);
            // They retry until they are served, so that whatever there is when they come is theirs.
            bucket.tokens = (bucket.tokens - 1.0).max(0.0);
            bucket.next_other = after(other, self.other_tenants_per_second, dice);
        }
        bucket.refill(rate, now);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

impl Bucket {
    fn refill(&mut self, rate: f64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(rate.max(1.0));
        self.at = self.at.max(now);
    }
}

/// When a caller that comes `rate` times a second on average comes next.
fn after(now: Instant, rate: f64, dice: &mut SmallRng) -> Option<Instant> {
    if rate <= 0.0 {
        return None;
    }
    let share: f64 = dice.random();
    let wait = -(1.0 - share).ln() / rate;
    now.checked_add(std::time::Duration::try_from_secs_f64(wait).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn two_a_second_pass_at_any_spacing_and_accounts_and_regions_do_not_share() {
        let rate = CallRate::new(Some(2.0), 0.0, 0);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(rate.take("a", "r", at(0)));
        assert!(rate.take("a", "r", at(0)));
        assert!(!rate.take("a", "r", at(400)));
        assert!(rate.take("b", "r", at(400)));
        assert!(rate.take("a", "s", at(400)));
        assert!(rate.take("a", "r", at(500)));
        assert!(!rate.take("a", "r", at(999)));
        assert!(rate.take("a", "r", at(1000)));
    }

    #[test]
    fn other_tenants_leave_less() {
        let start = Instant::now();
        let passed = |others| {
            let rate = CallRate::new(Some(2.0), others, 7);
            (0..200u32)
                .filter(|n| rate.take("a", "r", start + *n * Duration::from_millis(500)))
                .count()
        };
        assert_eq!(passed(0.0), 200);
        assert!((1..150).contains(&passed(1.5)), "{}", passed(1.5));
    }

    #[test]
    fn off_is_off() {
        let rate = CallRate::new(None, 5.0, 0);
        let now = Instant::now();
        assert!((0..1000).all(|_| rate.take("a", "r", now)));
    }
}
