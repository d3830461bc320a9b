//! The audit log: one JSON line for each request, refused ones included, when it has ended.
//!
//! A request begins only if its line has a place in the queue ([`AuditLog::begin`]), so that no
//! line is ever lost for want of one; one owner ([`writer`]) takes the lines off the queue and appends
//! them to the file, away from the async runtime. While they cannot be written (a full disk, a closed
//! pipe) new requests are refused, those that run go on and their lines wait; what was refused
//! meanwhile is counted and told in the log itself as soon as that works again.

mod entry;
mod target;
mod writer;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::AuditTarget;
pub use entry::{Accounts, Asked, Ended, Entry, Record};
use target::Target;
use writer::Writer;

/// Requests whose lines are not written yet, those that still run included.
const QUEUE: usize = 4096;

/// The audit log of the process. Clones are the same log.
#[derive(Debug, Clone)]
pub struct AuditLog {
    /// `None` keeps none.
    log: Option<Arc<Log>>,
}

#[derive(Debug)]
struct Log {
    queue: mpsc::Sender<String>,
    state: Arc<State>,
    /// Requests that run, by their ids: what is cut off at the end of the process is recorded too.
    running: Running,
    /// The owner; taken by whoever ends the log.
    writer: tokio::sync::Mutex<Option<AbortOnDropHandle<()>>>,
}

/// Requests that have begun and whose lines are not on their way yet.
type Running = Arc<Mutex<HashMap<String, Weak<Record>>>>;

/// What the owner and those who begin requests tell each other.
#[derive(Debug, Default)]
struct State {
    /// The last attempt to write has failed.
    failing: AtomicBool,
    /// Lines handed to the file, or to be with the next attempt.
    written: AtomicU64,
    /// Requests refused because their lines could not be written or queued.
    refused: AtomicU64,
    /// Asks the owner to open its file anew.
    reopen: Notify,
    /// Asks the owner to end once the requests that run have ended.
    closing: CancellationToken,
    /// Cancelled when the owner may wait no longer.
    give_up: CancellationToken,
}

/// The log cannot be written: no request may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written: no request is served that would not be recorded")]
pub struct Unwritable;

/// What the log has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Requests recorded.
    pub written: u64,
    /// Requests refused because the log could not be written.
    pub refused: u64,
    /// It cannot be written now.
    pub failing: bool,
}

impl AuditLog {
    /// No log: for one caller in this process, who reads with credentials of its own.
    #[must_use]
    pub fn none() -> Self {
        Self { log: None }
    }

    /// Opens the log, and starts its owner on the current runtime.
    pub fn open(target: &AuditTarget) -> io::Result<Self> {
        let target = Target::open(target)?;
        Ok(Self::over(target, QUEUE))
    }

    fn over(target: Target, queue: usize) -> Self {
        let (sender, lines) = mpsc::channel(queue);
        let state = Arc::new(State::default());
        let writer = Writer::new(target, lines, Arc::clone(&state));
        Self {
            log: Some(Arc::new(Log {
                queue: sender,
                state,
                running: Running::default(),
                writer: tokio::sync::Mutex::new(Some(AbortOnDropHandle::new(tokio::spawn(
                    writer.run(),
                )))),
            })),
        }
    }

    /// A place for one request's line. The line is written when the last clone of the record is
    /// dropped.
    pub fn begin(&self, entry: Entry) -> Result<Arc<Record>, Unwritable> {
        let Some(log) = &self.log else {
            return Ok(Arc::new(Record::unwritten(entry)));
        };
        let failing = log.state.failing.load(Ordering::Relaxed);
        let place = log.queue.clone().try_reserve_owned().ok();
        let Some(place) = place.filter(|_| !failing) else {
            // Counted, and told in the log itself when that works again.
            if log.state.refused.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::error!("requests are refused: the audit log is not keeping up");
            }
            return Err(Unwritable);
        };
        let id = entry.request_id.clone();
        let record = Arc::new(Record::new(entry, place, Arc::clone(&log.running)));
        let mut running = log.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(id, Arc::downgrade(&record));
        Ok(record)
    }

    /// Opens the file anew, as after it was renamed for rotation. What waits is written to the new
    /// one. While it cannot be opened the log counts as one that cannot be written.
    pub fn reopen(&self) {
        if let Some(log) = &self.log {
            log.state.reopen.notify_one();
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> AuditCounts {
        let Some(log) = &self.log else {
            return AuditCounts::default();
        };
        AuditCounts {
            written: log.state.written.load(Ordering::Relaxed),
            refused: log.state.refused.load(Ordering::Relaxed),
            failing: log.state.failing.load(Ordering::Relaxed),
        }
    }

    /// Takes no further requests, records those that still run as cut off, and returns when all lines
    /// are written, or after `patience`: then what could not be written goes to the service's own log.
    pub async fn finish(&self, patience: Duration) {
        let Some(log) = &self.log else { return };
        log.state.closing.cancel();
        let Some(mut writer) = log.writer.lock().await.take() else {
            return;
        };
        let running =
            std::mem::take(&mut *log.running.lock().unwrap_or_else(PoisonError::into_inner));
        for record in running.into_values().filter_map(|record| record.upgrade()) {
            record.note(|entry| {
                entry
                    .ended
                    .reason
                    .get_or_insert_with(|| "CUT_OFF".to_owned());
            });
            record.write();
        }
        let ended = match tokio::time::timeout(patience, &mut writer).await {
            Ok(ended) => ended,
            Err(_elapsed) => {
                log.state.give_up.cancel();
                writer.await
            }
        };
        if let Err(error) = ended {
            tracing::error!("the owner of the audit log died: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
