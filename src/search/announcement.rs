//! What the first message says besides the plan itself: what goes where, and whose the access keys are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::timeout;

use super::engine::Shared;
use super::item::{KeyOwner, Route};
use crate::backend::SearchContext;
use crate::plan::{Reason, ReasonCode, Scan, ScanTarget};
use crate::policy::Access;
use crate::query::{AccessKeyId, AccountId, Identity, SearchOrder};

/// Whose the access keys of the question are: worth more than many accounts that say nothing.
pub(super) async fn read_key_owners(
    shared: &Shared,
    context: &SearchContext,
    access: &Access,
    limit: Duration,
) -> Vec<KeyOwner> {
    let parts = &shared.parts;
    let keys = context
        .query
        .identities
        .iter()
        .filter_map(|identity| match identity {
            Identity::AccessKeyId(key) => Some(key),
            _ => None,
        });
    let owners = keys.map(|key: &AccessKeyId| async {
        let asked = timeout(limit, parts.facts.key_owner(key)).await;
        let account = asked.unwrap_or_else(|_| {
            Err(Reason::new(
                ReasonCode::Unresponsive,
                "sts:GetAccessKeyInfo did not answer: whose this key is stays unknown",
            ))
        });
        let readable = |owner: &AccountId| access.inventory.account(*owner).is_some();
        let in_federation = account.as_ref().is_ok_and(readable);
        KeyOwner {
            access_key_id: key.clone(),
            in_federation,
            // Whether it is another account of the federation or of the world is not this caller's to
            // know.
            account: match account {
                Ok(_) if access.limited && !in_federation => Err(Reason::new(
                    ReasonCode::NotPermitted,
                    "the key is not of an account that you may read: whose it is can be asked by \
                     somebody who may read all of them",
                )),
                known => known,
            },
        }
    });
    futures::future::join_all(owners).await
}

/// Scans that differ only in account and Region, together, in reading order.
pub(super) fn routes(order: SearchOrder, scans: &[Scan]) -> Vec<Route> {
    let mut routes: BTreeMap<_, Route> = BTreeMap::new();
    for scan in scans {
        let (archive, log_group, accounts, regions, narrowed_by) = match &scan.target {
            ScanTarget::EventHistory {
                account,
                region,
                lookups,
            } => (
                None,
                None,
                BTreeSet::from([*account]),
                BTreeSet::from([region.clone()]),
                lookups.to_string(),
            ),
            ScanTarget::Logs {
                log_group,
                method,
                accounts,
                regions,
            } => (
                None,
                Some(log_group.name.clone()),
                accounts.clone(),
                regions.clone(),
                method.as_str().to_owned(),
            ),
            ScanTarget::Athena {
                archive,
                accounts,
                regions,
            } => (
                Some(archive.name.clone()),
                None,
                accounts.clone(),
                regions.clone().unwrap_or_default(),
                "SQL".to_owned(),
            ),
        };
        let backend = scan.target.backend();
        let key = (
            order.rank(order.first(scan.range)),
            order.rank(order.beyond(scan.range)),
            backend,
            archive.clone(),
            log_group.clone(),
            narrowed_by.clone(),
        );
        let route = routes.entry(key).or_insert_with(|| Route {
            backend,
            archive,
            log_group,
            range: scan.range,
            accounts: BTreeSet::new(),
            regions: BTreeSet::new(),
            narrowed_by,
            scans: 0,
        });
        route.accounts.extend(accounts);
        route.regions.extend(regions);
        route.scans += 1;
    }
    routes.into_values().collect()
}
