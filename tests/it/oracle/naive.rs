//! The records, and what a search must answer according to AWS's rules and the routing table.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use identity_trail::grpc::pb;
use identity_trail::query::{Event, EventId};
use identity_trail::sandbox::log_file::LogFile;
use serde_json::Value;

use super::identities::{Lookup, Who, session_name};
use crate::world::Places;

const HOUR: i64 = 3600;
const REACH: i64 = 90 * 24 * HOUR;

/// An event's place in an answer, and its content where it has no id of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub time: i64,
    pub account: String,
    without_id: bool,
    id: String,
    content: String,
}

impl Place {
    /// Of an event of an answer.
    pub fn of(event: &Event) -> Self {
        let who = event.user_identity.as_ref();
        Self::new(
            (event.key.time.second(), event.key.account.to_string()),
            match &event.key.id {
                EventId::Recorded(id) => Some(id.to_string()),
                EventId::Made { .. } => None,
            },
            [
                Some(&event.event_name),
                who.and_then(|who| who.arn.as_ref()),
                event.source_ip_address.as_ref(),
                event.request_id.as_ref(),
            ],
        )
    }

    /// Of an event as a client decodes it.
    pub fn of_message(event: &pb::Event) -> Self {
        let from = event.provenance.as_ref().map(|from| &from.account_id);
        let account = event.recipient_account_id.as_ref().or(from).unwrap();
        let who = event.user_identity.as_ref();
        Self::new(
            (event.event_time.unwrap().seconds, account.clone()),
            (!event.event_id.starts_with("sha256:")).then(|| event.event_id.clone()),
            [
                Some(&event.event_name),
                who.and_then(|who| who.arn.as_ref()),
                event.source_ip_address.as_ref(),
                event.request_id.as_ref(),
            ],
        )
    }

    fn new(
        (time, account): (i64, String),
        id: Option<String>,
        content: [Option<&String>; 4],
    ) -> Self {
        let content = content.map(|text| text.cloned().unwrap_or_default());
        Self {
            time,
            account,
            without_id: id.is_none(),
            content: if id.is_none() {
                content.join(" ")
            } else {
                String::new()
            },
            id: id.unwrap_or_default(),
        }
    }

    /// What the order is by.
    pub fn order(&self) -> impl Ord {
        (
            self.time,
            self.account.clone(),
            self.without_id,
            self.id.clone(),
        )
    }
}

/// One record as it was delivered.
pub struct Stored {
    pub record: Value,
    /// The folders that its file lies in.
    account: String,
    region: String,
    delivered: i64,
    pub time: i64,
}

/// All records of a sandbox.
pub struct Lake(pub Vec<Stored>);

impl Lake {
    pub fn of(files: &[LogFile]) -> Self {
        let records = files.iter().flat_map(|file| {
            file.records.iter().filter_map(|record| {
                let record = record.value();
                let time: jiff::Timestamp = record["eventTime"].as_str()?.parse().ok()?;
                Some(Stored {
                    account: file.account_id.clone(),
                    region: file.region.clone(),
                    delivered: file.delivered_at.as_second(),
                    time: time.as_second(),
                    record,
                })
            })
        });
        Self(records.collect())
    }

    /// The first and the last event time.
    pub fn span(&self) -> (i64, i64) {
        let times = self.0.iter().map(|stored| stored.time);
        (times.clone().min().unwrap(), times.max().unwrap())
    }

    /// The event time in the middle.
    pub fn median(&self) -> i64 {
        let mut times: Vec<i64> = self.0.iter().map(|stored| stored.time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// The last event time of the interval of so many seconds that has the most records.
    pub fn busiest(&self, seconds: i64) -> i64 {
        let mut times: Vec<i64> = self.0.iter().map(|stored| stored.time).collect();
        times.sort_unstable();
        let records = |last: &i64| {
            let until = times.partition_point(|time| time <= last);
            until - times.partition_point(|time| *time <= last - seconds)
        };
        times.iter().copied().max_by_key(records).unwrap()
    }

    /// The first moment from `now` on at which, for a while, nothing is delivered and the horizon
    /// passes no event: answers do not depend on the moment of a call.
    pub fn quiet(&self, mut now: i64) -> i64 {
        const WHILE: i64 = 100;
        let moments = |stored: &Stored| [stored.delivered, stored.time + REACH];
        let moments: BTreeSet<i64> = self.0.iter().flat_map(moments).collect();
        while let Some(moment) = moments.range(now - 5..now + WHILE).last() {
            now = moment + 6;
        }
        now
    }

    /// The session tokens in the records, by eventID.
    pub fn secrets(&self) -> BTreeMap<&str, &str> {
        let mut secrets = BTreeMap::new();
        for stored in &self.0 {
            let record = &stored.record;
            let token = &record["responseElements"]["credentials"]["sessionToken"];
            if let (Some(id), Some(token)) = (record["eventID"].as_str(), token.as_str()) {
                secrets.insert(id, token);
            }
        }
        secrets
    }
}

/// Where an event is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    History,
    Archive,
}

/// What is asked of whom, at which moment.
pub struct Asked<'a> {
    pub places: &'a Places,
    pub start: i64,
    pub end: i64,
    pub now: i64,
    pub horizon: i64,
    /// Whether event history may be read.
    pub history: bool,
    /// The first second that the archive declares, if it may be read.
    pub archive: Option<i64>,
    /// Whether a log group, which declares to hold everything, takes the archive's place.
    pub log_group: bool,
    /// Whether the archive's table has a column `eventcategory`.
    pub knows_category: bool,
}

impl Asked<'_> {
    /// The same, without event history.
    pub fn without_history(&self) -> Self {
        Self {
            history: false,
            ..*self
        }
    }

    /// Whether every second can be read.
    pub fn complete(&self) -> bool {
        self.archive.is_some_and(|first| first <= self.start)
            || self.history && self.horizon <= self.start
    }

    /// All that `who` did, in the order of an answer.
    pub fn answer(&self, lake: &Lake, who: &Who) -> Vec<Place> {
        let mut ids = HashSet::new();
        let mut found: Vec<Place> = (lake.0.iter())
            .filter(|stored| who.did(&stored.record) && self.shows(lake, stored, who))
            .map(place)
            .filter(|place| {
                place.without_id || ids.insert((place.account.clone(), place.id.clone()))
            })
            .collect();
        found.sort_by_cached_key(|place| Reverse(place.clone()));
        found
    }

    /// Whether event history shows the call that issued the session: then it is found by its key.
    fn was_issued(&self, lake: &Lake, record: &Value) -> bool {
        let key = &record["userIdentity"]["accessKeyId"];
        let issues = |stored: &&Stored| {
            stored.record["eventName"] == "GetFederationToken"
                && stored.record["responseElements"]["credentials"]["accessKeyId"] == *key
        };
        record["userIdentity"]["type"] == "FederatedUser"
            && (lake.0.iter().filter(issues)).any(|stored| stored.time >= self.horizon)
    }

    fn shows(&self, lake: &Lake, stored: &Stored, who: &Who) -> bool {
        let Stored { record, time, .. } = stored;
        let there = (self.start..self.end).contains(time) && stored.delivered <= self.now;
        there
            && match self.via(*time, who.lookup().is_some()) {
                None => false,
                Some(Via::History) => {
                    let management = match &record["eventCategory"] {
                        Value::String(category) => category == "Management",
                        _ => record["managementEvent"] != false,
                    };
                    let region = record["awsRegion"].as_str().unwrap_or(&stored.region);
                    management
                        && self.reads(&stored.account, region)
                        && self.places.contains_key(&place(stored).account)
                        && (finds(who, record) || self.was_issued(lake, record))
                }
                Some(Via::Archive) => {
                    let management = match &record["eventCategory"] {
                        Value::String(category) => category == "Management",
                        // What the table does not have, a log group has.
                        _ => !self.log_group || record["managementEvent"] != false,
                    };
                    let region = record["awsRegion"].as_str();
                    (management || !self.knows_category)
                        && region.is_some_and(|region| self.reads(&place(stored).account, region))
                }
            }
    }

    /// The routing table, for one archive over every account. What a lookup attribute cannot narrow
    /// goes to the archive for all that has surely been delivered there.
    fn via(&self, time: i64, narrowed: bool) -> Option<Via> {
        let archived = self.archive.is_some_and(|first| first <= time);
        let at_the_seam =
            self.archive.is_some_and(|first| first < self.horizon) && time < self.horizon + HOUR;
        let archive_first = archived && time < self.now - HOUR && (at_the_seam || !narrowed);
        if self.history && time >= self.horizon && !archive_first {
            Some(Via::History)
        } else {
            archived.then_some(Via::Archive)
        }
    }

    fn reads(&self, account: &str, region: &str) -> bool {
        self.places
            .get(account)
            .is_some_and(|regions| regions.contains(region))
    }
}

/// Whether event history shows the record when it is asked by the identity's attribute.
fn finds(who: &Who, record: &Value) -> bool {
    let identity = &record["userIdentity"];
    let username = match identity["type"].as_str() {
        Some("Root") => Some("root"),
        Some("AssumedRole") => session_name(identity),
        _ => identity["userName"].as_str(),
    };
    match who.lookup() {
        None => true,
        Some(Lookup::Username(name)) => username == Some(name),
        Some(Lookup::Key(key)) => identity["accessKeyId"] == *key,
    }
}

/// Of a record, where an answer shows it.
pub fn place(stored: &Stored) -> Place {
    let record = &stored.record;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let recipient = record["recipientAccountId"].as_str();
    let recipient = recipient.filter(|id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()));
    let id = text(&record["eventID"]);
    let content = [
        text(&record["eventName"]),
        text(&record["userIdentity"]["arn"]),
        text(&record["sourceIPAddress"]),
        text(&record["requestID"]),
    ];
    Place {
        time: stored.time,
        account: recipient.unwrap_or(&stored.account).to_owned(),
        without_id: id.is_empty(),
        content: if id.is_empty() {
            content.join(" ")
        } else {
            String::new()
        },
        id,
    }
}
