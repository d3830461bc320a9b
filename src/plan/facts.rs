//! What planning needs to know, read beforehand in one named step and then a plain value.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::Date;

use super::inventory::Membership;
use crate::plan::Reason;
use crate::query::{AccountId, EventCategory, EventTime, Region};

/// Everything the planner knows besides the question and the time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The federation's accounts, by id, each once.
    pub accounts: Vec<AccountFacts>,
    /// The archives, in the order of the configuration: the first that covers something serves it.
    pub archives: Vec<Arc<ArchiveFacts>>,
    /// The log groups, in the order of the configuration: they stand in where no archive does.
    pub log_groups: Vec<Arc<LogGroupFacts>>,
    /// What the configuration accepts as unreadable, whether or not that still holds.
    pub accepted_gaps: Arc<[AcceptedGap]>,
    /// How routing is tuned.
    pub routing: Routing,
}

/// One account of the federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFacts {
    /// Its id.
    pub id: AccountId,
    /// Its name in the configuration or the organization.
    pub name: Option<Arc<str>>,
    /// The Regions that searches read there.
    pub regions: Vec<Region>,
    /// Where all enabled Regions are meant: why they could not be learned. `regions` are then those
    /// to read all the same, and the others are a gap.
    pub regions_unknown: Option<Reason>,
    /// Whether its event history is read at all.
    pub event_history: bool,
    /// What the organization knows of it; `None` in a configured list.
    pub membership: Option<Arc<Membership>>,
}

impl AccountFacts {
    /// An account without a name, outside any organization, whose event history is read.
    #[must_use]
    pub fn new(id: AccountId, regions: Vec<Region>) -> Self {
        Self {
            id,
            name: None,
            regions,
            regions_unknown: None,
            event_history: true,
            membership: None,
        }
    }

    /// What the organization knows of it.
    #[must_use]
    pub fn membership(&self) -> Option<&Membership> {
        self.membership.as_deref()
    }
}

/// Accounts and Regions whose event history is known to be unreadable (section `accepted_gaps`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedGap {
    /// The accounts; `None` is every account.
    pub accounts: Option<BTreeSet<AccountId>>,
    /// The Regions; `None` is every Region.
    pub regions: Option<BTreeSet<Region>>,
    /// Why it is accepted.
    pub reason: Arc<str>,
    /// The last day (UTC) on which it is.
    pub until: Date,
}

/// What an archive or a log group declares to hold: it is believed so far and no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The accounts it holds; `None` is every account of the federation.
    pub accounts: Option<BTreeSet<AccountId>>,
    /// The Regions it holds; `None` is every Region.
    pub regions: Option<BTreeSet<Region>>,
    /// The first instant that it holds: the start of its first day, or what its retention leaves.
    pub first_time: EventTime,
    /// Whether it holds events with `readOnly` true.
    pub reads: bool,
    /// Whether it holds events with `readOnly` false.
    pub writes: bool,
    /// AWS services (`eventSource`) whose events its trail leaves out.
    pub excluded_event_sources: BTreeSet<String>,
    /// The categories that it holds.
    pub categories: BTreeSet<EventCategory>,
}

/// One archive: what it declares to hold, and what its table can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFacts {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What it declares to hold.
    pub holds: Declared,
    /// Bytes of its table that a day's events take, as configured.
    pub bytes_per_day: Option<u64>,
    /// Whether reading some accounts reads only their files.
    pub partitioned_by_account: bool,
    /// The table, or why it could not be described: then nothing of it can be planned.
    pub table: Result<Arc<TableFacts>, Reason>,
}

/// One CloudWatch Logs log group: what it declares to hold, and how it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroupFacts {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What it declares to hold.
    pub holds: Declared,
    /// Which API reads it.
    pub read_with: ReadLogsWith,
}

/// Which API reads a log group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ReadLogsWith {
    /// `FilterLogEvents` for short intervals, Logs Insights for long ones.
    #[default]
    Auto,
    /// `FilterLogEvents`, as far as it can be read newest first.
    FilterLogEvents,
    /// Logs Insights.
    Insights,
}

/// What is known of an archive's table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableFacts {
    /// Every scalar leaf that can be selected, by its dotted lower-case path, such as
    /// `useridentity.sessioncontext.sessionissuer.arn`.
    pub columns: BTreeSet<String>,
    /// Columns that are arrays, maps or rows as a whole, by the same path.
    pub composites: BTreeSet<String>,
    /// Of `columns`, those that are no strings: they are compared and read through a cast.
    pub not_text: BTreeSet<String>,
    /// Its size in bytes, where the data catalog has it.
    pub bytes: Option<u64>,
}

/// How routing is tuned (section `routing` of the configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// How long after an event its archive or log group surely holds it.
    pub archive_delay: SignedDuration,
    /// Events younger than this may still arrive anywhere.
    pub settle_time: SignedDuration,
    /// The length of the slice of an Athena or Logs Insights query that is read first; each further
    /// one is twice as long.
    pub first_slice: SignedDuration,
    /// Intervals of a log group that are at least this long are read with Logs Insights.
    pub insights_min_interval: SignedDuration,
    /// Pages that a scan of event history asks for, those that find sessions among them, before what
    /// is left of it goes to the archive or log group that holds it, if there is one. Scans that have
    /// come half as far by then join it, so that they are one query.
    pub max_lookup_pages: u64,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            archive_delay: SignedDuration::from_hours(1),
            settle_time: SignedDuration::from_mins(30),
            first_slice: SignedDuration::from_hours(24),
            insights_min_interval: SignedDuration::from_hours(24),
            max_lookup_pages: 1_000,
        }
    }
}
