//! The Regions that are enabled in each account (`account:ListRegions`), asked there and kept.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_account::Client;
use aws_sdk_account::types::RegionOptStatus;
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, timeout};

use super::REGIONS_LIVE;
use crate::federation::aws_error::failure;
use crate::federation::{Behalf, Federation};
use crate::plan::facts::AccountFacts;
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, Region};

/// What an account said so long ago is not all that it has: Regions may have been enabled since.
const REGIONS_STALE: Duration = REGIONS_LIVE.saturating_mul(2);
/// Accounts asked at the same time.
const AT_ONCE: usize = 16;
/// An account that does not answer all pages within this is asked again later.
const PATIENCE: Duration = Duration::from_mins(1);

/// What accounts said, and when.
#[derive(Debug, Default)]
pub(super) struct KnownRegions(HashMap<AccountId, (Instant, Vec<Region>)>);

impl KnownRegions {
    /// Fills in the Regions of the accounts that are to be asked for them. An account that does not
    /// answer keeps what it said before; one that never did, or not for long, says why.
    pub async fn learn(&mut self, federation: &Federation, accounts: &mut [AccountFacts]) {
        let due: Vec<AccountId> = accounts
            .iter()
            .filter(|account| federation.rules().asks_for_regions(account.id).is_some())
            .filter(|account| {
                let known = self.0.get(&account.id);
                known.is_none_or(|(asked_at, _)| asked_at.elapsed() >= REGIONS_LIVE)
            })
            .map(|account| account.id)
            .collect();
        let asking = due.into_iter().map(|id| async move {
            let asked = timeout(PATIENCE, enabled_regions(federation, id)).await;
            let late = "could not list the account's enabled Regions: no answer in time";
            (
                id,
                asked.unwrap_or_else(|_| Err(Reason::new(ReasonCode::Unresponsive, late))),
            )
        });
        let asking: Vec<_> = asking.collect();
        let mut answers = stream::iter(asking).buffer_unordered(AT_ONCE);
        let mut failed = HashMap::new();
        while let Some((id, answer)) = answers.next().await {
            match answer {
                Ok(regions) => {
                    self.0.insert(id, (Instant::now(), regions));
                }
                Err(reason) => {
                    tracing::warn!(account = %id, "{}", reason.message);
                    failed.insert(id, reason);
                }
            }
        }
        for account in accounts {
            let Some(fallback) = federation.rules().asks_for_regions(account.id) else {
                continue;
            };
            let known = self.0.get(&account.id);
            let known = known.map(|(asked_at, regions)| (asked_at.elapsed(), &**regions));
            let failure = failed.remove(&account.id);
            (account.regions, account.regions_unknown) = regions(known, failure, fallback);
        }
    }
}

/// The Regions to read, and why there may be more: of what an account said so long ago, whether asking it
/// anew failed, and what stands in for the Regions of one that never answered.
fn regions(
    known: Option<(Duration, &[Region])>,
    failure: Option<Reason>,
    fallback: &[Region],
) -> (Vec<Region>, Option<Reason>) {
    match known {
        Some((age, known)) if age < REGIONS_STALE => (known.to_vec(), None),
        Some((_, known)) => (known.to_vec(), failure.map(|reason| told(reason, known))),
        None => (
            fallback.to_vec(),
            failure.map(|reason| told(reason, fallback)),
        ),
    }
}

/// The reason, with what it means for a search.
fn told(mut reason: Reason, fallback: &[Region]) -> Reason {
    let names: Vec<&str> = fallback.iter().map(Region::as_str).collect();
    let meaning = if names.is_empty() {
        "no Region is read: allow the role account:ListRegions, or name Regions in the request or the configuration".to_owned()
    } else {
        format!(
            "of the account's Regions only {} are read: allow the role account:ListRegions, or name Regions",
            names.join(", ")
        )
    };
    reason.message = format!(
        "the account's enabled Regions are not known: {}; {meaning}",
        reason.message
    );
    reason
}

async fn enabled_regions(
    federation: &Federation,
    account: AccountId,
) -> Result<Vec<Region>, Reason> {
    let config = federation
        .sdk_config(account, federation.hub_region(), Behalf::Service)
        .await?;
    let config = aws_sdk_account::config::Builder::from(&config)
        .interceptor(federation.call_watch())
        .build();
    let client = Client::from_conf(config);
    let mut regions = Vec::new();
    let mut token = None;
    loop {
        let permit = federation.call_permit().await?;
        let page = client
            .list_regions()
            .region_opt_status_contains(RegionOptStatus::Enabled)
            .region_opt_status_contains(RegionOptStatus::EnabledByDefault)
            // What is being disabled still holds events.
            .region_opt_status_contains(RegionOptStatus::Disabling)
            .max_results(50)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| failure("list the account's enabled Regions", &error).reason)?;
        drop(permit);
        for region in page.regions() {
            let name = region.region_name().unwrap_or_default();
            regions.push(name.parse().map_err(|_| {
                let message =
                    format!("AWS listed {name:?} as an enabled Region, which is no Region's name");
                Reason::new(ReasonCode::AwsError, message)
            })?);
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    if regions.is_empty() {
        let message = "AWS listed no enabled Region of the account";
        return Err(Reason::new(ReasonCode::AwsError, message));
    }
    regions.sort_unstable();
    regions.dedup();
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_account_said_long_ago_is_read_and_not_called_all() {
        let known: Vec<Region> = vec!["eu-west-1".parse().unwrap()];
        let denied = || Some(Reason::new(ReasonCode::AccessDenied, "not authorized"));
        let minute = Duration::from_mins(1);
        for (age, failure, is_all) in [
            (REGIONS_LIVE.saturating_sub(minute), None, true),
            (REGIONS_LIVE + Duration::from_secs(1), denied(), true),
            (REGIONS_STALE, denied(), false),
        ] {
            let (read, unknown) = regions(Some((age, &known)), failure, &[]);
            assert_eq!(read, known);
            assert_eq!(unknown.is_none(), is_all, "{age:?}: {unknown:?}");
        }
        let (read, unknown) = regions(None, denied(), &[]);
        assert!(read.is_empty() && unknown.is_some());
    }
}
