//! Event history oldest first, which AWS does not offer: windows from the interval's old end, each
//! read newest first to its end and delivered reversed. How long they are is said in
//! [`crate::plan::windows`].
//!
//! A window of one second needs no reversing, and may be of any length. What a window that was given
//! up cost is counted; its events are not, since they come again.

mod window;

use async_trait::async_trait;

use super::reader::aged_out;
use crate::backend::{Lost, Page, PageCost, ScanError, ScanReader};
use crate::plan::windows::{MOST_EVENTS, first_length, next_length, shorter_length};
use crate::plan::{ReasonCode, RoleReading};
use crate::query::{EventTime, TimeRange};
use window::Window;

/// Opens a reader of an interval, newest first.
pub(super) type Open = Box<dyn Fn(TimeRange) -> Box<dyn ScanReader> + Send + Sync>;
/// The oldest second that event history holds now.
pub(super) type Horizon = Box<dyn Fn() -> EventTime + Send + Sync>;

/// One scan of event history, oldest first.
pub(super) struct Windows {
    open: Open,
    horizon: Horizon,
    /// What no window has been opened for yet, and how long the next one is, in seconds.
    left: Option<TimeRange>,
    length: i64,
    window: Option<Window>,
    /// The window broke, and what was read of it is delivered.
    broken: Option<ScanError>,
    /// How the windows so far read roles: inferred if any was.
    role_reading: Option<RoleReading>,
}

impl Windows {
    pub fn new(range: TimeRange, horizon: Horizon, open: Open) -> Self {
        Self {
            open,
            horizon,
            length: first_length(range),
            left: Some(range),
            window: None,
            broken: None,
            role_reading: None,
        }
    }

    async fn read(&mut self) -> Result<Page, ScanError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let Some(mut window) = self.window.take().or_else(|| self.next_window()) else {
            return Ok(self.pass_over_what_aged_out());
        };
        match window.reader.next_page().await {
            Ok(page) => Ok(self.take(window, page)),
            Err(error) if error.reason.code == ReasonCode::AgedOut => {
                Ok(self.end_aged_out(window, error))
            }
            Err(error) => Ok(self.end_broken(window, error)),
        }
    }

    /// The next window; none where the horizon has passed its first second, or nothing is left.
    fn next_window(&mut self) -> Option<Window> {
        let left = self.left?;
        if (self.horizon)() > left.start() {
            return None;
        }
        let end = left.start().plus(self.length);
        let range = left.before(end)?;
        self.left = left.from(end);
        Some(Window::new(range, (self.open)(range)))
    }

    fn pass_over_what_aged_out(&mut self) -> Page {
        let horizon = (self.horizon)();
        let lost = self.left.and_then(|left| left.before(horizon));
        self.left = self.left.and_then(|left| left.from(horizon));
        Page {
            lost: lost.map(|range| Lost {
                range,
                reason: aged_out(horizon),
            }),
            ..self.between_windows()
        }
    }

    /// A page of the window: kept until it is whole, unless there is nothing to reverse.
    fn take(&mut self, mut window: Window, page: Page) -> Page {
        let Page {
            events,
            bound,
            end,
            cost,
            role_reading,
            ..
        } = page;
        self.read_roles(role_reading);
        let now = window.spend(cost);
        window.bound = bound.unwrap_or(window.bound);
        window.keep(events);
        if end {
            let length = window.range.duration().as_secs();
            self.length = next_length(length, window.events_read());
            return self.deliver(window, now);
        }
        let second = window.range.start();
        let waiting = Page {
            bound: Some(second),
            cost: now,
            role_reading: self.role_reading.clone(),
            ..Page::default()
        };
        let seconds = window.range.duration().as_secs();
        if seconds == 1 {
            let Page { events, cost, .. } = window.deliver(now);
            self.window = Some(window);
            return Page {
                events,
                cost,
                ..waiting
            };
        }
        if window.events_read() >= MOST_EVENTS {
            let read = window.range.end().second() - window.bound.second();
            self.length = shorter_length(seconds, read);
            self.left = match self.left {
                Some(left) => TimeRange::new(second, left.end()),
                None => Some(window.range),
            };
            return waiting;
        }
        let held_back_bytes = window.memory_bytes();
        self.window = Some(window);
        Page {
            cost: PageCost {
                held_back_bytes,
                ..now
            },
            ..waiting
        }
    }

    fn read_roles(&mut self, reading: Option<RoleReading>) {
        let inferred = (self.role_reading.as_ref()).is_some_and(|reading| reading.inferred);
        if let Some(reading) = reading.filter(|reading| reading.inferred || !inferred) {
            self.role_reading = Some(reading);
        }
    }

    /// All of a window in reading order.
    fn deliver(&mut self, mut window: Window, calls: PageCost) -> Page {
        let Page {
            mut events, cost, ..
        } = window.deliver(calls);
        events.reverse();
        Page {
            events,
            cost,
            ..self.between_windows()
        }
    }

    /// The horizon moved into the window while it was read.
    fn end_aged_out(&mut self, mut window: Window, error: ScanError) -> Page {
        let calls = window.spend(error.cost);
        let until = error.stopped_at.unwrap_or(window.bound).plus(1);
        let lost = window.range.before(until).map(|range| Lost {
            range,
            reason: error.reason,
        });
        Page {
            lost,
            ..self.deliver(window, calls)
        }
    }

    /// What was read of the window stays in the answer, and none of it is covered: it lies beyond
    /// what was not read. Why is told next.
    fn end_broken(&mut self, mut window: Window, error: ScanError) -> Page {
        let stopped_at = window.range.start();
        let calls = window.spend(error.cost);
        self.broken = Some(ScanError {
            stopped_at: Some(stopped_at),
            cost: PageCost::default(),
            ..error
        });
        Page {
            bound: Some(stopped_at),
            end: false,
            ..self.deliver(window, calls)
        }
    }

    fn between_windows(&self) -> Page {
        Page {
            bound: self.left.map(TimeRange::start),
            end: self.left.is_none(),
            role_reading: self.role_reading.clone(),
            ..Page::default()
        }
    }
}

#[async_trait]
impl ScanReader for Windows {
    async fn wait_for_turn(&mut self) {
        if self.broken.is_none() {
            self.window = self.window.take().or_else(|| self.next_window());
        }
        if let Some(window) = &mut self.window {
            window.reader.wait_for_turn().await;
        }
    }

    fn give_up_turn(&mut self) {
        if let Some(window) = &mut self.window {
            window.reader.give_up_turn();
        }
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        self.read().await
    }
}

#[cfg(test)]
mod tests;
