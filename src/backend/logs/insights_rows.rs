//! The rows of one query, in the order of delivery, and what is left to read after them.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_cloudwatchlogs::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_cloudwatchlogs::types::ResultField;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::events::Events;
use super::group::LogGroup;
use super::window::Window;
use crate::backend::{PageCost, SearchContext};
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, Event, EventTime, RecordView, SearchOrder};

/// Rows of a single second, which cannot be split, and where what is returned of the second after
/// the window is more than a query is asked for: AWS's most.
pub(super) const ROWS_OF_A_SECOND: u32 = 100_000;

/// Takes rows as they come. Those of the last second are kept back: if the query had more rows than
/// it was asked for, that second is read again whole.
///
/// Rows after the last second that was queried are counted, for they are of the rows that the query
/// was asked for, and left out: a query returns the first millisecond of the second after it too.
#[derive(Debug)]
pub(super) struct Rows {
    log_group: Arc<str>,
    events: Events,
    order: SearchOrder,
    asked: u32,
    /// The edge of the window when the query began.
    edge: EventTime,
    /// The last second that is queried.
    last: EventTime,
    taken: u64,
    /// Those of `taken` that lie after the last second.
    beyond: u64,
    /// The query before returned no other rows, and not all of them.
    were_all_beyond: bool,
    /// Rows that matched, as AWS counts them.
    matched: u64,
    /// The last second, and its rows.
    kept: Option<(EventTime, Vec<Row>)>,
}

#[derive(Debug)]
struct Row {
    message: String,
    stream: String,
}

/// How a query ended.
pub(super) struct Ended {
    /// The last of its events.
    pub events: Vec<Event>,
    /// Nothing is left in the window.
    pub is_all: bool,
}

impl Rows {
    pub fn new(
        group: &Arc<LogGroup>,
        search: &SearchContext,
        accounts: BTreeSet<AccountId>,
        window: Window,
    ) -> Self {
        let keep_record = search.query.record_view == RecordView::Full;
        Self {
            log_group: Arc::clone(&group.name),
            events: Events::new(Arc::clone(group), keep_record, Some(accounts)),
            order: search.query.order,
            asked: 0,
            edge: window.edge(),
            last: window.query().1,
            taken: 0,
            beyond: 0,
            were_all_beyond: false,
            matched: 0,
            kept: None,
        }
    }

    /// A query of the window begins that is asked for so many rows.
    pub fn begin(&mut self, asked: u32, window: Window) {
        self.asked = asked;
        self.edge = window.edge();
        self.last = window.query().1;
        self.taken = 0;
        self.beyond = 0;
        self.were_all_beyond = false;
        self.matched = 0;
        self.kept = None;
    }

    /// Whether the query before came no further than what lies beyond the window: the next is to be
    /// asked for as many rows as there may be.
    pub fn were_all_beyond(&self) -> bool {
        self.were_all_beyond
    }

    /// Takes one answer's rows; returns the events of those seconds that are over.
    pub fn take(
        &mut self,
        answer: &GetQueryResultsOutput,
        query_id: &Arc<str>,
        window: &mut Window,
        cost: &mut PageCost,
    ) -> Result<Vec<Event>, Reason> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A count of rows.
        let matched = (answer.statistics()).map_or(0, |it| it.records_matched as u64);
        self.matched = self.matched.max(matched);
        let mut events = Vec::new();
        for fields in answer.results() {
            self.taken += 1;
            let (second, row) = row(fields).ok_or_else(|| self.unknown(query_id))?;
            if second > self.last {
                self.beyond += 1;
                continue;
            }
            match &mut self.kept {
                Some((last, rows)) if *last == second => rows.push(row),
                kept => {
                    if let Some((_, rows)) = kept.replace((second, vec![row])) {
                        events.extend(read(&mut self.events, rows, query_id, cost));
                    }
                    window.read_to(second);
                }
            }
        }
        Ok(events)
    }

    /// The query has no more rows.
    pub fn end(
        &mut self,
        query_id: &Arc<str>,
        window: &mut Window,
        cost: &mut PageCost,
    ) -> Result<Ended, Reason> {
        let kept = self.kept.take();
        let has_more = if self.taken >= u64::from(self.asked) {
            // Oldest first, what lies beyond the window comes after all of it.
            self.order == SearchOrder::NewestFirst || self.beyond == 0
        } else {
            self.matched > self.taken
        };
        if !has_more {
            let rows = kept.map(|(_, rows)| rows).unwrap_or_default();
            return Ok(Ended {
                events: read(&mut self.events, rows, query_id, cost),
                is_all: window.finish(),
            });
        }
        if kept.is_none() && self.beyond > 0 && self.asked < ROWS_OF_A_SECOND {
            self.were_all_beyond = true;
            return Ok(Ended {
                events: Vec::new(),
                is_all: false,
            });
        }
        if window.is_a_second() || kept.is_none() {
            return Err(self.too_many(*window, query_id));
        }
        if window.edge() == self.edge {
            window.single_out();
        }
        Ok(Ended {
            events: Vec::new(),
            is_all: false,
        })
    }

    fn too_many(&self, window: Window, query_id: &Arc<str>) -> Reason {
        let (first, last) = window.query();
        let message = format!(
            "Logs Insights returned {} of the {} rows that log group {} has from {first} to {last}, \
             and they cannot be asked for in parts: narrow the question",
            self.taken,
            self.matched.max(self.taken),
            self.log_group,
        );
        Reason {
            aws_request_id: Some(query_id.to_string()),
            ..Reason::new(ReasonCode::QueryFailed, message)
        }
    }

    fn unknown(&self, query_id: &Arc<str>) -> Reason {
        let message = format!(
            "a row of Logs Insights has no @timestamp or no @message: log group {} cannot be read so",
            self.log_group
        );
        Reason {
            aws_request_id: Some(query_id.to_string()),
            ..Reason::new(ReasonCode::AwsError, message)
        }
    }
}

fn read(
    events: &mut Events,
    rows: Vec<Row>,
    query_id: &Arc<str>,
    cost: &mut PageCost,
) -> Vec<Event> {
    let read = rows
        .into_iter()
        .filter_map(|row| events.read(&row.message, &row.stream, Some(query_id), cost));
    read.collect()
}

/// A row's second, and what it says.
fn row(fields: &[ResultField]) -> Option<(EventTime, Row)> {
    let value = |name: &str| {
        let field = fields.iter().find(|field| field.field() == Some(name))?;
        field.value().map(str::to_owned)
    };
    let time: DateTime = value("@timestamp")?.parse().ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let row = Row {
        message: value("@message")?,
        stream: value("@logStream").unwrap_or_default(),
    };
    Some((EventTime::floor(time), row))
}
