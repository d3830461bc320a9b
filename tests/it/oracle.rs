//! What a naive scan over log files finds, to hold backends against; and below it the whole
//! service against one that knows AWS's rules and nothing of the service's code.
//!
//! | module | what it holds |
//! |---|---|
//! | `identities` | who occurs in the records, and what AWS allows them to be called |
//! | `naive` | the records, and the scan that says what an answer must be |
//! | `hold` | asking the service, and comparing |
//! | `filters` | filters, with an identity and without one |
//! | `corpus`, `organization`, `log_group`, `on_trino`, `over_grpc` | the tests: real records, generated ones, through a log group, a real Trino, the far end of the wire |

mod corpus;
mod filters;
mod hold;
mod identities;
mod log_group;
mod naive;
mod on_trino;
mod organization;
mod over_grpc;

use std::collections::{BTreeMap, BTreeSet};

use identity_trail::query::record::{ReadFrom, TextOrigin, parse_record};
use identity_trail::query::{
    AccountId, BackendKind, Event, EventId, EventTime, Identity, NamePattern, Provenance,
    SessionName, UserIdentity,
};
use identity_trail::sandbox::log_file::LogFile;
use serde_json::Value;

/// What identifies an event whichever backend shows it: a record without an id gets one from its
/// text, which a rebuilt record has another one of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen(EventTime, AccountId, String);

impl Seen {
    pub fn of(event: &Event) -> Self {
        let id = match &event.key.id {
            EventId::Recorded(id) => id.to_string(),
            EventId::Made { .. } => format!("{} {:?}", event.event_name, event.request_id),
        };
        Self(event.key.time, event.key.account, id)
    }
}

/// Each event and how often it comes.
pub fn counted<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeMap<Seen, usize> {
    let mut counted = BTreeMap::new();
    for event in events {
        *counted.entry(Seen::of(event)).or_default() += 1;
    }
    counted
}

/// All records as a table shows them: none has `managementEvent`, and without `shows_category` none
/// has `eventCategory` either, so that one without a category is a management event.
pub fn events(files: &[LogFile], shows_category: bool) -> Vec<Event> {
    let mut events = Vec::new();
    for file in files {
        let read_from = ReadFrom {
            provenance: Provenance {
                backend: BackendKind::Athena,
                account_id: file.account_id.parse().unwrap(),
                account_name: None,
                region: None,
                archive: None,
                log_group: None,
                aws_request_id: None,
                log_file: None,
            },
            origin: TextOrigin::Delivered,
            keep_record: false,
        };
        for record in &file.records {
            let mut value = record.value();
            let members = value.as_object_mut().unwrap();
            members.remove("managementEvent");
            if !shows_category {
                members.remove("eventCategory");
            }
            events.push(parse_record(&value.to_string(), &read_from).unwrap());
        }
    }
    events
}

/// Every identity that occurs in the records, in each way in which it can be asked about.
pub fn identities(files: &[LogFile]) -> Vec<Identity> {
    let mut identities = BTreeSet::new();
    for event in events(files, true) {
        if let Some(who) = &event.user_identity {
            add(&mut identities, who);
        }
    }
    identities.into_iter().collect()
}

fn add(identities: &mut BTreeSet<Identity>, who: &UserIdentity) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    // What AWS's own patterns refuse cannot be asked about.
    identities.extend(text(&who.user_name).parse().map(Identity::UserName));
    identities.extend(text(&who.access_key_id).parse().map(Identity::AccessKeyId));
    identities.extend(text(&who.arn).parse().map(Identity::Arn));
    if who.kind.as_deref() == Some("Root") {
        identities.insert(Identity::Root);
    }
    let principal = text(&who.principal_id);
    let session = principal
        .split_once(':')
        .map(|(_, session)| session.parse::<NamePattern<SessionName>>());
    let role = (text(&who.arn).split('/').nth(1)).map(str::parse);
    if let (Some(Ok(session_name)), "AssumedRole") = (&session, &*text(&who.kind)) {
        identities.insert(Identity::SessionName(session_name.clone()));
        if let Some(Ok(role_name)) = role {
            identities.insert(Identity::RoleSession {
                role_name,
                session_name: session_name.clone(),
            });
        }
    }
    if let Some(issuer) = who.session_issuer() {
        identities.extend(text(&issuer.user_name).parse().map(Identity::RoleName));
        identities.extend(text(&issuer.arn).parse().map(Identity::Arn));
    }
}

/// Holds an event from a table against the delivered one, but for what the documented table lacks.
pub fn assert_shows_the_same(rebuilt: &Event, delivered: &Event) {
    let mut expected = delivered.clone();
    // How a record without eventID is named depends on its text.
    expected.key.clone_from(&rebuilt.key);
    expected.provenance.clone_from(&rebuilt.provenance);
    expected.record.clone_from(&rebuilt.record);
    if let Some(who) = &mut expected.user_identity {
        who.credential_id = None;
        who.identity_provider = None;
        who.in_scope_of = None;
        if let Some(session) = &mut who.session_context {
            session.source_identity = None;
            session.assumed_root = None;
            session.sign_in_session_arn = None;
        }
    }
    let value = |text: &Option<String>| -> Option<Value> {
        Some(serde_json::from_str(text.as_ref()?).unwrap())
    };
    for (rebuilt, expected) in [
        (
            &rebuilt.request_parameters_json,
            &mut expected.request_parameters_json,
        ),
        (
            &rebuilt.response_elements_json,
            &mut expected.response_elements_json,
        ),
    ] {
        assert_eq!(value(rebuilt), value(expected));
        expected.clone_from(rebuilt);
    }
    assert_eq!(*rebuilt, expected);
}
