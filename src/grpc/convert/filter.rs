//! The request's filter → [`EventFilter`].

use std::collections::BTreeSet;
use std::str::FromStr;

use super::Findings;
use crate::config::Limits;
use crate::grpc::pb;
use crate::query::ids::InvalidId;
use crate::query::{Access, EventCategory, EventFilter};

/// A text field: what is allowed in it.
struct Text {
    field: &'static str,
    expected: &'static str,
    allowed: fn(u8) -> bool,
}

const EVENT_NAMES: Text = Text {
    field: "filter.event_names",
    expected: "an event name is 1 to 128 letters, digits and any of ._:-, such as CreateAccessKey",
    allowed: |byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte),
};
const EVENT_SOURCES: Text = Text {
    field: "filter.event_sources",
    expected: "an event source is 1 to 128 lower-case letters, digits, dots and hyphens, such as \
               iam.amazonaws.com",
    allowed: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte),
};
const ERROR_CODES: Text = Text {
    field: "filter.error_codes",
    expected: "an error code is 1 to 128 letters, digits, spaces and any of ._:/#-, such as \
               Client.UnauthorizedOperation",
    allowed: |byte| byte.is_ascii_alphanumeric() || b" ._:/#-".contains(&byte),
};
const EVENT_IDS: Text = Text {
    field: "filter.event_ids",
    expected: "an event id is CloudTrail's eventID: 1 to 128 letters, digits, hyphens and underscores",
    allowed: |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte),
};

const SOURCE_IPS: &str = "filter.source_ips";
const RESOURCES: &str = "filter.resources";

/// Reads the filter; what is wrong with it goes into `findings`.
pub(super) fn filter(
    wire: Option<&pb::EventFilter>,
    limits: &Limits,
    findings: &mut Findings,
) -> EventFilter {
    let Some(wire) = wire else {
        return EventFilter::default();
    };
    let names = (limits.max_event_names, "limits.max_event_names");
    let sources = (limits.max_event_sources, "limits.max_event_sources");
    let values = (limits.max_filter_values, "limits.max_filter_values");
    for (field, length, (limit, key)) in [
        (EVENT_NAMES.field, wire.event_names.len(), names),
        (EVENT_SOURCES.field, wire.event_sources.len(), sources),
        (ERROR_CODES.field, wire.error_codes.len(), values),
        (SOURCE_IPS, wire.source_ips.len(), values),
        (RESOURCES, wire.resources.len(), values),
        (EVENT_IDS.field, wire.event_ids.len(), values),
    ] {
        findings.check_length(field, length, limit, key);
    }
    EventFilter {
        event_names: texts(&wire.event_names, &EVENT_NAMES, findings),
        event_sources: texts(&wire.event_sources, &EVENT_SOURCES, findings),
        access: access(&wire.access, findings),
        error_codes: texts(&wire.error_codes, &ERROR_CODES, findings),
        errors_only: wire.errors_only,
        source_ips: parsed(&wire.source_ips, SOURCE_IPS, findings),
        resources: parsed(&wire.resources, RESOURCES, findings),
        event_ids: texts(&wire.event_ids, &EVENT_IDS, findings),
        categories: categories(&wire.categories, findings),
    }
}

fn texts(list: &[String], text: &Text, findings: &mut Findings) -> Vec<String> {
    for (index, value) in list.iter().enumerate() {
        if !(1..=128).contains(&value.len()) || !value.bytes().all(text.allowed) {
            findings.malformed(format!("{}[{index}]", text.field), value, text.expected);
        }
    }
    let set: BTreeSet<&String> = list.iter().collect();
    set.into_iter().cloned().collect()
}

fn parsed<T: FromStr<Err = InvalidId> + Ord>(
    list: &[String],
    field: &str,
    findings: &mut Findings,
) -> Vec<T> {
    let mut set = BTreeSet::new();
    for (index, value) in list.iter().enumerate() {
        match value.parse() {
            Ok(value) => {
                set.insert(value);
            }
            Err(expected) => findings.malformed(format!("{field}[{index}]"), value, expected),
        }
    }
    set.into_iter().collect()
}

fn access(list: &[i32], findings: &mut Findings) -> Vec<Access> {
    let mut set = BTreeSet::new();
    for (index, &number) in list.iter().enumerate() {
        set.insert(match pb::Access::try_from(number) {
            Ok(pb::Access::Read) => Access::Read,
            Ok(pb::Access::Write) => Access::Write,
            Ok(pb::Access::IssuesCredentials) => Access::IssuesCredentials,
            Ok(pb::Access::Unspecified) | Err(_) => {
                findings.invalid(
                    format!("filter.access[{index}]"),
                    format!("{number} is no access"),
                );
                continue;
            }
        });
    }
    set.into_iter().collect()
}

fn categories(list: &[i32], findings: &mut Findings) -> Vec<EventCategory> {
    let mut categories = BTreeSet::new();
    for (index, &number) in list.iter().enumerate() {
        categories.insert(match pb::EventCategory::try_from(number) {
            Ok(pb::EventCategory::Management) => EventCategory::Management,
            Ok(pb::EventCategory::Data) => EventCategory::Data,
            Ok(pb::EventCategory::NetworkActivity) => EventCategory::NetworkActivity,
            Ok(pb::EventCategory::Insight) => EventCategory::Insight,
            Ok(pb::EventCategory::Unspecified) | Err(_) => {
                findings.invalid(
                    format!("filter.categories[{index}]"),
                    format!("{number} is no category"),
                );
                continue;
            }
        });
    }
    categories.into_iter().collect()
}
