//! One scan of event history, page by page.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_cloudtrail::types::Event as LookupEvent;
use aws_types::request_id::RequestId;

use super::known::KnownSecond;
use super::lookup::{Ask, Lookup, NoPage};
use crate::backend::{Page, PageCost, ScanError, ScanReader};
use crate::federation::pacing::Turn;
use crate::plan::{Reason, ReasonCode};
use crate::query::record::{Ordinals, ReadFrom, TextOrigin, parse_record};
use crate::query::{BackendKind, Event, EventId, EventTime, Provenance, RecordView, TimeRange};

/// Lookups begun anew without a single new event before the scan is given up.
const MOST_FRUITLESS: u32 = 5;

pub(super) struct Reader {
    lookup: Lookup,
    account_name: Option<Arc<str>>,
    range: TimeRange,
    /// The next request; `None` before the first and when the lookup must begin anew.
    ask: Option<Ask>,
    /// Every event still to come is at or before this.
    bound: EventTime,
    known: KnownSecond,
    ordinals: Ordinals,
    fruitless: u32,
    /// The scan has delivered all that it could, and this is what it could not.
    aged_out: Option<Reason>,
    /// A turn to ask for the next page.
    turn: Option<Turn>,
}

/// Why there is no page, and from when on everything was read, if that is known better than by
/// the last page's bound.
struct Stop {
    reason: Reason,
    not_applicable: bool,
    covered_from: Option<EventTime>,
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            not_applicable: false,
            covered_from: None,
        }
    }
}

impl Reader {
    pub fn new(lookup: Lookup, account_name: Option<Arc<str>>, range: TimeRange) -> Self {
        Self {
            lookup,
            account_name,
            range,
            ask: None,
            bound: range.last(),
            known: KnownSecond::default(),
            ordinals: Ordinals::default(),
            fruitless: 0,
            aged_out: None,
            turn: None,
        }
    }

    async fn read(&mut self, cost: &mut PageCost) -> Result<Page, Stop> {
        if let Some(reason) = self.aged_out.take() {
            return Err(Stop {
                covered_from: Some(self.bound.plus(1)),
                ..reason.into()
            });
        }
        let output = loop {
            let ask = match self.ask.take() {
                Some(ask) => ask,
                None => self.first_ask().map_err(|(covered_from, reason)| Stop {
                    covered_from: Some(covered_from),
                    ..reason.into()
                })?,
            };
            match self.lookup.page(&ask, self.turn.take(), cost).await {
                Ok(mut output) => {
                    let token = output.next_token.take().filter(|token| !token.is_empty());
                    self.ask = token.map(|token| Ask {
                        token: Some(token),
                        ..ask
                    });
                    break output;
                }
                Err(NoPage::TokenRefused(reason)) => {
                    self.fruitless += 1;
                    if self.fruitless > MOST_FRUITLESS {
                        return Err(reason.into());
                    }
                    self.known.begin_anew();
                }
                Err(NoPage::RegionDisabled(reason)) => {
                    return Err(Stop {
                        not_applicable: true,
                        ..reason.into()
                    });
                }
                Err(NoPage::Failed(reason)) => return Err(reason.into()),
            }
        };
        let request_id = output.request_id().map(Arc::from);
        let events = self.take_events(output.events.unwrap_or_default(), request_id, cost);
        if !events.is_empty() {
            self.fruitless = 0;
        }
        Ok(self.page(events))
    }

    /// Begins the lookup, or begins it anew where it stopped. Its times stay as they are from page
    /// to page; what the horizon has passed meanwhile is told at the end. If it has passed all that
    /// is left: from when on everything was read.
    fn first_ask(&self) -> Result<Ask, (EventTime, Reason)> {
        let horizon = self.lookup.shared.horizon();
        let start = self.range.start().max(horizon);
        let last = self.known.second().unwrap_or(self.range.last());
        let last = last.clamp(self.range.start(), self.range.last());
        if start > last {
            return Err((last.plus(1), aged_out(horizon)));
        }
        Ok(Ask {
            start,
            last,
            token: None,
        })
    }

    /// Makes events of what AWS returned, in its order, without those that were read before.
    fn take_events(
        &mut self,
        looked_up: Vec<LookupEvent>,
        request_id: Option<Arc<str>>,
        cost: &mut PageCost,
    ) -> Vec<Event> {
        let read_from = ReadFrom {
            provenance: Provenance {
                backend: BackendKind::EventHistory,
                account_id: self.lookup.account,
                account_name: self.account_name.clone(),
                region: Some(self.lookup.region.clone()),
                archive: None,
                log_group: None,
                aws_request_id: request_id,
                log_file: None,
            },
            origin: TextOrigin::Delivered,
            keep_record: self.lookup.search.query.record_view == RecordView::Full,
        };
        let mut events = Vec::with_capacity(looked_up.len());
        for looked_up in looked_up {
            let record = looked_up.cloud_trail_event().unwrap_or_default();
            match parse_record(record, &read_from) {
                Ok(mut event) => {
                    let key = &mut event.key;
                    self.lower_bound(key.time);
                    if self.known.is_new(key.time, key.account, &key.id) {
                        self.ordinals.number(key);
                        cost.events_read += 1;
                        cost.memory_bytes += memory(record);
                        events.push(event);
                    }
                }
                Err(error) => {
                    let id = looked_up.event_id().unwrap_or_default();
                    let time = looked_up.event_time();
                    let time = time.and_then(|time| EventTime::from_second(time.secs()));
                    // Without a time it cannot be known again: better counted twice than not.
                    let is_new = time.is_none_or(|time| {
                        self.lower_bound(time);
                        let id = EventId::Recorded(id.into());
                        self.known.is_new(time, self.lookup.account, &id)
                    });
                    if is_new {
                        cost.events_read += 1;
                        cost.unreadable_records += 1;
                        tracing::warn!(
                            account = %self.lookup.account,
                            region = %self.lookup.region,
                            event_id = id,
                            %error,
                            "a record of event history cannot be read"
                        );
                    }
                }
            }
        }
        events
    }

    /// Events come newest first; one that is out of order does not raise the bound again.
    fn lower_bound(&mut self, time: EventTime) {
        self.bound = self.bound.min(time).max(self.range.start());
    }

    /// The page, and whether it is the last: what the horizon has passed by then was not read.
    fn page(&mut self, events: Vec<Event>) -> Page {
        let page = Page {
            events,
            ..Page::default()
        };
        if self.ask.is_some() {
            return Page {
                bound: Some(self.bound),
                ..page
            };
        }
        let horizon = self.lookup.shared.horizon();
        if horizon <= self.range.start() {
            return Page { end: true, ..page };
        }
        self.aged_out = Some(aged_out(horizon));
        self.bound = horizon.plus(-1).min(self.range.last());
        Page {
            bound: Some(self.bound),
            ..page
        }
    }
}

pub(super) fn aged_out(horizon: EventTime) -> Reason {
    Reason::new(
        ReasonCode::AgedOut,
        format!(
            "event history reaches back 90 days from each call, by the end of this scan to {horizon}: \
             what is older was not read; an archive keeps it"
        ),
    )
}

/// About what an event takes: its fields, and its texts once more than the record is long.
fn memory(record: &str) -> u64 {
    (std::mem::size_of::<Event>() + 2 * record.len()) as u64
}

#[async_trait]
impl ScanReader for Reader {
    async fn wait_for_turn(&mut self) {
        // What was not read is said without a call.
        if self.aged_out.is_none() {
            self.turn = Some(self.lookup.turn().await);
        }
    }

    fn give_up_turn(&mut self) {
        self.turn = None;
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let mut cost = PageCost::default();
        match self.read(&mut cost).await {
            Ok(page) => Ok(Page { cost, ..page }),
            Err(stop) => Err(ScanError {
                reason: stop.reason,
                not_applicable: stop.not_applicable,
                stopped_at: stop.covered_from.map(|second| second.plus(-1)),
                cost,
            }),
        }
    }
}
