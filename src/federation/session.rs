//! One assumed role's session, shared by everyone who needs it.
//!
//! Callers that find no fresh session join the one `AssumeRole` that is under way, or begin it. It
//! belongs to those who wait for it: it runs while any of them polls it, and ends when the last one
//! is dropped. No task, and no lock held across an await.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use crate::plan::Reason;

/// After a failure the role is left alone for this long, and its reason is repeated: the scans of
/// an account ask at the same time, once for each Region.
const REMEMBER_FAILURE: Duration = Duration::from_secs(5);

/// Credentials with the time for which they are good, in this process's monotonic clock.
#[derive(Clone)]
pub struct Issued {
    /// The credentials.
    pub credentials: Credentials,
    /// When they were issued.
    pub issued_at: Instant,
    /// How long they are good from then on.
    pub lifetime: Duration,
}

impl Issued {
    /// When the credentials end.
    #[must_use]
    pub fn expires_at(&self) -> Instant {
        self.issued_at + self.lifetime
    }

    /// Good now, in the first two thirds of its life, and for `need` more; a need that no new
    /// session would meet either is met by a young one.
    fn is_fresh(&self, need: Duration, now: Instant) -> bool {
        let left = self.expires_at().saturating_duration_since(now);
        left > self.lifetime / 3 && left >= need.min(self.lifetime.mul_f64(0.9))
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Asks once for new credentials, and says how long they are good.
pub(super) type Issue =
    Box<dyn Fn() -> BoxFuture<'static, Result<(Credentials, Duration), Reason>> + Send + Sync>;

/// The monotonic clock; tests bring their own.
type Now = Arc<dyn Fn() -> Instant + Send + Sync>;

type Answer = Result<Issued, Reason>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// One role's session.
pub struct Session {
    issue: Issue,
    now: Now,
    /// Shared with the flight, which writes its result here when it ends.
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    current: Option<Issued>,
    /// The `AssumeRole` under way; its owners are those who wait for it.
    flight: Option<WeakShared<BoxFuture<'static, Answer>>>,
    failed: Option<(Instant, Reason)>,
}

impl Session {
    pub(super) fn new(issue: Issue) -> Self {
        Self::with_clock(issue, Arc::new(Instant::now))
    }

    fn with_clock(issue: Issue, now: Now) -> Self {
        Self {
            issue,
            now,
            state: Arc::default(),
        }
    }

    /// Credentials that are good for at least `need`, as far as the role's session length allows.
    ///
    /// A session that cannot be renewed is used until its end. Fails with the reason of the last
    /// `AssumeRole`. Dropping the future leaves the others that wait undisturbed.
    pub async fn credentials(&self, need: Duration) -> Result<Issued, Reason> {
        let flight = match self.look(need) {
            Ok(answer) => return answer,
            Err(flight) => flight,
        };
        match flight.await {
            Ok(issued) => Ok(issued),
            Err(reason) => self.lock().usable((self.now)()).ok_or(reason),
        }
    }

    /// Forgets the credentials of this key, which AWS has refused: the next caller gets new ones.
    pub fn discard(&self, access_key_id: &str) {
        let mut state = self.lock();
        let refused = |issued: &Issued| issued.credentials.access_key_id() == access_key_id;
        if state.current.as_ref().is_some_and(refused) {
            state.current = None;
        }
    }

    /// The key of the credentials in use, if there are any.
    #[must_use]
    pub fn current_key(&self) -> Option<String> {
        let state = self.lock();
        let current = state.current.as_ref()?;
        Some(current.credentials.access_key_id().to_owned())
    }

    /// What is known already, or the flight to wait for.
    fn look(&self, need: Duration) -> Result<Answer, Flight> {
        let now = (self.now)();
        let mut state = self.lock();
        if let Some(current) = &state.current
            && current.is_fresh(need, now)
        {
            return Ok(Ok(current.clone()));
        }
        if let Some((when, reason)) = &state.failed
            && now.duration_since(*when) < REMEMBER_FAILURE
        {
            let reason = reason.clone();
            return Ok(state.usable(now).ok_or(reason));
        }
        if let Some(flight) = state.flight.as_ref().and_then(WeakShared::upgrade) {
            return Err(flight);
        }
        let (answer, clock, shared) = (
            (self.issue)(),
            Arc::clone(&self.now),
            Arc::clone(&self.state),
        );
        let flight = async move {
            let answer = answer.await;
            let now = clock();
            let answer = answer.map(|(credentials, lifetime)| Issued {
                credentials,
                issued_at: now,
                lifetime,
            });
            shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .settle(&answer, now);
            answer
        }
        .boxed()
        .shared();
        state.flight = flight.downgrade();
        Err(flight)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Every change under this lock is a single assignment: a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, answer: &Answer, now: Instant) {
        self.flight = None;
        match answer {
            Ok(issued) => {
                self.current = Some(issued.clone());
                self.failed = None;
            }
            Err(reason) => self.failed = Some((now, reason.clone())),
        }
    }

    /// The session in use, whatever its age, until its end.
    fn usable(&self, now: Instant) -> Option<Issued> {
        let alive = |issued: &&Issued| now < issued.expires_at();
        self.current.as_ref().filter(alive).cloned()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Why the SDK got no credentials; [`failure`](super::aws_error::failure) finds it among the causes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.message)]
pub struct SessionFailed(pub Reason);

/// Hands a session's credentials to the SDK, which keeps none of its own: clients live as long as
/// they like, and every call is signed with what is fresh.
#[derive(Debug, Clone)]
pub(super) struct SessionCredentials(pub Arc<Session>);

impl ProvideCredentials for SessionCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.0.credentials(Duration::ZERO).await {
                Ok(issued) => Ok(issued.credentials),
                Err(reason) => Err(CredentialsError::provider_error(SessionFailed(reason))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::plan::ReasonCode;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    /// A role, the calls that assumed it, and a clock that only the test moves.
    struct Role {
        session: Session,
        calls: Arc<AtomicU64>,
        seconds: Arc<AtomicU64>,
    }

    /// Sessions last `lifetime`; each `AssumeRole` answers when it is polled a third time.
    fn role(lifetime: Duration, fail: fn(u64) -> bool) -> Role {
        let (calls, seconds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counter, clock, begin) = (calls.clone(), seconds.clone(), Instant::now());
        let issue: Issue = Box::new(move || {
            let counter = Arc::clone(&counter);
            async move {
                let call = counter.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                if fail(call) {
                    return Err(Reason::new(ReasonCode::AssumeRoleDenied, "no"));
                }
                let key = format!("ASIA{call}");
                Ok((Credentials::new(key, "", None, None, "test"), lifetime))
            }
            .boxed()
        });
        let now = move || begin + Duration::from_secs(clock.load(Ordering::SeqCst));
        Role {
            session: Session::with_clock(issue, Arc::new(now)),
            calls,
            seconds,
        }
    }

    impl Role {
        async fn key(&self, need: Duration) -> String {
            let issued = self.session.credentials(need).await.unwrap();
            issued.credentials.access_key_id().to_owned()
        }

        fn key_now(&self) -> String {
            block_on(self.key(Duration::ZERO))
        }

        fn calls(&self) -> u64 {
            self.calls.load(Ordering::SeqCst)
        }

        fn advance(&self, seconds: u64) {
            self.seconds.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn concurrent_callers_share_one_assume_role() {
        let role = role(HOUR, |_| false);
        let all = (0..100).map(|_| role.key(Duration::ZERO));
        let keys = block_on(futures::future::join_all(all));
        assert!(keys.iter().all(|key| key == "ASIA0"));
        assert_eq!(role.calls(), 1);
    }

    #[test]
    fn a_waiter_that_leaves_neither_ends_nor_repeats_the_call_of_the_others() {
        let role = role(HOUR, |_| false);
        block_on(async {
            let mut stays = Box::pin(role.key(Duration::ZERO));
            let mut leaves = Box::pin(role.key(Duration::ZERO));
            assert!(futures::poll!(&mut leaves).is_pending());
            assert!(futures::poll!(&mut stays).is_pending());
            drop(leaves);
            assert_eq!(stays.await, "ASIA0");
        });
        assert_eq!(role.calls(), 1);
    }

    #[test]
    fn a_call_that_everyone_left_is_begun_anew() {
        let role = role(HOUR, |_| false);
        block_on(async {
            let mut leaves = Box::pin(role.key(Duration::ZERO));
            assert!(futures::poll!(&mut leaves).is_pending());
        });
        assert_eq!(role.key_now(), "ASIA1");
        assert_eq!(role.calls(), 2);
    }

    #[test]
    fn a_session_is_renewed_before_its_end() {
        let role = role(Duration::from_mins(1), |_| false);
        assert_eq!(role.key_now(), "ASIA0");
        role.advance(39);
        assert_eq!(role.key_now(), "ASIA0");
        role.advance(1);
        assert_eq!(role.key_now(), "ASIA1");
    }

    #[test]
    fn a_query_gets_a_session_that_outlives_it_where_any_can() {
        let role = role(HOUR, |_| false);
        assert_eq!(role.key_now(), "ASIA0");
        role.advance(31 * 60);
        assert_eq!(block_on(role.key(HOUR / 2)), "ASIA1");
        // No session of this role lasts that long: a young one is the best there is.
        assert_eq!(block_on(role.key(HOUR * 2)), "ASIA1");
    }

    #[test]
    fn a_failure_is_remembered_for_seconds_and_an_old_session_used_to_its_end() {
        let role = role(Duration::from_mins(1), |call| call > 0);
        assert_eq!(role.key_now(), "ASIA0");
        role.advance(50);
        assert_eq!(role.key_now(), "ASIA0");
        assert_eq!(role.key_now(), "ASIA0");
        assert_eq!(role.calls(), 2);
        role.advance(10);
        let refused = block_on(role.session.credentials(Duration::ZERO)).unwrap_err();
        assert_eq!(refused.code, ReasonCode::AssumeRoleDenied);
        assert_eq!(role.calls(), 3);
    }

    #[test]
    fn credentials_that_aws_refused_are_not_used_again() {
        let role = role(HOUR, |_| false);
        assert_eq!(role.key_now(), "ASIA0");
        role.session.discard("ASIA9");
        assert_eq!(role.key_now(), "ASIA0");
        role.session.discard("ASIA0");
        assert_eq!(role.key_now(), "ASIA1");
    }
}
