//! The log group: every record that a trail of the whole organization delivers to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use crate::sandbox::log_file::{LogFile, LogRecord};

/// The name of the one log group there is.
pub const LOG_GROUP_NAME: &str = "cloudtrail/organization";

/// Where it lies, in the hub's account.
pub const LOG_GROUP_REGION: &str = "us-east-1";

/// CloudTrail sends no larger record to CloudWatch Logs.
const MAX_RECORD_BYTES: usize = 256 * 1024;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// A log group, and all events that it will ever hold: which of them are there depends on the time.
#[derive(Debug)]
pub(super) struct LogGroup {
    /// Without the `:*` that ARNs of log groups have in policies.
    pub arn: String,
    /// How long it keeps an event.
    pub retention_days: u32,
    /// In order of time: an event's place is its number for good.
    events: Vec<LogEvent>,
    /// The names of its streams.
    streams: BTreeSet<Arc<str>>,
}

/// One delivered record.
#[derive(Debug)]
pub(super) struct LogEvent {
    /// When CloudTrail sent it, in epoch milliseconds.
    pub timestamp: i64,
    /// When CloudWatch Logs took it, in epoch milliseconds.
    pub ingestion_time: i64,
    /// `[o-xxx_]account_CloudTrail_region`, of the folder that the record was delivered to.
    pub stream: Arc<str>,
    /// The record, whose text is the event's message.
    pub record: Arc<LogRecord>,
}

impl LogGroup {
    /// The group of `account_id` that `files`, in order of delivery, were sent to as well.
    pub fn new(account_id: &str, retention_days: u32, files: &[LogFile]) -> Self {
        let mut events = Vec::new();
        let mut streams: HashMap<String, Arc<str>> = HashMap::new();
        for file in files {
            let stream = stream_name(file);
            let stream = streams
                .entry(stream.clone())
                .or_insert_with(|| stream.into());
            let timestamp = file.delivered_at.as_millisecond();
            for record in &file.records {
                if record.json().len() > MAX_RECORD_BYTES {
                    continue;
                }
                let lag = i64::try_from(record.json().len() % 1_000).expect("under 1,000");
                events.push(LogEvent {
                    timestamp,
                    ingestion_time: timestamp + lag,
                    stream: Arc::clone(stream),
                    record: Arc::clone(record),
                });
            }
        }
        events.sort_by_key(|event| (event.timestamp, event.ingestion_time));
        Self {
            arn: format!("arn:aws:logs:{LOG_GROUP_REGION}:{account_id}:log-group:{LOG_GROUP_NAME}"),
            retention_days,
            events,
            streams: streams.into_values().collect(),
        }
    }

    /// The places of the events from `start` to `end` (epoch milliseconds, both inclusive) that
    /// are there at `now`.
    pub fn places(&self, start: i64, end: i64, now: Timestamp) -> Range<usize> {
        let start = start.max(self.oldest(now));
        let end = end.min(now.as_millisecond());
        let from = (self.events).partition_point(|event| event.timestamp < start);
        let to = (self.events).partition_point(|event| event.timestamp <= end);
        from..to.max(from)
    }

    /// The oldest time of which anything is kept at `now`, in epoch milliseconds.
    pub fn oldest(&self, now: Timestamp) -> i64 {
        now.as_millisecond() - i64::from(self.retention_days) * DAY_MILLIS
    }

    /// The event at `place`, which is one of [`LogGroup::places`].
    pub fn event(&self, place: usize) -> &LogEvent {
        &self.events[place]
    }

    /// When it was created, in epoch milliseconds: with its first event.
    pub fn created_at(&self) -> i64 {
        self.events.first().map_or(0, |event| event.timestamp)
    }

    /// The bytes of the messages that are there at `now`.
    pub fn stored_bytes(&self, now: Timestamp) -> usize {
        let events = self.events[self.places(0, i64::MAX, now)].iter();
        events.map(|event| event.record.json().len()).sum()
    }

    /// The last event of each stream that has any at `now`, however long it is kept, by name.
    pub fn last_events(&self, now: Timestamp) -> BTreeMap<&Arc<str>, &LogEvent> {
        let now = now.as_millisecond();
        let there = (self.events.iter()).take_while(|event| event.timestamp <= now);
        there.map(|event| (&event.stream, event)).collect()
    }

    /// Whether it has a stream of this name.
    pub fn has_stream(&self, name: &str) -> bool {
        self.streams.contains(name)
    }

    /// The id of the event at `place`, as FilterLogEvents shows it: 56 digits.
    pub fn event_id(&self, place: usize) -> String {
        format!("3{:013}{place:042}", self.events[place].timestamp)
    }
}

fn stream_name(file: &LogFile) -> String {
    let LogFile {
        account_id, region, ..
    } = file;
    let organization = (file.key.strip_prefix("AWSLogs/"))
        .and_then(|key| key.split('/').next())
        .filter(|folder| folder.starts_with("o-"));
    match organization {
        Some(organization) => format!("{organization}_{account_id}_CloudTrail_{region}"),
        None => format!("{account_id}_CloudTrail_{region}"),
    }
}
