//! DescribeLogStreams.

use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::error::AwsError;
use crate::sandbox::page_token::PageTokens;

use super::group::LogGroup;
use super::{invalid, validation};

const MAX_LIMIT: usize = 50;

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogStreams {
    pub log_group_name: Option<String>,
    pub log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    next_token: Option<String>,
    limit: Option<i64>,
}

impl DescribeLogStreams {
    /// The streams of `group` that have an event at `now`, by name.
    pub fn answer(
        &self,
        group: &LogGroup,
        tokens: &PageTokens,
        now: Timestamp,
    ) -> Result<Value, AwsError> {
        let limit = match self.limit {
            None => MAX_LIMIT,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| validation("limit", limit, "be between 1 and 50"))?,
        };
        if self.order_by.as_deref().unwrap_or("LogStreamName") != "LogStreamName"
            || self.descending == Some(true)
        {
            return Err(invalid(
                "The sandbox lists log streams by their names only.",
            ));
        }
        let prefix = self.log_stream_name_prefix.as_deref().unwrap_or("");
        let streams: Vec<Value> = (group.last_events(now).into_iter())
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, last)| {
                json!({
                    "logStreamName": *name,
                    "arn": format!("{}:log-stream:{name}", group.arn),
                    "lastEventTimestamp": last.timestamp,
                    "lastIngestionTime": last.ingestion_time,
                    "storedBytes": 0,
                })
            })
            .collect();
        let asked = format!("streams {prefix} {limit}");
        let from = match &self.next_token {
            None => 0,
            Some(token) => {
                let opened = tokens.open(token, &asked, Instant::now());
                opened
                    .map_err(|_| invalid("The specified nextToken is invalid."))?
                    .from as usize
            }
        };
        let to = streams.len().min(from.saturating_add(limit));
        let mut answer = json!({"logStreams": streams[from.min(to)..to]});
        if to < streams.len() {
            let place = u32::try_from(to).expect("few streams");
            answer["nextToken"] = tokens.seal(&asked, place, Instant::now()).into();
        }
        Ok(answer)
    }
}
