//! One page of `LookupEvents`, with everything that may have to be tried again for it.

use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_sdk_cloudtrail::config::Builder;
use aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput;
use aws_sdk_cloudtrail::types::{LookupAttribute as AwsAttribute, LookupAttributeKey};
use aws_smithy_types::DateTime;

use super::Shared;
use crate::backend::{PageCost, SearchContext};
use crate::federation::Behalf;
use crate::federation::aws_error::{AwsFailure, FailureKind, failure};
use crate::federation::pacing::{PacedQueue, Turn};
use crate::plan::{LookupAttribute, Reason, ReasonCode};
use crate::query::{AccountId, EventTime, Region};

/// Events on a page: the most that AWS gives.
const PAGE: i32 = 50;

/// Throttles in a row, at an ever slower pace, before a page is given up.
pub(super) const MOST_THROTTLES: u32 = 12;

/// Broken connections or faults of AWS in a row before a page is given up.
const MOST_FAULTS: u32 = 3;

/// The wait after the first failure in a row; each further one doubles it, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The Regions that are enabled in every account of the commercial partition; all later ones are
/// opted into.
const ALWAYS_ENABLED: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Where one lookup looks, and for whom.
#[derive(Clone)]
pub(super) struct Lookup {
    pub shared: Arc<Shared>,
    pub search: Arc<SearchContext>,
    pub queue: PacedQueue,
    pub account: AccountId,
    pub region: Region,
    /// `None` reads everything.
    pub attribute: Option<LookupAttribute>,
}

/// What does not change between the pages of one lookup, and the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub start: EventTime,
    /// Inclusive.
    pub last: EventTime,
    pub token: Option<String>,
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum NoPage {
    /// AWS no longer knows the page token.
    TokenRefused(Reason),
    /// The Region is disabled in the account.
    RegionDisabled(Reason),
    /// Anything else, tried again as often as it may help.
    Failed(Reason),
}

impl Lookup {
    /// For whom it is made.
    pub fn behalf(&self) -> Behalf<'_> {
        Behalf::Caller(&self.search.caller)
    }

    /// Waits for a turn, once all is there that an attempt needs before it: the queue stands still
    /// until the turn is used.
    pub async fn turn(&self) -> Turn {
        // Why there are none is said when the page is asked for.
        let _ = (self.shared.federation)
            .credentials_for(self.account, self.behalf())
            .await;
        let (caller, search) = (&self.search.caller.name, self.search.search_id);
        self.queue.turn(caller, search).await
    }

    /// Asks for one page. Waits for its turn before each attempt, unless it has one for the first;
    /// adds to `cost` what it spends.
    pub async fn page(
        &self,
        ask: &Ask,
        mut turn: Option<Turn>,
        cost: &mut PageCost,
    ) -> Result<LookupEventsOutput, NoPage> {
        let (mut throttles, mut faults, mut renewed) = (0, 0, false);
        loop {
            let session = self.shared.federation.session(self.account, self.behalf());
            let key = match &session {
                Some(session) => {
                    let issued = session.credentials(Duration::ZERO).await;
                    let issued = issued.map_err(NoPage::Failed)?;
                    Some(issued.credentials.access_key_id().to_owned())
                }
                None => None,
            };
            let attempt = self.attempt(ask, turn.take(), cost).await;
            let failed = match attempt.map_err(NoPage::Failed)? {
                Ok(page) => {
                    self.queue.succeeded();
                    return Ok(page);
                }
                Err(failed) => failed,
            };
            let AwsFailure { kind, reason } = failed;
            let in_a_row = match kind {
                FailureKind::Throttled => {
                    self.queue.throttled();
                    cost.throttles += 1;
                    throttles += 1;
                    if throttles > MOST_THROTTLES {
                        return Err(NoPage::Failed(reason));
                    }
                    throttles
                }
                FailureKind::Connection | FailureKind::Transient => {
                    faults += 1;
                    if faults > MOST_FAULTS {
                        return Err(NoPage::Failed(reason));
                    }
                    faults
                }
                FailureKind::Expired if !renewed => {
                    renewed = true;
                    if let (Some(session), Some(key)) = (session, key) {
                        session.discard(&key);
                    }
                    continue;
                }
                FailureKind::UnknownClient => {
                    let (account, region) = (self.account, &self.region);
                    let behalf = self.behalf();
                    return Err(
                        (self.shared.unknown_client(account, region, reason, behalf)).await,
                    );
                }
                FailureKind::Refused if is_refused_token(ask, &reason) => {
                    return Err(NoPage::TokenRefused(reason));
                }
                _ => return Err(NoPage::Failed(reason)),
            };
            tokio::time::sleep(wait(in_a_row)).await;
        }
    }

    /// One attempt, in its turn. The outer error says that there is nothing to attempt it with.
    async fn attempt(
        &self,
        ask: &Ask,
        turn: Option<Turn>,
        cost: &mut PageCost,
    ) -> Result<Result<LookupEventsOutput, AwsFailure>, Reason> {
        let request = self
            .shared
            .client
            .lookup_events()
            .set_lookup_attributes(self.attribute()?)
            .start_time(DateTime::from_secs(ask.start.second()))
            .end_time(DateTime::from_secs(ask.last.second()))
            .max_results(PAGE)
            .set_next_token(ask.token.clone())
            .customize()
            .config_override(
                (self
                    .shared
                    .calling(self.account, &self.region, self.behalf()))
                .await?,
            );
        let mut turn = turn;
        let mut next = || {
            let held = turn.take();
            async {
                match held {
                    Some(turn) => turn,
                    None => self.turn().await,
                }
            }
        };
        let (turn, _own) = self.search.in_use.call_in_turn(&mut next).await;
        // After the turn, so that no permit is held while others could use it; the queue stands
        // still meanwhile, so that turns do not bunch up.
        let _permit = self.shared.federation.call_permit().await?;
        turn.begin();
        cost.requests += 1;
        Ok(request.send().await.map_err(|error| {
            let (account, region) = (self.account, &self.region);
            failure(&format!("look up events of {account} in {region}"), &error)
        }))
    }

    fn attribute(&self) -> Result<Option<Vec<AwsAttribute>>, Reason> {
        let Some(attribute) = &self.attribute else {
            return Ok(None);
        };
        let (key, value) = match attribute {
            LookupAttribute::Username(value) => (LookupAttributeKey::Username, value.as_str()),
            LookupAttribute::AccessKeyId(value) => {
                (LookupAttributeKey::AccessKeyId, value.as_str())
            }
            LookupAttribute::EventName(value) => (LookupAttributeKey::EventName, value.as_str()),
            LookupAttribute::EventSource(value) => {
                (LookupAttributeKey::EventSource, value.as_str())
            }
            LookupAttribute::EventId(value) => (LookupAttributeKey::EventId, value.as_str()),
            LookupAttribute::ReadOnly(true) => (LookupAttributeKey::ReadOnly, "true"),
            LookupAttribute::ReadOnly(false) => (LookupAttributeKey::ReadOnly, "false"),
            LookupAttribute::ResourceName(value) => {
                (LookupAttributeKey::ResourceName, value.as_str())
            }
        };
        let attribute = AwsAttribute::builder()
            .attribute_key(key)
            .attribute_value(value)
            .build()
            .map_err(|error| Reason::new(ReasonCode::Internal, error.to_string()))?;
        Ok(Some(vec![attribute]))
    }
}

impl Shared {
    /// What tells a call in this account and Region from another's. Waits for at most one
    /// `AssumeRole`.
    pub(super) async fn calling(
        &self,
        account: AccountId,
        region: &Region,
        behalf: Behalf<'_>,
    ) -> Result<Builder, Reason> {
        let region = aws_config::Region::new(region.as_str().to_owned());
        let config = Builder::new().region(region);
        Ok(
            match self.federation.credentials_for(account, behalf).await? {
                // The session is the cache.
                Some(credentials) => config
                    .credentials_provider(credentials)
                    .identity_cache(IdentityCache::no_cache()),
                None => config,
            },
        )
    }

    /// AWS does not know the session's key here: the Region is disabled, unless the session is
    /// unknown everywhere.
    pub(super) async fn unknown_client(
        &self,
        account: AccountId,
        region: &Region,
        reason: Reason,
        behalf: Behalf<'_>,
    ) -> NoPage {
        // A Region that nobody can disable has events, whatever the reason is not to see them.
        if ALWAYS_ENABLED.contains(&region.as_str()) {
            return NoPage::Failed(reason);
        }
        match self.federation.check_session(account, behalf).await {
            Ok(()) => NoPage::RegionDisabled(Reason {
                code: ReasonCode::RegionDisabled,
                message: format!(
                    "Region {region} is not enabled in account {account}: event history has nothing \
                     of it there"
                ),
                ..reason
            }),
            Err(_) => NoPage::Failed(reason),
        }
    }
}

fn is_refused_token(ask: &Ask, reason: &Reason) -> bool {
    ask.token.is_some() && reason.aws_code.as_deref() == Some("InvalidNextTokenException")
}

pub(super) fn wait(in_a_row: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(1 << (in_a_row - 1).min(16))
        .min(LONGEST_WAIT)
}
