//! The planner against the routing table, by example and by property.

mod accepted_gaps;
mod estimate;
mod hand_over;
mod properties;
mod role_sessions;
mod routing_table;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::facts::{
    AccountFacts, ArchiveFacts, Declared, Facts, LogGroupFacts, ReadLogsWith, TableFacts,
};
use crate::query::{
    AccountId, AccountSelector, AskedRange, Case, EventCategory, EventFilter, EventQuery,
    EventTime, Identity, RecordView, Region, SearchOrder, TimeRange,
};

/// The tests' now.
fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn at(text: &str) -> EventTime {
    EventTime::floor(text.parse().unwrap())
}

/// This long before now.
fn ago(hours: i64) -> EventTime {
    EventTime::floor(now() - SignedDuration::from_hours(hours))
}

const DAY: i64 = 24;
/// The horizon, in hours before now.
const HORIZON: i64 = 90 * DAY;

fn account(number: u64) -> AccountId {
    AccountId::from_u64(number).unwrap()
}

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn user(name: &str) -> Identity {
    Identity::UserName(name.parse().unwrap())
}

fn role(name: &str) -> Identity {
    Identity::RoleName(name.parse().unwrap())
}

/// A question about everything in the federation from `from` to `to` hours ago.
fn ask(identity: Identity, from: i64, to: i64) -> EventQuery {
    EventQuery {
        identities: vec![identity],
        case: Case::Kept,
        range: TimeRange::new(ago(from), ago(to)).unwrap(),
        asked_range: AskedRange::default(),
        account_ids: vec![],
        account_selector: AccountSelector::default(),
        regions: vec![],
        filter: EventFilter::default(),
        order: SearchOrder::default(),
        record_view: RecordView::Fields,
        max_events: None,
        exact_roles: false,
        backends: vec![],
        max_scan_bytes: None,
        progress_interval: None,
        resume: None,
    }
}

/// Accounts 1 and 2 in one Region, no archive.
fn facts() -> Facts {
    let account = |number| AccountFacts::new(account(number), vec![region("eu-west-1")]);
    Facts {
        accounts: vec![account(1), account(2)],
        ..Facts::default()
    }
}

/// An archive of all management events since 2020, with the documented table.
fn archive(name: &str) -> ArchiveFacts {
    ArchiveFacts {
        name: name.into(),
        holds: all_management_events(),
        bytes_per_day: None,
        partitioned_by_account: true,
        table: Ok(Arc::new(documented_table())),
    }
}

/// A log group of all management events since 2020.
fn log_group(name: &str) -> LogGroupFacts {
    LogGroupFacts {
        name: name.into(),
        holds: all_management_events(),
        read_with: ReadLogsWith::Auto,
    }
}

fn all_management_events() -> Declared {
    Declared {
        accounts: None,
        regions: None,
        first_time: at("2020-01-01T00:00:00Z"),
        reads: true,
        writes: true,
        excluded_event_sources: BTreeSet::new(),
        categories: BTreeSet::from([EventCategory::Management]),
    }
}

/// The same facts with this log group.
fn with_logs(mut facts: Facts, log_group: LogGroupFacts) -> Facts {
    facts.log_groups.push(Arc::new(log_group));
    facts
}

/// The same facts with this archive.
fn with(mut facts: Facts, archive: ArchiveFacts) -> Facts {
    facts.archives.push(Arc::new(archive));
    facts
}

fn documented_table() -> TableFacts {
    let columns = [
        "eventid",
        "eventtime",
        "eventsource",
        "eventname",
        "eventcategory",
        "awsregion",
        "useridentity.type",
        "useridentity.username",
        "useridentity.principalid",
        "useridentity.arn",
        "useridentity.accountid",
        "useridentity.accesskeyid",
        "useridentity.sessioncontext.sessionissuer.type",
        "useridentity.sessioncontext.sessionissuer.username",
        "useridentity.sessioncontext.sessionissuer.arn",
    ];
    TableFacts {
        columns: columns.map(str::to_owned).into(),
        ..TableFacts::default()
    }
}
