//! The one way from a CloudTrail record's JSON text to an [`Event`].
//!
//! Lenient where real logs are odd: whatever member is missing, null or of another type is absent
//! or read for what it says, and unknown members live on in the record's text. Strict where an
//! event must be placed: without a time, an API and a service it is no event, and is reported as
//! an [`UnreadableRecord`].
//!
//! Credentials inside the record are masked before anything is taken from it, so that no view and
//! no typed field can show one.

mod issued_session;
mod lenient;
mod mask;
mod members;
mod ordinals;
mod targets;

use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::event::{Record, RecordOrigin, Resource};
use super::{AccountId, Event, EventCategory, EventId, EventKey, EventTime, Provenance};
use lenient::Object;
use targets::Targets;

pub use mask::MASK;
pub use ordinals::Ordinals;
pub use targets::{MAX_TARGETS, names_target};

/// A longer `eventID` is none of CloudTrail's, whose ids have 36 characters: nobody can ask for it, and
/// a resume token that held it would not be taken back.
const LONGEST_EVENT_ID: usize = 128;

/// Where a record was read, and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFrom {
    /// Where the record was read; each event gets a copy.
    pub provenance: Provenance,
    /// How the record's text came about.
    pub origin: TextOrigin,
    /// Whether the record's text goes with the event (`RecordView::Full`).
    pub keep_record: bool,
}

/// How a record's text came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOrigin {
    /// As CloudTrail gave it.
    Delivered,
    /// Rebuilt from a table's columns.
    Rebuilt {
        /// The record's members that the table cannot show.
        unseen_fields: Arc<[String]>,
    },
}

/// Why a record cannot be an event. The text never quotes the record: it may hold a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UnreadableRecord {
    /// Not the JSON of a record.
    #[error("the record is not a JSON object of distinct members (line {line}, column {column})")]
    NotARecord {
        /// The line where reading failed, from 1.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Without a time an event has no place in the order.
    #[error("the record has no eventTime that is an RFC 3339 time")]
    NoEventTime,
    /// `eventName` is missing or empty.
    #[error("the record has no eventName")]
    NoEventName,
    /// `eventSource` is missing or empty.
    #[error("the record has no eventSource")]
    NoEventSource,
    /// Its `responseElements` could not be searched for credentials, or not be masked.
    #[error(
        "the record's responseElements cannot be checked for credentials: nested too deeply or malformed"
    )]
    Unmaskable,
}

impl From<serde_json::Error> for UnreadableRecord {
    fn from(error: serde_json::Error) -> Self {
        Self::NotARecord {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Reads one record.
///
/// `json` is the record as it was read, byte for byte. A record without `eventID`, or with one that
/// cannot be CloudTrail's, gets an id made from these bytes with ordinal 0: [`Ordinals`] sets its
/// number. `matched_identities` is left empty and `late` false: they are the search's to say.
pub fn parse_record(json: &str, read_from: &ReadFrom) -> Result<Event, UnreadableRecord> {
    let members = read(json)?;
    let masked = match members.response_elements {
        Some(response) => mask::mask(json, response).map_err(|_| UnreadableRecord::Unmaskable)?,
        None => None,
    };
    match masked {
        None => event(members, json, json, read_from),
        Some(masked) => {
            let members = read(&masked).map_err(|_| UnreadableRecord::Unmaskable)?;
            let mut event = event(members, &masked, json, read_from)?;
            event.credentials_masked = true;
            Ok(event)
        }
    }
}

fn read(json: &str) -> Result<members::Record<'_>, serde_json::Error> {
    let Object(record) = serde_json::from_str(json)?;
    record.ok_or_else(|| serde::de::Error::custom("no object"))
}

/// Makes the event from what may be shown, `masked`, and from the digest of what was read.
fn event(
    members: members::Record<'_>,
    masked: &str,
    unmasked: &str,
    read_from: &ReadFrom,
) -> Result<Event, UnreadableRecord> {
    let time = members.event_time.0.as_deref().and_then(event_time);
    let time = time.ok_or(UnreadableRecord::NoEventTime)?;
    let event_name = members.event_name.non_empty();
    let event_name = event_name.ok_or(UnreadableRecord::NoEventName)?;
    let event_source = members.event_source.non_empty();
    let event_source = event_source.ok_or(UnreadableRecord::NoEventSource)?;

    let recorded_id = (members.event_id.non_empty()).filter(|id| id.len() <= LONGEST_EVENT_ID);
    let sha256 = (read_from.keep_record || recorded_id.is_none())
        .then(|| hex::encode(Sha256::digest(unmasked)));
    let id = match recorded_id {
        Some(id) => EventId::Recorded(id.into()),
        None => EventId::Made {
            digest: sha256.as_deref().unwrap_or_default()[..32].into(),
            ordinal: 0,
        },
    };
    let recipient_account_id: Option<AccountId> = members
        .recipient_account_id
        .0
        .and_then(|account| account.parse().ok());
    let record = read_from.keep_record.then(|| Record {
        json: masked.to_owned(),
        origin: match &read_from.origin {
            TextOrigin::Delivered => RecordOrigin::Delivered {
                sha256: sha256.unwrap_or_default(),
            },
            TextOrigin::Rebuilt { unseen_fields } => RecordOrigin::Rebuilt {
                unseen_fields: unseen_fields.to_vec(),
            },
        },
    });

    let mut targets = Targets::default();
    let mut resources = Vec::with_capacity(members.resources.0.len());
    for mut resource in members.resources.0 {
        let prefix = resource.arn_prefix.0.take();
        let resource = Resource::from(resource);
        if let Some(arn) = resource.arn.as_ref().or(prefix.as_ref()) {
            targets.resource(arn);
        }
        resources.push(resource);
    }
    if let Some(parameters) = members.request_parameters {
        targets.parameters(parameters);
    }
    let issued_session = members
        .response_elements
        .and_then(|response| issued_session::issued_session(members.request_parameters, response));

    Ok(Event {
        key: EventKey {
            time,
            account: recipient_account_id.unwrap_or(read_from.provenance.account_id),
            id,
        },
        event_version: members.event_version.0,
        event_source,
        event_name,
        event_type: members.event_type.0,
        category: EventCategory::of_record(
            members.event_category.0.as_deref(),
            members.management_event.0,
        ),
        aws_region: members.aws_region.0,
        recipient_account_id,
        source_ip_address: members.source_ip_address.0,
        user_agent: members.user_agent.0,
        error_code: members.error_code.0,
        error_message: members.error_message.0,
        request_id: members.request_id.0,
        api_version: members.api_version.0,
        read_only: members.read_only.0,
        management_event: members.management_event.0,
        shared_event_id: members.shared_event_id.0,
        vpc_endpoint_id: members.vpc_endpoint_id.0,
        vpc_endpoint_account_id: members.vpc_endpoint_account_id.0,
        session_credential_from_console: members.session_credential_from_console.0,
        tls_details: members.tls_details.into_domain(),
        addendum: members.addendum.into_domain(),
        user_identity: members.user_identity.into_domain(),
        request_parameters_json: text(members.request_parameters),
        response_elements_json: text(members.response_elements),
        additional_event_data_json: text(members.additional_event_data),
        service_event_details_json: text(members.service_event_details),
        edge_device_details_json: text(members.edge_device_details),
        event_context_json: text(members.event_context),
        resources,
        targets: targets.listed,
        targets_omitted: targets.omitted,
        issued_session,
        credentials_masked: false,
        matched_identities: Vec::new(),
        provenance: read_from.provenance.clone(),
        record,
        late: false,
    })
}

fn text(json: Option<&RawValue>) -> Option<String> {
    json.map(|json| json.get().to_owned())
}

/// Whole seconds: a fraction, which CloudTrail never writes, is cut off.
fn event_time(text: &str) -> Option<EventTime> {
    let second = EventTime::floor(text.parse().ok()?).second();
    EventTime::from_second(second)
}

#[cfg(test)]
mod tests;
