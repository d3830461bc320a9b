//! GetQueryResults: the rows that a query has so far, in pages once it is complete.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::error::AwsError;
use crate::sandbox::page_token::PageTokens;

use super::execution::{Execution, Snapshot, Status};
use super::insights::Column;
use super::{invalid, validation};

const MAX_ITEMS: usize = 10_000;

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetQueryResults {
    pub query_id: String,
    next_token: Option<String>,
    max_items: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultsPage<'a> {
    query_language: &'static str,
    results: Vec<Vec<ResultField<'a>>>,
    statistics: Value,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
struct ResultField<'a> {
    field: &'static str,
    value: std::borrow::Cow<'a, str>,
}

impl GetQueryResults {
    /// The JSON text of the response.
    pub fn page(&self, execution: &Execution, tokens: &PageTokens) -> Result<String, AwsError> {
        let size = match self.max_items {
            None => MAX_ITEMS,
            Some(items) => usize::try_from(items)
                .ok()
                .filter(|items| (1..=MAX_ITEMS).contains(items))
                .ok_or_else(|| validation("maxItems", items, "be between 1 and 10000"))?,
        };
        let asked = format!("{} {size}", execution.id);
        let from = match &self.next_token {
            None => 0,
            Some(token) => {
                let opened = tokens.open(token, &asked, Instant::now());
                opened
                    .map_err(|_| invalid("The specified nextToken is invalid."))?
                    .from as usize
            }
        };
        let Snapshot {
            status,
            rows,
            statistics,
        } = execution.snapshot();
        let to = rows.len().min(from.saturating_add(size));
        let next = (status == Status::Complete && to < rows.len()).then_some(to);
        let rows = rows[from.min(to)..to].iter();
        let results = ResultsPage {
            query_language: "CWLI",
            results: rows.map(|place| row(execution, *place)).collect(),
            statistics,
            status: status.name(),
            next_token: next.map(|place| {
                let place = u32::try_from(place).expect("at most 100,000 rows");
                tokens.seal(&asked, place, Instant::now())
            }),
        };
        Ok(serde_json::to_string(&results).expect("texts and numbers are always JSON"))
    }
}

fn row(execution: &Execution, place: usize) -> Vec<ResultField<'_>> {
    let event = execution.group().event(place);
    let columns = execution.query.columns.iter().map(|column| match column {
        Column::Message => ResultField {
            field: "@message",
            value: event.record.json().into(),
        },
        Column::Timestamp => ResultField {
            field: "@timestamp",
            value: written(event.timestamp).into(),
        },
        Column::LogStream => ResultField {
            field: "@logStream",
            value: (*event.stream).into(),
        },
    });
    let pointer = ResultField {
        field: "@ptr",
        value: STANDARD.encode(execution.group().event_id(place)).into(),
    };
    columns.chain([pointer]).collect()
}

/// As Insights writes times: `2026-03-01 11:04:00.000`.
fn written(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .expect("times of files are times")
        .to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S.%3f")
        .to_string()
}
