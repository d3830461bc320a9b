//! Every record of the corpus is read, and none shows a credential.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use identity_trail::query::record::{MASK, ReadFrom, TextOrigin, parse_record};
use identity_trail::query::{BackendKind, Event, EventId, Provenance};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::sandbox::corpus;

/// Each set's records, as its README counts them, and how many of them have no `eventID`.
const SETS: [(&str, usize, usize); 6] = [
    ("custodian-fixtures", 19, 0),
    ("invictus", 2_900, 0),
    ("otrf-s3-breach", 103, 0),
    ("panther-fixtures", 142, 30),
    ("stratus", 310, 0),
    ("traildiscover", 313, 0),
];

#[derive(Deserialize)]
struct LogFile {
    #[serde(rename = "Records")]
    records: Vec<Box<RawValue>>,
}

#[test]
fn every_record_of_the_corpus_is_an_event() {
    let mut masked = 0;
    for (set, records, without_id) in SETS {
        let Some(directory) = corpus(set) else { return };
        let mut texts = Vec::new();
        read_records(&directory, &mut texts);
        assert_eq!(texts.len(), records, "{set}");
        let events: Vec<Event> = texts.iter().map(|text| check(text)).collect();
        let made = |event: &&Event| matches!(event.key.id, EventId::Made { .. });
        assert_eq!(events.iter().filter(made).count(), without_id, "{set}");
        masked += events
            .iter()
            .filter(|event| event.credentials_masked)
            .count();
    }
    assert_eq!(masked, 52, "51 AssumeRole and one GetFederationToken");
}

/// Reads one record and holds the event against the record read naively.
fn check(text: &str) -> Event {
    let read_from = ReadFrom {
        provenance: Provenance {
            backend: BackendKind::EventHistory,
            account_id: "999999999999".parse().unwrap(),
            account_name: None,
            region: None,
            archive: None,
            log_group: None,
            aws_request_id: None,
            log_file: None,
        },
        origin: TextOrigin::Delivered,
        keep_record: true,
    };
    let event = parse_record(text, &read_from).unwrap_or_else(|error| panic!("{error}: {text}"));
    let record: Value = serde_json::from_str(text).unwrap();
    assert_eq!(event.key.time.to_string(), record["eventTime"], "{text}");
    assert_eq!(event.event_name, record["eventName"], "{text}");
    assert_eq!(event.event_source, record["eventSource"], "{text}");
    let account = record["recipientAccountId"].as_str();
    assert_eq!(
        event.key.account.to_string(),
        account.unwrap_or("999999999999"),
        "{text}"
    );
    let who = event.user_identity.as_ref();
    let same = |member: Option<&String>, name: &str| {
        assert_eq!(
            member.map(String::as_str),
            record["userIdentity"][name].as_str(),
            "{text}"
        );
    };
    same(who.and_then(|who| who.kind.as_ref()), "type");
    same(who.and_then(|who| who.user_name.as_ref()), "userName");
    same(who.and_then(|who| who.arn.as_ref()), "arn");
    same(
        who.and_then(|who| who.access_key_id.as_ref()),
        "accessKeyId",
    );

    // All but the credential stays as it was, and the credential is nowhere.
    let kept: Value = serde_json::from_str(&event.record.as_ref().unwrap().json).unwrap();
    let mut expected = record;
    if let Some(token) = expected.pointer_mut("/responseElements/credentials/sessionToken") {
        assert!(event.credentials_masked, "{text}");
        let secret = token.as_str().unwrap().to_owned();
        *token = MASK.into();
        if secret.len() > 40 {
            assert!(!format!("{event:?}").contains(&secret), "{text}");
        }
        let issued = event.issued_session.as_ref().expect("a key was issued");
        assert!(
            issued.access_key_id.is_some() && issued.role_arn.is_some()
                || event.event_name != "AssumeRole",
            "{text}"
        );
    }
    assert_eq!(kept, expected);
    event
}

fn read_records(directory: &Path, records: &mut Vec<Box<str>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_records(&path, records);
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            let mut json = String::new();
            GzDecoder::new(File::open(&path).unwrap())
                .read_to_string(&mut json)
                .unwrap();
            let file: LogFile = serde_json::from_str(&json).unwrap();
            records.extend(file.records.iter().map(|record| record.get().into()));
        }
    }
}
