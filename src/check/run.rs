//! One check: its probes, a bounded number at a time, and its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::finding::{CheckItem, Finding, Probe, State, Subject, Summary};
use super::{Checker, Request, account, archive, log_group};
use crate::backend::Spent;
use crate::caller::Caller;
use crate::plan::{Inventory, Reason, ReasonCode};
use crate::usage::Admitted;

/// Probes at once. Calls and lookups are bounded for the whole process besides.
const PROBES_AT_ONCE: usize = 32;
/// A deadline is met this much early, so that the summary still arrives.
const DEADLINE_MARGIN: Duration = Duration::from_secs(2);

/// One probe, and what is to be said if it does not end.
pub(super) struct Job {
    pub subject: Subject,
    pub probe: Probe,
    pub work: BoxFuture<'static, Done>,
}

/// What a probe came to.
#[derive(Default)]
pub(super) struct Done {
    pub findings: Vec<Finding>,
    /// What could only be probed after it.
    pub then: Vec<Job>,
}

/// One check. Owns all that it started: dropping it stops it.
pub(super) struct Check {
    checker: Arc<Checker>,
    waiting: VecDeque<Job>,
    running: FuturesUnordered<BoxFuture<'static, (u64, Done)>>,
    /// What runs, by its number.
    about: BTreeMap<u64, (Subject, Probe)>,
    begun: u64,
    ready: VecDeque<Finding>,
    summary: Option<Summary>,
    spent: Arc<Spent>,
    stop_at: Option<Instant>,
    /// Cancelled when the caller took nothing for too long.
    idle: CancellationToken,
    _admitted: Admitted,
}

impl Check {
    pub fn new(
        checker: Arc<Checker>,
        inventory: &Inventory,
        request: &Request,
        caller: &Arc<Caller>,
        deadline: Option<std::time::Instant>,
        admitted: Admitted,
        idle: CancellationToken,
    ) -> Self {
        let spent = Arc::new(Spent::by(Arc::clone(&admitted.in_use)));
        let mut waiting: VecDeque<Job> = VecDeque::new();
        waiting.extend(archive::jobs(&checker, inventory, request, caller, &spent));
        let in_use = &admitted.in_use;
        waiting.extend(log_group::jobs(
            &checker, inventory, request, caller, &spent, in_use,
        ));
        waiting.extend(account::jobs(&checker, inventory, request, caller, in_use));
        let now = Instant::now();
        let stop_at = deadline.map(|deadline| {
            let deadline = Instant::from_std(deadline);
            let left = deadline.saturating_duration_since(now);
            deadline - DEADLINE_MARGIN.min(left / 2)
        });
        Self {
            checker,
            waiting,
            running: FuturesUnordered::new(),
            about: BTreeMap::new(),
            begun: 0,
            ready: VecDeque::new(),
            summary: Some(Summary::default()),
            spent,
            stop_at,
            idle,
            _admitted: admitted,
        }
    }

    /// The next message; `None` after the summary.
    pub async fn next(&mut self) -> Option<CheckItem> {
        loop {
            if let Some(finding) = self.ready.pop_front() {
                if let Some(summary) = &mut self.summary {
                    match finding.state {
                        State::Fine => summary.fine += 1,
                        State::NeedsFix => summary.needs_fix += 1,
                        State::NotChecked => summary.not_checked += 1,
                    }
                }
                return Some(CheckItem::Finding(Box::new(finding)));
            }
            self.begin();
            if self.running.is_empty() {
                let summary = self.summary.take()?;
                return Some(CheckItem::Summary(Summary {
                    bytes_scanned: self.spent.bytes_scanned(),
                    ..summary
                }));
            }
            let (drain, idle) = (self.checker.drain.clone(), self.idle.clone());
            tokio::select! {
                biased;
                () = drain.cancelled() => self.stop(&Reason::new(
                    ReasonCode::Drain,
                    "the service is shutting down: check again on another replica",
                )),
                () = idle.cancelled() => self.stop(&Reason::new(
                    ReasonCode::Idle,
                    "the caller took nothing of the answer for too long: check again",
                )),
                () = until(self.stop_at) => self.stop(&Reason::new(
                    ReasonCode::Deadline,
                    "the caller's deadline came near: check again with more time",
                )),
                done = self.running.next() => {
                    if let Some((number, done)) = done {
                        self.about.remove(&number);
                        self.ready.extend(done.findings);
                        // What follows on something comes before anything new.
                        for job in done.then.into_iter().rev() {
                            self.waiting.push_front(job);
                        }
                    }
                }
            }
        }
    }

    fn begin(&mut self) {
        while self.running.len() < PROBES_AT_ONCE
            && let Some(Job {
                subject,
                probe,
                work,
            }) = self.waiting.pop_front()
        {
            let number = self.begun;
            self.begun += 1;
            self.about.insert(number, (subject, probe));
            let work = async move { (number, work.await) };
            self.running.push(Box::pin(work));
        }
    }

    /// Ends what runs, and says of it and of what waits that it was not checked.
    fn stop(&mut self, reason: &Reason) {
        self.running = FuturesUnordered::new();
        let running = std::mem::take(&mut self.about).into_values();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let waiting = waiting.map(|job| (job.subject, job.probe));
        for (subject, probe) in running.chain(waiting) {
            let finding = Finding::not_checked(subject, probe, reason.clone());
            self.ready.push_back(finding);
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
