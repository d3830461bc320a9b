//! CloudWatch Logs: log groups that a trail writes to.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Asks, Backend, Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::clock::Clock;
use crate::config::log_groups::ReadWith;
use crate::config::{self, Config};
use crate::plan::facts::{Declared, LogGroupFacts, ReadLogsWith};
use crate::plan::{Reason, ReasonCode, Scan};
use crate::query::EventQuery;

/// Reads log groups. One serves the whole process.
#[derive(Debug)]
pub struct Logs {
    /// In the order of the configuration.
    log_groups: Vec<config::LogGroup>,
    clock: Clock,
}

impl Logs {
    /// The configured log groups; asks AWS nothing yet. `clock` tells what their retention leaves.
    #[must_use]
    pub fn new(config: &Config, clock: Clock) -> Self {
        let log_groups = config.log_groups.iter().map(|entry| entry.value.clone());
        Self {
            log_groups: log_groups.collect(),
            clock,
        }
    }

    /// The log groups, as they are declared now.
    #[must_use]
    pub fn log_groups(&self) -> Vec<Arc<LogGroupFacts>> {
        let now = self.clock.now();
        let facts = self.log_groups.iter().map(|config| {
            let holds = &config.holds;
            Arc::new(LogGroupFacts {
                name: config.name.as_str().into(),
                holds: Declared {
                    accounts: holds.accounts.clone().map(|ids| ids.into_iter().collect()),
                    regions: holds.regions.clone().map(|r| r.into_iter().collect()),
                    first_time: holds.first_time(now),
                    reads: holds.reads,
                    writes: holds.writes,
                    excluded_event_sources: holds.excluded_event_sources.iter().cloned().collect(),
                    categories: holds.categories.iter().copied().collect(),
                },
                read_with: match config.read_with {
                    ReadWith::Auto => ReadLogsWith::Auto,
                    ReadWith::Filter => ReadLogsWith::FilterLogEvents,
                    ReadWith::Insights => ReadLogsWith::Insights,
                },
            })
        });
        facts.collect()
    }
}

impl Backend for Logs {
    fn open(&self, scan: &Scan, _search: &Arc<SearchContext>) -> Box<dyn ScanReader> {
        Box::new(Unreadable(wrong(scan)))
    }

    fn asks(&self, scan: &Scan, _query: &EventQuery) -> Result<Asks, Reason> {
        Err(wrong(scan))
    }
}

fn wrong(scan: &Scan) -> Reason {
    let wrong = format!("{:?} was given to the logs backend", scan.target);
    Reason::new(ReasonCode::Internal, wrong)
}

/// A scan that cannot be asked.
struct Unreadable(Reason);

#[async_trait]
impl ScanReader for Unreadable {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        Err(ScanError {
            reason: self.0.clone(),
            not_applicable: false,
            stopped_at: None,
            cost: PageCost::default(),
        })
    }
}
