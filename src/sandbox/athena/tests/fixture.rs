//! A few files with all that the tables must cope with.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::sandbox::athena::TableFiles;
use crate::sandbox::log_file::{LogFile, LogRecord};

pub const ALICE: &str = "111111111111";
pub const BOB: &str = "222222222222";

/// A record with every documented column filled.
pub fn rich() -> Value {
    json!({
        "eventVersion": "1.09",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:some_name",
            "arn": "arn:aws:sts::111111111111:assumed-role/Reader/some_name",
            "accountId": ALICE,
            "accessKeyId": "ASIAEXAMPLE",
            "userName": "never-there",
            "invokedBy": "ec2.amazonaws.com",
            "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::1"},
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": "AROAEXAMPLE",
                    "arn": "arn:aws:iam::111111111111:role/path/Reader",
                    "accountId": ALICE,
                    "userName": "Reader",
                },
                "webIdFederationData": {
                    "federatedProvider": "arn:aws:iam::1:oidc",
                    "attributes": {"B:Sub": "repo", "a:aud": "sts"},
                },
                "attributes": {"creationDate": "2026-09-03T10:00:00Z", "mfaAuthenticated": "false"},
                "ec2RoleDelivery": "2.0",
            },
        },
        "eventTime": "2026-09-03T10:00:01Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "PutObject",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "it's \"quoted\" \\ and ünicode",
        "errorCode": "AccessDenied",
        "errorMessage": "no",
        "requestParameters": {"bucketName": "B", "Nested": {"Key": [1, true, null]}},
        "responseElements": null,
        "additionalEventData": {"bytesTransferredIn": 12.5},
        "requestID": "r-1",
        "eventID": "rich",
        "readOnly": false,
        "resources": [
            {"ARN": "arn:aws:s3:::b", "accountId": ALICE, "type": "AWS::S3::Bucket"},
            {"ARN": "arn:aws:s3:::b/k", "type": "AWS::S3::Object"},
        ],
        "eventType": "AwsApiCall",
        "apiVersion": 2006,
        "recipientAccountId": ALICE,
        "serviceEventDetails": {"snapshotId": "x"},
        "sharedEventID": "s-1",
        "vpcEndpointId": "vpce-1",
        "vpcEndpointAccountId": BOB,
        "eventCategory": "Data",
        "addendum": {
            "reason": "UPDATED_DATA",
            "updatedFields": "responseElements",
            "originalRequestID": "r-0",
            "originalEventID": "e-0",
        },
        "sessionCredentialFromConsole": "true",
        "edgeDeviceDetails": {"type": "snowball"},
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": "b.s3.amazonaws.com",
        },
        "managementEvent": false,
    })
}

fn user(id: &str, name: &str, time: &str) -> Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "principalId": format!("AIDA:{name}"), "userName": name},
        "eventTime": time,
        "eventID": id,
        "awsRegion": "us-east-1",
        "readOnly": true,
    })
}

fn file(account: &str, region: &str, delivered: &str, records: &[Value]) -> LogFile {
    let delivered_at: Timestamp = delivered.parse().unwrap();
    let folders = delivered[..10].replace('-', "/");
    let stamp = delivered[..16].replace(['-', ':'], "");
    LogFile {
        key: format!(
            "AWSLogs/{account}/CloudTrail/{region}/{folders}/{account}_CloudTrail_{region}_{stamp}Z_x.json.gz"
        ),
        account_id: account.to_owned(),
        region: region.to_owned(),
        delivered_at,
        records: records
            .iter()
            .map(|record| Arc::new(LogRecord::from_value(record)))
            .collect(),
    }
}

/// Five files on four days, one of them not yet delivered.
pub fn log_files() -> Arc<[LogFile]> {
    let bare =
        json!({"eventTime": "2026-09-05T00:00:00Z", "eventID": "bare", "userIdentity": null});
    [
        file(ALICE, "eu-west-1", "2026-09-03T10:05:00Z", &[rich()]),
        file(
            ALICE,
            "us-east-1",
            "2026-09-04T00:05:00Z",
            &[
                user("u1", "some_name", "2026-09-03T23:59:59Z"),
                user("u2", "someXname", "2026-09-03T23:59:59Z"),
                user("u3", "back\\slash", "2026-09-04T00:00:00Z"),
            ],
        ),
        file(
            BOB,
            "us-east-1",
            "2026-09-04T07:00:00Z",
            &[user("u4", "per%cent", "2026-09-04T06:55:00Z")],
        ),
        file(BOB, "us-east-1", "2026-09-05T00:05:00Z", &[bare]),
        file(
            BOB,
            "us-east-1",
            "2026-10-02T00:00:00Z",
            &[user("late", "late", "2026-10-01T23:59:00Z")],
        ),
    ]
    .into()
}

pub fn files() -> Arc<TableFiles> {
    let now = "2026-10-01T00:00:00Z".parse().unwrap();
    Arc::new(TableFiles::new(log_files(), Clock::starting_at(now)))
}

/// The bytes of these records.
pub fn bytes(ids: &[&str]) -> u64 {
    let files = log_files();
    let records = files.iter().flat_map(|file| &file.records);
    let records =
        records.filter(|record| ids.contains(&record.value()["eventID"].as_str().unwrap()));
    records.map(|record| record.json().len() as u64).sum()
}
