//! From records to files, as CloudTrail delivers them: by account, Region and slot of five minutes.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use jiff::tz::TimeZone;

use super::dice::Dice;
use super::identity::timestamp;
use super::record::{Record, Region};
use crate::sandbox::log_file::{LogFile, LogRecord};

/// Seconds between deliveries.
const SLOT: i64 = 300;

/// The account that has a second trail into the bucket, and how much of its logs comes twice.
const TWICE: (&str, u32) = ("log-archive", 4);

/// Delivers every record, between one and fifteen minutes after it happened.
pub(super) fn deliver(
    dice: &mut Dice,
    organization_id: &str,
    account_name: impl Fn(&str) -> String,
    records: Vec<Record>,
) -> Vec<LogFile> {
    let mut slots: BTreeMap<(i64, String, Region), Vec<Arc<LogRecord>>> = BTreeMap::new();
    for sent in written(records) {
        let twice = account_name(&sent.account_id) == TWICE.0 && dice.chance(TWICE.1);
        for _ in 0..=u8::from(twice) {
            let delay = dice.between(60, 600);
            let slot = (sent.time + delay + SLOT - 1).div_euclid(SLOT) * SLOT;
            slots
                .entry((slot, sent.account_id.clone(), sent.folder))
                .or_default()
                .push(Arc::clone(&sent.record));
        }
    }
    slots
        .into_iter()
        .map(|((slot, account_id, region), records)| {
            let at = timestamp(slot);
            let zoned = at.to_zoned(TimeZone::UTC);
            let random = dice.letters(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                16,
            );
            let key = format!(
                "AWSLogs/{organization_id}/{account_id}/CloudTrail/{region}/{}/{account_id}_CloudTrail_{region}_{}_{random}.json.gz",
                zoned.strftime("%Y/%m/%d"),
                zoned.strftime("%Y%m%dT%H%MZ"),
            );
            LogFile {
                key,
                account_id,
                region: region.into(),
                delivered_at: at,
                records,
            }
        })
        .collect()
}

/// A record on its way into a file.
struct Sent {
    time: i64,
    account_id: String,
    folder: Region,
    record: Arc<LogRecord>,
}

/// The records in the sandbox's form, in the same order. To write them out is half the work of
/// generating an organization, so every processor takes its share.
fn written(records: Vec<Record>) -> Vec<Sent> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = records.len().div_ceil(processors).max(1);
    let mut records = records.into_iter();
    thread::scope(|scope| {
        let mut writers = Vec::new();
        while records.len() > 0 {
            let part: Vec<Record> = records.by_ref().take(share).collect();
            writers.push(scope.spawn(|| part.into_iter().map(write).collect::<Vec<_>>()));
        }
        let parts = writers.into_iter();
        parts
            .flat_map(|writer| writer.join().expect("writing does not panic"))
            .collect()
    })
}

fn write(record: Record) -> Sent {
    Sent {
        time: record.time,
        account_id: record.account_id,
        folder: record.folder,
        record: Arc::new(LogRecord::from_value(&record.value)),
    }
}
