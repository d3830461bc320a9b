//! One CloudTrail record, typed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AccountId, BackendKind, EventCategory, EventTime, Identity, Region, UserIdentity};

/// Where an event stands in the total order of a search: by time, then account, then event id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventKey {
    /// `eventTime`.
    pub time: EventTime,
    /// `recipientAccountId`, else the account read from.
    pub account: AccountId,
    /// `eventID`, or for a record that has none (before version 1.01) one made from its content
    /// and its number among equals.
    pub id: EventId,
}

/// An event's id: CloudTrail's own, or one made from the content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventId {
    /// `eventID` as recorded: two records of one account with the same id are copies.
    Recorded(Arc<str>),
    /// The first 16 bytes of the record's SHA-256 in hex, and its number among equal records of
    /// one scan: never dropped as a copy.
    Made {
        /// The content's digest.
        digest: Arc<str>,
        /// 0 for the first such record of its scan.
        ordinal: u32,
    },
}

impl EventId {
    /// CloudTrail's own id, if the record has one.
    #[must_use]
    pub fn recorded(&self) -> Option<&str> {
        match self {
            Self::Recorded(id) => Some(id),
            Self::Made { .. } => None,
        }
    }
}

/// One event of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the order.
    pub key: EventKey,
    /// `eventVersion`.
    pub event_version: Option<String>,
    /// `eventSource`: the AWS service.
    pub event_source: String,
    /// `eventName`: the API.
    pub event_name: String,
    /// `eventType`.
    pub event_type: Option<String>,
    /// The category, by the one classification; none for a category not known here.
    pub category: Option<EventCategory>,
    /// `awsRegion`, as recorded.
    pub aws_region: Option<String>,
    /// `recipientAccountId`, as recorded.
    pub recipient_account_id: Option<AccountId>,
    /// `sourceIPAddress`: an address, a DNS name or `AWS Internal`.
    pub source_ip_address: Option<String>,
    /// `userAgent`: the caller's own text.
    pub user_agent: Option<String>,
    /// `errorCode`.
    pub error_code: Option<String>,
    /// `errorMessage`.
    pub error_message: Option<String>,
    /// `requestID`.
    pub request_id: Option<String>,
    /// `apiVersion`.
    pub api_version: Option<String>,
    /// `readOnly`.
    pub read_only: Option<bool>,
    /// `managementEvent`.
    pub management_event: Option<bool>,
    /// `sharedEventID`: the same on both sides of a cross-account action.
    pub shared_event_id: Option<String>,
    /// `vpcEndpointId`.
    pub vpc_endpoint_id: Option<String>,
    /// `vpcEndpointAccountId`.
    pub vpc_endpoint_account_id: Option<String>,
    /// `sessionCredentialFromConsole`.
    pub session_credential_from_console: Option<bool>,
    /// `tlsDetails`.
    pub tls_details: Option<TlsDetails>,
    /// `addendum`: this record completes an earlier one.
    pub addendum: Option<Addendum>,
    /// `userIdentity`; absent in some service events.
    pub user_identity: Option<UserIdentity>,
    /// `requestParameters` as JSON text.
    pub request_parameters_json: Option<String>,
    /// `responseElements` as JSON text, credentials masked.
    pub response_elements_json: Option<String>,
    /// `additionalEventData` as JSON text.
    pub additional_event_data_json: Option<String>,
    /// `serviceEventDetails` as JSON text.
    pub service_event_details_json: Option<String>,
    /// `edgeDeviceDetails` as JSON text.
    pub edge_device_details_json: Option<String>,
    /// `eventContext` as JSON text.
    pub event_context_json: Option<String>,
    /// `resources`.
    pub resources: Vec<Resource>,
    /// What was acted upon: from `resources` and the well-known parameters.
    pub targets: Vec<Target>,
    /// Further targets that are not listed (see `query::record::MAX_TARGETS`).
    pub targets_omitted: u32,
    /// The credentials that the call issued, without their secrets.
    pub issued_session: Option<IssuedSession>,
    /// Whether a credential was masked in `response_elements_json` or the record.
    pub credentials_masked: bool,
    /// The identities of the question that this event matched.
    #[serde(skip)]
    pub matched_identities: Vec<Identity>,
    /// Where the event was read.
    pub provenance: Provenance,
    /// The record itself, under `RecordView::Full`.
    pub record: Option<Record>,
    /// The event came after one that should have followed it (its backend returned it out of
    /// order): it is sent nevertheless.
    pub late: bool,
}

/// `tlsDetails`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsDetails {
    /// `tlsVersion`.
    pub tls_version: Option<String>,
    /// `cipherSuite`.
    pub cipher_suite: Option<String>,
    /// `clientProvidedHostHeader`.
    pub client_provided_host_header: Option<String>,
    /// `keyExchange`, where recorded.
    pub key_exchange: Option<String>,
}

/// `addendum`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Addendum {
    /// `reason`.
    pub reason: Option<String>,
    /// `updatedFields`.
    pub updated_fields: Option<String>,
    /// `originalRequestID`.
    pub original_request_id: Option<String>,
    /// `originalEventID`.
    pub original_event_id: Option<String>,
}

/// One of the record's `resources`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resource {
    /// `ARN`.
    pub arn: Option<String>,
    /// `accountId`: the owner.
    pub account_id: Option<String>,
    /// `type`, such as `AWS::S3::Bucket`.
    pub resource_type: Option<String>,
}

/// Something that the call acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Where it was found: `resources` or the request parameter's name, such as `userName`.
    pub origin: String,
    /// Its name, id or ARN, as recorded.
    pub value: String,
}

/// Credentials that the call issued: enough to follow them, nothing to use them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IssuedSession {
    /// The issued key.
    pub access_key_id: Option<String>,
    /// `AROA…:session` (or the federated user's id).
    pub principal_id: Option<String>,
    /// The role that was assumed.
    pub role_arn: Option<String>,
    /// The session's name.
    pub session_name: Option<String>,
    /// When the credentials end.
    pub expire_time: Option<jiff::Timestamp>,
}

/// Where an event was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Which kind of backend.
    pub backend: BackendKind,
    /// The account read (for an archive or a log group: whose record it is).
    pub account_id: AccountId,
    /// That account's name in the federation.
    pub account_name: Option<Arc<str>>,
    /// The Region read (for an archive or a log group: the record's own).
    pub region: Option<Region>,
    /// The archive's name.
    pub archive: Option<Arc<str>>,
    /// The log group's name in the configuration.
    pub log_group: Option<Arc<str>>,
    /// The request id of the AWS answer that held the event; for a query (Athena, Logs Insights)
    /// the query's id.
    pub aws_request_id: Option<Arc<str>>,
    /// The log file's location, where the backend tells it.
    pub log_file: Option<String>,
}

/// The record behind an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The record as JSON, credentials masked.
    pub json: String,
    /// How the text came about.
    pub origin: RecordOrigin,
}

/// How a record's text came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordOrigin {
    /// As CloudTrail gave it.
    Delivered {
        /// SHA-256 of the unmasked bytes, in hex.
        sha256: String,
    },
    /// Rebuilt from a table's columns.
    Rebuilt {
        /// The record's members that the table cannot show.
        unseen_fields: Vec<String>,
    },
}
