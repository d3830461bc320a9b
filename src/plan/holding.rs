//! How much of a question an archive or a log group holds: it is believed as far as it declares, no
//! further.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::facts::{ArchiveFacts, Declared, LogGroupFacts, TableFacts};
use super::hand_over::ReceiverStore;
use super::outcome::{Reason, ReasonCode};
use super::scan::EventPart;
use crate::query::{BackendKind, EventCategory, EventQuery};

/// Without these columns no row is an event with a place in the answer.
const PLACE: [&str; 5] = [
    "eventid",
    "eventtime",
    "eventsource",
    "eventname",
    "awsregion",
];

/// Where events are kept longer than in event history.
#[derive(Debug, Clone, Copy)]
pub(super) enum Store<'a> {
    Archive(&'a Arc<ArchiveFacts>),
    LogGroup(&'a Arc<LogGroupFacts>),
}

impl Store<'_> {
    /// What it declares to hold.
    pub(super) fn holds(&self) -> &Declared {
        match self {
            Self::Archive(archive) => &archive.holds,
            Self::LogGroup(log_group) => &log_group.holds,
        }
    }

    /// The same, to be kept with the plan.
    pub(super) fn receiver(&self) -> ReceiverStore {
        match self {
            Self::Archive(archive) => ReceiverStore::Archive(Arc::clone(archive)),
            Self::LogGroup(log_group) => ReceiverStore::LogGroup(Arc::clone(log_group)),
        }
    }

    pub(super) fn backend(&self) -> BackendKind {
        match self {
            Self::Archive(_) => BackendKind::Athena,
            Self::LogGroup(_) => BackendKind::Logs,
        }
    }

    /// It does not hold this, as far as it declares: `what` goes on after its name.
    pub(super) fn lacks(&self, what: impl fmt::Display) -> Reason {
        let code = match self {
            Self::Archive(_) => ReasonCode::NotInArchive,
            Self::LogGroup(_) => ReasonCode::NotInLogGroup,
        };
        Reason::new(code, format!("{self} {what}"))
    }
}

impl fmt::Display for Store<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(archive) => write!(f, "archive {}", archive.name),
            Self::LogGroup(log_group) => write!(f, "log group {}", log_group.name),
        }
    }
}

/// What a store holds of the events of one category that a question is about, from its first time
/// on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holding {
    /// All of them.
    Whole,
    /// All but these, each with why.
    AllBut(Vec<(EventPart, Reason)>),
    /// None, for this reason.
    Nothing(Reason),
    /// The store does not declare this category at all.
    OtherCategories,
}

impl Holding {
    pub(super) fn of(store: Store<'_>, query: &EventQuery, category: EventCategory) -> Self {
        let holds = store.holds();
        if !holds.categories.contains(&category) {
            return Self::OtherCategories;
        }
        if let Store::Archive(archive) = store {
            let table = match &archive.table {
                Ok(table) => table,
                Err(reason) => return Self::Nothing(reason.clone()),
            };
            if let Some(reason) = lacking_columns(archive, table, query) {
                return Self::Nothing(reason);
            }
        }
        let asked: BTreeSet<String> = query.filter.event_sources.iter().cloned().collect();
        let mut excluded = holds.excluded_event_sources.clone();
        if !asked.is_empty() {
            excluded.retain(|service| asked.contains(service));
        }
        let nothing_left = !asked.is_empty() && excluded == asked;
        let leaves_out = |services: &BTreeSet<String>| {
            let names: Vec<&str> = services.iter().map(String::as_str).collect();
            store.lacks(format_args!(
                "leaves out the events of {}",
                names.join(", ")
            ))
        };
        let asks_for = |read_only| query.filter.asks_for(read_only);
        let kind = match (holds.reads, holds.writes) {
            (true, true) => None,
            (false, true) if !asks_for(false) => {
                return Self::Nothing(store.lacks("holds no read-only events"));
            }
            (true, false) if !asks_for(true) => {
                return Self::Nothing(store.lacks("holds read-only events only"));
            }
            (false, true) => asks_for(true).then_some((true, "holds no read-only events")),
            (true, false) => asks_for(false).then_some((false, "holds read-only events only")),
            (false, false) => {
                return Self::Nothing(store.lacks("declares neither reads nor writes"));
            }
        };
        if nothing_left {
            return Self::Nothing(leaves_out(&excluded));
        }
        let part = |read_only, event_sources| EventPart {
            categories: BTreeSet::from([category]),
            read_only,
            event_sources,
        };
        let mut missing = Vec::new();
        if let Some((read_only, why)) = kind {
            missing.push((part(Some(read_only), None), store.lacks(why)));
        }
        if !excluded.is_empty() {
            let reason = leaves_out(&excluded);
            // Of what is left out, the kind that is missing anyway is named once only.
            let held = kind.map(|(read_only, _)| !read_only);
            missing.push((part(held, Some(excluded)), reason));
        }
        if missing.is_empty() {
            Self::Whole
        } else {
            Self::AllBut(missing)
        }
    }
}

/// A table that lacks a column which the question needs would answer with silence.
fn lacking_columns(
    archive: &ArchiveFacts,
    table: &Arc<TableFacts>,
    query: &EventQuery,
) -> Option<Reason> {
    let has = |column: &String| table.columns.contains(column) || table.composites.contains(column);
    let decide = query.condition().members();
    let mut lacking: BTreeSet<String> = (decide.iter())
        .map(|member| member.path().to_lowercase())
        .chain(PLACE.map(str::to_owned))
        .filter(|column| !has(column))
        .collect();
    if !tells_categories(archive, table) {
        lacking.insert("eventcategory".to_owned());
    }
    (!lacking.is_empty()).then(|| {
        let columns: Vec<String> = lacking.into_iter().collect();
        Reason::new(
            ReasonCode::ArchiveUnusable,
            format!(
                "the table of archive {} has no column {}, without which this question cannot be \
                 answered: add it to the table",
                archive.name,
                columns.join(", ")
            ),
        )
    })
}

/// Whether the table shows of which category an event is: without `eventcategory` and
/// `managementevent` a record counts as a management event.
fn tells_categories(archive: &ArchiveFacts, table: &TableFacts) -> bool {
    let may_hold = |categories: &[EventCategory]| {
        (archive.holds.categories.iter()).all(|category| categories.contains(category))
    };
    table.columns.contains("eventcategory")
        || may_hold(&[EventCategory::Management])
        || (table.columns.contains("managementevent")
            && may_hold(&[EventCategory::Management, EventCategory::Data]))
}
