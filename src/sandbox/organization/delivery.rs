//! From records to files, as CloudTrail delivers them: by account, Region and slot of five minutes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::Value;

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
    for record in records {
        let twice = account_name(&record.account_id) == TWICE.0 && dice.chance(TWICE.1);
        let (time, folder) = (record.time, record.folder);
        let account_id = record.account_id.clone();
        let record = Arc::new(log_record(record));
        for _ in 0..=u8::from(twice) {
            let delay = dice.between(60, 600);
            let slot = (time + delay + SLOT - 1).div_euclid(SLOT) * SLOT;
            slots
                .entry((slot, account_id.clone(), folder))
                .or_default()
                .push(Arc::clone(&record));
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

/// The one place that makes the sandbox's form of a record.
fn log_record(record: Record) -> LogRecord {
    LogRecord::from_value(&Value::Object(record.members))
}
