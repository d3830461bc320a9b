//! Records of every kind of identity, spread over accounts, Regions and the end of a month.

use std::sync::Arc;

use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use serde_json::{Value, json};

/// The sandbox's present.
pub const NOW: &str = "2026-11-01T00:00:00Z";
/// The accounts that are asked about.
pub const ACCOUNTS: [&str; 2] = ["000011112222", "333344445555"];
/// An account in the same archive that nobody asks about.
pub const OUTSIDER: &str = "999988887777";

const REGIONS: [&str; 3] = ["eu-central-1", "eu-west-1", "us-east-1"];

/// Calls: name, service, category, whether `managementEvent` says false.
const CALLS: [(&str, &str, Option<&str>); 5] = [
    ("CreateUser", "iam.amazonaws.com", Some("Management")),
    ("GetObject", "s3.amazonaws.com", Some("Data")),
    ("RunInstances", "ec2.amazonaws.com", None),
    ("AssumeRole", "sts.amazonaws.com", Some("Management")),
    ("DescribeInstances", "ec2.amazonaws.com", Some("Management")),
];

/// The log files: each record delivered minutes after it, sometimes on the next day; events of
/// us-east-1 into another Region's file now and then, as global services' are.
pub fn files() -> Vec<LogFile> {
    let start = 1_788_220_000_i64; // 2026-08-31T22:26:40Z
    let accounts = [ACCOUNTS[0], ACCOUNTS[1], OUTSIDER];
    (0..identities("0").len() * 12)
        .map(|number| {
            let identities = identities(accounts[number % 3]);
            let account = accounts[number % 3];
            let region = REGIONS[number / 3 % 3];
            let (event_name, event_source, category) = CALLS[number % CALLS.len()];
            let seconds = start + i64::try_from(number / 2).unwrap() * 97;
            let mut record = json!({
                "eventVersion": "1.08",
                "userIdentity": identities[number % identities.len()],
                "eventTime": at(seconds),
                "eventSource": event_source,
                "eventName": event_name,
                "awsRegion": region,
                "sourceIPAddress": "192.0.2.7",
                "userAgent": "say \"hi\", 'you' \\ %_",
                "requestParameters": {"n": 1.5, "nested": {"list": [1, "two", null]}, "userName": "x"},
                "responseElements": null,
                "requestID": format!("request-{number}"),
                "eventID": format!("00000000-0000-4000-8000-{number:012}"),
                "readOnly": number % 2 == 0,
                "resources": [{"ARN": "arn:aws:s3:::b", "accountId": account, "type": "AWS::S3::Bucket"}],
                "eventType": "AwsApiCall",
                "recipientAccountId": account,
                "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
                               "clientProvidedHostHeader": "s3.amazonaws.com"},
            });
            if let Some(category) = category {
                record["eventCategory"] = json!(category);
                record["managementEvent"] = json!(category == "Management");
            }
            if number % 11 == 0 {
                record["errorCode"] = json!("AccessDenied");
                record["errorMessage"] = json!("no; it's forbidden\nreally");
            }
            if number % 13 == 0 && let Some(members) = record.as_object_mut() {
                members.remove("recipientAccountId");
            }
            let folder = if region == "us-east-1" && number % 2 == 0 {
                REGIONS[0]
            } else {
                region
            };
            // Some are delivered on the next day, and some records share a file.
            file(account, folder, number, seconds + 900, &record)
        })
        .collect()
}

/// So many events of one user, three in each second.
pub fn many(count: usize) -> Vec<LogFile> {
    let account = ACCOUNTS[0];
    let start = 1_788_220_000_i64;
    (0..count)
        .map(|number| {
            let seconds = start + i64::try_from(number / 3).unwrap();
            let record = json!({
                "eventVersion": "1.08",
                "userIdentity": {"type": "IAMUser", "userName": "alice"},
                "eventTime": at(seconds),
                "eventSource": "ec2.amazonaws.com",
                "eventName": "DescribeInstances",
                "awsRegion": REGIONS[0],
                "eventID": format!("00000000-0000-4000-8000-{number:012}"),
                "eventCategory": "Management",
                "recipientAccountId": account,
            });
            file(account, REGIONS[0], number, seconds + 300, &record)
        })
        .collect()
}

fn at(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

fn file(account: &str, region: &str, number: usize, delivered: i64, record: &Value) -> LogFile {
    let delivered_at = jiff::Timestamp::from_second(delivered).unwrap();
    let day = delivered_at.strftime("%Y/%m/%d");
    LogFile {
        key: format!("AWSLogs/{account}/CloudTrail/{region}/{day}/{number}.json.gz"),
        account_id: account.to_owned(),
        region: region.to_owned(),
        delivered_at,
        records: vec![Arc::new(LogRecord::from_value(record))],
    }
}

/// One `userIdentity` of each shape that a predicate must tell from the others.
fn identities(account: &str) -> Vec<Value> {
    let user = |name: &str, path: &str| {
        json!({
            "type": "IAMUser", "principalId": format!("AIDA{name}"), "userName": name,
            "arn": format!("arn:aws:iam::{account}:user{path}{name}"), "accountId": account,
            "accessKeyId": format!("AKIA0000000000{}", name.to_uppercase().replace(['_', '.'], "X")),
        })
    };
    let session = |role: &str, name: &str, issuer: Option<Value>| {
        let mut who = json!({
            "type": "AssumedRole", "principalId": format!("AROAEXAMPLE:{name}"),
            "arn": format!("arn:aws:sts::{account}:assumed-role/{role}/{name}"),
            "accountId": account, "accessKeyId": "ASIA000000000SESSION",
        });
        if let Some(issuer) = issuer {
            who["sessionContext"] = json!({
                "sessionIssuer": issuer,
                "attributes": {"creationDate": "2026-08-31T20:00:00Z", "mfaAuthenticated": "false"},
                "sourceIdentity": "somebody",
            });
        }
        who
    };
    let issuer = |role: &str, path: &str| {
        Some(json!({
            "type": "Role", "principalId": "AROAEXAMPLE", "userName": role, "accountId": account,
            "arn": format!("arn:aws:iam::{account}:role{path}{role}"),
        }))
    };
    vec![
        user("alice", "/"),
        user("al_ce", "/team/"),
        user("alXce", "/"),
        session("Admin", "alice", issuer("Admin", "/")),
        session("Admin", "al_ce", issuer("Admin", "/team/")),
        session("Admin", "xal_ce", None),
        session("Adm_n", "bob", issuer("Adm_n", "/")),
        session("Adm_n", "bob", None),
        session("AdmXn", "bob", None),
        // An issuer without members is as good as none.
        session("Admin", "carol", Some(json!({}))),
        json!({"type": "Root", "principalId": account, "accountId": account,
               "arn": format!("arn:aws:iam::{account}:root"), "accessKeyId": ""}),
        json!({"type": "FederatedUser", "principalId": format!("{account}:dave"), "accountId": account,
               "arn": format!("arn:aws:sts::{account}:federated-user/dave"),
               "sessionContext": {"sessionIssuer": {"type": "IAMUser", "userName": "alice",
                   "arn": format!("arn:aws:iam::{account}:user/alice")}}}),
        json!({"type": "WebIdentityUser", "principalId": "p:aud:sub", "userName": "sub",
               "identityProvider": "accounts.google.com",
               "sessionContext": {"webIdFederationData": {"federatedProvider": "accounts.google.com",
                   "attributes": {"aud": "x"}}}}),
        json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}),
        json!({"accountId": account, "invokedBy": "autoscaling.amazonaws.com"}),
        json!({"type": "IdentityCenterUser", "accountId": account,
               "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::1:identitystore/d-1"},
               "credentialId": "c-1"}),
        Value::Null,
    ]
}
