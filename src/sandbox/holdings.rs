//! What a sandbox holds, from wherever it comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::load::{self, LoadReport};
use super::log_file::LogFile;
use super::organization::{self, Account, Organization, Story};
use super::organizations::Directory;
use super::{Data, StartError};

/// What a sandbox holds, and where its hub is.
pub struct Holdings {
    /// The accounts whose events there are.
    pub accounts: Vec<Account>,
    /// Where the hub is.
    pub hub_account_id: String,
    /// What AWS Organizations says.
    pub directory: Directory,
    /// All log files, in order of delivery.
    pub files: Arc<[LogFile]>,
    /// What could not be read.
    pub load_problems: Vec<load::Problem>,
    /// What there is to find, in a generated organization.
    pub story: Option<Story>,
}

impl Holdings {
    /// Loads or generates everything; takes seconds where there is much.
    pub fn of(data: Data) -> Result<Self, StartError> {
        match data {
            Data::Logs(directories) => Ok(Self::of_logs(load::load(&directories)?)),
            Data::Files { accounts, files } => {
                let hub = accounts.first().ok_or(StartError::NoAccounts)?;
                let directory = Directory::flat(hub, &accounts);
                Ok(Self::of_files(directory, accounts, files, None))
            }
            Data::Organization(spec) => {
                let Organization {
                    accounts,
                    directory,
                    files,
                    story,
                    ..
                } = organization::generate(&spec);
                Ok(Self::of_files(directory, accounts, files, Some(story)))
            }
        }
    }

    fn of_files(
        directory: Directory,
        accounts: Vec<Account>,
        files: Vec<LogFile>,
        story: Option<Story>,
    ) -> Self {
        Self {
            hub_account_id: directory.management_account_id.clone(),
            directory,
            accounts,
            files: by_delivery(files),
            load_problems: Vec::new(),
            story,
        }
    }

    fn of_logs(report: LoadReport) -> Self {
        for problem in &report.problems {
            tracing::warn!("sandbox: not loaded: {problem}");
        }
        tracing::info!(
            files = report.files.len(),
            records = report.records(),
            problems = report.problems.len(),
            other_files = report.other_files,
            "sandbox: log files loaded"
        );
        let ids: BTreeSet<&str> = report.files.iter().map(|file| &*file.account_id).collect();
        let hub_account_id = (0u64..1_000_000_000_000)
            .map(|number| format!("{number:012}"))
            .find(|id| !ids.contains(&**id))
            .expect("there are more numbers than accounts");
        let accounts = ids.into_iter().map(|id| Account {
            id: id.to_owned(),
            name: id.to_owned(),
        });
        let accounts: Vec<Account> = accounts.collect();
        let hub = Account {
            id: hub_account_id.clone(),
            name: "hub".to_owned(),
        };
        Self {
            directory: Directory::flat(&hub, &accounts),
            accounts,
            hub_account_id,
            load_problems: report.problems,
            files: by_delivery(report.files),
            story: None,
        }
    }
}

fn by_delivery(mut files: Vec<LogFile>) -> Arc<[LogFile]> {
    files.sort_by(|a, b| (a.delivered_at, &a.key).cmp(&(b.delivered_at, &b.key)));
    files.into()
}
