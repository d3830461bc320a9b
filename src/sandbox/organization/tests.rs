use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::*;

/// One organization and its records, for the tests that only look.
static SMALL: LazyLock<(Organization, Vec<Value>)> = LazyLock::new(|| {
    let organization = generate(&small_spec());
    let records = values(&organization);
    (organization, records)
});

/// The demo's organization with fewer ordinary events.
fn small_spec() -> OrganizationSpec {
    OrganizationSpec {
        days: 100,
        events_per_day: 50,
        ..OrganizationSpec::new("2026-11-01T12:00:00Z".parse().unwrap())
    }
}

fn values(organization: &Organization) -> Vec<Value> {
    let records = organization.files.iter().flat_map(|file| &file.records);
    records.map(|record| record.value()).collect()
}

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
}

fn time(record: &Value) -> Timestamp {
    text(record, "/eventTime").parse().unwrap()
}

/// What was done with a key.
fn with_key<'a>(records: &'a [Value], key: &str) -> Vec<&'a Value> {
    let used = |record: &&Value| text(record, "/userIdentity/accessKeyId") == key;
    records.iter().filter(used).collect()
}

#[test]
fn a_seed_is_an_organization() {
    let of = |seed| {
        generate(&OrganizationSpec {
            events_per_day: 5,
            seed,
            ..small_spec()
        })
    };
    let (one, same, other) = (of(1), of(1), of(2));
    assert_eq!(one.story, same.story);
    assert_eq!(values(&one), values(&same));
    let keys = |organization: &Organization| -> Vec<String> {
        let files = organization.files.iter();
        files.map(|file| file.key.clone()).collect()
    };
    assert_eq!(keys(&one), keys(&same));
    assert_ne!(keys(&one), keys(&other));
    assert_ne!(values(&one), values(&other));
}

#[test]
fn there_are_as_many_accounts_and_events_as_asked_for() {
    let organization = generate(&OrganizationSpec {
        accounts: 90,
        events_per_day: 10,
        ..small_spec()
    });
    let ids: HashSet<&str> = organization.accounts.iter().map(|a| &*a.id).collect();
    assert_eq!(ids.len(), 90);
    assert!(
        ids.iter()
            .all(|id| id.len() == 12 && id.parse::<u64>().is_ok())
    );
    let records = values(&organization).len();
    assert!((1_000..1_400).contains(&records), "{records}");

    let least = generate(&OrganizationSpec {
        accounts: 0,
        events_per_day: 0,
        ..small_spec()
    });
    assert_eq!(least.accounts.len(), 5);
    assert_eq!(least.story.account_ids.len(), 4);
}

#[test]
fn every_record_has_the_members_of_its_version() {
    let (organization, records) = &*SMALL;
    let accounts: HashSet<&str> = organization.accounts.iter().map(|a| &*a.id).collect();
    for record in records {
        let seen = text(record, "/eventVersion");
        assert!(["1.08", "1.09", "1.10", "1.11"].contains(&seen), "{record}");
        for member in ["requestParameters", "responseElements", "userIdentity"] {
            assert!(record.get(member).is_some(), "{member} {record}");
        }
        for member in [
            "eventSource",
            "eventName",
            "awsRegion",
            "sourceIPAddress",
            "userAgent",
            "requestID",
            "eventType",
        ] {
            assert_ne!(
                record[member].as_str().unwrap_or(""),
                "",
                "{member} {record}"
            );
        }
        assert!(uuid::Uuid::parse_str(text(record, "/eventID")).is_ok());
        assert!(
            accounts.contains(text(record, "/recipientAccountId")),
            "{record}"
        );
        let management = record["managementEvent"].as_bool().unwrap();
        assert_eq!(
            management,
            record["eventCategory"] == "Management",
            "{record}"
        );
        assert!(record["readOnly"].is_boolean());
        assert!(time(record) < "2026-11-01T12:00:00Z".parse().unwrap());
        if let Some(error) = record.get("errorCode") {
            assert!(error.is_string() && record["errorMessage"].is_string());
            assert!(record["responseElements"].is_null(), "{record}");
        }
    }
}

#[test]
fn an_event_id_comes_again_only_as_a_copy_in_the_account_with_two_trails() {
    let (organization, records) = &*SMALL;
    let mut seen: HashMap<&str, &Value> = HashMap::new();
    let mut copies = 0;
    for record in records {
        if let Some(first) = seen.insert(text(record, "/eventID"), record) {
            assert_eq!(first, record);
            let account = text(record, "/recipientAccountId");
            let account = organization
                .accounts
                .iter()
                .find(|a| a.id == account)
                .unwrap();
            assert_eq!(account.name, "log-archive");
            copies += 1;
        }
    }
    assert!(copies > 0);
}

#[test]
fn files_are_named_and_dated_as_cloudtrail_does() {
    let (organization, _) = &*SMALL;
    let mut elsewhere = 0;
    for file in &organization.files {
        let at = file.delivered_at.to_string();
        let (day, minute) = (at[..10].replace('-', "/"), at[..16].replace(['-', ':'], ""));
        let (account, region) = (&file.account_id, &file.region);
        let id = &organization.id;
        let start = format!(
            "AWSLogs/{id}/{account}/CloudTrail/{region}/{day}/{account}_CloudTrail_{region}_{minute}Z_"
        );
        let random = file
            .key
            .strip_prefix(&start)
            .unwrap_or_else(|| panic!("{}", file.key));
        assert_eq!(random.len(), 16 + ".json.gz".len());
        for record in &file.records {
            let record = record.value();
            let late = file.delivered_at.duration_since(time(&record)).as_secs();
            assert!((60..=900).contains(&late), "{late}");
            assert_eq!(text(&record, "/recipientAccountId"), *account);
            let event_region = text(&record, "/awsRegion");
            if event_region != region {
                assert_eq!(event_region, "us-east-1");
                elsewhere += 1;
            }
        }
    }
    assert!(elsewhere > 0);
}

#[test]
fn ordinary_days_have_something_of_every_sort() {
    let (_, records) = &*SMALL;
    let all =
        |pointer: &str| -> BTreeSet<&str> { records.iter().map(|r| text(r, pointer)).collect() };
    let has = |pointer: &str, wanted: &[&str]| {
        let there = all(pointer);
        for value in wanted {
            assert!(there.contains(value), "{pointer} {value} {there:?}");
        }
    };
    has(
        "/userIdentity/type",
        &[
            "",
            "IAMUser",
            "AssumedRole",
            "AWSService",
            "AWSAccount",
            "Root",
            "SAMLUser",
            "WebIdentityUser",
            "IdentityCenterUser",
            "FederatedUser",
        ],
    );
    has("/eventCategory", &["Management", "Data", "NetworkActivity"]);
    has(
        "/awsRegion",
        &["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"],
    );
    has(
        "/errorCode",
        &[
            "",
            "AccessDenied",
            "Client.UnauthorizedOperation",
            "ThrottlingException",
        ],
    );
    has("/sessionCredentialFromConsole", &["true"]);
    has(
        "/userIdentity/sessionContext/sourceIdentity",
        &["hugo.brandt@example.com"],
    );
    has("/userIdentity/sessionContext/ec2RoleDelivery", &["2.0"]);
    has(
        "/userIdentity/sessionContext/attributes/mfaAuthenticated",
        &["true", "false"],
    );
    assert!(all("/userAgent").iter().any(|agent| agent.starts_with('=')));
    assert!(
        all("/userAgent")
            .iter()
            .any(|agent| agent.contains('\u{1b}'))
    );

    let deploy: BTreeSet<&str> = records
        .iter()
        .filter(|r| text(r, "/userIdentity/principalId").ends_with(":deploy"))
        .map(|r| text(r, "/userIdentity/sessionContext/sessionIssuer/userName"))
        .collect();
    assert!(deploy.len() > 1, "one session name, many roles: {deploy:?}");

    let mut seconds: HashMap<(&str, &str), usize> = HashMap::new();
    for record in records {
        let second = (
            text(record, "/recipientAccountId"),
            text(record, "/eventTime"),
        );
        *seconds.entry(second).or_default() += 1;
    }
    assert!(seconds.values().any(|ties| *ties > 5));
}

#[test]
fn a_role_taken_across_accounts_is_recorded_in_both() {
    let (_, records) = &*SMALL;
    let mut shared: HashMap<&str, Vec<&Value>> = HashMap::new();
    for record in records
        .iter()
        .filter(|r| r["userIdentity"]["type"] != "AWSService")
    {
        if let Some(id) = record["sharedEventID"].as_str() {
            shared.entry(id).or_default().push(record);
        }
    }
    assert!(shared.len() > 20);
    for pair in shared.values() {
        let [one, other] = pair[..] else {
            panic!("{pair:?}")
        };
        assert_eq!(one["requestParameters"], other["requestParameters"]);
        assert_ne!(one["eventID"], other["eventID"]);
        let outside = if one["userIdentity"]["type"] == "AWSAccount" {
            one
        } else {
            other
        };
        let role = text(outside, "/requestParameters/roleArn")
            .split(':')
            .nth(4);
        assert_eq!(role, Some(text(outside, "/recipientAccountId")));
    }
}

#[test]
fn the_leaked_key_is_used_by_the_intruder_on_both_sides_of_the_horizon() {
    let (organization, records) = &*SMALL;
    let story = &organization.story;
    let horizon: Timestamp = "2026-08-03T12:00:00Z".parse().unwrap();
    let uses = with_key(records, &story.leaked_access_key_id);
    let (theirs, rightful): (Vec<&Value>, Vec<&Value>) = uses.into_iter().partition(|record| {
        let ip = text(record, "/sourceIPAddress");
        story.source_ips.iter().any(|known| known == ip)
    });
    let old = theirs
        .iter()
        .filter(|record| time(record) < horizon)
        .count();
    assert!(old > 5 && theirs.len() - old > 5);
    assert!(rightful.len() > 20);
    assert!(
        theirs
            .iter()
            .all(|r| r["userIdentity"]["userName"] == *story.user_name)
    );
    assert_eq!(theirs.iter().map(|r| time(r)).min(), Some(story.first_time));
    assert_eq!(theirs.iter().map(|r| time(r)).max(), Some(story.last_time));
}

#[test]
fn the_chain_can_be_followed_from_the_leaked_key_into_three_more_accounts() {
    let (organization, records) = &*SMALL;
    let story = &organization.story;
    let mut reached = vec![story.account_ids[0].clone()];
    let mut keys = vec![story.leaked_access_key_id.clone()];
    for hop in &story.chain {
        let issued: Vec<&Value> = records
            .iter()
            .filter(|r| text(r, "/responseElements/credentials/accessKeyId") == hop.access_key_id)
            .collect();
        assert_eq!(issued.len(), 2, "in the caller's account and in the role's");
        let call = issued
            .iter()
            .find(|r| r["userIdentity"]["type"] != "AWSAccount")
            .unwrap();
        assert!(
            keys.contains(&text(call, "/userIdentity/accessKeyId").into()),
            "a known key"
        );
        assert_eq!(time(call), hop.time);
        assert_eq!(text(call, "/requestParameters/roleArn"), hop.role_arn);
        assert_eq!(
            text(call, "/requestParameters/roleSessionName"),
            hop.session_name
        );

        let used = with_key(records, &hop.access_key_id);
        assert!(!used.is_empty(), "{hop:?}");
        assert!(used.iter().all(|r| time(r) >= hop.time));
        assert!(
            used.iter()
                .all(|r| text(r, "/userIdentity/sessionContext/sessionIssuer/arn") == hop.role_arn)
        );
        keys.push(hop.access_key_id.clone());
        if !reached.contains(&hop.account_id) {
            reached.push(hop.account_id.clone());
        }
    }
    assert_eq!(reached, story.account_ids);
}

#[test]
fn what_the_intruder_left_behind_is_there() {
    let (organization, records) = &*SMALL;
    let story = &organization.story;
    let one = |name: &str, pointer: &str, value: &str| {
        records
            .iter()
            .find(|r| r["eventName"] == name && text(r, pointer) == value)
            .unwrap_or_else(|| panic!("{name} {value}"))
    };
    let made = one(
        "CreateAccessKey",
        "/responseElements/accessKey/accessKeyId",
        &story.backdoor_access_key_id,
    );
    assert_eq!(text(made, "/recipientAccountId"), story.account_ids[1]);
    one(
        "CreateUser",
        "/requestParameters/userName",
        &story.backdoor_user_name,
    );
    one(
        "ModifyDBSnapshotAttribute",
        "/requestParameters/valuesToAdd/0",
        &story.outside_account_id,
    );
    assert!(
        organization
            .accounts
            .iter()
            .all(|a| a.id != story.outside_account_id)
    );

    let token = one(
        "GetFederationToken",
        "/userIdentity/accessKeyId",
        &story.backdoor_access_key_id,
    );
    let key = text(token, "/responseElements/credentials/accessKeyId");
    assert!(
        with_key(records, key)
            .iter()
            .all(|r| r["userIdentity"]["type"] == "FederatedUser")
    );
    assert!(!with_key(records, key).is_empty());
}

#[test]
fn times_in_responses_are_spelled_as_aws_does() {
    let time: Timestamp = "2023-07-18T16:07:39Z".parse().unwrap();
    assert_eq!(
        trail::spelled_out(time.as_second()),
        "Jul 18, 2023, 4:07:39 PM"
    );
}
