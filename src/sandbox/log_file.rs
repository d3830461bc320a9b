//! CloudTrail log files as they lie in a bucket: the one form in which the sandbox holds records,
//! whether they were read from disk or generated.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

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

/// One record: its text, and the two members that say when and where it is looked for.
///
/// Only the text is kept, so that a million records fit into memory; whoever needs more of a
/// record parses it ([`LogRecord::value`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    json: Box<str>,
    event_time: Option<i64>,
    aws_region: Option<Box<str>>,
}

/// Why a text is no CloudTrail record.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON object with CloudTrail's members: {0}")]
pub struct NotARecord(#[from] serde_json::Error);

impl LogRecord {
    /// A record from its text, which is kept as it is.
    ///
    /// Refuses what is not a JSON object, or whose `eventTime` or `awsRegion` is not a string.
    pub fn parse(json: impl Into<Box<str>>) -> Result<Self, NotARecord> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Members<'a> {
            #[serde(borrow)]
            event_time: Option<Cow<'a, str>>,
            #[serde(borrow)]
            aws_region: Option<Cow<'a, str>>,
        }
        let json = json.into();
        if !json.trim_ascii_start().starts_with('{') {
            // serde would read an array as the struct's fields in order.
            return Err(<serde_json::Error as serde::de::Error>::custom("no object").into());
        }
        let members: Members<'_> = serde_json::from_str(&json)?;
        let event_time = members.event_time.as_deref().and_then(epoch_seconds);
        let aws_region = members.aws_region.map(Box::from);
        Ok(Self {
            json,
            event_time,
            aws_region,
        })
    }

    /// A record from a JSON value, which is written out compactly.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        Self {
            event_time: value["eventTime"].as_str().and_then(epoch_seconds),
            aws_region: value["awsRegion"].as_str().map(Box::from),
            json: value.to_string().into_boxed_str(),
        }
    }

    /// The record, exactly as delivered.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The record, parsed anew at each call.
    ///
    /// # Panics
    /// Never: only JSON is let in.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.json).expect("checked when the record was made")
    }

    /// `eventTime` in epoch seconds; none where the record has no readable one, so that no
    /// interval contains it.
    #[must_use]
    pub fn event_time(&self) -> Option<i64> {
        self.event_time
    }

    /// `awsRegion`, which says whose event history shows the record.
    #[must_use]
    pub fn aws_region(&self) -> Option<&str> {
        self.aws_region.as_deref()
    }
}

/// Whole seconds, as event times have; a fraction, which CloudTrail never writes, is cut off.
fn epoch_seconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>()
        .ok()
        .map(|time| time.as_millisecond().div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_kept_and_both_ways_of_making_a_record_agree() {
        let text = r#"{ "eventTime":"2023-07-10T11:42:17Z" , "awsRegion":"eu\u002dwest-1"}"#;
        let record = LogRecord::parse(text).unwrap();
        assert_eq!(record.json(), text);
        assert_eq!(record.event_time(), Some(1_688_989_337));
        assert_eq!(record.aws_region(), Some("eu-west-1"));
        let made = LogRecord::from_value(&record.value());
        assert_eq!(made.event_time(), record.event_time());
        assert_eq!(made.aws_region(), record.aws_region());
    }

    #[test]
    fn a_record_may_lack_anything_but_must_be_an_object() {
        let bare = LogRecord::parse("{}").unwrap();
        assert_eq!((bare.event_time(), bare.aws_region()), (None, None));
        assert_eq!(bare.value(), json!({}));
        assert_eq!(
            LogRecord::parse(r#"{"eventTime":"yesterday"}"#)
                .unwrap()
                .event_time(),
            None
        );
        for text in [
            "[]",
            "[null,null]",
            "null",
            "\"x\"",
            "{",
            "{} {}",
            r#"{"eventTime":7}"#,
        ] {
            assert!(LogRecord::parse(text).is_err(), "{text}");
        }
    }
}
