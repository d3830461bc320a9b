//! Accounts discovered from AWS Organizations: what belongs to the federation, how it is kept current,
//! and what a search over it answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use identity_trail::assembly::Assembly;
use identity_trail::caller::Caller;
use identity_trail::config::Config;
use identity_trail::federation::HubCredentials;
use identity_trail::grpc::pb;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::plan::inventory::{AccountState, Known};
use identity_trail::plan::{Inventory, OutcomeState, ReasonCode};
use identity_trail::query::{AccountSelector, Identity};
use identity_trail::sandbox::{Denial, Sandbox, SandboxConfig};
use identity_trail::search::{Refusal, SearchItem};
use tonic_types::StatusExt;

use crate::grpc_service::{connect, request};
use crate::sandbox_organizations::{flat, organization};
use crate::world::{Answer, Setup, World, question, range};

/// A service over an organization, with the accounts' tasks running.
pub struct Discovered {
    pub sandbox: Sandbox,
    pub assembly: Assembly,
}

impl Discovered {
    /// `organization` are keys of `accounts.organization`; `regions` is the section's value.
    pub async fn start(sandbox: SandboxConfig, organization: &str, regions: &str) -> Self {
        let sandbox = Sandbox::start(sandbox).await.unwrap();
        Self::beside(sandbox, organization, regions).await
    }

    pub async fn beside(sandbox: Sandbox, organization: &str, regions: &str) -> Self {
        let yaml = format!(
            "hub: {{region: us-east-1, endpoint_url: '{}'}}
accounts:
  defaults: {{role_name: {}}}
  organization: {{{organization}}}
regions: {regions}
event_history: {{requests_per_second: off}}
",
            sandbox.endpoint(),
            sandbox.role_name(),
        );
        let mut config = Config::parse(&yaml, "test").unwrap_or_else(|error| panic!("{error}"));
        let organization = config.accounts.organization.as_mut().unwrap();
        // Far more often than a configuration may say.
        organization.value.refresh = Duration::from_millis(100);
        let hub = sandbox.hub_credentials();
        let hub = HubCredentials {
            access_key_id: hub.access_key_id.clone(),
            secret_access_key: hub.secret_access_key.clone(),
        };
        let assembly = Assembly::of(&config, Some(hub), sandbox.clock())
            .await
            .unwrap();
        Self { sandbox, assembly }
    }

    pub async fn inventory(&self) -> Arc<Inventory> {
        self.assembly
            .accounts_known()
            .await
            .unwrap_or_else(|reason| panic!("{reason:?}"));
        self.assembly.engine.inventory().unwrap().0
    }

    /// Waits until what is known of the accounts is as wanted.
    async fn wait_for(&self, wanted: impl Fn(&Known) -> bool) -> Known {
        let mut known = self.assembly.federation.known();
        known.wait_for(wanted).await.unwrap().clone()
    }
}

fn names(inventory: &Inventory) -> BTreeSet<&str> {
    let accounts = inventory.accounts.iter();
    accounts
        .map(|account| account.name.as_deref().unwrap())
        .collect()
}

#[tokio::test]
async fn the_organization_is_the_federation_but_for_what_is_closed() {
    let world = Discovered::start(organization(), "", "[us-east-1]").await;
    let inventory = world.inventory().await;
    let expected: BTreeSet<_> = world.sandbox.accounts().iter().map(|a| &*a.name).collect();
    assert_eq!(names(&inventory), expected);
    let [closed] = &inventory.left_out[..] else {
        panic!("{:?}", inventory.left_out);
    };
    assert_eq!(closed.name.as_deref(), Some("retired-playground"));
    assert_eq!(closed.membership.state, AccountState::Suspended);
    let data = inventory
        .accounts
        .iter()
        .find(|a| a.name.as_deref() == Some("prod-data"))
        .unwrap();
    let membership = data.membership().unwrap();
    let path: Vec<&str> = membership
        .organizational_units
        .iter()
        .map(|unit| &*unit.name)
        .collect();
    assert_eq!(path, ["Workloads", "Prod"]);
    assert_eq!(membership.tags["team"], "data".into());
    assert!(inventory.discovered_at.is_some());
}

#[tokio::test]
async fn five_hundred_accounts_come_whole_through_empty_pages() {
    let sandbox = Sandbox::start(flat(500)).await.unwrap();
    sandbox.organizations().change(|directory| {
        let (dev, prod) = (
            directory.unit("Workloads/Dev"),
            directory.unit("Workloads/Prod"),
        );
        for (number, account) in directory.accounts.iter_mut().enumerate() {
            let unit = if number % 2 == 0 { &dev } else { &prod };
            account.parent_id.clone_from(unit);
        }
    });
    let world = Discovered::beside(sandbox, "tags: false", "[us-east-1]").await;
    let inventory = world.inventory().await;
    assert_eq!(inventory.accounts.len(), 500);
    assert!(inventory.accounts.is_sorted_by_key(|account| account.id));
    let prod = AccountSelector {
        organizational_units: vec!["Workloads/Prod".parse().unwrap()],
        ..AccountSelector::default()
    };
    assert_eq!(inventory.select(&[], &prod).unwrap().len(), 250);
}

#[tokio::test]
async fn what_is_included_and_excluded_is_told_by_id_name_unit_and_tag() {
    for (rules, expected) in [
        (
            "include: [{organizational_units: [Workloads/Prod]}]",
            &["prod-data", "prod-payments", "prod-web"][..],
        ),
        (
            "include: [{organizational_units: [Workloads]}], exclude: [{organizational_units: [Workloads/Dev]}, {names: ['*-web']}]",
            &["prod-data", "prod-payments"],
        ),
        (
            "include: [{tags: [team=data]}, {names: [management]}]",
            &["data-science", "management", "prod-data"],
        ),
        (
            "include: [{tags: [team=data, environment=prod]}]",
            &["prod-data"],
        ),
    ] {
        let world = Discovered::start(organization(), rules, "[us-east-1]").await;
        let inventory = world.inventory().await;
        assert_eq!(
            names(&inventory),
            expected.iter().copied().collect(),
            "{rules}"
        );
        assert!(inventory.left_out.is_empty(), "{rules}");
    }
}

#[tokio::test]
async fn a_refresh_that_fails_keeps_what_was_known_and_says_so() {
    let sandbox = Sandbox::start(flat(3)).await.unwrap();
    let world = Discovered::beside(sandbox, "", "[us-east-1]").await;
    assert_eq!(world.inventory().await.accounts.len(), 3);
    world.sandbox.faults().change(|faults| {
        faults
            .denied_actions
            .insert("organizations:ListAccounts".into(), Denial::NotAllowed);
    });
    let degraded = world.wait_for(|known| known.failure.is_some()).await;
    let reason = degraded.failure.unwrap();
    assert_eq!(reason.code, ReasonCode::AccessDenied, "{reason:?}");
    assert_eq!(degraded.inventory.unwrap().accounts.len(), 3);
    let (_, told) = world.assembly.engine.inventory().unwrap();
    assert!(told.is_some());
    let engine = &world.assembly.engine;
    let known = world.inventory().await.accounts[0].id;
    for (asked, is_told) in [(Vec::new(), true), (vec![known], false)] {
        let mut query = question(
            Vec::new(),
            range("2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z"),
        );
        query.account_ids = asked;
        let caller = Arc::new(Caller::in_process());
        let items = engine.search(query, caller, None).unwrap();
        let items: Vec<SearchItem> = items.collect().await;
        let Some(SearchItem::Plan(plan)) = items.first() else {
            panic!("{items:?}")
        };
        let told = plan
            .warnings
            .iter()
            .any(|it| it.contains("could not be listed anew"));
        assert_eq!(told, is_told, "{:?}", plan.warnings);
    }

    let gone = world.sandbox.accounts()[2].id.clone();
    world.sandbox.organizations().change(|directory| {
        let account = directory
            .accounts
            .iter_mut()
            .find(|account| account.id == gone);
        account.unwrap().state = "CLOSED";
    });
    world
        .sandbox
        .faults()
        .change(|faults| faults.denied_actions.clear());
    let current = world
        .wait_for(|known| known.failure.is_none())
        .await
        .inventory
        .unwrap();
    assert_eq!((current.accounts.len(), current.left_out.len()), (2, 1));
}

#[tokio::test]
async fn until_the_first_discovery_nothing_is_searched_and_the_reason_is_told() {
    let sandbox = Sandbox::start(flat(2)).await.unwrap();
    sandbox.faults().change(|faults| {
        faults
            .denied_actions
            .insert("organizations:ListRoots".into(), Denial::NotAllowed);
    });
    let world = Discovered::beside(sandbox, "", "[us-east-1]").await;
    let reason = world.assembly.accounts_known().await.unwrap_err();
    assert!(
        reason.message.contains("organizations:ListRoots"),
        "{}",
        reason.message
    );
    let period = range("2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z");
    let alice = Identity::UserName("alice".parse().unwrap());
    let asked = world.assembly.engine.search(
        question(vec![alice], period),
        Arc::new(Caller::in_process()),
        None,
    );
    let Err(Refusal::AccountsNotKnown(why)) = asked else {
        panic!("not refused");
    };
    assert!(why.contains("organizations:ListRoots"), "{why}");
    // It goes on trying.
    world
        .sandbox
        .faults()
        .change(|faults| faults.denied_actions.clear());
    let known = world.wait_for(|known| known.inventory.is_some()).await;
    assert_eq!(known.inventory.unwrap().accounts.len(), 2);
    assert!(known.failure.is_none());
}

#[tokio::test]
async fn all_regions_are_those_that_each_account_has_enabled() {
    for (regions, read_where_unknown) in [("all", 0), ("{fallback: [us-east-1, eu-west-1]}", 2)] {
        let sandbox = Sandbox::start(flat(3)).await.unwrap();
        let shut = sandbox.accounts()[2].id.clone();
        sandbox.faults().change(|faults| {
            faults.disabled_regions.insert("eu-west-3".into());
            faults.denied_accounts.insert(shut, Denial::NotAllowed);
        });
        let world = Discovered::beside(sandbox, "", regions).await;
        let inventory = world.inventory().await;
        let of = |at: usize| &inventory.accounts[at];
        assert_eq!(of(0).regions.len(), 16);
        assert!(of(0).regions_unknown.is_none());
        assert_eq!(of(2).regions.len(), read_where_unknown);
        let reason = of(2).regions_unknown.clone().unwrap();
        assert_eq!(reason.code, ReasonCode::AssumeRoleDenied);

        let period = range("2026-10-20T00:00:00Z", "2026-10-21T00:00:00Z");
        let alice = Identity::UserName("alice".parse().unwrap());
        let items = world.assembly.engine.search(
            question(vec![alice], period),
            Arc::new(Caller::in_process()),
            None,
        );
        let items: Vec<SearchItem> = items.unwrap().collect().await;
        let answer = Answer(items);
        assert!(!answer.complete());
        let gaps: Vec<_> = (answer.outcomes().iter())
            .filter(|outcome| outcome.state == OutcomeState::Skipped)
            .collect();
        let [gap] = &gaps[..] else {
            panic!("{gaps:?}");
        };
        assert_eq!(gap.accounts, [of(2).id]);
        assert!(
            gap.regions.is_empty(),
            "all Regions but those that are read"
        );
        assert!(
            gap.reason
                .as_ref()
                .unwrap()
                .message
                .contains("enabled Regions")
        );
        let complete = answer
            .outcomes()
            .iter()
            .filter(|o| o.state == OutcomeState::Complete);
        assert_eq!(complete.count(), 32);
    }
}

#[tokio::test]
async fn a_search_over_what_was_discovered_answers_as_over_a_list() {
    let listed = World::start(organization(), &Setup::default()).await;
    let discovered = Discovered::start(
        organization(),
        "",
        "[us-east-1, us-west-2, eu-west-1, eu-central-1]",
    )
    .await;
    discovered.inventory().await;
    let period = range("2026-10-01T00:00:00Z", "2026-11-01T12:00:00Z");
    let story = listed.sandbox.story().unwrap();
    let who = Identity::UserName(story.backdoor_user_name.parse().unwrap());
    let ids =
        |answer: &Answer| -> Vec<_> { answer.events().map(|event| event.key.clone()).collect() };
    let expected = listed.ask(question(vec![who.clone()], period)).await;
    assert!(expected.complete() && expected.events().count() > 0);
    let engine = &discovered.assembly.engine;
    let ask = |query| async {
        let items = engine
            .search(query, Arc::new(Caller::in_process()), None)
            .unwrap();
        Answer(items.collect().await)
    };
    let answer = ask(question(vec![who.clone()], period)).await;
    assert!(answer.complete());
    assert_eq!(ids(&answer), ids(&expected));

    // A selected part answers as the same accounts by their ids do.
    let mut by_unit = question(vec![who.clone()], period);
    by_unit.account_selector.organizational_units = vec!["Workloads".parse().unwrap()];
    let inventory = discovered.inventory().await;
    let workloads = inventory.select(&[], &by_unit.account_selector).unwrap();
    let mut by_id = question(vec![who], period);
    by_id.account_ids = workloads.iter().map(|account| account.id).collect();
    let (by_unit, by_id) = (ask(by_unit).await, ask(by_id).await);
    assert_eq!(ids(&by_unit), ids(&by_id));
    assert_eq!(by_unit.plan().accounts, by_id.plan().accounts);
    assert!(by_unit.plan().accounts.len() < inventory.accounts.len());
}

#[tokio::test]
async fn callers_see_units_tags_and_what_is_closed_and_pick_by_them() {
    let world = Discovered::start(organization(), "", "[us-east-1]").await;
    world.inventory().await;
    let assembly = &world.assembly;
    let server = assembly.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let mut client = IdentityTrailServiceClient::new(connect(&server).await);
    let selector = |names: &[&str], units: &[&str]| pb::AccountSelector {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        organizational_units: units.iter().map(|&unit| unit.to_owned()).collect(),
        tags: Vec::new(),
    };
    let listed = client.list_accounts(pb::ListAccountsRequest {
        account_selector: Some(selector(&[], &["Sandbox", "Workloads/Prod"])),
        ..pb::ListAccountsRequest::default()
    });
    let listed = listed.await.unwrap().into_inner();
    assert!(listed.discovered_time.is_some() && listed.refresh_failure.is_none());
    let names: BTreeSet<_> = listed
        .accounts
        .iter()
        .map(pb::Account::account_name)
        .collect();
    let expected = [
        "prod-data",
        "prod-payments",
        "prod-web",
        "retired-playground",
        "sandbox",
    ];
    assert_eq!(names, expected.into());
    for account in &listed.accounts {
        let closed = account.account_name() == "retired-playground";
        let state = if closed {
            pb::AccountState::Suspended
        } else {
            pb::AccountState::Active
        };
        assert_eq!(account.state(), state);
        assert_eq!(account.backends.is_empty(), closed);
        let path: Vec<_> = account
            .organizational_units
            .iter()
            .map(|unit| &*unit.name)
            .collect();
        let prod = account.account_name().starts_with("prod-");
        assert_eq!(
            path,
            if prod {
                vec!["Workloads", "Prod"]
            } else {
                vec!["Sandbox"]
            }
        );
        let team = account
            .tags
            .iter()
            .any(|tag| tag.key == "team" && tag.value.is_some());
        assert!(team || closed, "{account:?}");
    }

    for (selector, field) in [
        (
            selector(&["prod-*", "prd-*"], &[]),
            "account_selector.names[1]",
        ),
        (
            selector(&[], &["Prod"]),
            "account_selector.organizational_units[0]",
        ),
        (selector(&["dev"], &["Security"]), "account_selector"),
    ] {
        let asked = client.search_events(pb::SearchEventsRequest {
            account_selector: Some(selector),
            ..request()
        });
        let status = asked.await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound);
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field);
    }
    let malformed = client.search_events(pb::SearchEventsRequest {
        account_selector: Some(selector(&[], &["a//b"])),
        ..request()
    });
    assert_eq!(
        malformed.await.unwrap_err().code(),
        tonic::Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_token_is_bound_to_the_accounts_that_were_read() {
    let world = Discovered::start(organization(), "", "[us-east-1]").await;
    world.inventory().await;
    let server = world
        .assembly
        .serve(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let client = IdentityTrailServiceClient::new(connect(&server).await);
    let first = |unit: &str, resume_token: String| {
        let request = pb::SearchEventsRequest {
            account_selector: Some(pb::AccountSelector {
                organizational_units: vec![unit.to_owned()],
                ..pb::AccountSelector::default()
            }),
            resume_token,
            ..request()
        };
        let mut client = client.clone();
        async move {
            let mut stream = client.search_events(request).await?.into_inner();
            match stream.message().await?.and_then(|response| response.item) {
                Some(Item::Plan(plan)) => Ok(plan),
                other => panic!("{other:?}"),
            }
        }
    };
    let plan = first("Workloads", String::new()).await.unwrap();
    let token = plan.resume_token;
    let again = first("Workloads", token.clone()).await.unwrap();
    assert_eq!(again.accounts, plan.accounts);
    let other: tonic::Status = first("Security", token.clone()).await.unwrap_err();
    assert_eq!(other.code(), tonic::Code::InvalidArgument);
    // The same words mean other accounts once one has moved.
    let moved = world.sandbox.accounts().last().unwrap().id.clone();
    let before = world.inventory().await.accounts.len();
    world.sandbox.organizations().change(|directory| {
        let unit = directory.unit("Workloads/Prod");
        let account = directory
            .accounts
            .iter_mut()
            .find(|account| account.id == moved);
        account.unwrap().parent_id = unit;
    });
    let moved_in = |known: &Known| {
        let inventory = known.inventory.as_ref().unwrap();
        let selector = AccountSelector {
            organizational_units: vec!["Workloads".parse().unwrap()],
            ..AccountSelector::default()
        };
        let selected = inventory.select(&[], &selector).unwrap();
        selected
            .iter()
            .any(|account| account.id.to_string() == moved)
    };
    world.wait_for(moved_in).await;
    assert_eq!(world.inventory().await.accounts.len(), before);
    let changed = first("Workloads", token).await.unwrap_err();
    assert_eq!(changed.code(), tonic::Code::FailedPrecondition);
}
