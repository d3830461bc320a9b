use super::*;
use crate::query::BackendKind;

const ACCOUNT: &str = "111122223333";

fn read_from(keep_record: bool) -> ReadFrom {
    ReadFrom {
        provenance: Provenance {
            backend: BackendKind::EventHistory,
            account_id: ACCOUNT.parse().unwrap(),
            account_name: None,
            region: None,
            archive: None,
            log_group: None,
            aws_request_id: None,
            log_file: None,
        },
        origin: TextOrigin::Delivered,
        keep_record,
    }
}

pub(super) fn parse(json: &str) -> Result<Event, UnreadableRecord> {
    parse_record(json, &read_from(true))
}

/// A record of the three members that it takes, and of `more`.
fn record(more: &str) -> String {
    format!(
        r#"{{"eventTime":"2023-07-10T11:42:17Z","eventSource":"s3.amazonaws.com","eventName":"ListBuckets"{more}}}"#
    )
}

#[test]
fn three_members_are_enough() {
    let event = parse(&record("")).unwrap();
    assert_eq!(event.key.time.to_string(), "2023-07-10T11:42:17Z");
    assert_eq!(event.key.account.to_string(), ACCOUNT);
    assert!(matches!(&event.key.id, EventId::Made { digest, ordinal: 0 } if digest.len() == 32));
    assert_eq!(event.category, Some(EventCategory::Management));
    assert_eq!(event.user_identity, None);
    assert_eq!(
        parse(&record(r#","eventID":"""#)).unwrap().category,
        event.category
    );
}

#[test]
fn what_cannot_be_placed_is_refused_with_a_reason_that_quotes_nothing() {
    for (json, reason) in [
        (
            r#"{"eventName":"A","eventSource":"b"}"#,
            UnreadableRecord::NoEventTime,
        ),
        (
            r#"{"eventTime":"yesterday","eventName":"A","eventSource":"b"}"#,
            UnreadableRecord::NoEventTime,
        ),
        (
            r#"{"eventTime":1688989337,"eventName":"A","eventSource":"b"}"#,
            UnreadableRecord::NoEventTime,
        ),
        (
            r#"{"eventTime":"2023-07-10T11:42:17Z","eventSource":"b"}"#,
            UnreadableRecord::NoEventName,
        ),
        (
            r#"{"eventTime":"2023-07-10T11:42:17Z","eventName":"A","eventSource":null}"#,
            UnreadableRecord::NoEventSource,
        ),
    ] {
        assert_eq!(parse(json).unwrap_err(), reason, "{json}");
    }
    for json in [
        "",
        "null",
        "[]",
        "[null]",
        "\"secret\"",
        "{",
        "{} x",
        &record(r#","eventID":"a","eventID":"b""#),
    ] {
        let error = parse(json).unwrap_err();
        assert!(
            matches!(error, UnreadableRecord::NotARecord { .. }),
            "{json}"
        );
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn oddities_of_real_logs_are_read() {
    let event = parse(&record(
        r#","eventID":"e-1","readOnly":"true","managementEvent":"false","apiVersion":20150331,"recipientAccountId":"012345678901",
        "userIdentity":{"type":"AssumedRole","userName":null,"accessKeyId":"","sessionContext":{"sessionIssuer":{},"webIdFederationData":{},
        "attributes":{"creationDate":"2023-07-10T11:00:00Z","mfaAuthenticated":"false"}}},"tlsDetails":"","resources":["x",{"ARN":"arn:aws:s3:::b"},null],
        "requestParameters":null,"sessionCredentialFromConsole":"true","somethingNew":{"a":1}"#,
    ))
    .unwrap();
    assert_eq!(event.key.id, EventId::Recorded("e-1".into()));
    assert_eq!(event.key.account.to_string(), "012345678901");
    assert_eq!(event.read_only, Some(true));
    assert_eq!(event.category, Some(EventCategory::Data));
    assert_eq!(event.api_version.as_deref(), Some("20150331"));
    assert_eq!(event.session_credential_from_console, Some(true));
    assert_eq!(event.tls_details, None);
    assert_eq!(event.request_parameters_json, None);
    assert_eq!(event.resources.len(), 1);
    assert_eq!(event.targets[0].value, "arn:aws:s3:::b");
    let who = event.user_identity.unwrap();
    assert_eq!(who.access_key_id.as_deref(), Some(""));
    let session = who.session_context.unwrap();
    assert_eq!(session.session_issuer, None);
    assert_eq!(session.mfa_authenticated, Some(false));
    for odd in ["null", "\"\"", "{}", "[]", "7"] {
        let event = parse(&record(&format!(r#","userIdentity":{odd}"#))).unwrap();
        assert_eq!(event.user_identity, None, "{odd}");
    }
}

#[test]
fn the_record_is_kept_only_when_wanted_and_its_digest_is_of_the_unmasked_bytes() {
    let json = record(
        r#" , "eventID":"e", "responseElements":{"credentials":{"accessKeyId":"ASIAEXAMPLE","sessionToken":"IQoJb3JpZ2luX2VjEKn"}}"#,
    );
    let event = parse(&json).unwrap();
    let kept = event.record.unwrap();
    assert_eq!(kept.json, json.replace("IQoJb3JpZ2luX2VjEKn", MASK));
    assert_eq!(
        kept.origin,
        RecordOrigin::Delivered {
            sha256: hex::encode(Sha256::digest(&json))
        }
    );
    assert!(event.credentials_masked);
    assert!(event.response_elements_json.unwrap().contains(MASK));
    assert_eq!(
        event.issued_session.unwrap().access_key_id.as_deref(),
        Some("ASIAEXAMPLE")
    );
    let lean = parse_record(&json, &read_from(false)).unwrap();
    assert_eq!(lean.record, None);
    assert!(lean.credentials_masked);
}

#[test]
fn a_token_cannot_be_seen_in_any_field() {
    let token = "IQoJb3JpZ2luX2VjEKn//8wQ";
    let event = parse(&record(&format!(
        r#","userAgent":"{token}","errorMessage":"x{token}","additionalEventData":{{"a":["{token}"]}},"requestParameters":{{"userName":"{token}"}},
        "responseElements":{{"credentials":{{"sessionToken":"{token}"}}}}"#
    )))
    .unwrap();
    assert!(!format!("{event:?}").contains(token));
}

#[test]
fn what_cannot_be_checked_for_credentials_is_not_shown() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(
        parse(&record(&format!(r#","responseElements":{deep}"#))),
        Err(UnreadableRecord::Unmaskable)
    );
    // Parameters are only looked through for targets.
    assert!(parse(&record(&format!(r#","requestParameters":{deep}"#))).is_ok());
}

#[test]
fn a_rebuilt_record_says_what_its_table_cannot_show() {
    let mut from = read_from(true);
    from.origin = TextOrigin::Rebuilt {
        unseen_fields: ["managementEvent".to_owned()].into(),
    };
    let event = parse_record(&record(""), &from).unwrap();
    assert_eq!(
        event.record.unwrap().origin,
        RecordOrigin::Rebuilt {
            unseen_fields: vec!["managementEvent".to_owned()]
        }
    );
}

/// A table's column may hold text that was cut off: no JSON, and a credential in it all the same.
#[test]
fn response_elements_that_are_no_json_show_no_credential() {
    let json = record(
        r#" , "eventID":"e", "responseElements":"{\"credentials\":{\"sessionToken\":\"IQoJb3JpZ2luX2VjEKn""#,
    );
    let event = parse(&json).unwrap();
    assert!(event.credentials_masked);
    assert!(!event.record.unwrap().json.contains("IQoJb3JpZ2luX2VjEKn"));
    assert!(
        !event
            .response_elements_json
            .unwrap()
            .contains("IQoJb3JpZ2luX2VjEKn")
    );
}

/// A resume token holds the id of an event: it has to be one that the service takes back.
#[test]
fn an_id_that_is_too_long_to_be_cloudtrails_is_made_from_the_content() {
    let with = |id: &str| parse(&record(&format!(r#","eventID":"{id}""#))).unwrap();
    let long = "x".repeat(128);
    assert_eq!(with(&long).key.id, EventId::Recorded(long.as_str().into()));
    let event = with(&format!("{long}x"));
    assert!(matches!(event.key.id, EventId::Made { ordinal: 0, .. }));
    assert!(event.record.unwrap().json.contains(&long));
}
