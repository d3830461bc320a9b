//! One log group, probed: what is asked of it for a check rather than for a search.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::LogGroupClass;
use jiff::{SignedDuration, Timestamp};

use super::events::Events;
use super::filter_log_events::MOST_THROTTLES;
use super::group::LogGroup;
use super::query::{GroupQuery, Statement};
use super::{Logs, insights_query, streams};
use crate::backend::call::{self, Again, Tally};
use crate::backend::query_task::Payer;
use crate::backend::remote_query::Reaper;
use crate::backend::{CHECKS, PageCost, Spent};
use crate::caller::Caller;
use crate::config::Access;
use crate::config::log_groups::ReadWith;
use crate::config::stores::TrailArn;
use crate::federation::Behalf;
use crate::federation::aws_error::{FailureKind, failure};
use crate::plan::facts::Declared;
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, EventTime, Region, SearchOrder};
use crate::usage::InUse;

/// What Logs Insights is asked about, to see whether it answers: it bills by what it reads.
const GLANCE: SignedDuration = SignedDuration::from_secs(60);

/// Log streams that one call describes: AWS's most.
const STREAMS: i32 = 50;

/// One log group, to be probed.
#[derive(Debug)]
pub struct LogGroupProbe {
    group: Arc<LogGroup>,
    caller: Arc<Caller>,
    reaper: Reaper,
}

/// A log group, as it is described now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedLogGroup {
    /// Its ARN, without `:*`.
    pub arn: String,
    /// How many days it keeps an event; `None` is for ever.
    pub retention_days: Option<u64>,
    /// When it was created.
    pub created: Option<EventTime>,
    /// Whether it is of a class that `FilterLogEvents` reads.
    pub can_filter: bool,
}

/// The newest log event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewestLogged {
    /// There is none in the interval.
    Nothing,
    /// It is an event of CloudTrail, of this time.
    Event(EventTime),
    /// It is no event of CloudTrail.
    SomethingElse,
}

/// Whose records a log group holds, by its log streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStreams {
    /// When the newest event of each account and Region was logged, if its stream tells.
    pub newest: BTreeMap<(AccountId, Region), Option<EventTime>>,
    /// Log streams that are no trail's.
    pub others: u64,
}

impl Logs {
    /// The log groups, to be probed for `caller`, in the order of the configuration.
    #[must_use]
    pub fn probes(&self, caller: &Arc<Caller>) -> Vec<LogGroupProbe> {
        let probe = |group: &Arc<LogGroup>| LogGroupProbe {
            group: Arc::clone(group),
            caller: Arc::clone(caller),
            reaper: self.reaper.clone(),
        };
        self.log_groups.iter().map(probe).collect()
    }
}

impl LogGroupProbe {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.group.name)
    }

    /// The account that it is in, or the monitoring account that reads it.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.group.config.account
    }

    /// The Region that it is in.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.group.config.region
    }

    /// How it is reached.
    #[must_use]
    pub fn access(&self) -> &Access {
        self.group.access()
    }

    /// The trail that the configuration names.
    #[must_use]
    pub fn trail(&self) -> Option<&TrailArn> {
        self.group.config.trail.as_ref()
    }

    /// The accounts that it declares to hold; `None` is every account of the federation.
    #[must_use]
    pub fn declared_accounts(&self) -> Option<BTreeSet<AccountId>> {
        let accounts = self.group.config.holds.accounts.as_ref()?;
        Some(accounts.iter().copied().collect())
    }

    /// All that it declares to hold at `now`.
    #[must_use]
    pub fn declared(&self, now: Timestamp) -> Declared {
        self.group.declared(now)
    }

    /// The retention that it declares, in days.
    #[must_use]
    pub fn declared_retention_days(&self) -> Option<u64> {
        self.group.config.holds.retention_days
    }

    /// Whether searches read it by `FilterLogEvents`, at least at times.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        self.group.config.read_with != ReadWith::Insights
    }

    /// Whether searches read it by Logs Insights, at least at times.
    #[must_use]
    pub fn is_queried(&self) -> bool {
        self.group.config.read_with != ReadWith::Filter
    }

    async fn client(&self) -> Result<Client, Reason> {
        self.group.client(Behalf::Caller(&self.caller)).await
    }

    /// Describes the log group; none if there is no such one.
    pub async fn describe(&self) -> Result<Option<DescribedLogGroup>, Reason> {
        let client = self.client().await?;
        let (name, arn) = self.group.local_identifier();
        let request = client
            .describe_log_groups()
            .set_include_linked_accounts(arn.is_some().then_some(true))
            .set_log_group_identifiers(Some(arn.or(name).into_iter().collect()));
        let action = format!("describe log group {}", self.group.name);
        let answer = self
            .repeat(&action, &Spent::default(), || request.clone().send())
            .await;
        let answer = match answer {
            Err(reason) if reason.aws_code.as_deref() == Some("ResourceNotFoundException") => {
                return Ok(None);
            }
            answer => answer?,
        };
        let Some(group) = answer.log_groups().first() else {
            return Ok(None);
        };
        let arn = group.log_group_arn().or(group.arn()).ok_or_else(|| {
            let without = "CloudWatch Logs described a log group without an ARN";
            Reason::new(ReasonCode::AwsError, without)
        })?;
        let retention = group.retention_in_days().and_then(|it| it.try_into().ok());
        Ok(Some(DescribedLogGroup {
            arn: arn.strip_suffix(":*").unwrap_or(arn).to_owned(),
            retention_days: retention,
            created: group.creation_time().and_then(second),
            can_filter: matches!(
                group.log_group_class(),
                None | Some(LogGroupClass::Standard)
            ),
        }))
    }

    /// The newest log event since `since`, by `FilterLogEvents`, among the caller's calls (`in_use`) and in
    /// turn with all others of it.
    pub async fn newest(
        &self,
        since: EventTime,
        now: Timestamp,
        in_use: &InUse,
    ) -> Result<NewestLogged, Reason> {
        let group = &self.group;
        let client = self.client().await?;
        let queue = group.queue();
        let mut token = None;
        let mut throttles = 0;
        loop {
            let request = group
                .filter(&client)
                .start_time(since.second().saturating_mul(1000))
                .end_time(now.as_millisecond())
                .start_from_head(false)
                .limit(1)
                .set_next_token(token.clone());
            let turn = || queue.turn(&self.caller.name, CHECKS);
            let (turn, own) = in_use.call_in_turn(turn).await;
            let permit = group.federation.call_permit().await?;
            turn.begin();
            let answer = request.send().await;
            drop((permit, own));
            let page = match answer {
                Ok(page) => page,
                Err(error) => {
                    let action = format!("filter the events of log group {}", group.name);
                    let failed = failure(&action, &error);
                    if failed.kind != FailureKind::Throttled || throttles == MOST_THROTTLES {
                        return Err(group.explain(failed.reason));
                    }
                    // The queue slows down by itself.
                    queue.throttled();
                    throttles += 1;
                    continue;
                }
            };
            queue.succeeded();
            if let Some(logged) = page.events().first() {
                let stream = logged.log_stream_name().unwrap_or_default();
                let message = logged.message().unwrap_or_default();
                let mut events = Events::new(Arc::clone(group), false, None);
                let event = events.read(message, stream, None, &mut PageCost::default());
                return Ok(match event {
                    Some(event) => NewestLogged::Event(event.key.time),
                    None => NewestLogged::SomethingElse,
                });
            }
            match page.next_token.filter(|token| !token.is_empty()) {
                Some(next) => token = Some(next),
                None => return Ok(NewestLogged::Nothing),
            }
        }
    }

    /// Whether Logs Insights answers: one query over the last minute. Dropping the future stops it.
    pub async fn insights(&self, now: Timestamp, spent: &Arc<Spent>) -> Result<(), Reason> {
        let query = GroupQuery {
            group: Arc::clone(&self.group),
            reaper: self.reaper.clone(),
            payer: Payer::check(&self.caller, spent),
        };
        let statement = Statement {
            text: insights_query::query(&[], SearchOrder::NewestFirst, 1),
            times: ((now - GLANCE).as_second(), now.as_second()),
        };
        query.spawn(statement).end().await?;
        Ok(())
    }

    /// Lists its log streams, page by page.
    pub async fn streams(&self, spent: &Spent) -> Result<LogStreams, Reason> {
        let client = self.client().await?;
        let (name, arn) = self.group.local_identifier();
        let action = format!("list the log streams of log group {}", self.group.name);
        let mut found = LogStreams::default();
        let mut token = None;
        loop {
            let request = client
                .describe_log_streams()
                .set_log_group_name(name.clone())
                .set_log_group_identifier(arn.clone())
                .limit(STREAMS)
                .set_next_token(token);
            let page = self
                .repeat(&action, spent, || request.clone().send())
                .await
                .map_err(|reason| self.group.explain(reason))?;
            for stream in page.log_streams() {
                match stream.log_stream_name().and_then(streams::holder) {
                    Some(holder) => {
                        let newest = found.newest.entry(holder).or_default();
                        *newest = (*newest).max(stream.last_event_timestamp().and_then(second));
                    }
                    None => found.others += 1,
                }
            }
            match page.next_token.filter(|token| !token.is_empty()) {
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// A call of the API, repeated where AWS throttles, under one of the process's permits.
    async fn repeat<T, E, F>(
        &self,
        action: &str,
        spent: &Spent,
        call: impl FnMut() -> F,
    ) -> Result<T, Reason>
    where
        E: aws_smithy_types::error::metadata::ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<
            Output = Result<
                T,
                aws_smithy_runtime_api::client::result::SdkError<
                    E,
                    aws_smithy_runtime_api::client::orchestrator::HttpResponse,
                >,
            >,
        >,
    {
        let permit = self.group.federation.call_permit().await?;
        let mut tally = Tally::default();
        let answer = call::repeat(action, Again::default(), &mut tally, call).await;
        drop(permit);
        spent.add_calls(tally.requests, tally.throttles);
        answer.map_err(|failure| failure.reason)
    }
}

fn second(millis: i64) -> Option<EventTime> {
    EventTime::from_second(millis.div_euclid(1000))
}
