//! Ordinary days: who does what, and when.

use super::cast::Cast;
use super::trail::Trail;
use super::{machines, people, pipelines, sign_in};

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Something that happens on ordinary days.
type Activity = fn(&mut Trail, &Cast, Day);

/// How often each happens, on a weekday and on other days, against the others.
const ACTIVITIES: &[(u32, u32, Activity)] = &[
    (16, 2, people::console_day),
    (14, 2, people::shell_session),
    (4, 1, people::terraform_run),
    (3, 1, people::legacy_key),
    (3, 0, people::user_with_mfa),
    (2, 1, people::user_in_console),
    (2, 2, sign_in::failed_sign_in),
    (1, 0, people::break_glass),
    (12, 3, pipelines::release),
    (6, 6, pipelines::audit),
    (4, 4, pipelines::scheduled_deploys),
    (12, 12, machines::server),
    (10, 10, machines::function),
    (8, 8, machines::services),
    (4, 4, machines::key_rotation),
    (6, 6, machines::objects),
    (3, 3, machines::endpoint),
    (3, 3, people::service_user),
];

/// A day in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    /// Its midnight in epoch seconds.
    pub start: i64,
}

impl Day {
    /// The first of January 1970 was a Thursday.
    fn is_weekend(self) -> bool {
        matches!((self.start.div_euclid(DAY) + 3).rem_euclid(7), 5 | 6)
    }

    /// Any time of the day.
    pub(super) fn any_time(self, trail: &mut Trail) -> i64 {
        self.start + trail.dice.between(0, DAY - 1)
    }

    /// A time when people work who live `offset` hours east of UTC: mostly around noon.
    pub(super) fn office_time(self, trail: &mut Trail, offset: i64) -> i64 {
        let (begin, half) = ((8 - offset) * 3600, 5 * 3600 + 1800);
        self.start + begin + trail.dice.between(0, half) + trail.dice.between(0, half)
    }
}

/// Writes down ordinary days, about `events_per_day` records a day: more on weekdays, fewer on others.
pub(super) fn live(
    trail: &mut Trail,
    cast: &Cast,
    times: std::ops::Range<i64>,
    events_per_day: u32,
) {
    let first = times.start.div_euclid(DAY);
    let last = times.end.div_euclid(DAY);
    let mut goal = trail.records.len();
    for day in first..=last {
        let day = Day { start: day * DAY };
        let weekend = day.is_weekend();
        // 5 × 1.2 and 2 × 0.5 make 7.
        let percent = if weekend { 50 } else { 120 };
        // What one day has too much, the next has less.
        goal += events_per_day as usize * percent / 100;
        let weight =
            |&(weekday, other, _): &(u32, u32, Activity)| if weekend { other } else { weekday };
        let total: u32 = ACTIVITIES.iter().map(weight).sum();
        while trail.records.len() < goal {
            let mut drawn = trail.dice.between(1, total.into());
            for entry in ACTIVITIES {
                drawn -= i64::from(weight(entry));
                if drawn <= 0 {
                    entry.2(trail, cast, day);
                    break;
                }
            }
        }
    }
    machines::root_once(trail, cast, times.start + (times.end - times.start) / 3);
    trail.records.retain(|record| times.contains(&record.time));
}
