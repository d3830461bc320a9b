//! The issuer's keys: read at the start, again in the background, and out of turn when a token names
//! one that is not known, so that a rotation is seen at once.

mod set;
mod source;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures::FutureExt;
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Jwks;
use crate::plan::{Reason, ReasonCode};
use crate::tls::MaterialError;
use set::KeySet;
pub use source::FetchError;
use source::Source;

/// Unknown keys make the set be read out of turn at most this often: whoever makes up key ids does
/// not make the service hammer the issuer.
const OUT_OF_TURN: Duration = Duration::from_secs(30);
/// What a request waits for such a reading.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a reading that failed, at the latest.
const RETRY: Duration = Duration::from_secs(15);

/// The issuer's keys.
#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    algorithms: Vec<Algorithm>,
    /// Replaced by [`Self::keep_current`]; what cannot be read leaves it as it was.
    current: ArcSwapOption<KeySet>,
    reading: Mutex<Reading>,
    /// Wakes [`Self::keep_current`] out of turn.
    wanted: Notify,
    /// Counts readings that have ended, well or not.
    ended: watch::Sender<u64>,
}

#[derive(Debug)]
struct Reading {
    running: bool,
    /// When a token may next cause one.
    next_out_of_turn: Instant,
}

/// What became of the search for a key.
pub(super) enum Lookup {
    /// This one.
    Found(Arc<DecodingKey>),
    /// The algorithm is not among those that are accepted.
    NotPinned,
    /// The issuer has no such key.
    Unknown,
    /// The issuer's keys were never read.
    NotLoaded,
}

impl Keys {
    /// A file is read and checked; a URL is asked in the background.
    pub fn load(config: &Jwks, algorithms: Vec<Algorithm>) -> Result<Self, MaterialError> {
        let source = Source::of(config)?;
        let current = match &source {
            Source::File(path) => Some(Arc::new(
                (source::read(path).and_then(|json| KeySet::parse(&json, &algorithms)))
                    .map_err(|error| MaterialError::new(path, error.to_string()))?,
            )),
            Source::Url(_) => None,
        };
        Ok(Self {
            algorithms,
            current: ArcSwapOption::from(current),
            reading: Mutex::new(Reading {
                // The first reading of a URL is coming.
                running: matches!(source, Source::Url(_)),
                next_out_of_turn: Instant::now(),
            }),
            source,
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
        })
    }

    /// The key with this id for this algorithm. A token without an id is checked with the only key
    /// for its algorithm.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Lookup {
        if !self.algorithms.contains(&algorithm) {
            return Lookup::NotPinned;
        }
        let find = || (self.current.load().as_ref()).and_then(|set| set.find(id, algorithm));
        if let Some(key) = find() {
            return Lookup::Found(key);
        }
        self.read_out_of_turn().await;
        match find() {
            Some(key) => Lookup::Found(key),
            None if self.current.load().is_none() => Lookup::NotLoaded,
            None => Lookup::Unknown,
        }
    }

    /// Returns when a reading has ended, at once if it is too early for another.
    async fn read_out_of_turn(&self) {
        let mut ended = self.ended.subscribe();
        {
            let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            if !reading.running {
                let now = Instant::now();
                if now < reading.next_out_of_turn {
                    return;
                }
                reading.running = true;
                reading.next_out_of_turn = now + OUT_OF_TURN;
                self.wanted.notify_one();
            }
        }
        // Either way the keys are looked at again.
        let _ = tokio::time::timeout(PATIENCE, ended.changed()).await;
    }

    /// Whether the keys were ever read.
    pub fn ready(&self) -> Result<(), Reason> {
        if self.current.load().is_some() {
            return Ok(());
        }
        let message = format!(
            "the keys of the tokens' issuer have not been read: {}",
            self.source
        );
        Err(Reason::new(ReasonCode::Unreachable, message))
    }

    /// Reads the keys now, then again and again, until `drain` is cancelled.
    pub async fn keep_current(&self, drain: &CancellationToken) {
        let mut read_well = Instant::now();
        let mut told = None;
        loop {
            self.set_running(true);
            // Whoever wanted one until now gets this one.
            let _ = self.wanted.notified().now_or_never();
            let Some(read) = drain.run_until_cancelled(self.read()).await else {
                return;
            };
            self.set_running(false);
            self.ended.send_modify(|ended| *ended += 1);
            let wait = match read {
                Ok(()) => {
                    (read_well, told) = (Instant::now(), None);
                    self.source.period()
                }
                Err(error) => {
                    let why = error.to_string();
                    if told.as_ref() != Some(&why) {
                        let known = self.current.load().is_some();
                        let age = read_well.elapsed().as_secs();
                        tracing::error!(
                            known,
                            age_seconds = age,
                            "the keys of the tokens' issuer cannot be read, those read before stay: {}: {why}",
                            self.source
                        );
                        told = Some(why);
                    }
                    self.source.period().min(RETRY)
                }
            };
            let woken = async {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.wanted.notified() => {}
                }
            };
            if drain.run_until_cancelled(woken).await.is_none() {
                return;
            }
        }
    }

    fn set_running(&self, running: bool) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.running = running;
    }

    async fn read(&self) -> Result<(), FetchError> {
        let json = self.source.read().await?;
        let set = KeySet::parse(&json, &self.algorithms)?;
        if (self.current.load().as_ref()).is_none_or(|current| current.digest != set.digest) {
            tracing::info!(keys = set.len(), source = %self.source, "read the issuer's keys");
            self.current.store(Some(Arc::new(set)));
        }
        Ok(())
    }
}
