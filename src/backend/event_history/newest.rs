//! The newest event of an account and Region: whether event history answers at all.

use aws_smithy_types::DateTime;

use super::EventHistory;
use super::lookup::{MOST_THROTTLES, NoPage, wait};
use crate::backend::CHECKS;
use crate::caller::Caller;
use crate::federation::Behalf;
use crate::federation::aws_error::{AwsFailure, FailureKind, failure};
use crate::plan::Reason;
use crate::query::{AccountId, EventTime, Region};
use crate::usage::InUse;

/// What event history says of its newest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    /// Its time; none if there is no event in the 90 days.
    Event(Option<EventTime>),
    /// The Region is not enabled in the account.
    RegionDisabled,
}

impl EventHistory {
    /// Looks the newest event up: one request, among those of the caller (`in_use`) and in turn with all
    /// others of the account and Region, and again where AWS throttles.
    pub async fn newest_event(
        &self,
        account: AccountId,
        region: &Region,
        caller: &Caller,
        in_use: &InUse,
    ) -> Result<Newest, Reason> {
        let behalf = Behalf::Caller(caller);
        let shared = &self.shared;
        let queue = shared.federation.lookups().queue(account, region);
        let mut throttles = 0;
        loop {
            let request = shared
                .client
                .lookup_events()
                .start_time(DateTime::from_secs(shared.horizon().second()))
                .end_time(DateTime::from_secs(shared.clock.now().as_second()))
                .max_results(1)
                .customize()
                .config_override(shared.calling(account, region, behalf).await?);
            let turn = || queue.turn(&caller.name, CHECKS);
            let (turn, own) = in_use.call_in_turn(turn).await;
            let permit = shared.federation.call_permit().await?;
            turn.begin();
            let answer = request.send().await;
            drop((permit, own));
            let AwsFailure { kind, reason } = match answer {
                Ok(page) => {
                    queue.succeeded();
                    let newest = page.events().iter().filter_map(|event| event.event_time());
                    let newest = newest.filter_map(|time| EventTime::from_second(time.secs()));
                    return Ok(Newest::Event(newest.max()));
                }
                Err(error) => failure(&format!("look up events of {account} in {region}"), &error),
            };
            match kind {
                FailureKind::Throttled if throttles < MOST_THROTTLES => {
                    queue.throttled();
                    throttles += 1;
                    tokio::time::sleep(wait(throttles)).await;
                }
                FailureKind::UnknownClient => {
                    let unknown = shared.unknown_client(account, region, reason, behalf);
                    return match unknown.await {
                        NoPage::RegionDisabled(_) => Ok(Newest::RegionDisabled),
                        NoPage::Failed(reason) | NoPage::TokenRefused(reason) => Err(reason),
                    };
                }
                _ => return Err(reason),
            }
        }
    }
}
