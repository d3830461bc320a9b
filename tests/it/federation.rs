//! Sessions, key owners and pacing against the sandbox.

use identity_trail::federation::Behalf;
use identity_trail::plan::ReasonCode;
use identity_trail::sandbox::Sandbox;

use crate::event_history::{NOW, World, drain, october, records};
use crate::sandbox::{HUB, OTHER, REGION, config};

#[tokio::test]
async fn searches_that_share_a_region_stay_within_its_quota() {
    let mut sandbox = config(&records(100), NOW);
    sandbox.lookup_rate = Some(2.0);
    let world = World::start_with(sandbox, "30s", "2").await;
    let scans = (0..3).map(|_| drain(world.open(REGION, october(), None)));
    for drained in futures::future::join_all(scans).await {
        assert!(drained.error.is_none(), "{:?}", drained.error);
        assert_eq!(drained.events.len(), 100);
    }
    let lookups = world.sandbox.stats().of("LookupEvents");
    assert_eq!((lookups.received, lookups.throttled), (6, 0));
}

#[tokio::test]
async fn a_wrong_external_id_denies_the_role() {
    let mut sandbox = config(&records(10), NOW);
    sandbox.external_id = Some("not-what-the-service-says".into());
    let world = World::start(sandbox).await;
    let region = REGION.parse().unwrap();
    let refused = world
        .federation
        .sdk_config(OTHER.parse().unwrap(), &region, Behalf::Service);
    let reason = refused.await.unwrap_err();
    assert_eq!(reason.code, ReasonCode::AssumeRoleDenied, "{reason:?}");
    assert!(reason.message.contains("external id"), "{}", reason.message);
}

#[tokio::test]
async fn the_owner_of_a_key_is_asked_for_once() {
    let world = World::start(config(&records(10), NOW)).await;
    let key = "AKIA00000000000ALICE".parse().unwrap();
    for _ in 0..3 {
        let owner = world.federation.access_key_owner(&key).await;
        assert_eq!(owner, Ok(OTHER.parse().unwrap()));
    }
    let stats = world.sandbox.stats();
    assert_eq!(stats.of("GetAccessKeyInfo").received, 1);
}

#[tokio::test]
async fn an_account_that_is_not_in_the_federation_is_a_defect_of_who_asks() {
    let world = World::start(config(&records(10), NOW)).await;
    let region = REGION.parse().unwrap();
    let refused =
        world
            .federation
            .sdk_config("999999999999".parse().unwrap(), &region, Behalf::Service);
    assert_eq!(refused.await.unwrap_err().code, ReasonCode::Internal);
    let known = world.federation.known().borrow().clone();
    assert_eq!(known.inventory.unwrap().accounts.len(), 2);
}

#[tokio::test]
async fn the_hubs_own_events_are_never_read_as_another_accounts() {
    let sandbox = Sandbox::start(config(&records(10), NOW)).await.unwrap();
    let endpoint = sandbox.endpoint();
    let yaml = format!(
        "hub: {{region: {REGION}, endpoint_url: '{endpoint}'}}
accounts:
  list:
    - {{id: '{HUB}', credentials: hub}}
    - {{id: '{OTHER}', credentials: hub}}
regions: [{REGION}]
"
    );
    let world = World::beside(sandbox, &yaml).await;
    let region = REGION.parse().unwrap();
    let own = world
        .federation
        .sdk_config(HUB.parse().unwrap(), &region, Behalf::Service);
    assert!(own.await.is_ok());
    let other = world
        .federation
        .sdk_config(OTHER.parse().unwrap(), &region, Behalf::Service);
    let reason = other.await.unwrap_err();
    assert_eq!(reason.code, ReasonCode::AccessDenied);
    assert!(reason.message.contains(HUB), "{}", reason.message);
    let asked = world.sandbox.stats().of("GetCallerIdentity");
    assert_eq!(asked.received, 1);
}
