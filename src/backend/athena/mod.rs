//! Archives: one Athena query for each scan, its rows rebuilt into records.
//!
//! A scan becomes a statement ([`sql`]) for what its table has ([`table`]); the statement runs as a
//! remote query ([`query`]), in a task of its reader ([`reader`], [`super::query_task`]), and is stopped by
//! the process ([`super::remote_query`]); its rows become records again ([`rebuild`]) and events as from
//! any other backend ([`results`]). Beside the scans, small
//! queries find out of which days there are log files at all ([`log_days`], [`rows`]).

mod archive;
mod hive_type;
mod log_days;
mod probe;
mod query;
mod reader;
mod rebuild;
mod record_columns;
mod remote;
mod results;
mod rows;
mod sql;
mod table;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::query_task::Payer;
use super::remote_query::Reaper;
use super::{Asks, Backend, DaysAsked, ScanReader, SearchContext, Spent, Unreadable, Words};
use crate::config::Config;
use crate::federation::Federation;
use crate::plan::estimate::DaysUnseen;
use crate::plan::facts::ArchiveFacts;
use crate::plan::{Reason, ReasonCode, Scan, ScanTarget, Unverified};
use crate::query::EventQuery;
use archive::Archive;
pub use probe::{ArchiveProbe, TableProbe};
use query::ArchiveQuery;
use reader::{AthenaReader, QueryScan};
use sql::{ScanStatement, Unwritable};

/// Reads archives. One serves the whole process.
#[derive(Debug)]
pub struct Athena {
    /// In the order of the configuration.
    archives: Vec<Arc<Archive>>,
    reaper: Reaper,
}

impl Athena {
    /// The configured archives; asks AWS nothing yet. To be called within the runtime that is to
    /// stop abandoned queries.
    #[must_use]
    pub fn new(config: &Config, federation: &Arc<Federation>) -> Self {
        Self::with(config, federation, Reaper::new(), &[])
    }

    /// The archives of another configuration of the same process: what both run is bounded, and stopped
    /// in the end, together.
    #[must_use]
    pub fn succeeded_by(&self, config: &Config, federation: &Arc<Federation>) -> Self {
        Self::with(config, federation, self.reaper.clone(), &self.archives)
    }

    fn with(
        config: &Config,
        federation: &Arc<Federation>,
        reaper: Reaper,
        before: &[Arc<Archive>],
    ) -> Self {
        let archives = config.archives.iter().filter_map(|entry| {
            // The configuration was checked: each archive has a way in.
            let access = config.archive_access(&entry.value)?;
            let mut archive = Archive::new(entry.value.clone(), access, Arc::clone(federation));
            if let Some(old) = before.iter().find(|old| old.name == archive.name) {
                archive.queries = Arc::clone(&old.queries);
            }
            Some(Arc::new(archive))
        });
        Self {
            archives: archives.collect(),
            reaper,
        }
    }

    /// The archives, each described once in the life of the process; one whose table cannot be
    /// described, or not within `limit`, carries the reason and is asked again the next time.
    pub async fn archives(&self, limit: Duration) -> Vec<Arc<ArchiveFacts>> {
        let all = self.archives.iter().map(|archive| archive.facts(limit));
        let facts = futures::future::join_all(all).await;
        facts.into_iter().map(Arc::new).collect()
    }

    /// Waits until every query that was abandoned is stopped, at most `patience`; then logs those
    /// that may still run. No scan may be read afterwards.
    pub async fn shutdown(&self, patience: Duration) {
        self.reaper.shutdown(patience).await;
    }

    fn archive(&self, name: &str) -> Option<&Arc<Archive>> {
        self.archives.iter().find(|archive| &*archive.name == name)
    }

    /// The statement that reads `scan`, and the archive that it is for.
    fn statement(
        &self,
        scan: &Scan,
        query: &EventQuery,
    ) -> Result<(&Arc<Archive>, ScanStatement), Reason> {
        let ScanTarget::Athena {
            archive: facts,
            accounts,
            regions,
        } = &scan.target
        else {
            let wrong = format!("{:?} was given to the Athena backend", scan.target);
            return Err(Reason::new(ReasonCode::Internal, wrong));
        };
        let archive = self.archive(&facts.name).ok_or_else(|| {
            let unknown = format!("archive {} is not configured", facts.name);
            Reason::new(ReasonCode::Internal, unknown)
        })?;
        let table = facts.table.as_ref().map_err(Clone::clone)?;
        let condition = query.condition();
        let asked = sql::Asked {
            accounts,
            regions: regions.as_ref(),
            range: scan.range,
            categories: &scan.categories,
            condition: &condition,
            order: query.order,
        };
        let statement = sql::statement(&archive.config, table, &asked)
            .map_err(|error| unwritable(&archive.name, &error))?;
        Ok((archive, statement))
    }

    fn prepare(&self, scan: &Scan, search: &Arc<SearchContext>) -> Result<QueryScan, Reason> {
        let (archive, statement) = self.statement(scan, &search.query)?;
        Ok(QueryScan {
            archive: Arc::clone(archive),
            reaper: self.reaper.clone(),
            statement,
            range: scan.range,
            search: Arc::clone(search),
        })
    }
}

impl Backend for Athena {
    fn open(&self, scan: &Scan, search: &Arc<SearchContext>) -> Box<dyn ScanReader> {
        match self.prepare(scan, search) {
            Ok(scan) => Box::new(AthenaReader::new(scan)),
            Err(reason) => Box::new(Unreadable(reason)),
        }
    }

    fn asks(&self, scan: &Scan, query: &EventQuery) -> Result<Asks, Reason> {
        let (_, statement) = self.statement(scan, query)?;
        Ok(Asks {
            words: Words::Sql(statement.sql),
            // The statement narrows by every condition that there is.
            checked_afterwards: Vec::new(),
        })
    }

    fn verify(
        &self,
        asked: &DaysAsked,
        search: &Arc<SearchContext>,
        spent: &Arc<Spent>,
    ) -> Option<BoxFuture<'static, Vec<Unverified>>> {
        let archive = self.archive(&asked.archive.name)?;
        if !archive.config.verify_days {
            return None;
        }
        let verification = log_days::Verification {
            query: ArchiveQuery {
                archive: Arc::clone(archive),
                reaper: self.reaper.clone(),
                payer: Payer::search(search, spent),
            },
            asked: asked.clone(),
        };
        Some(verification.run().boxed())
    }

    fn days_unseen(&self, asked: &DaysAsked) -> Option<DaysUnseen> {
        let archive = self.archive(&asked.archive.name)?;
        // Of a table that could not be described nothing is asked.
        if !archive.config.verify_days || asked.archive.table.is_err() {
            return None;
        }
        log_days::unseen(archive, asked)
    }
}

fn unwritable(archive: &str, error: &Unwritable) -> Reason {
    match error {
        Unwritable::Table(_) => Reason::new(
            ReasonCode::ArchiveUnusable,
            format!("the table of archive {archive} cannot answer this: {error}"),
        ),
        Unwritable::TooLong(_) => Reason::new(
            ReasonCode::QueryFailed,
            format!("the query on archive {archive} was not started: {error}"),
        ),
    }
}
