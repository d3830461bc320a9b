//! `identity-trail search` as a program: what it prints, saves and ends with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use identity_trail::sandbox::{Data, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::grpc_service::Service;
use crate::sandbox::{OTHER, REGION, record};

/// Runs `search` for alice's events, all but the service's clock default.
async fn search(service: &Service, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_identity-trail"));
    command.args(["search", "--user", "alice", "--endpoint"]);
    command.arg(service.endpoint()).args(arguments);
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    ended.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Three of alice's events, one of which issues a credential, and one of bob's.
fn records() -> Vec<Value> {
    let mut issues = record(3, "2026-10-31T12:00:00Z", "alice");
    issues["eventName"] = json!("GetSessionToken");
    issues["responseElements"] = json!({"credentials": {
        "accessKeyId": "ASIAEXAMPLEEXAMPLE12",
        "sessionToken": "a-secret",
    }});
    vec![
        record(1, "2026-10-31T10:00:00Z", "alice"),
        record(2, "2026-10-31T11:00:00Z", "alice"),
        issues,
        record(4, "2026-10-31T13:00:00Z", "bob"),
    ]
}

/// What `sha256sum -c` does.
fn assert_sums(dir: &Path) {
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let mut names = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let bytes = fs::read(dir.join(name)).unwrap();
        assert_eq!(hex::encode(Sha256::digest(bytes)), sum, "{name}");
        names.push(name);
    }
    assert_eq!(names, ["events.jsonl", "coverage.json", "plan.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_saved_with_what_proves_it() {
    let service = Service::start(&records()).await;
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("case-7");
    let dir_text = dir.to_str().unwrap();
    let done = search(&service, &["--save", dir_text]).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_sums(&dir);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let events: Vec<Value> = (read("events.jsonl").lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 3);
    // The digests are of the records as AWS has them, before a credential was masked.
    let mut kept: Vec<String> = (service.sandbox.files().iter())
        .flat_map(|file| &file.records)
        .map(|record| hex::encode(Sha256::digest(record.json())))
        .collect();
    kept.pop();
    kept.reverse();
    let told: Vec<&str> = (events.iter())
        .map(|event| event["recordSha256"].as_str().unwrap())
        .collect();
    assert_eq!(told, kept);
    assert!(!read("events.jsonl").contains("a-secret"));
    let plan: Value = serde_json::from_str(&read("plan.json")).unwrap();
    let lookup = &plan["pages"][0]["scans"][0]["lookups"][0];
    assert_eq!(lookup["attributeValue"], "alice", "{plan}");
    assert_eq!(plan["searchPlan"]["endTime"], plan["pages"][0]["endTime"]);
    let coverage: Value = serde_json::from_str(&read("coverage.json")).unwrap();
    let completeness = &coverage["coverage"]["completeness"];
    assert_eq!(completeness, "COMPLETENESS_COMPLETE");

    let again = search(&service, &["--save", dir_text]).await;
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("not empty"));
    assert_sums(&dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_printed_as_a_log_file_that_can_be_loaded() {
    let service = Service::start(&records()).await;
    let done = search(&service, &["--output", "cloudtrail"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("in 1 of 3 records a credential is masked"));
    let printed: Value = serde_json::from_slice(&done.stdout).unwrap();
    let printed = printed["Records"].as_array().unwrap();
    let mut kept = records();
    kept.pop();
    kept.reverse();
    assert_eq!(printed[1..], kept[1..]);
    let secret = "/responseElements/credentials/sessionToken";
    assert_ne!(printed[0].pointer(secret), kept[0].pointer(secret));

    // As another program would read it.
    let place = tempfile::tempdir().unwrap();
    let day = format!("AWSLogs/{OTHER}/CloudTrail/{REGION}/2026/10/31");
    let day = place.path().join(day);
    fs::create_dir_all(&day).unwrap();
    let name = format!("{OTHER}_CloudTrail_{REGION}_20261031T1205Z_abc.json");
    fs::write(day.join(name), &done.stdout).unwrap();
    let data = Data::Logs(vec![place.path().to_owned()]);
    let loaded = Sandbox::start(SandboxConfig::new(data)).await.unwrap();
    assert!(loaded.load_problems().is_empty());
    let loaded = loaded.files().iter().flat_map(|file| &file.records);
    assert_eq!(loaded.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_explained_and_not_run() {
    let service = Service::start(&records()).await;
    let table = [
        "--explain",
        "--output",
        "table",
        "--event-name",
        "RunInstances",
    ];
    let done = search(&service, &table).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let told = text(&done.stdout);
    for words in [
        "event_history 111111111111, 222222222222 in eu-west-1",
        "by Username=alice",
        "checked only afterwards: filter.event_names",
        "in all: at least 2 requests",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(service.sandbox.stats().of("LookupEvents").received, 0);
    let done = search(&service, &["--explain", "--probe"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let page: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(page["estimate"]["requestsAbout"], "3", "{page}");
    assert_eq!(service.sandbox.stats().of("LookupEvents").received, 2);
    let role = [
        "--explain",
        "--output",
        "table",
        "--role",
        "deploy",
        "--oldest-first",
    ];
    let done = search(&service, &role).await;
    let told = text(&done.stdout);
    for words in [
        "by the sessions of role deploy, found by \
         ResourceName=arn:aws:iam::222222222222:role/deploy in eu-west-1 from ",
        "or everything is read, where that turns out to take fewer requests",
        "in all: at least 6 requests (oldest first, in at least 6 windows)",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let wrong = search(&service, &["--explain", "--output", "csv"]).await;
    assert_eq!(wrong.status.code(), Some(2));
}
