//! One window: what was read of it, newest first, until all of it can be told in order.

use crate::backend::{Page, PageCost, ScanReader};
use crate::query::{Event, EventTime, TimeRange};

/// A window that is being read.
pub(super) struct Window {
    pub range: TimeRange,
    pub reader: Box<dyn ScanReader>,
    /// Everything after this second was read.
    pub bound: EventTime,
    /// Newest first, as they were read.
    events: Vec<Event>,
    /// What the events cost; requests are told with the page that made them.
    cost: PageCost,
}

impl Window {
    /// A window of which nothing was read.
    pub fn new(range: TimeRange, reader: Box<dyn ScanReader>) -> Self {
        Self {
            range,
            reader,
            bound: range.last(),
            events: Vec::new(),
            cost: PageCost::default(),
        }
    }

    /// Keeps events.
    pub fn keep(&mut self, mut events: Vec<Event>) {
        self.events.append(&mut events);
    }

    /// Keeps what events cost until they are delivered; gives back the calls, which are told at
    /// once.
    pub fn spend(&mut self, cost: PageCost) -> PageCost {
        self.cost.events_read += cost.events_read;
        self.cost.unreadable_records += cost.unreadable_records;
        self.cost.memory_bytes += cost.memory_bytes;
        PageCost {
            requests: cost.requests,
            throttles: cost.throttles,
            ..PageCost::default()
        }
    }

    /// How many events were read of it that are not delivered, matching or not.
    pub fn events_read(&self) -> u64 {
        self.cost.events_read
    }

    /// What they take, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.cost.memory_bytes
    }

    /// The events that were read and not delivered, newest first, with what they cost and these calls.
    pub fn deliver(&mut self, calls: PageCost) -> Page {
        Page {
            events: std::mem::take(&mut self.events),
            cost: PageCost {
                requests: calls.requests,
                throttles: calls.throttles,
                ..std::mem::take(&mut self.cost)
            },
            ..Page::default()
        }
    }
}
