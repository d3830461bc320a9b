//! How much of a question an archive holds: it is believed as far as it declares, no further.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::{ArchiveFacts, TableFacts};
use super::outcome::{Reason, ReasonCode};
use super::scan::EventPart;
use crate::query::identity::ArnPrincipal;
use crate::query::{EventCategory, EventQuery, Identity};

/// Without these columns no row is an event with a place in the answer.
const PLACE: [&str; 5] = [
    "eventid",
    "eventtime",
    "eventsource",
    "eventname",
    "awsregion",
];

/// What an archive holds of the events of one category that a question is about, from its first
/// day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holding {
    /// All of them.
    Whole,
    /// All but these, each with why.
    AllBut(Vec<(EventPart, Reason)>),
    /// None, for this reason.
    Nothing(Reason),
    /// The archive does not declare this category at all.
    OtherCategories,
}

impl Holding {
    pub(super) fn of(archive: &ArchiveFacts, query: &EventQuery, category: EventCategory) -> Self {
        if !archive.categories.contains(&category) {
            return Self::OtherCategories;
        }
        let table = match &archive.table {
            Ok(table) => table,
            Err(reason) => return Self::Nothing(reason.clone()),
        };
        if let Some(reason) = lacking_columns(archive, table, &query.identities) {
            return Self::Nothing(reason);
        }
        let asked: BTreeSet<String> = query.filter.event_sources.iter().cloned().collect();
        let mut excluded = archive.excluded_event_sources.clone();
        if !asked.is_empty() {
            excluded.retain(|service| asked.contains(service));
        }
        let nothing_left = !asked.is_empty() && excluded == asked;
        let not_held = |what: String| {
            let message = format!("archive {} {what}", archive.name);
            Reason::new(ReasonCode::NotInArchive, message)
        };
        let leaves_out = |services: &BTreeSet<String>| {
            let names: Vec<&str> = services.iter().map(String::as_str).collect();
            not_held(format!("leaves out the events of {}", names.join(", ")))
        };
        let kind = match (archive.reads, archive.writes) {
            (true, true) => None,
            (false, true) => Some((true, "holds no read-only events")),
            (true, false) => Some((false, "holds read-only events only")),
            (false, false) => {
                return Self::Nothing(not_held("declares neither reads nor writes".into()));
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
            missing.push((part(Some(read_only), None), not_held(why.into())));
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
    identities: &[Identity],
) -> Option<Reason> {
    let mut lacking: BTreeSet<&str> = identities
        .iter()
        .flat_map(columns_of)
        .copied()
        .chain(PLACE)
        .filter(|column| !table.columns.contains(*column))
        .collect();
    if !tells_categories(archive, table) {
        lacking.insert("eventcategory");
    }
    (!lacking.is_empty()).then(|| {
        let columns: Vec<&str> = lacking.into_iter().collect();
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
        (archive.categories.iter()).all(|category| categories.contains(category))
    };
    table.columns.contains("eventcategory")
        || may_hold(&[EventCategory::Management])
        || (table.columns.contains("managementevent")
            && may_hold(&[EventCategory::Management, EventCategory::Data]))
}

/// The columns that decide whether a row was done by the identity: the archive's SQL asks for them.
fn columns_of(identity: &Identity) -> &'static [&'static str] {
    const KIND: &str = "useridentity.type";
    const ARN: &str = "useridentity.arn";
    const PRINCIPAL_ID: &str = "useridentity.principalid";
    const ISSUER_KIND: &str = "useridentity.sessioncontext.sessionissuer.type";
    const ISSUER_NAME: &str = "useridentity.sessioncontext.sessionissuer.username";
    const ISSUER_ARN: &str = "useridentity.sessioncontext.sessionissuer.arn";
    match identity {
        Identity::UserName(_) => &[KIND, "useridentity.username"],
        Identity::SessionName(_) => &[KIND, PRINCIPAL_ID],
        Identity::RoleSession { .. } => &[KIND, ARN, PRINCIPAL_ID, ISSUER_KIND, ISSUER_NAME],
        Identity::RoleName(_) => &[KIND, ARN, ISSUER_KIND, ISSUER_NAME],
        Identity::AccessKeyId(_) => &["useridentity.accesskeyid"],
        Identity::Root => &[KIND],
        Identity::Arn(arn) => match &arn.principal {
            ArnPrincipal::User { .. } => &[KIND, ARN],
            ArnPrincipal::AssumedRole { .. } => &[ARN],
            ArnPrincipal::Role { .. } => &[KIND, ARN, ISSUER_ARN],
            ArnPrincipal::Root => &[KIND, "useridentity.accountid"],
        },
    }
}
