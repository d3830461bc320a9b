//! `identity-trail search --org` as a process: an organization read without any configuration.

use std::process::{Command, Output, Stdio};

use identity_trail::sandbox::{Account, Data, Denial, Sandbox, SandboxConfig};
use serde_json::Value;

use crate::sandbox::{HUB, OTHER, files, record};

/// Two accounts, and an event of alice ten minutes ago in one of them.
async fn sandbox() -> Sandbox {
    let ten_minutes_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(10);
    let alice = record(1, &format!("{ten_minutes_ago:.0}"), "alice");
    let account = |id: &str, name: &str| Account {
        id: id.to_owned(),
        name: name.to_owned(),
    };
    let mut config = SandboxConfig::new(Data::Files {
        accounts: vec![account(HUB, "management"), account(OTHER, "prod-web")],
        files: files(&[alice]),
    });
    config.lookup_rate = None;
    config.external_id = Some("agreed-upon".to_owned());
    let sandbox = Sandbox::start(config).await.unwrap();
    sandbox.organizations().change(|directory| {
        let unit = directory.unit("Workloads/Prod");
        directory.accounts[1].parent_id = unit;
    });
    sandbox
}

async fn search(sandbox: &Sandbox, flags: &[&str]) -> Output {
    let hub = sandbox.hub_credentials();
    let mut command = Command::new(env!("CARGO_BIN_EXE_identity-trail"));
    command
        .args([
            "search", "--user", "alice", "--since", "1h", "--output", "jsonl",
        ])
        .args(flags)
        .env("AWS_ENDPOINT_URL", sandbox.endpoint())
        .env("AWS_ACCESS_KEY_ID", &hub.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &hub.secret_access_key)
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_REGION")
        .stdin(Stdio::null());
    // The sandbox answers meanwhile.
    let ended = tokio::task::spawn_blocking(move || command.output());
    ended.await.unwrap().unwrap()
}

const ORG: [&str; 5] = [
    "--org",
    "--assume-role",
    "identity-trail-reader",
    "--external-id",
    "agreed-upon",
];

fn lines(output: &Output) -> Vec<Value> {
    let lines = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_role_name_is_all_that_it_takes_to_search_an_organization() {
    let sandbox = sandbox().await;
    let output = search(&sandbox, &ORG).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let messages = lines(&output);
    let events: Vec<_> = messages
        .iter()
        .filter_map(|message| message.get("event"))
        .collect();
    assert_eq!(events.len(), 1, "{messages:?}");
    assert_eq!(events[0]["provenance"]["accountName"], "prod-web");
    // Every enabled Region of both accounts was looked at, and the one with something read.
    assert_eq!(sandbox.stats().of("LookupEvents").succeeded, 35);
}

#[tokio::test]
async fn accounts_are_picked_by_unit_and_what_picks_nothing_is_bad_usage() {
    let sandbox = sandbox().await;
    let picked = |more: &[&'static str]| [&ORG[..], &["--region", "eu-west-1"], more].concat();
    let output = search(&sandbox, &picked(&["--ou", "Workloads"])).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(lines(&output)[0]["plan"]["accountsTotal"], "1");
    // A Region was named, so that none had to be asked for.
    assert_eq!(sandbox.stats().of("ListRegions").received, 0);

    let output = search(&sandbox, &picked(&["--account-name", "prd-*"])).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("account_selector.names[0]") && told.contains("prd-*"),
        "{told}"
    );
}

#[tokio::test]
async fn an_organization_that_cannot_be_listed_is_said() {
    let sandbox = sandbox().await;
    sandbox.faults().change(|faults| {
        faults
            .denied_actions
            .insert("organizations:ListAccounts".into(), Denial::NotAllowed);
    });
    let output = search(&sandbox, &ORG).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("organizations:ListAccounts"), "{told}");
    assert!(output.stdout.is_empty());
    // Without a role there is no way into any account.
    let roleless = search(&sandbox, &["--org"]).await;
    assert_eq!(roleless.status.code(), Some(2), "{roleless:?}");
}
