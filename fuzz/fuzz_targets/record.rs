//! Bytes as a CloudTrail record: it is an event or unreadable, and no event shows a credential.
#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;

use identity_trail::grpc::convert::event::to_wire;
use identity_trail::query::record::{MASK, ReadFrom, TextOrigin, names_target, parse_record};
use identity_trail::query::{BackendKind, Event, EventFilter, Provenance};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use serde_json::Value;

/// From this length on a credential is looked for wherever it may be.
const CREDENTIAL: usize = 16;

fn read_from(origin: TextOrigin) -> ReadFrom {
    ReadFrom {
        provenance: Provenance {
            backend: BackendKind::Athena,
            account_id: "111122223333".parse().expect("an account"),
            account_name: None,
            region: None,
            archive: None,
            log_group: None,
            aws_request_id: None,
            log_file: None,
        },
        origin,
        keep_record: true,
    }
}

fuzz_target!(|bytes: &[u8]| {
    // As the SDK hands text on: what is no UTF-8 is replaced.
    let text = String::from_utf8_lossy(bytes);
    let rebuilt = TextOrigin::Rebuilt {
        unseen_fields: Arc::new(["managementEvent".to_owned()]),
    };
    let read = parse_record(&text, &read_from(TextOrigin::Delivered));
    let Ok(event) = read else {
        assert!(parse_record(&text, &read_from(rebuilt)).is_err());
        return;
    };
    shows_no_credential(&text, &event);
    assert!(event.targets.len() <= identity_trail::query::record::MAX_TARGETS);
    for target in &event.targets {
        assert!(names_target(&event, |named| named == target.value));
    }
    assert!(EventFilter::default().condition().holds(&event));

    // What is shown is a record too, and says the same.
    let shown = &event.record.as_ref().expect("it was to be kept").json;
    assert!(event.credentials_masked || *shown == text);
    let again = parse_record(shown, &read_from(rebuilt)).expect("a masked record is a record");
    assert_eq!(again.record.as_ref().map(|it| &it.json), Some(shown));
    assert_eq!(again.response_elements_json, event.response_elements_json);
    assert_eq!(again.user_identity, event.user_identity);
    assert_eq!(again.targets, event.targets);
});

fn shows_no_credential(text: &str, event: &Event) {
    let record: Value = match serde_json::from_str(text) {
        Ok(record) => record,
        // Nested more deeply than this reader goes: then it was looked at, or is unreadable.
        Err(_) => return,
    };
    let mut secrets = BTreeSet::new();
    credentials(&record["responseElements"], &mut secrets);
    if secrets.is_empty() {
        return;
    }
    assert!(event.credentials_masked);
    let wire = to_wire(event.clone(), "token");
    let bytes = wire.encode_to_vec();
    let form = serde_json::to_value(event).expect("an event has a form");
    let shown = [
        parsed(wire.record_json.as_deref()),
        parsed(wire.response_elements_json.as_deref()),
        parsed(wire.request_parameters_json.as_deref()),
        parsed(wire.additional_event_data_json.as_deref()),
    ];
    for secret in secrets {
        let there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!there, "on the wire: {secret:?}");
        // Its members' names are not the record's.
        assert!(!holds(&form, &secret, false), "{secret:?} in {form}");
        for value in &shown {
            assert!(!holds(value, &secret, true), "{secret:?} in {value}");
        }
    }
}

fn parsed(json: Option<&str>) -> Value {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// The texts of members whose name is that of a credential, at any depth.
fn credentials(value: &Value, secrets: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.to_ascii_lowercase();
                match value {
                    Value::String(text) if matches!(&*name, "sessiontoken" | "secretaccesskey") => {
                        // What says that there was one is none.
                        if text.len() >= CREDENTIAL && !MASK.contains(text.as_str()) {
                            secrets.insert(text.clone());
                        }
                    }
                    value => credentials(value, secrets),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| credentials(value, secrets)),
        _ => {}
    }
}

/// Whether a text in `value`, or in the names of its members, contains the secret.
fn holds(value: &Value, secret: &str, in_names: bool) -> bool {
    match value {
        Value::String(text) => text.contains(secret),
        Value::Array(values) => values.iter().any(|value| holds(value, secret, in_names)),
        Value::Object(members) => members.iter().any(|(name, value)| {
            (in_names && name.contains(secret)) || holds(value, secret, in_names)
        }),
        _ => false,
    }
}
