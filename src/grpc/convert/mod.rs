//! Proto ⇄ domain: requests are checked here into strict types, and no generated type goes further
//! in than this.

pub mod event;
mod filter;
pub mod findings;
pub mod identity;
pub mod interval;
pub mod item;
pub mod outcome;
pub mod planned;
pub mod request;
mod selector;
pub mod user_identity;

pub use findings::{Findings, Rejection};
pub use item::{completeness, responses, stop_reason};
pub use request::{Rules, event_query};
pub(super) use selector::account_selector;

use jiff::Timestamp;

use crate::grpc::pb;
use crate::query::{BackendKind, EventCategory, EventTime, TimeRange};

/// Wire counts are signed, as the API guides have them; no count comes near the limit.
pub(super) fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    // Protobuf counts nanoseconds forward from the second; jiff's have the sign of the whole.
    let (second, nanosecond) = (time.as_second(), time.subsec_nanosecond());
    let borrow = nanosecond < 0;
    prost_types::Timestamp {
        seconds: second - i64::from(borrow),
        nanos: nanosecond + if borrow { 1_000_000_000 } else { 0 },
    }
}

pub(super) fn event_time(time: EventTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.second(),
        nanos: 0,
    }
}

fn bounds(range: TimeRange) -> (prost_types::Timestamp, prost_types::Timestamp) {
    (event_time(range.start()), event_time(range.end()))
}

/// The wire's word for a kind of backend.
#[must_use]
pub fn backend(kind: BackendKind) -> pb::Backend {
    match kind {
        BackendKind::EventHistory => pb::Backend::EventHistory,
        BackendKind::Logs => pb::Backend::Logs,
        BackendKind::Athena => pb::Backend::Athena,
    }
}

/// The wire's word for a category.
#[must_use]
pub fn category(category: EventCategory) -> pb::EventCategory {
    match category {
        EventCategory::Management => pb::EventCategory::Management,
        EventCategory::Data => pb::EventCategory::Data,
        EventCategory::NetworkActivity => pb::EventCategory::NetworkActivity,
        EventCategory::Insight => pb::EventCategory::Insight,
    }
}
