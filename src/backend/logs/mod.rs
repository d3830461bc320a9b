//! CloudWatch Logs: log groups that a trail writes to.
//!
//! What a scan asks becomes [`need`]s, printed as filter patterns ([`pattern`]) or as a Logs Insights
//! query ([`insights_query`]). [`filter_log_events`] reads pages; [`insights`] reads the rows of queries
//! that run in tasks of their own ([`query`]) and are stopped by the process. Either way log events
//! become events ([`events`]) in the order of their delivery, with a bound that says what may still come.

mod events;
mod filter_log_events;
mod group;
mod insights;
mod insights_query;
mod insights_rows;
mod need;
mod pattern;
mod probe;
mod query;
mod remote;
mod streams;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::remote_query::Reaper;
use super::{Asks, Backend, ScanReader, SearchContext, Unreadable, Words};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::log_groups::ReadWith;
use crate::federation::Federation;
use crate::plan::facts::{LogGroupFacts, ReadLogsWith};
use crate::plan::{LogsMethod, Reason, ReasonCode, Scan, ScanTarget};
use crate::query::{AccountId, EventQuery};
use filter_log_events::FilterReader;
use group::LogGroup;
use insights::{InsightsReader, InsightsScan};
use need::{needs, not_in};
use pattern::patterns;
pub use probe::{DescribedLogGroup, LogGroupProbe, LogStreams, NewestLogged};

/// Reads log groups. One serves the whole process.
#[derive(Debug)]
pub struct Logs {
    /// In the order of the configuration.
    log_groups: Vec<Arc<LogGroup>>,
    clock: Clock,
    reaper: Reaper,
}

impl Logs {
    /// The configured log groups; asks AWS nothing yet. `clock` tells what their retention leaves.
    /// To be called within the runtime that is to stop abandoned queries.
    #[must_use]
    pub fn new(config: &Config, federation: &Arc<Federation>, clock: Clock) -> Self {
        Self::with(config, federation, clock, Reaper::new(), &[])
    }

    /// The log groups of another configuration of the same process: what both run is bounded, and
    /// stopped in the end, together.
    #[must_use]
    pub fn succeeded_by(&self, config: &Config, federation: &Arc<Federation>) -> Self {
        let reaper = self.reaper.clone();
        Self::with(config, federation, self.clock, reaper, &self.log_groups)
    }

    fn with(
        config: &Config,
        federation: &Arc<Federation>,
        clock: Clock,
        reaper: Reaper,
        before: &[Arc<LogGroup>],
    ) -> Self {
        // The configuration's limits keep it far from what would overflow.
        let skew = SignedDuration::try_from(config.routing.archive_delay)
            .unwrap_or(SignedDuration::from_hours(24));
        let log_groups = config.log_groups.iter().filter_map(|entry| {
            // The configuration was checked: each log group has a way in.
            let access = config.log_group_access(&entry.value)?;
            let federation = Arc::clone(federation);
            let mut group = LogGroup::new(entry.value.clone(), access, federation, skew);
            if let Some(old) = before.iter().find(|old| old.name == group.name) {
                group.queries = Arc::clone(&old.queries);
            }
            Some(Arc::new(group))
        });
        Self {
            log_groups: log_groups.collect(),
            clock,
            reaper,
        }
    }

    /// The log groups, as they are declared now.
    #[must_use]
    pub fn log_groups(&self) -> Vec<Arc<LogGroupFacts>> {
        let now = self.clock.now();
        let facts = self.log_groups.iter().map(|group| {
            Arc::new(LogGroupFacts {
                name: Arc::clone(&group.name),
                holds: group.declared(now),
                read_with: match group.config.read_with {
                    ReadWith::Auto => ReadLogsWith::Auto,
                    ReadWith::Filter => ReadLogsWith::FilterLogEvents,
                    ReadWith::Insights => ReadLogsWith::Insights,
                },
            })
        });
        facts.collect()
    }

    /// What a scan reads, and how.
    fn target<'a>(&'a self, scan: &'a Scan) -> Result<Target<'a>, Reason> {
        let ScanTarget::Logs {
            log_group,
            method,
            accounts,
            ..
        } = &scan.target
        else {
            let wrong = format!("{:?} was given to the logs backend", scan.target);
            return Err(Reason::new(ReasonCode::Internal, wrong));
        };
        let known = self.log_groups.iter().find(|it| it.name == log_group.name);
        let group = known.ok_or_else(|| {
            let unknown = format!("log group {} is not configured", log_group.name);
            Reason::new(ReasonCode::Internal, unknown)
        })?;
        Ok(Target {
            group,
            method: *method,
            accounts,
        })
    }

    /// Waits until every query that was abandoned is stopped, at most `patience`; then logs those
    /// that may still run. No scan may be read afterwards.
    pub async fn shutdown(&self, patience: Duration) {
        self.reaper.shutdown(patience).await;
    }
}

/// What a scan reads.
struct Target<'a> {
    group: &'a Arc<LogGroup>,
    method: LogsMethod,
    accounts: &'a BTreeSet<AccountId>,
}

impl Backend for Logs {
    fn open(&self, scan: &Scan, search: &Arc<SearchContext>) -> Box<dyn ScanReader> {
        let target = match self.target(scan) {
            Ok(target) => target,
            Err(reason) => return Box::new(Unreadable(reason)),
        };
        let (group, range) = (Arc::clone(target.group), scan.range);
        let accounts = target.accounts.clone();
        let (needs, search) = (needs(scan, &search.query), Arc::clone(search));
        match target.method {
            LogsMethod::FilterLogEvents => Box::new(FilterReader::new(
                group,
                search,
                range,
                patterns(&needs),
                accounts,
            )),
            LogsMethod::Insights => Box::new(InsightsReader::new(InsightsScan {
                group,
                reaper: self.reaper.clone(),
                search,
                needs,
                range,
                accounts,
            })),
        }
    }

    fn asks(&self, scan: &Scan, query: &EventQuery) -> Result<Asks, Reason> {
        let method = self.target(scan)?.method;
        let needs = needs(scan, query);
        Ok(match method {
            LogsMethod::FilterLogEvents => {
                let patterns: Vec<String> = patterns(&needs).into_iter().flatten().collect();
                let text = patterns.join("\n");
                Asks {
                    checked_afterwards: not_in(query, |need| pattern::says(&text, need)),
                    words: Words::FilterPattern(text),
                }
            }
            LogsMethod::Insights => {
                let text = insights::first_query(&needs, query.order);
                Asks {
                    checked_afterwards: not_in(query, |need| insights_query::says(&text, need)),
                    words: Words::InsightsQuery(text),
                }
            }
        })
    }
}
