//! One scan of a log group by `FilterLogEvents`, page by page.
//!
//! Log events are ordered by their delivery, CloudTrail's by when they happened, which is earlier by
//! minutes. So the window that is read ends later than the scan's interval, and the bound follows
//! from the delivery times: newest first, what is still to come was delivered at or before the last
//! page's oldest, and so happened before that; oldest first, it happened at most
//! [`LogGroup::skew`] earlier than it is delivered. The merge puts events into their order meanwhile.
//!
//! A scan is read by one pattern, or by several side by side where one would be too long: always the
//! one that is farthest from the end, so that their pages interleave.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use aws_types::request_id::RequestId;

use super::events::Events;
use super::group::LogGroup;
use crate::backend::{Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::federation::Behalf;
use crate::federation::aws_error::{AwsFailure, FailureKind, failure};
use crate::federation::pacing::PacedQueue;
use crate::plan::Reason;
use crate::query::{AccountId, EventTime, RecordView, SearchOrder, TimeRange};

/// Throttles in a row, at an ever slower pace, before a page is given up.
pub(super) const MOST_THROTTLES: u32 = 12;

/// Broken connections, lost sessions or faults of AWS in a row before a page is given up.
const MOST_FAULTS: u32 = 3;

/// Reads begun anew after a refused page token before the scan is given up.
const MOST_RESTARTS: u32 = 5;

/// The wait after the first failure in a row; each further one doubles it, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Reads one scan.
pub(super) struct FilterReader {
    group: Arc<LogGroup>,
    search: Arc<SearchContext>,
    queue: PacedQueue,
    range: TimeRange,
    cursors: Vec<Cursor>,
    events: Events,
    /// Log events read, by time and id, that another page may show again.
    seen: BTreeSet<(i64, String)>,
}

/// One pattern, and how far it has been read.
struct Cursor {
    pattern: Option<String>,
    token: Option<String>,
    /// Delivery times that are asked for, in epoch milliseconds, both inclusive: the same from page
    /// to page, for a token is good for its own request only.
    asked: (i64, i64),
    /// Of them, those still to be read.
    left: (i64, i64),
    restarts: u32,
}

impl FilterReader {
    pub fn new(
        group: Arc<LogGroup>,
        search: Arc<SearchContext>,
        range: TimeRange,
        patterns: Vec<Option<String>>,
        accounts: BTreeSet<AccountId>,
    ) -> Self {
        let until = range.end().plus(group.skew.as_secs());
        let left = (millis(range.start()), millis(until) - 1);
        let cursors = patterns.into_iter().map(|pattern| Cursor {
            pattern,
            token: None,
            asked: left,
            left,
            restarts: 0,
        });
        let keep_record = search.query.record_view == RecordView::Full;
        Self {
            queue: group.queue(),
            events: Events::new(Arc::clone(&group), keep_record, Some(accounts)),
            cursors: cursors.collect(),
            seen: BTreeSet::new(),
            group,
            search,
            range,
        }
    }

    fn newest_first(&self) -> bool {
        self.search.query.order == SearchOrder::NewestFirst
    }

    async fn read(&mut self, cost: &mut PageCost) -> Result<Page, Reason> {
        let Some(at) = self.farthest() else {
            return Ok(Page {
                end: true,
                ..Page::default()
            });
        };
        let mut cursor = self.cursors.swap_remove(at);
        let output = loop {
            match self.page(&cursor, cost).await? {
                Ok(output) => break output,
                Err(failed) if cursor.may_restart(&failed) => {
                    cursor.begin_anew(self.newest_first());
                }
                Err(failed) => return Err(self.group.explain(failed.reason)),
            }
        };
        let request_id: Option<Arc<str>> = output.request_id().map(Arc::from);
        let mut events = Vec::new();
        for log_event in output.events.unwrap_or_default() {
            let time = log_event.timestamp.unwrap_or(cursor.left.0);
            if self.newest_first() {
                cursor.left.1 = cursor.left.1.min(time);
            } else {
                cursor.left.0 = cursor.left.0.max(time);
            }
            // One without an id cannot be known again: better twice than not at all.
            let id = log_event.event_id.filter(|id| !id.is_empty());
            if id.is_some_and(|id| !self.seen.insert((time, id))) {
                continue;
            }
            let message = log_event.message.unwrap_or_default();
            let stream = log_event.log_stream_name.unwrap_or_default();
            let read = self
                .events
                .read(&message, &stream, request_id.as_ref(), cost);
            events.extend(read);
        }
        cursor.token = output.next_token.filter(|token| !token.is_empty());
        if cursor.token.is_some() {
            self.cursors.push(cursor);
        }
        let bound = self.bound();
        Ok(Page {
            events,
            bound,
            end: bound.is_none(),
            ..Page::default()
        })
    }

    /// The cursor that is to be read next, if any is left.
    fn farthest(&self) -> Option<usize> {
        let numbered = self.cursors.iter().enumerate();
        let farthest = if self.newest_first() {
            numbered.max_by_key(|(_, cursor)| cursor.left.1)
        } else {
            numbered.min_by_key(|(_, cursor)| cursor.left.0)
        };
        farthest.map(|(at, _)| at)
    }

    /// What is still to come happened at or before this (oldest first: at or after). Forgets what
    /// cannot be shown again.
    fn bound(&mut self) -> Option<EventTime> {
        let at = self.farthest()?;
        let left = self.cursors[at].left;
        let delivered = if self.newest_first() {
            // What is read anew begins a millisecond later.
            self.seen.retain(|(time, _)| *time <= left.1 + 1);
            left.1
        } else {
            self.seen.retain(|(time, _)| *time >= left.0);
            left.0
        };
        let second = EventTime::from_second(delivered.div_euclid(1000))?;
        let bound = if self.newest_first() {
            second
        } else {
            second.plus(-self.group.skew.as_secs())
        };
        Some(bound.clamp(self.range.start(), self.range.last()))
    }

    /// One page. Waits for its turn before each attempt; adds to `cost` what it spends. The outer
    /// error says that there is nothing to attempt it with.
    async fn page(
        &self,
        cursor: &Cursor,
        cost: &mut PageCost,
    ) -> Result<Result<FilterLogEventsOutput, AwsFailure>, Reason> {
        let (mut throttles, mut faults) = (0, 0);
        loop {
            let client = (self.group.client(Behalf::Caller(&self.search.caller))).await?;
            let request = self
                .group
                .filter(&client)
                .start_time(cursor.asked.0)
                .end_time(cursor.asked.1)
                .set_filter_pattern(cursor.pattern.clone())
                .set_next_token(cursor.token.clone())
                .start_from_head(!self.newest_first());
            let turn = || (self.queue).turn(&self.search.caller.name, self.search.search_id);
            let (turn, own) = self.search.in_use.call_in_turn(turn).await;
            // After the turn, so that no permit is held while others could use it.
            let permit = self.group.federation.call_permit().await?;
            turn.begin();
            cost.requests += 1;
            let error = match request.send().await {
                Ok(output) => {
                    self.queue.succeeded();
                    return Ok(Ok(output));
                }
                Err(error) => error,
            };
            drop((permit, own));
            let action = format!("filter the events of log group {}", self.group.name);
            let failed = failure(&action, &error);
            let in_a_row = match failed.kind {
                FailureKind::Throttled => {
                    self.queue.throttled();
                    cost.throttles += 1;
                    throttles += 1;
                    if throttles > MOST_THROTTLES {
                        return Ok(Err(failed));
                    }
                    throttles
                }
                FailureKind::Connection | FailureKind::Transient | FailureKind::Expired => {
                    faults += 1;
                    if faults > MOST_FAULTS {
                        return Ok(Err(failed));
                    }
                    faults
                }
                FailureKind::Denied
                | FailureKind::UnknownClient
                | FailureKind::TimedOut
                | FailureKind::NoSession
                | FailureKind::Refused => return Ok(Err(failed)),
            };
            tokio::time::sleep(wait(in_a_row)).await;
        }
    }
}

impl Cursor {
    /// A page token lives for a day: reading goes on without it where it stopped.
    fn may_restart(&self, failed: &AwsFailure) -> bool {
        let refused = failed.reason.aws_code.as_deref() == Some("InvalidParameterException");
        refused && self.token.is_some() && self.restarts < MOST_RESTARTS
    }

    /// Asks for what is left, without a token. Newest first, the last millisecond may have been read
    /// in part: the request ends one later, because events at the very `endTime` are not returned
    /// (aws/aws-cli#4262), though by its documentation they are. What comes twice is known.
    fn begin_anew(&mut self, newest_first: bool) {
        self.token = None;
        self.asked = self.left;
        self.asked.1 += i64::from(newest_first);
        self.restarts += 1;
    }
}

fn millis(time: EventTime) -> i64 {
    time.second().saturating_mul(1000)
}

fn wait(in_a_row: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(1 << (in_a_row - 1).min(16))
        .min(LONGEST_WAIT)
}

#[async_trait]
impl ScanReader for FilterReader {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let mut cost = PageCost::default();
        match self.read(&mut cost).await {
            Ok(page) => Ok(Page { cost, ..page }),
            Err(reason) => Err(ScanError {
                reason,
                not_applicable: false,
                stopped_at: None,
                cost,
            }),
        }
    }
}
