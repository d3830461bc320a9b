//! The audit log: one JSON line for each request, refused ones included, when it has ended.
//!
//! A request begins only if its line has a place in the queue ([`AuditLog::begin`]), so that no
//! line is ever lost for want of one; one owner ([`writer`]) takes the lines off the queue and appends
//! them to the file, away from the async runtime. While they cannot be written (a full disk, a closed
//! or a stalled pipe: [`Trouble`]) new requests are refused, those that run go on and their lines wait;
//! what was refused meanwhile is counted and told in the log itself as soon as that works again.

mod entry;
mod target;
mod writer;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::AuditTarget;
pub use entry::{Accounts, Asked, Ended, Entry, Record};
use target::Target;
use writer::Writer;

/// Requests whose lines are not written yet, those that still run included.
const QUEUE: usize = 4096;
/// An attempt to write that takes longer counts as one that fails.
const STUCK: Duration = Duration::from_secs(5);
/// After the patience with the owner, until it has told the service's own log what was not written.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
    /// The owner's end, for whoever waits for it. With the last clone the owner ends too.
    writer: Shared<BoxFuture<'static, Result<(), Arc<JoinError>>>>,
}

/// Requests that have begun and whose lines are not on their way yet.
type Running = Arc<Mutex<HashMap<String, Weak<Record>>>>;

/// What the owner and those who begin requests tell each other.
#[derive(Debug, Default)]
struct State {
    /// The last attempt to write has failed.
    failing: AtomicBool,
    /// When the attempt began that runs.
    attempt: Mutex<Option<Instant>>,
    /// The last request was refused, and the service's own log says so.
    refusing: AtomicBool,
    /// Lines handed to the file, or to be with the next attempt.
    written: AtomicU64,
    /// Requests refused because their lines could not be written or queued.
    refused: AtomicU64,
    /// Requests recorded as cut off.
    cut_off: AtomicU64,
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

/// Why no request may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("the last attempt to write it failed")]
    Failing,
    #[error("an attempt to write it has not ended for {STUCK:?}")]
    Stuck,
    #[error("too many requests run or wait to be written: there is no place for another line")]
    Full,
    #[error("its owner has died")]
    Ownerless,
    #[error("it has ended")]
    Ended,
}

/// What the log has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Requests recorded.
    pub written: u64,
    /// Requests refused because the log could not be written.
    pub refused: u64,
    /// It cannot be written now, and a request would be refused: the last attempt failed, one has not
    /// ended for five seconds, or there is no place for another line.
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

    /// Whether it could be opened. Makes no file: whoever asks may be another user than who serves.
    pub fn check(target: &AuditTarget) -> io::Result<()> {
        match target {
            AuditTarget::File(path) => target::check(path),
            AuditTarget::Stderr | AuditTarget::Stdout => Ok(()),
        }
    }

    fn over(target: Target, queue: usize) -> Self {
        let (sender, lines) = mpsc::channel(queue);
        let state = Arc::new(State::default());
        let writer = Writer::new(target, lines, Arc::clone(&state));
        let writer = AbortOnDropHandle::new(tokio::spawn(writer.run()));
        Self {
            log: Some(Arc::new(Log {
                queue: sender,
                state,
                running: Running::default(),
                writer: writer.map(|ended| ended.map_err(Arc::new)).boxed().shared(),
            })),
        }
    }

    /// A place for one request's line. The line is written when the last clone of the record is
    /// dropped.
    pub fn begin(&self, entry: Entry) -> Result<Arc<Record>, Unwritable> {
        self.begin_at(entry, Instant::now())
    }

    fn begin_at(&self, entry: Entry, now: Instant) -> Result<Arc<Record>, Unwritable> {
        let Some(log) = &self.log else {
            return Ok(Arc::new(Record::unwritten(entry)));
        };
        let place = log.place(now);
        if let Some(change) = log.change(place.as_ref().map(drop).map_err(|trouble| *trouble)) {
            change.say();
        }
        let Ok(place) = place else {
            // Counted, and told in the log itself when that works again.
            log.state.refused.fetch_add(1, Ordering::Relaxed);
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
        self.counts_at(Instant::now())
    }

    fn counts_at(&self, now: Instant) -> AuditCounts {
        let Some(log) = &self.log else {
            return AuditCounts::default();
        };
        AuditCounts {
            written: log.state.written.load(Ordering::Relaxed),
            refused: log.state.refused.load(Ordering::Relaxed),
            failing: (log.trouble(now)).is_some_and(|trouble| trouble != Trouble::Ended),
        }
    }

    /// Takes no further requests, records those that still run as cut off, and returns when all lines
    /// are written, or after `patience` and little more: then what could not be written goes to the
    /// service's own log. Says how many requests were cut off.
    ///
    /// May be called again, also where the future of an earlier call was dropped.
    pub async fn finish(&self, patience: Duration) -> u64 {
        let Some(log) = &self.log else { return 0 };
        log.state.closing.cancel();
        log.cut_off();
        let ended = match tokio::time::timeout(patience, log.writer.clone()).await {
            Ok(ended) => ended,
            Err(_elapsed) => {
                log.state.give_up.cancel();
                // Where even its last words get stuck, nobody is left to be told.
                let last = tokio::time::timeout(LAST_WORDS, log.writer.clone()).await;
                last.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::error!("the owner of the audit log died: {error}");
        }
        log.state.cut_off.load(Ordering::Relaxed)
    }
}

impl Log {
    /// Why no request may begin now, if so.
    fn trouble(&self, now: Instant) -> Option<Trouble> {
        let state = &self.state;
        if state.failing.load(Ordering::Relaxed) {
            Some(Trouble::Failing)
        } else if state.is_stuck(now) {
            Some(Trouble::Stuck)
        } else if self.queue.is_closed() {
            let ended = state.closing.is_cancelled();
            Some(if ended {
                Trouble::Ended
            } else {
                Trouble::Ownerless
            })
        } else {
            (self.queue.capacity() == 0).then_some(Trouble::Full)
        }
    }

    /// A place for a line, or why there is none.
    fn place(&self, now: Instant) -> Result<OwnedPermit<String>, Trouble> {
        if let Some(trouble) = self.trouble(now) {
            return Err(trouble);
        }
        let place = self.queue.clone().try_reserve_owned();
        place.map_err(|refused| match refused {
            TrySendError::Full(_) => Trouble::Full,
            TrySendError::Closed(_) => self.trouble(now).unwrap_or(Trouble::Ended),
        })
    }

    /// What a request that found this changes for those that follow. A log that fills up as fast as it
    /// is written refuses on and off: that is over only when it has room again.
    fn change(&self, found: Result<(), Trouble>) -> Option<Change> {
        let refusing = &self.state.refusing;
        match found {
            // Expected, and told by whoever ends it.
            Err(Trouble::Ended) => None,
            Err(trouble) => {
                (!refusing.swap(true, Ordering::Relaxed)).then_some(Change::Refusing(trouble))
            }
            Ok(()) => {
                let has_room = self.queue.capacity() >= self.queue.max_capacity() / 8;
                (has_room && refusing.swap(false, Ordering::Relaxed)).then_some(Change::Serving)
            }
        }
    }

    /// Sends the lines of what runs on their way.
    fn cut_off(&self) {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for record in running.into_values().filter_map(|record| record.upgrade()) {
            record.note(|entry| {
                if entry.ended.status.is_none() {
                    entry.ended.reason = Some("CUT_OFF".to_owned());
                    self.state.cut_off.fetch_add(1, Ordering::Relaxed);
                }
            });
            record.write();
        }
    }
}

impl State {
    /// What the owner is about: an attempt, or none.
    fn attempting(&self, since: Option<Instant>) {
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn is_stuck(&self, now: Instant) -> bool {
        let attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.is_some_and(|since| now.saturating_duration_since(since) >= STUCK)
    }
}

/// What changes for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// They are refused from now on.
    Refusing(Trouble),
    /// They are served again.
    Serving,
}

impl Change {
    /// Tells the service's own log: on a thread that may block, for that may be stuck for the same
    /// reason, and nobody is to wait for it.
    fn say(self) {
        tokio::task::spawn_blocking(move || match self {
            Self::Refusing(why) => {
                tracing::error!("requests are refused for the audit log: {why}");
            }
            Self::Serving => tracing::info!("requests are served again: the audit log is written"),
        });
    }
}

#[cfg(test)]
mod tests;
