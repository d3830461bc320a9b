//! One archive, probed: what is asked of it for a check rather than for a search.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;

use super::Athena;
use super::archive::Archive;
use super::log_days::{self, Searched};
use super::query::ArchiveQuery;
use super::sql::Look;
use super::table::table_facts;
use crate::backend::Spent;
use crate::backend::query_task::Payer;
use crate::backend::remote_query::Reaper;
use crate::caller::Caller;
use crate::config::Access;
use crate::config::stores::TrailArn;
use crate::plan::Reason;
use crate::plan::facts::{ArchiveFacts, TableFacts};
use crate::plan::log_days::{AccountDays, LogDays};
use crate::query::{AccountId, EventTime, Region};

/// One archive, to be probed.
#[derive(Debug)]
pub struct ArchiveProbe {
    archive: Arc<Archive>,
    reaper: Reaper,
    caller: Arc<Caller>,
}

/// A table, as it is described now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableProbe {
    /// What it has.
    pub table: Arc<TableFacts>,
    /// The bucket of its location, where it has one.
    pub bucket: Option<String>,
}

impl Athena {
    /// The archives, to be probed for `caller`, in the order of the configuration.
    #[must_use]
    pub fn probes(&self, caller: &Arc<Caller>) -> Vec<ArchiveProbe> {
        let probe = |archive: &Arc<Archive>| ArchiveProbe {
            archive: Arc::clone(archive),
            reaper: self.reaper.clone(),
            caller: Arc::clone(caller),
        };
        self.archives.iter().map(probe).collect()
    }
}

impl ArchiveProbe {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.archive.name)
    }

    /// Its table, with the database.
    #[must_use]
    pub fn table_name(&self) -> String {
        let config = &self.archive.config;
        format!("table {}.{}", config.database, config.table)
    }

    /// The account where its Athena runs.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.archive.config.account
    }

    /// The Region where its Athena runs.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.archive.config.region
    }

    /// How it is reached.
    #[must_use]
    pub fn access(&self) -> &Access {
        self.archive.access()
    }

    /// The trail that the configuration names.
    #[must_use]
    pub fn trail(&self) -> Option<&TrailArn> {
        self.archive.config.trail.as_ref()
    }

    /// The accounts that it declares to hold; `None` is every account of the federation.
    #[must_use]
    pub fn declared_accounts(&self) -> Option<BTreeSet<AccountId>> {
        let accounts = self.archive.config.holds.accounts.as_ref()?;
        Some(accounts.iter().copied().collect())
    }

    /// The first day that it declares to hold.
    #[must_use]
    pub fn first_day(&self) -> Date {
        self.archive.config.holds.first_day
    }

    /// All that it declares to hold.
    #[must_use]
    pub fn declared(&self, described: &TableProbe) -> ArchiveFacts {
        self.archive.declared(Ok(Arc::clone(&described.table)))
    }

    /// Describes its table, whatever is known of it.
    pub async fn table(&self) -> Result<TableProbe, Reason> {
        let metadata = self.archive.metadata().await?;
        let location = metadata.parameters().and_then(|all| all.get("location"));
        let bucket = location
            .and_then(|location| location.strip_prefix("s3://"))
            .and_then(|place| place.split('/').next())
            .filter(|bucket| !bucket.is_empty());
        Ok(TableProbe {
            bucket: bucket.map(str::to_owned),
            table: Arc::new(table_facts(&self.archive.name, &metadata)),
        })
    }

    /// Which of these accounts and days have log files.
    pub async fn log_days(
        &self,
        table: &TableFacts,
        asked: Vec<AccountDays>,
        spent: &Arc<Spent>,
    ) -> Result<LogDays, Reason> {
        let query = self.query(spent);
        let searched = Searched::few_then_all(&query, table, asked);
        Ok(searched.await?.days)
    }

    /// The newest event of these accounts and days; none if there is no event.
    pub async fn newest(
        &self,
        table: &TableFacts,
        asked: &AccountDays,
        spent: &Arc<Spent>,
    ) -> Result<Option<EventTime>, Reason> {
        let asked = std::slice::from_ref(asked);
        let query = self.query(spent);
        let files = log_days::read(&query, table, asked, Look::ForNewest);
        Ok(files.await?.newest)
    }

    fn query(&self, spent: &Arc<Spent>) -> ArchiveQuery {
        ArchiveQuery {
            archive: Arc::clone(&self.archive),
            reaper: self.reaper.clone(),
            payer: Payer::check(&self.caller, spent),
        }
    }
}
