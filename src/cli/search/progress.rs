//! One line on standard error while the search runs.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::table::time_text;
use super::text::printable;
use crate::grpc::pb::SearchEventsResponse;
use crate::grpc::pb::search_events_response::Item;

/// The line; silent where standard error is no terminal.
pub struct ProgressLine {
    bar: ProgressBar,
    events: u64,
}

impl ProgressLine {
    /// A line that ticks on its own until it is cleared.
    pub fn new() -> Self {
        let bar = if io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { bar, events: 0 }
    }

    /// Takes notice of a message.
    pub fn observe(&mut self, response: &SearchEventsResponse) {
        match &response.item {
            Some(Item::Event(_)) => {
                self.events += 1;
                if self.events.is_multiple_of(100) {
                    self.bar.set_message(format!("{} events", self.events));
                }
            }
            Some(Item::Progress(progress)) => {
                let waiting = progress.waiting_for.join(", ");
                self.bar.set_message(format!(
                    "{} events, {} of {} scans done, answered {}{}",
                    progress.events_sent,
                    progress.scans_done,
                    progress.scans_total,
                    match &progress.answered_until_time {
                        Some(until) => format!("until {}", time_text(Some(until))),
                        None => format!("from {}", time_text(progress.answered_from_time.as_ref())),
                    },
                    match printable(&waiting) {
                        waiting if waiting.is_empty() => String::new(),
                        waiting => format!(", waiting for {waiting}"),
                    }
                ));
            }
            _ => {}
        }
    }

    /// Runs `print` with the line out of the way.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
