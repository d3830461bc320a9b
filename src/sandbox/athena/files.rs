//! The log files as a table sees them: partitions, sizes, paths, and which are delivered already.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::sandbox::log_file::LogFile;

use super::table::PartitionKey;

/// The bucket that all files lie in.
pub const BUCKET: &str = "sandbox-cloudtrail-logs";

/// All log files, in the order in which engines read them: day of delivery, account, Region, key.
#[derive(Debug)]
pub struct TableFiles {
    files: Arc<[LogFile]>,
    tables: Vec<TableFile>,
    clock: Clock,
}

/// One log file, as a table sees it.
#[derive(Debug)]
pub struct TableFile {
    /// Its place in the log files.
    file: usize,
    /// Values for [`PartitionKey::ALL`], in that order.
    partition: [String; PartitionKey::ALL.len()],
    /// What reading it costs: the length of its records' text. The sandbox keeps no compressed
    /// sizes.
    pub bytes: u64,
}

impl TableFile {
    /// What the path says for one key.
    #[must_use]
    pub fn partition_value(&self, key: PartitionKey) -> &str {
        &self.partition[key as usize]
    }
}

impl TableFiles {
    /// A view on these files; those that `clock` has not reached are not there yet.
    #[must_use]
    pub fn new(files: Arc<[LogFile]>, clock: Clock) -> Self {
        let mut tables: Vec<TableFile> = files
            .iter()
            .enumerate()
            .map(|(place, file)| TableFile {
                file: place,
                partition: partition_of(file),
                bytes: file
                    .records
                    .iter()
                    .map(|record| record.json().len() as u64)
                    .sum(),
            })
            .collect();
        let day = PartitionKey::Timestamp as usize;
        tables.sort_by(|a, b| {
            let key = |file: &TableFile| {
                let log_file = &files[file.file];
                (
                    file.partition[day].clone(),
                    log_file.account_id.clone(),
                    log_file.region.clone(),
                    log_file.key.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        Self {
            files,
            tables,
            clock,
        }
    }

    /// How many files there are, delivered or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there is no file at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The file at a place in reading order.
    #[must_use]
    pub fn table_file(&self, place: usize) -> &TableFile {
        &self.tables[place]
    }

    /// The log file at a place in reading order.
    #[must_use]
    pub fn log_file(&self, place: usize) -> &LogFile {
        &self.files[self.tables[place].file]
    }

    /// The places of all files delivered by now.
    pub fn delivered(&self) -> impl Iterator<Item = usize> + '_ {
        let now = self.clock.now();
        (0..self.len()).filter(move |&place| self.log_file(place).delivered_at <= now)
    }

    /// Where a file lies.
    #[must_use]
    pub fn path(&self, place: usize) -> String {
        format!("s3://{BUCKET}/{}", self.log_file(place).key)
    }

    /// Every value of one key, sorted.
    #[must_use]
    pub fn values(&self, key: PartitionKey) -> Vec<&str> {
        let mut values: Vec<&str> = self
            .tables
            .iter()
            .map(|file| file.partition_value(key))
            .collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

/// The folders of the file's day count, as in a bucket; the delivery time where there are none.
fn partition_of(file: &LogFile) -> [String; PartitionKey::ALL.len()] {
    let mut folders = file.key.rsplit('/').skip(1);
    let is_number = |text: &&str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let day = folders.next().filter(|day| is_number(day, 2));
    let month = folders.next().filter(|month| is_number(month, 2));
    let year = folders.next().filter(|year| is_number(year, 4));
    let (year, month, day) = if let (Some(year), Some(month), Some(day)) = (year, month, day) {
        (year.to_owned(), month.to_owned(), day.to_owned())
    } else {
        let date = file.delivered_at.to_zoned(TimeZone::UTC).date();
        (
            format!("{:04}", date.year()),
            format!("{:02}", date.month()),
            format!("{:02}", date.day()),
        )
    };
    PartitionKey::ALL.map(|key| match key {
        PartitionKey::Account => file.account_id.clone(),
        PartitionKey::Region => file.region.clone(),
        PartitionKey::Year => year.clone(),
        PartitionKey::Month => month.clone(),
        PartitionKey::Day => day.clone(),
        PartitionKey::Timestamp => format!("{year}/{month}/{day}"),
    })
}
