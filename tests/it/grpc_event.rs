//! A rich event as a client sees it: as the protocol's own JSON, by the served descriptors.

use std::collections::BTreeMap;

use identity_trail::grpc::convert::event::to_wire;
use identity_trail::grpc::pb;
use identity_trail::query::event::{
    Addendum, Event, IssuedSession, Record, RecordOrigin, Resource, Target, TlsDetails,
};
use identity_trail::query::user_identity::{
    InScopeOf, OnBehalfOf, SessionContext, SessionIssuer, UserIdentity, WebIdFederationData,
};
use identity_trail::query::{
    BackendKind, EventCategory, EventId, EventKey, EventTime, Identity, Provenance,
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage};

#[allow(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn who() -> UserIdentity {
    UserIdentity {
        kind: some("AssumedRole"),
        user_name: some(""),
        principal_id: some("AROAEXAMPLE:alice"),
        arn: some("arn:aws:sts::111122223333:assumed-role/Admin/alice"),
        account_id: some("111122223333"),
        access_key_id: some("ASIAIOSFODNN7EXAMPLE"),
        invoked_by: some("cloudformation.amazonaws.com"),
        invoked_by_delegate_account_id: some("444455556666"),
        credential_id: some("credential"),
        identity_provider: some("arn:aws:iam::111122223333:saml-provider/idp"),
        on_behalf_of: Some(OnBehalfOf {
            user_id: some("user"),
            identity_store_arn: some("arn:aws:identitystore::111122223333:identitystore/d-1"),
        }),
        in_scope_of: Some(InScopeOf {
            source_arn: some("arn:aws:lambda:eu-west-1:111122223333:function:f"),
            source_account: some("111122223333"),
            issuer_type: some("AWS::Lambda::Function"),
            credentials_issued_to: some("arn:aws:lambda:eu-west-1:111122223333:function:f"),
        }),
        session_context: Some(SessionContext {
            session_issuer: Some(SessionIssuer {
                kind: some("Role"),
                user_name: some("Admin"),
                principal_id: some("AROAEXAMPLE"),
                arn: some("arn:aws:iam::111122223333:role/team/Admin"),
                account_id: some("111122223333"),
            }),
            web_id_federation_data: Some(WebIdFederationData {
                federated_provider: some("accounts.example.com"),
                attributes: BTreeMap::from([("aud".into(), "trail".into())]),
            }),
            creation_date: some("2026-10-31T09:00:00Z"),
            mfa_authenticated: Some(false),
            source_identity: some("alice@example.com"),
            ec2_role_delivery: some("2.0"),
            assumed_root: Some(false),
            sign_in_session_arn: some("arn:aws:signin:us-east-1:111122223333:session/s"),
        }),
    }
}

/// An event with every field set.
fn rich() -> Event {
    let account = "111122223333".parse().unwrap();
    Event {
        key: EventKey {
            time: EventTime::from_second(1_793_440_800).unwrap(),
            account,
            id: EventId::Recorded("00000000-0000-4000-8000-000000000001".into()),
        },
        event_version: some("1.11"),
        event_source: "sts.amazonaws.com".into(),
        event_name: "AssumeRole".into(),
        event_type: some("AwsApiCall"),
        category: Some(EventCategory::Management),
        aws_region: some("eu-west-1"),
        recipient_account_id: Some(account),
        source_ip_address: some("192.0.2.1"),
        user_agent: some("aws-cli/2"),
        error_code: some("AccessDenied"),
        error_message: some("no"),
        request_id: some("request"),
        api_version: some("2011-06-15"),
        read_only: Some(false),
        management_event: Some(true),
        shared_event_id: some("shared"),
        vpc_endpoint_id: some("vpce-1"),
        vpc_endpoint_account_id: some("444455556666"),
        session_credential_from_console: Some(true),
        tls_details: Some(TlsDetails {
            tls_version: some("TLSv1.3"),
            cipher_suite: some("TLS_AES_128_GCM_SHA256"),
            client_provided_host_header: some("sts.eu-west-1.amazonaws.com"),
            key_exchange: some("x25519"),
        }),
        addendum: Some(Addendum {
            reason: some("UPDATED_DATA"),
            updated_fields: some("responseElements"),
            original_request_id: some("original-request"),
            original_event_id: some("original-event"),
        }),
        user_identity: Some(who()),
        request_parameters_json: some(r#"{"roleSessionName":"bob"}"#),
        response_elements_json: some(r#"{"credentials":{"sessionToken":"***"}}"#),
        additional_event_data_json: some("{}"),
        service_event_details_json: some("{}"),
        edge_device_details_json: some("{}"),
        event_context_json: some("{}"),
        resources: vec![Resource {
            arn: some("arn:aws:iam::444455556666:role/Deploy"),
            account_id: some("444455556666"),
            resource_type: some("AWS::IAM::Role"),
        }],
        targets: vec![Target {
            origin: "resources".into(),
            value: "arn:aws:iam::444455556666:role/Deploy".into(),
        }],
        targets_omitted: 3,
        issued_session: Some(IssuedSession {
            access_key_id: some("ASIAIOSFODNN7ISSUED1"),
            principal_id: some("AROADEPLOY:bob"),
            role_arn: some("arn:aws:iam::444455556666:role/Deploy"),
            session_name: some("bob"),
            expire_time: Some("2026-10-31T11:00:00.5Z".parse().unwrap()),
        }),
        credentials_masked: true,
        matched_identities: vec![Identity::SessionName("alice".parse().unwrap())],
        provenance: Provenance {
            backend: BackendKind::Athena,
            account_id: account,
            account_name: Some("production".into()),
            region: Some("eu-west-1".parse().unwrap()),
            archive: Some("organization-trail".into()),
            log_group: None,
            aws_request_id: Some("execution".into()),
            log_file: some("s3://bucket/AWSLogs/1.json.gz"),
        },
        record: Some(Record {
            json: "{}".into(),
            origin: RecordOrigin::Delivered {
                sha256: "ab".repeat(32),
            },
        }),
        late: true,
    }
}

/// The message as a client without our types reads it: by the descriptors that reflection serves.
fn dynamic(event: &pb::Event) -> DynamicMessage {
    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
    let descriptor = pool.get_message_by_name("identitytrail.v1.Event").unwrap();
    DynamicMessage::decode(descriptor, &event.encode_to_vec()[..]).unwrap()
}

#[test]
fn a_rich_event_in_json() {
    let message = dynamic(&to_wire(rich(), "token"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&message).unwrap());
}

#[test]
fn every_field_of_an_event_has_something_to_fill_it() {
    let delivered = dynamic(&to_wire(rich(), "token"));
    let mut rebuilt = rich();
    rebuilt.record.as_mut().unwrap().origin = RecordOrigin::Rebuilt {
        unseen_fields: vec!["userIdentity.inScopeOf".into()],
    };
    let rebuilt = dynamic(&to_wire(rebuilt, "token"));
    let descriptor = delivered.descriptor();
    let empty: Vec<_> = descriptor
        .fields()
        .filter(|field| !delivered.has_field(field) && !rebuilt.has_field(field))
        .collect();
    assert!(empty.is_empty(), "{empty:?}");
    assert_eq!(delivered.unknown_fields().count(), 0);
}

#[test]
fn an_event_without_an_id_has_one_that_says_so() {
    let mut event = rich();
    event.key.id = EventId::Made {
        digest: "0123456789abcdef0123456789abcdef".into(),
        ordinal: 2,
    };
    assert_eq!(
        to_wire(event, "token").event_id,
        "sha256:0123456789abcdef0123456789abcdef-2"
    );
}
