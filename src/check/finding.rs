//! What a check says.

use std::sync::Arc;

use super::policy::Policy;
use crate::plan::{Reason, Unverified};
use crate::query::{AccountId, EventTime, Region};

/// One message of a check: findings as they come, the summary last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckItem {
    /// What one probe found.
    Finding(Box<Finding>),
    /// How it ended.
    Summary(Summary),
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was probed.
    pub subject: Subject,
    /// What for.
    pub probe: Probe,
    /// Whether it is as it should be.
    pub state: State,
    /// What was found, in words.
    pub detail: String,
    /// What to do about it; empty where nothing is to be done.
    pub fix: String,
    /// Why it failed, with AWS's own code and message.
    pub reason: Option<Reason>,
    /// The IAM statements that are missing, or one of which is.
    pub policies: Vec<Policy>,
    /// The newest event that was seen.
    pub newest_event: Option<EventTime>,
    /// Days without a log file.
    pub missing_days: Vec<Unverified>,
}

/// What was probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An account of the federation.
    Account {
        /// Its id.
        id: AccountId,
        /// Its name in the federation.
        name: Option<Arc<str>>,
        /// The Regions that the finding is about; empty is none in particular.
        regions: Vec<Region>,
    },
    /// An archive.
    Archive {
        /// Its name in the configuration.
        name: Arc<str>,
        /// The account where its Athena runs.
        account: AccountId,
    },
    /// A log group.
    LogGroup {
        /// Its name in the configuration.
        name: Arc<str>,
        /// The account that it is in.
        account: AccountId,
    },
}

/// What a subject is probed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Whether the service gets in.
    Credentials,
    /// Whether event history answers, and how new its newest event is.
    EventHistory,
    /// Whether the archive's table can be described.
    Table,
    /// Whether the log group exists, and is as old and as lasting as declared.
    LogGroup,
    /// Whether a query on it answers, and how new its newest event is.
    Query,
    /// Whether there are log files of each account and day that it claims.
    LogFiles,
    /// Whether there are log streams of each account that it claims, and how new they are.
    LogStreams,
    /// Whether its trails record and deliver.
    Trail,
    /// Whether it declares no more than its trails record.
    Declaration,
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is.
    Fine,
    /// It is not.
    NeedsFix,
    /// Nobody knows: the check ended first.
    NotChecked,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Findings that are fine.
    pub fine: u64,
    /// Findings with something to fix.
    pub needs_fix: u64,
    /// Probes that were not made or did not end.
    pub not_checked: u64,
    /// Bytes that Athena and Logs Insights scanned for it.
    pub bytes_scanned: u64,
}

impl Finding {
    /// It is as it should be.
    pub(super) fn fine(subject: Subject, probe: Probe, detail: impl Into<String>) -> Self {
        Self {
            subject,
            probe,
            state: State::Fine,
            detail: detail.into(),
            fix: String::new(),
            reason: None,
            policies: Vec::new(),
            newest_event: None,
            missing_days: Vec::new(),
        }
    }

    /// It is not, and this is what to do.
    pub(super) fn needs_fix(
        subject: Subject,
        probe: Probe,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            state: State::NeedsFix,
            fix: fix.into(),
            ..Self::fine(subject, probe, detail)
        }
    }

    /// AWS refused or broke; the reason says what to do.
    pub(super) fn failed(
        subject: Subject,
        probe: Probe,
        reason: Reason,
        policies: Vec<Policy>,
    ) -> Self {
        Self {
            state: State::NeedsFix,
            reason: Some(reason.clone()),
            policies,
            ..Self::fine(subject, probe, reason.message)
        }
    }

    /// The check ended before it was known.
    pub(super) fn not_checked(subject: Subject, probe: Probe, reason: Reason) -> Self {
        Self {
            state: State::NotChecked,
            detail: reason.message.clone(),
            reason: Some(reason),
            ..Self::fine(subject, probe, "")
        }
    }
}
