//! The sandbox's Organizations and Account APIs, called with the real SDK.

use std::collections::BTreeSet;

use aws_sdk_organizations::Client;
use aws_sdk_organizations::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_organizations::types::{AccountState, AccountStatus};
use identity_trail::sandbox::{Account, Data, Denial, OrganizationSpec, Sandbox, SandboxConfig};

use crate::sandbox::{HUB, OTHER, REGION, config, hub, sdk, session};

/// The demo's organization with hardly any events.
pub fn organization() -> SandboxConfig {
    let now = "2026-11-01T12:00:00Z".parse().unwrap();
    let mut config = SandboxConfig::new(Data::Organization(OrganizationSpec {
        days: 2,
        events_per_day: 20,
        ..OrganizationSpec::new(now)
    }));
    config.lookup_rate = None;
    config
}

/// So many accounts without events; the first is the hub.
pub fn flat(accounts: usize) -> SandboxConfig {
    let account = |number: usize| Account {
        id: format!("{:012}", 100_000_000_001 + number),
        name: format!("account-{number}"),
    };
    let mut config = SandboxConfig::new(Data::Files {
        accounts: (0..accounts).map(account).collect(),
        files: Vec::new(),
    });
    config.now = Some("2026-11-01T00:00:00Z".parse().unwrap());
    config.lookup_rate = None;
    config
}

fn client(sandbox: &Sandbox) -> Client {
    Client::new(&sdk(sandbox, hub(sandbox), REGION))
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    let error = error.as_service_error();
    error.and_then(ProvideErrorMetadata::code)
}

#[tokio::test]
async fn accounts_come_in_pages_of_twenty_with_empty_ones_between() {
    let sandbox = Sandbox::start(flat(45)).await.unwrap();
    let client = client(&sandbox);
    let (mut token, mut sizes, mut ids) = (None, Vec::new(), BTreeSet::new());
    loop {
        let page = client.list_accounts().set_next_token(token);
        let page = page.send().await.unwrap();
        sizes.push(page.accounts().len());
        ids.extend(
            page.accounts()
                .iter()
                .map(|account| account.id().unwrap().to_owned()),
        );
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [20, 0, 20, 0, 5]);
    assert_eq!(ids.len(), 45);
    let first = client.list_accounts().max_results(20).send().await.unwrap();
    let foreign = client.list_roots().set_next_token(first.next_token);
    for refused in [
        client
            .list_accounts()
            .max_results(21)
            .send()
            .await
            .err()
            .as_ref()
            .and_then(code),
        client
            .list_accounts()
            .next_token("made up")
            .send()
            .await
            .err()
            .as_ref()
            .and_then(code),
        foreign.send().await.err().as_ref().and_then(code),
    ] {
        assert_eq!(refused, Some("InvalidInputException"));
    }
}

#[tokio::test]
async fn the_generated_organization_has_units_tags_and_a_closed_account() {
    let sandbox = Sandbox::start(organization()).await.unwrap();
    let client = client(&sandbox);
    let described = client.describe_organization().send().await.unwrap();
    let described = described.organization.unwrap();
    assert!(described.id().unwrap().starts_with("o-"));
    assert_eq!(
        described.master_account_id(),
        Some(sandbox.hub_account_id())
    );

    let listed = client
        .list_accounts()
        .send()
        .await
        .unwrap()
        .accounts
        .unwrap();
    assert_eq!(listed.len(), sandbox.accounts().len() + 1);
    let closed: Vec<_> = (listed.iter())
        .filter(|account| account.state() != Some(&AccountState::Active))
        .collect();
    let [closed] = &closed[..] else {
        panic!("{closed:?}");
    };
    assert_eq!(closed.state(), Some(&AccountState::Suspended));
    assert_eq!(closed.status(), Some(&AccountStatus::Suspended));

    let roots = client.list_roots().send().await.unwrap().roots.unwrap();
    let root = roots[0].id().unwrap();
    let below = |parent: &str| {
        let call = client.list_organizational_units_for_parent();
        call.parent_id(parent).send()
    };
    let units = below(root).await.unwrap().organizational_units.unwrap();
    let names: BTreeSet<_> = units.iter().map(|unit| unit.name().unwrap()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["Infrastructure", "Sandbox", "Security", "Workloads"])
    );
    let workloads = units
        .iter()
        .find(|unit| unit.name() == Some("Workloads"))
        .unwrap();
    let inner = below(workloads.id().unwrap())
        .await
        .unwrap()
        .organizational_units
        .unwrap();
    let prod = inner
        .iter()
        .find(|unit| unit.name() == Some("Prod"))
        .unwrap();
    let accounts = client
        .list_accounts_for_parent()
        .parent_id(prod.id().unwrap());
    let accounts = accounts.send().await.unwrap().accounts.unwrap();
    let names: BTreeSet<_> = accounts
        .iter()
        .map(|account| account.name().unwrap())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from(["prod-data", "prod-payments", "prod-web"])
    );

    let tags = client
        .list_tags_for_resource()
        .resource_id(accounts[0].id().unwrap());
    let tags = tags.send().await.unwrap().tags.unwrap();
    assert!(
        tags.iter()
            .any(|tag| tag.key() == "environment" && tag.value() == "prod")
    );
    let nowhere = below("ou-none-11111111").await.unwrap_err();
    assert_eq!(code(&nowhere), Some("ParentNotFoundException"));
    let nobody = client.list_tags_for_resource().resource_id("000000000009");
    assert_eq!(
        code(&nobody.send().await.unwrap_err()),
        Some("TargetNotFoundException")
    );
}

#[tokio::test]
async fn only_the_management_account_and_delegates_may_list() {
    let sandbox = Sandbox::start(config(&[], "2026-11-01T00:00:00Z"))
        .await
        .unwrap();
    let member = Client::new(&sdk(&sandbox, session(&sandbox, OTHER).await, REGION));
    let refused = member.list_accounts().send().await.unwrap_err();
    assert_eq!(code(&refused), Some("AccessDeniedException"));
    // Any member may ask what it belongs to.
    let described = member.describe_organization().send().await.unwrap();
    assert_eq!(
        described.organization.unwrap().master_account_id(),
        Some(HUB)
    );
    sandbox.organizations().change(|directory| {
        directory.delegated_administrators.insert(OTHER.into());
    });
    let listed = member.list_accounts().send().await.unwrap();
    assert_eq!(listed.accounts().len(), 2);
}

#[tokio::test]
async fn an_account_tells_its_enabled_regions() {
    let sandbox = Sandbox::start(config(&[], "2026-11-01T00:00:00Z"))
        .await
        .unwrap();
    let disabled = "eu-west-3".to_owned();
    sandbox.faults().change(|faults| {
        faults.disabled_regions.insert(disabled);
    });
    let client =
        aws_sdk_account::Client::new(&sdk(&sandbox, session(&sandbox, OTHER).await, REGION));
    let (mut token, mut names) = (None, Vec::new());
    loop {
        let page = client
            .list_regions()
            .region_opt_status_contains("ENABLED_BY_DEFAULT".into())
            .region_opt_status_contains("ENABLED".into())
            .max_results(7)
            .set_next_token(token);
        let page = page.send().await.unwrap();
        names.extend(
            page.regions()
                .iter()
                .map(|region| region.region_name().unwrap().to_owned()),
        );
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 16, "{names:?}");
    assert!(names.contains(&"us-east-1".to_owned()) && !names.contains(&"eu-west-3".to_owned()));
    let all = client.list_regions().send().await.unwrap();
    assert!(all.regions().len() > 17);

    let other = client
        .list_regions()
        .account_id(HUB)
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&other), Some("AccessDeniedException"));
    sandbox.faults().change(|faults| {
        faults
            .denied_actions
            .insert("account:ListRegions".into(), Denial::NotAllowed);
    });
    let denied = client.list_regions().send().await.unwrap_err();
    assert_eq!(code(&denied), Some("AccessDeniedException"));
}
