//! What is limited by the minute and by the day, as plain state over a time that it is told.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Events by the minute: a bucket that holds a minute's worth and fills evenly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Minute {
    /// What is left, as of `as_of`.
    left: f64,
    as_of: Instant,
}

impl Minute {
    pub fn full(limit: u64, now: Instant) -> Self {
        Self {
            left: as_float(limit),
            as_of: now,
        }
    }

    /// How many events are left.
    pub fn left(&mut self, limit: u64, now: Instant) -> f64 {
        let limit = as_float(limit);
        let passed = now.saturating_duration_since(self.as_of).as_secs_f64();
        self.left = (self.left + limit * passed / 60.0).min(limit);
        self.as_of = now;
        self.left
    }

    /// Takes one; says whether another is left.
    pub fn take(&mut self, limit: u64, now: Instant) -> bool {
        self.left = (self.left(limit, now) - 1.0).max(0.0);
        self.left >= 1.0
    }

    /// Until half a minute's worth is there again: sooner it is hardly worth asking.
    pub fn retry_after(&mut self, limit: u64, now: Instant) -> Duration {
        let missing = 0.5 - self.left(limit, now) / as_float(limit).max(1.0);
        Duration::from_secs_f64((60.0 * missing).max(1.0)).max(Duration::from_secs(1))
    }
}

#[allow(clippy::cast_precision_loss)] // Limits are far below 2^53.
fn as_float(limit: u64) -> f64 {
    limit as f64
}

/// Bytes by the day, in UTC.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Day {
    date: Option<Date>,
    bytes: u64,
}

impl Day {
    /// Counts what was scanned now.
    pub fn add(&mut self, bytes: u64, now: Timestamp) {
        self.bytes = self.spent(now).saturating_add(bytes);
        self.date = Some(day(now));
    }

    /// What was scanned today.
    pub fn spent(&self, now: Timestamp) -> u64 {
        if self.date == Some(day(now)) {
            self.bytes
        } else {
            0
        }
    }
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// Until the next day begins.
pub(super) fn until_tomorrow(now: Timestamp) -> Duration {
    let tomorrow = day(now).tomorrow().ok();
    tomorrow
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok())
        .and_then(|midnight| Duration::try_from(midnight.timestamp().duration_since(now)).ok())
        .unwrap_or(Duration::from_hours(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_gives_its_events_at_once_and_then_evenly() {
        let begin = Instant::now();
        let mut minute = Minute::full(60, begin);
        let taken = (1..=60).take_while(|_| minute.take(60, begin)).count();
        assert_eq!(taken, 59, "the sixtieth leaves none");
        assert!(minute.left(60, begin) < 1.0);
        assert_eq!(minute.retry_after(60, begin), Duration::from_secs(30));
        let later = begin + Duration::from_secs(2);
        assert!((minute.left(60, later) - 2.0).abs() < 1e-6);
        let much_later = begin + Duration::from_hours(1);
        assert!((minute.left(60, much_later) - 60.0).abs() < 1e-6);
    }

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut spent = Day::default();
        spent.add(5, time("2026-11-23T23:59:00Z"));
        spent.add(5, time("2026-11-23T23:59:59Z"));
        assert_eq!(spent.spent(time("2026-11-23T23:59:59Z")), 10);
        assert_eq!(
            until_tomorrow(time("2026-11-23T23:59:00Z")),
            Duration::from_mins(1)
        );
        assert_eq!(spent.spent(time("2026-11-24T00:00:00Z")), 0);
        spent.add(1, time("2026-11-24T00:00:00Z"));
        assert_eq!(spent.spent(time("2026-11-24T00:00:01Z")), 1);
    }
}
