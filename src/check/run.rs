//! One check: its probes, a bounded number at a time, and its end.
//!
//! Each probe is a task that the check owns. They end also while nobody reads the check's findings, so
//! that none keeps a turn in the pacing or a place among the calls that others wait for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

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
    running: JoinSet<Done>,
    /// What runs.
    about: HashMap<Id, (Subject, Probe)>,
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
            running: JoinSet::new(),
            about: HashMap::new(),
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
                Some(ended) = self.running.join_next_with_id() => self.take(ended),
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
            let task = self.running.spawn(work.in_current_span());
            self.about.insert(task.id(), (subject, probe));
        }
    }

    fn take(&mut self, ended: Result<(Id, Done), JoinError>) {
        match ended {
            Ok((id, done)) => {
                self.about.remove(&id);
                self.ready.extend(done.findings);
                // What follows on something comes before anything new.
                for job in done.then.into_iter().rev() {
                    self.waiting.push_front(job);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a probe's task ended in a defect");
                let reason = Reason::new(
                    ReasonCode::Internal,
                    "this probe hit a defect of the service: please report it with the time of \
                     the check",
                );
                let about = self.about.remove(&error.id());
                (self.ready).extend(
                    about.map(|(subject, probe)| Finding::not_checked(subject, probe, reason)),
                );
            }
        }
    }

    /// Ends what runs, and says of it and of what waits that it was not checked.
    fn stop(&mut self, reason: &Reason) {
        self.running = JoinSet::new();
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
