//! FilterLogEvents: one page of a log group's events.

use std::ops::Range;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sandbox::error::AwsError;
use crate::sandbox::page_token::PageTokens;

use super::group::{LogEvent, LogGroup};
use super::pattern::Pattern;
use super::{invalid, validation};

const MAX_EVENTS: usize = 10_000;
const MAX_PAGE_BYTES: usize = 1 << 20;
const MAX_PATTERN_CHARACTERS: usize = 1_024;

/// 2024-01-01T00:00:00Z: before it, nothing is read newest first.
const FIRST_NEWEST_FIRST: i64 = 1_704_067_200_000;

/// The request, as far as it matters here: fields are never masked, and pages are always
/// interleaved.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterLogEvents {
    pub log_group_name: Option<String>,
    pub log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
}

/// A request that has been checked.
#[derive(Debug)]
pub(super) struct Reading {
    pattern: Option<Pattern>,
    streams: Streams,
    times: (i64, i64),
    limit: usize,
    direction: Direction,
    /// Where to go on, beyond what earlier pages have read.
    from: Option<usize>,
    /// Whatever is asked, apart from the page and its direction.
    asked: String,
}

#[derive(Debug)]
enum Streams {
    All,
    Named(Vec<String>),
    Prefixed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    OldestFirst,
    NewestFirst,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    events: Vec<FilteredEvent<'a>>,
    /// Empty since 2020.
    searched_log_streams: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FilteredEvent<'a> {
    log_stream_name: &'a str,
    timestamp: i64,
    message: &'a str,
    ingestion_time: i64,
    event_id: String,
}

impl FilterLogEvents {
    /// Checks everything about the request but the log group, which is `group`.
    pub fn check(
        self,
        group: &LogGroup,
        tokens: &PageTokens,
        end_time_excluded: bool,
    ) -> Result<Reading, AwsError> {
        let limit = match self.limit {
            None => MAX_EVENTS,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=MAX_EVENTS).contains(limit))
                .ok_or_else(|| validation("limit", limit, "be between 1 and 10000"))?,
        };
        let pattern = self.pattern()?;
        for (name, time) in [("startTime", self.start_time), ("endTime", self.end_time)] {
            if let Some(time) = time.filter(|time| *time < 0) {
                return Err(validation(
                    name,
                    time,
                    "have value greater than or equal to 0",
                ));
            }
        }
        let mut times = (
            self.start_time.unwrap_or(0),
            self.end_time.unwrap_or(i64::MAX),
        );
        if times.0 > times.1 {
            return Err(invalid("startTime must not be after endTime."));
        }
        times.1 -= i64::from(end_time_excluded);
        let asked = format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?}",
            group.arn,
            self.log_stream_names,
            self.log_stream_name_prefix,
            self.start_time,
            self.end_time,
            self.filter_pattern,
            self.limit,
        );
        let (direction, from) = match &self.next_token {
            None if self.start_from_head.unwrap_or(true) => (Direction::OldestFirst, None),
            None => (Direction::NewestFirst, None),
            Some(token) => {
                let (direction, from) = Direction::of_token(tokens, token, &asked)?;
                (direction, Some(from))
            }
        };
        if direction == Direction::NewestFirst && times.0 < FIRST_NEWEST_FIRST {
            return Err(invalid(
                "startFromHead can be false only when startTime is on or after \
                 Jan 1, 2024 00:00:00 UTC.",
            ));
        }
        let streams = match (self.log_stream_names, self.log_stream_name_prefix) {
            (None, None) => Streams::All,
            (Some(names), None) => {
                if names.iter().any(|name| !group.has_stream(name)) {
                    return Err(AwsError::new(
                        "ResourceNotFoundException",
                        "The specified log stream does not exist.",
                    ));
                }
                Streams::Named(names)
            }
            (None, Some(prefix)) => Streams::Prefixed(prefix),
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "logStreamNames and logStreamNamePrefix cannot both be given.",
                ));
            }
        };
        Ok(Reading {
            pattern,
            streams,
            times,
            limit,
            direction,
            from,
            asked,
        })
    }

    fn pattern(&self) -> Result<Option<Pattern>, AwsError> {
        let Some(text) = self
            .filter_pattern
            .as_deref()
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let length = text.chars().count();
        if length > MAX_PATTERN_CHARACTERS {
            return Err(validation(
                "filterPattern",
                text,
                "have length less than or equal to 1024",
            ));
        }
        text.parse().map(Some).map_err(invalid)
    }
}

impl Reading {
    /// Reads one page, which looks at no more than `scan` events, so that it may be empty. The
    /// JSON text of the response.
    pub fn page(
        &self,
        group: &LogGroup,
        tokens: &PageTokens,
        scan: usize,
        now: Timestamp,
    ) -> String {
        let places = group.places(self.times.0, self.times.1, now);
        let (mut left, next) = self.direction.cut(places, self.from, scan);
        let mut next = next;
        let mut events: Vec<FilteredEvent<'_>> = Vec::new();
        let mut bytes = 0;
        while let Some(place) = self.direction.take(&mut left) {
            let event = group.event(place);
            if !self.matches(event) {
                continue;
            }
            let message = event.record.json();
            if events.len() == self.limit
                || (bytes + message.len() > MAX_PAGE_BYTES && !events.is_empty())
            {
                next = Some(self.direction.before(place));
                break;
            }
            bytes += message.len();
            events.push(FilteredEvent {
                log_stream_name: &event.stream,
                timestamp: event.timestamp,
                message,
                ingestion_time: event.ingestion_time,
                event_id: group.event_id(place),
            });
        }
        let next_token = next.map(|place| {
            let place = u32::try_from(place).expect("fewer events than that fit into memory");
            tokens.seal(&self.direction.bind(&self.asked), place, Instant::now())
        });
        let page = Page {
            events,
            searched_log_streams: [],
            next_token,
        };
        serde_json::to_string(&page).expect("texts and numbers are always JSON")
    }

    fn matches(&self, event: &LogEvent) -> bool {
        let in_streams = match &self.streams {
            Streams::All => true,
            Streams::Named(names) => names.iter().any(|name| **name == *event.stream),
            Streams::Prefixed(prefix) => event.stream.starts_with(&**prefix),
        };
        in_streams
            && (self.pattern.as_ref()).is_none_or(|pattern| pattern.matches(&event.record.value()))
    }
}

/// A token's place is the first that has not been read (oldest first), or the one behind it
/// (newest first): where reading goes on.
impl Direction {
    fn bind(self, asked: &str) -> String {
        format!("{self:?} {asked}")
    }

    /// The token, not the request, says in which direction to go on.
    fn of_token(tokens: &PageTokens, token: &str, asked: &str) -> Result<(Self, usize), AwsError> {
        let open = |direction: Self| {
            let opened = tokens.open(token, &direction.bind(asked), Instant::now());
            opened.map(|opened| (direction, opened.from as usize))
        };
        open(Self::OldestFirst)
            .or_else(|_| open(Self::NewestFirst))
            .map_err(|_| invalid("The specified nextToken is invalid."))
    }

    /// What of `places` to read now, going on at `from`, and where to go on after that.
    fn cut(
        self,
        places: Range<usize>,
        from: Option<usize>,
        scan: usize,
    ) -> (Range<usize>, Option<usize>) {
        let Range { start, end } = places;
        match self {
            Self::OldestFirst => {
                let start = from.unwrap_or(start).clamp(start, end);
                let stop = start.saturating_add(scan).min(end);
                (start..stop, (stop < end).then_some(stop))
            }
            Self::NewestFirst => {
                let end = from.unwrap_or(end).clamp(start, end);
                let stop = end.saturating_sub(scan).max(start);
                (stop..end, (stop > start).then_some(stop))
            }
        }
    }

    fn take(self, left: &mut Range<usize>) -> Option<usize> {
        match self {
            Self::OldestFirst => left.next(),
            Self::NewestFirst => left.next_back(),
        }
    }

    /// Where to go on so that `place` comes next.
    fn before(self, place: usize) -> usize {
        match self {
            Self::OldestFirst => place,
            Self::NewestFirst => place + 1,
        }
    }
}
