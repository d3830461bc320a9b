//! CloudTrail log files as they lie in a bucket: the one form in which the sandbox holds records,
//! whether they were read from disk or generated.

use std::sync::Arc;

use jiff::Timestamp;

/// One delivered file: `[prefix/]AWSLogs/[o-xxx/]account/CloudTrail/region/YYYY/MM/DD/….json.gz`.
#[derive(Debug, Clone)]
pub struct LogFile {
    /// The object key, from `AWSLogs/` on.
    pub key: String,
    /// The account folder.
    pub account_id: String,
    /// The Region folder: where the file was delivered, not always the `awsRegion` of its records.
    pub region: String,
    /// Delivery time, from the file's name (whole minutes), else its day folder.
    pub delivered_at: Timestamp,
    /// The records, in file order.
    pub records: Vec<Arc<LogRecord>>,
}

/// One record and what the sandbox indexes of it.
#[derive(Debug)]
pub struct LogRecord {
    /// The record, exactly as delivered.
    pub json: Box<str>,
    /// The record, parsed.
    pub value: serde_json::Value,
    /// `eventTime` in epoch seconds.
    pub event_time: i64,
}
