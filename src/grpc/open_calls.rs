//! Each call's caller, noted in the audit log's line as soon as it is known, and how many calls one
//! caller may have open.
//!
//! An open call costs memory and a place in the audit log until the caller has taken its answer, also
//! where nothing runs for it any more. Whoever opens calls and takes nothing keeps nobody else out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{self, BoxFuture, FutureExt};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::caller::caller;
use super::edge::own_rpc;
use crate::audit::Record;
use crate::search::Refusal;
use crate::usage::Exceeded;

/// Open calls of a caller beside all the searches that the process runs at once.
const BESIDE_SEARCHES: usize = 256;

/// Puts [`OpenCalls`] around a service. Behind authentication.
#[derive(Debug, Clone)]
pub(super) struct OpenCallsLayer {
    open: Arc<Open>,
}

impl OpenCallsLayer {
    /// One caller alone may run so many searches.
    pub fn new(concurrent_searches: u64) -> Self {
        let searches = usize::try_from(concurrent_searches).unwrap_or(usize::MAX);
        Self {
            open: Arc::new(Open {
                limit: searches.saturating_add(BESIDE_SEARCHES),
                by_caller: Mutex::default(),
            }),
        }
    }
}

impl<S> Layer<S> for OpenCallsLayer {
    type Service = OpenCalls<S>;

    fn layer(&self, inner: S) -> OpenCalls<S> {
        OpenCalls {
            open: Arc::clone(&self.open),
            inner,
        }
    }
}

/// A service of which each caller has only so many calls open.
#[derive(Debug, Clone)]
pub(super) struct OpenCalls<S> {
    open: Arc<Open>,
    inner: S,
}

impl<S> Service<Request<Body>> for OpenCalls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if own_rpc(request.uri().path()).is_none() {
            return self.inner.call(request).boxed();
        }
        let caller = caller(request.extensions());
        if let Some(record) = request.extensions().get::<Arc<Record>>() {
            record.note(|entry| entry.caller = Some(Arc::clone(&caller)));
        }
        let call = match self.open.call(&caller.name) {
            Ok(call) => call,
            Err(exceeded) => {
                let refused = Status::from(Refusal::Exceeded(exceeded)).into_http();
                return future::ready(Ok(refused)).boxed();
            }
        };
        request.extensions_mut().insert(caller);
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?;
            // It is open until its body is dropped.
            Ok(answer.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _open = &call;
                    frame
                }))
            }))
        }
        .boxed()
    }
}

#[derive(Debug)]
struct Open {
    limit: usize,
    /// Without those that have none open.
    by_caller: Mutex<HashMap<Arc<str>, usize>>,
}

impl Open {
    fn call(self: &Arc<Self>, caller: &Arc<str>) -> Result<OpenCall, Exceeded> {
        let mut by_caller = self.lock();
        let calls = by_caller.entry(Arc::clone(caller)).or_default();
        if *calls >= self.limit {
            return Err(Exceeded {
                key: "open calls of a caller",
                what: format!(
                    "{} of the caller's calls are open, which is the limit: take their answers, or cancel them",
                    self.limit
                ),
                retry_after: Duration::from_secs(1),
            });
        }
        *calls += 1;
        Ok(OpenCall {
            open: Arc::clone(self),
            caller: Arc::clone(caller),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        // Counts only: a panic leaves nothing half-way.
        self.by_caller
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that is open.
struct OpenCall {
    open: Arc<Open>,
    caller: Arc<str>,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut by_caller = self.open.lock();
        if let Some(calls) = by_caller.get_mut(&self.caller) {
            *calls -= 1;
            if *calls == 0 {
                by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_with_too_many_calls_open_keeps_nobody_else_out_and_is_forgotten_with_them() {
        let open = OpenCallsLayer::new(1).open;
        let (one, other) = ("one".into(), "other".into());
        let mut calls: Vec<_> = (0..=BESIDE_SEARCHES)
            .map(|_| open.call(&one).unwrap())
            .collect();
        assert!(open.call(&one).is_err());
        assert!(open.call(&other).is_ok());
        calls.pop();
        calls.push(open.call(&one).unwrap());
        assert!(open.call(&one).is_err());
        drop(calls);
        assert!(open.lock().is_empty());
    }
}
