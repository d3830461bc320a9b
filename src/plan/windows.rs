//! Event history oldest first, which AWS does not offer: the interval is read in windows from its old
//! end, each newest first to its end. How long they are, and so what they cost.
//!
//! A window must fit into memory, and what is in it is not known beforehand. So windows begin short
//! and grow while they turn out short; one that turns out long is given up and asked for again at half
//! its length at most.

use crate::query::TimeRange;

/// The events that a window may have.
pub const MOST_EVENTS: u64 = 400;
/// Those that it is meant to have.
const WANTED_EVENTS: i64 = 200;
/// The first window is this part of the interval.
const FIRST_SHARE: i64 = 16;
/// A window is at most so many times as long as the one before it, and at least this part of it.
const MOST_GROWTH: i64 = 4;

/// The length of the first window of an interval, in seconds.
#[must_use]
pub fn first_length(range: TimeRange) -> i64 {
    (range.duration().as_secs() / FIRST_SHARE).max(1)
}

/// The length of the window after one of `length` seconds with so many events, read to its end.
#[must_use]
pub fn next_length(length: i64, events: u64) -> i64 {
    let events = i64::try_from(events).unwrap_or(i64::MAX);
    let wanted = length.saturating_mul(WANTED_EVENTS) / events.max(1);
    let most = length.saturating_mul(MOST_GROWTH);
    wanted.clamp((length / MOST_GROWTH).max(1), most)
}

/// The length of the window after one of `length` seconds that was given up when `read` seconds of it
/// were read: the rest may be as dense as those.
#[must_use]
pub fn shorter_length(length: i64, read: i64) -> i64 {
    (length.min(read) / 2).max(1)
}

/// The windows of an interval with few events or none: it never takes fewer.
#[must_use]
pub fn least(range: TimeRange) -> u64 {
    pages(range, 0, 1)
}

/// The pages that the windows of an interval take whose `events` are spread evenly, with so many on a
/// page.
#[must_use]
pub fn pages(range: TimeRange, events: u64, on_a_page: u64) -> u64 {
    /// By then the windows have found their length, and the others are like the last.
    const MOST_STEPS: usize = 256;
    let all = range.duration().as_secs().max(1);
    let within = |seconds: i64| part(events, seconds, all);
    let (mut left, mut length, mut pages) = (all, first_length(range), 0_u64);
    for _ in 0..MOST_STEPS {
        let window = length.min(left);
        let events = within(window);
        if events > MOST_EVENTS && window > 1 {
            pages += MOST_EVENTS.div_ceil(on_a_page);
            length = shorter_length(window, seconds_of(MOST_EVENTS, window, events));
            continue;
        }
        let cost = events.div_ceil(on_a_page).max(1);
        pages = pages.saturating_add(cost);
        left -= window;
        if left <= 0 {
            return pages;
        }
        length = next_length(window, events);
    }
    let window = length.min(left);
    let cost = within(window).div_ceil(on_a_page).max(1);
    pages.saturating_add(part(cost, left, window))
}

/// The `seconds / of` part of `number`, rounded up.
fn part(number: u64, seconds: i64, of: i64) -> u64 {
    let (seconds, of) = (seconds.unsigned_abs(), of.unsigned_abs().max(1));
    let part = (u128::from(number) * u128::from(seconds)).div_ceil(u128::from(of));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// The seconds that hold `some` of a window's events.
fn seconds_of(some: u64, window: i64, events: u64) -> i64 {
    let events = i64::try_from(events.max(1)).unwrap_or(i64::MAX);
    part(some, window, events).try_into().unwrap_or(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::EventTime;

    fn range(seconds: i64) -> TimeRange {
        let time = |second| EventTime::from_second(second).unwrap();
        TimeRange::new(time(0), time(seconds)).unwrap()
    }

    #[test]
    fn pages_follow_the_windows() {
        let day = range(86_400);
        // A sixteenth, four of them, and the rest.
        assert_eq!(least(day), 3);
        assert_eq!(least(range(1)), 1);
        assert_eq!(pages(day, 50, 50), 3);
        // Windows of 200 events, or somewhat more: four pages or five of 50.
        let dense = pages(day, 100_000, 50);
        assert!((2_000..2_600).contains(&dense), "{dense}");
        // As many in each second as a page has: no window is given up at a second's length.
        let crowded = pages(range(10_000), 500_000, 50);
        assert!((10_000..12_600).contains(&crowded), "{crowded}");
        assert!(pages(range(i64::from(u32::MAX)), u64::MAX, 50) > 1 << 50);
    }
}
