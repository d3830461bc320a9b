//! The one owner of the log's file.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::State;
use super::entry::to_line;
use super::target::Target;

/// Lines written at once.
const BATCH: usize = 256;
/// After a failure, until the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// Takes lines off the queue and appends them.
pub(super) struct Writer {
    /// Locked while it is written, on a thread that may block.
    target: Arc<Mutex<Target>>,
    lines: mpsc::Receiver<String>,
    state: Arc<State>,
    /// Of the refused requests, those that the log tells already.
    told: u64,
    /// The file is to be opened anew before anything is written.
    stale: bool,
}

/// What the log says when it can be written again.
#[derive(Serialize)]
struct Resumed {
    time: String,
    audit: &'static str,
    requests_refused: u64,
}

impl Writer {
    pub fn new(target: Target, lines: mpsc::Receiver<String>, state: Arc<State>) -> Self {
        Self {
            target: Arc::new(Mutex::new(target)),
            lines,
            state,
            told: 0,
            stale: false,
        }
    }

    /// Ends when the log is closed and every request's line is written, or it has to give up.
    pub async fn run(mut self) {
        let state = Arc::clone(&self.state);
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                () = state.give_up.cancelled() => break,
                () = state.closing.cancelled(), if !self.lines.is_closed() => {
                    // Requests that run have their places, and still use them.
                    self.lines.close();
                    continue;
                }
                () = state.reopen.notified() => self.stale = true,
                taken = self.lines.recv_many(&mut batch, BATCH) => if taken == 0 { break },
            }
            if !self.write(batch).await {
                break;
            }
        }
        // Where that is told may be stuck too.
        if let Err(error) = spawn_blocking(move || self.report_unwritten()).await {
            tracing::error!("what the audit log could not write was not told: {error}");
        }
    }

    /// Writes until it succeeds. False if it was told to give up before.
    async fn write(&mut self, mut lines: Vec<String>) -> bool {
        let state = Arc::clone(&self.state);
        loop {
            let count = lines.len() as u64;
            let failing = state.failing.load(Ordering::Relaxed);
            match self.attempt(std::mem::take(&mut lines)).await {
                Ok(()) => {
                    state.written.fetch_add(count, Ordering::Relaxed);
                    if failing {
                        tracing::info!("the audit log can be written again");
                    }
                    state.failing.store(false, Ordering::Relaxed);
                    let refused = state.refused.load(Ordering::Relaxed);
                    if refused == self.told {
                        return true;
                    }
                    lines.push(to_line(&Resumed {
                        time: Timestamp::now().to_string(),
                        audit: "requests were refused while this log could not be written",
                        requests_refused: refused - self.told,
                    }));
                    self.told = refused;
                }
                Err(error) => {
                    // They are pending, and written with the next attempt.
                    state.written.fetch_add(count, Ordering::Relaxed);
                    if !failing {
                        tracing::error!("the audit log cannot be written: {error}");
                    }
                    state.failing.store(true, Ordering::Relaxed);
                    tokio::select! {
                        () = state.give_up.cancelled() => return false,
                        () = state.reopen.notified() => self.stale = true,
                        () = tokio::time::sleep(RETRY) => {}
                    }
                }
            }
        }
    }

    /// Writes these after what is pending, on a thread that may block.
    async fn attempt(&mut self, lines: Vec<String>) -> io::Result<()> {
        let (target, stale) = (Arc::clone(&self.target), self.stale);
        self.state.attempting(Some(Instant::now()));
        let work = spawn_blocking(move || {
            let mut target = target.lock().unwrap_or_else(PoisonError::into_inner);
            target.take(lines);
            if stale {
                target.reopen()?;
            }
            target.write()
        });
        tokio::select! {
            done = work => {
                self.state.attempting(None);
                let done = done.map_err(io::Error::other)?;
                // A file that could not be opened is opened with the next attempt.
                self.stale &= done.is_err();
                done
            }
            () = self.state.give_up.cancelled() => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The last resort: better in the service's own log than nowhere.
    fn report_unwritten(&mut self) {
        self.lines.close();
        if let Ok(target) = self.target.try_lock() {
            for line in String::from_utf8_lossy(target.unwritten()).lines() {
                unwritten(line);
            }
        } else {
            tracing::error!("a write to the audit log did not end: lines may be lost");
        }
        while let Ok(line) = self.lines.try_recv() {
            unwritten(line.trim_end());
        }
    }
}

fn unwritten(line: &str) {
    tracing::error!(line, "a line of the audit log that could not be written");
}
