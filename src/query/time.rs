//! Event times and half-open intervals of them.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A CloudTrail event time: whole seconds since the epoch, UTC (`eventTime` carries no fraction).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
pub struct EventTime(i64);

impl From<EventTime> for i64 {
    fn from(time: EventTime) -> Self {
        time.0
    }
}

impl TryFrom<i64> for EventTime {
    type Error = &'static str;

    fn try_from(second: i64) -> Result<Self, Self::Error> {
        Self::from_second(second).ok_or("an event time lies in the years 1 to 9999")
    }
}

impl EventTime {
    /// From epoch seconds, limited to what RFC 3339 can print (years 1 to 9999).
    #[must_use]
    pub fn from_second(second: i64) -> Option<Self> {
        (-62_135_596_800..=253_402_207_200)
            .contains(&second)
            .then_some(Self(second))
    }

    /// The whole second in which `timestamp` lies.
    #[must_use]
    pub fn floor(timestamp: Timestamp) -> Self {
        Self(timestamp.as_second() - i64::from(timestamp.subsec_nanosecond() < 0))
    }

    /// The first whole second at or after `timestamp`.
    #[must_use]
    pub fn ceil(timestamp: Timestamp) -> Self {
        let floor = Self::floor(timestamp);
        if timestamp.subsec_nanosecond() == 0 {
            floor
        } else {
            floor.plus(1)
        }
    }

    /// Epoch seconds.
    #[must_use]
    pub fn second(self) -> i64 {
        self.0
    }

    /// This time, `seconds` later (earlier if negative).
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This time as a timestamp.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl fmt::Display for EventTime {
    /// RFC 3339 in UTC, as CloudTrail writes it: `2026-11-22T10:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl fmt::Debug for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A half-open interval of event times: `start` is in it, `end` is not. Never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeRange {
    start: EventTime,
    end: EventTime,
}

impl TimeRange {
    /// The interval [start, end), or none if it would be empty.
    #[must_use]
    pub fn new(start: EventTime, end: EventTime) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first second in the interval.
    #[must_use]
    pub fn start(self) -> EventTime {
        self.start
    }

    /// The first second after the interval.
    #[must_use]
    pub fn end(self) -> EventTime {
        self.end
    }

    /// The last second in the interval: what AWS calls the (inclusive) end.
    #[must_use]
    pub fn last(self) -> EventTime {
        self.end.plus(-1)
    }

    /// Whether `time` lies in the interval.
    #[must_use]
    pub fn contains(self, time: EventTime) -> bool {
        self.start <= time && time < self.end
    }

    /// The shortest interval that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// What both intervals share.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The part before `time`.
    #[must_use]
    pub fn before(self, time: EventTime) -> Option<Self> {
        Self::new(self.start, self.end.min(time))
    }

    /// The part from `time` on.
    #[must_use]
    pub fn from(self, time: EventTime) -> Option<Self> {
        Self::new(self.start.max(time), self.end)
    }

    /// What of the interval none of `others` contains, oldest first.
    #[must_use]
    pub fn without(self, others: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut left = vec![self];
        for other in others {
            left = left
                .into_iter()
                .flat_map(|part| [part.before(other.start), part.from(other.end)])
                .flatten()
                .collect();
        }
        left
    }

    /// How long the interval is.
    #[must_use]
    pub fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(self.end.0 - self.start.0)
    }
}

impl fmt::Debug for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
