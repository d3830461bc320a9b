//! Event history: which account and Region shows which events, in which order.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::query::EventCategory;

use super::history_event::HistoryEvent;
use super::log_file::{LogFile, LogRecord};

/// How long event history keeps an event, in seconds.
pub const RETENTION_SECONDS: i64 = 90 * 24 * 60 * 60;

/// What a lookup attribute compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `eventID`.
    EventId,
    /// `eventName`.
    EventName,
    /// `true` or `false`.
    ReadOnly,
    /// User name, session name or `root`.
    Username,
    /// The type of one of the event's resources.
    ResourceType,
    /// The name of one of the event's resources.
    ResourceName,
    /// `eventSource`.
    EventSource,
    /// The caller's access key.
    AccessKeyId,
}

/// The kinds of events that event history holds, which are never asked for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// Management events: what is shown unless insights are asked for.
    Management,
    /// Insight events.
    Insight,
}

/// One reading of a history.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Which kind of events.
    pub shelf: Shelf,
    /// The attribute and the value that it must have in full.
    pub attribute: Option<(Attribute, String)>,
    /// Event times, in epoch seconds.
    pub times: RangeInclusive<i64>,
    /// What has happened and been delivered by then is there, and nothing older than 90 days.
    pub now: i64,
}

/// One page of a reading.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Places of the events in the history, newest first.
    pub places: Vec<u32>,
    /// The place to go on from, if there is more.
    pub next: Option<u32>,
}

/// The event histories of all accounts and Regions. Each is indexed when it is first looked at.
#[derive(Debug)]
pub struct EventHistories {
    regions: HashMap<(String, String), Region>,
    seed: u64,
    keep_rendered: bool,
}

#[derive(Debug, Default)]
struct Region {
    /// In order of delivery.
    delivered: Vec<Delivered>,
    index: OnceLock<Arc<EventHistory>>,
}

#[derive(Debug, Clone)]
struct Delivered {
    record: Arc<LogRecord>,
    at: i64,
}

impl EventHistories {
    /// The histories that `files`, in order of delivery, make up. A record is shown in the history
    /// of the account that it was delivered to and of its `awsRegion` (its folder's, if it names
    /// none); one without a time is in no history. With `keep_rendered`, an event's JSON is written once and kept.
    pub fn new(files: &[LogFile], seed: u64, keep_rendered: bool) -> Self {
        let mut regions: HashMap<(String, String), Region> = HashMap::new();
        for file in files {
            for record in &file.records {
                let region = record.aws_region().unwrap_or(&file.region);
                let key = (file.account_id.clone(), region.to_owned());
                regions.entry(key).or_default().delivered.push(Delivered {
                    record: Arc::clone(record),
                    at: file.delivered_at.as_second(),
                });
            }
        }
        Self {
            regions,
            seed,
            keep_rendered,
        }
    }

    /// The history of one account and Region, indexing it first if need be, which can take seconds
    /// for a large one. None where nothing was ever delivered.
    pub fn get(&self, account_id: &str, region: &str) -> Option<Arc<EventHistory>> {
        let region = self.region(account_id, region)?;
        let history = region.index.get_or_init(|| {
            let history = EventHistory::new(&region.delivered, self.seed, self.keep_rendered);
            Arc::new(history)
        });
        Some(Arc::clone(history))
    }

    /// Whether [`EventHistories::get`] answers at once.
    pub fn is_indexed(&self, account_id: &str, region: &str) -> bool {
        self.region(account_id, region)
            .is_none_or(|region| region.index.get().is_some())
    }

    fn region(&self, account_id: &str, region: &str) -> Option<&Region> {
        self.regions
            .get(&(account_id.to_owned(), region.to_owned()))
    }
}

/// The event history of one account and Region.
#[derive(Debug)]
pub struct EventHistory {
    /// Newest first, those of one second in no particular order.
    entries: Vec<Entry>,
    postings: HashMap<(Attribute, Box<str>), Vec<u32>>,
    keep_rendered: bool,
}

#[derive(Debug)]
struct Entry {
    record: Arc<LogRecord>,
    time: i64,
    visible_from: i64,
    shelf: Shelf,
    rendered: OnceLock<Box<str>>,
}

impl EventHistory {
    fn new(delivered: &[Delivered], seed: u64, keep_rendered: bool) -> Self {
        let mut ids = HashSet::new();
        let mut found = Vec::new();
        for (number, delivered) in (0u64..).zip(delivered) {
            let value = delivered.record.value();
            let (Some(shelf), Some(time)) = (shelf(&value), delivered.record.event_time()) else {
                continue;
            };
            let event = HistoryEvent::of(&value);
            // The same event in two files is one event, as first delivered.
            if event
                .event_id
                .as_ref()
                .is_some_and(|id| !ids.insert(id.clone()))
            {
                continue;
            }
            let entry = Entry {
                record: Arc::clone(&delivered.record),
                time,
                visible_from: delivered.at.max(time),
                shelf,
                rendered: OnceLock::new(),
            };
            found.push((entry, event, scatter(seed, number)));
        }
        found.sort_by_key(|(entry, _, scattered)| (std::cmp::Reverse(entry.time), *scattered));

        let mut postings: HashMap<(Attribute, Box<str>), Vec<u32>> = HashMap::new();
        let mut entries = Vec::with_capacity(found.len());
        for (place, (entry, event, _)) in (0u32..).zip(found) {
            for (attribute, value) in attributes(&event) {
                let places = postings.entry((attribute, value.into())).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            entries.push(entry);
        }
        Self {
            entries,
            postings,
            keep_rendered,
        }
    }

    /// Up to `limit` events of `lookup`, from place `from` on.
    pub fn page(&self, lookup: &Lookup, from: u32, limit: usize) -> Page {
        let oldest = (*lookup.times.start()).max(lookup.now - RETENTION_SECONDS);
        let newest = *lookup.times.end();
        let shown = |place: &u32| {
            let entry = self.entry(*place);
            entry.shelf == lookup.shelf && entry.visible_from <= lookup.now
        };
        let first = self.entries.partition_point(|entry| entry.time > newest);
        let end = self.entries.partition_point(|entry| entry.time >= oldest);
        let first = u32::try_from(first).unwrap_or(u32::MAX).max(from);
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        let mut places: Vec<u32> = match &lookup.attribute {
            None => (first..end).filter(shown).take(limit + 1).collect(),
            Some((attribute, value)) => {
                let key = (*attribute, value.as_str().into());
                let places = self.postings.get(&key).map_or(&[][..], Vec::as_slice);
                let places = &places[places.partition_point(|place| *place < first)..];
                let places = places.iter().copied().take_while(|place| *place < end);
                places.filter(shown).take(limit + 1).collect()
            }
        };
        let next = places.get(limit).copied();
        places.truncate(limit);
        Page { places, next }
    }

    /// The event at `place`, as LookupEvents writes it.
    pub fn render(&self, place: u32, body: &mut String) {
        let entry = self.entry(place);
        let write = || {
            let event = HistoryEvent::of(&entry.record.value());
            event.to_json(entry.time, entry.record.json()).to_string()
        };
        if self.keep_rendered {
            body.push_str(entry.rendered.get_or_init(|| write().into_boxed_str()));
        } else {
            body.push_str(&write());
        }
    }

    /// The event time at `place`, in epoch seconds.
    pub fn time(&self, place: u32) -> i64 {
        self.entry(place).time
    }

    fn entry(&self, place: u32) -> &Entry {
        &self.entries[place as usize]
    }
}

fn shelf(record: &Value) -> Option<Shelf> {
    let category = record["eventCategory"].as_str();
    match EventCategory::of_record(category, record["managementEvent"].as_bool()) {
        Some(EventCategory::Management) => Some(Shelf::Management),
        Some(EventCategory::Insight) => Some(Shelf::Insight),
        Some(EventCategory::Data | EventCategory::NetworkActivity) | None => None,
    }
}

fn attributes(event: &HistoryEvent) -> impl Iterator<Item = (Attribute, &str)> {
    let own = [
        (Attribute::EventId, &event.event_id),
        (Attribute::EventName, &event.event_name),
        (Attribute::ReadOnly, &event.read_only),
        (Attribute::Username, &event.username),
        (Attribute::EventSource, &event.event_source),
        (Attribute::AccessKeyId, &event.access_key_id),
    ];
    let resources = event.resources.iter().flat_map(|resource| {
        [
            (Attribute::ResourceType, &resource.kind),
            (Attribute::ResourceName, &resource.name),
        ]
    });
    own.into_iter()
        .chain(resources)
        .filter_map(|(attribute, value)| Some((attribute, value.as_deref()?)))
}

/// A fixed but arbitrary number for each event (splitmix64), for the order within a second.
pub fn scatter(seed: u64, number: u64) -> u64 {
    let mut mixed = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
