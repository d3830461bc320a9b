//! Streams whose callers may stop reading.
//!
//! A stream that nobody polls cannot notice it: flow control holds it back for good. So a task that
//! the stream owns looks at it now and then; when the caller has taken nothing for too long, it tells
//! the stream to end, takes the end out of it for a caller who may come back, and drops the rest.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures::stream::{BoxStream, Stream, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A stream and who looks after it. Dropping it drops both.
pub struct Attended<T> {
    inner: Arc<Mutex<Inner<T>>>,
    _watch: AbortOnDropHandle<()>,
}

struct Inner<T> {
    /// `None` once it has ended.
    stream: Option<BoxStream<'static, T>>,
    /// Since when an item lies with the caller and no further one was asked for.
    taken: Option<Instant>,
    /// Tells the caller that there is more, and notes when.
    more: Arc<More>,
    /// How often the caller has asked.
    asked: u64,
    /// The end of a stream that was ended for want of a reader.
    end: VecDeque<T>,
}

impl<T: Send + 'static> Attended<T> {
    /// Cancels `idle` once nothing was taken of `stream` for `timeout`; it is to end then, soon and by
    /// itself.
    pub fn new(stream: BoxStream<'static, T>, timeout: Duration, idle: CancellationToken) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            stream: Some(stream),
            taken: None,
            more: Arc::new(More::to(Waker::noop())),
            asked: 0,
            end: VecDeque::new(),
        }));
        let watch = watch(Arc::clone(&inner), timeout, idle);
        Self {
            inner,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch)),
        }
    }
}

impl<T> Stream for Attended<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut inner = lock(&self.inner);
        if let Some(item) = inner.end.pop_front() {
            return Poll::Ready(Some(item));
        }
        inner.taken = None;
        inner.asked += 1;
        if !inner.more.caller.will_wake(context.waker()) {
            inner.more = Arc::new(More::to(context.waker()));
        }
        *inner.more.since() = None;
        let more = Waker::from(Arc::clone(&inner.more));
        let polled = inner.poll(&mut Context::from_waker(&more));
        if let Poll::Ready(Some(_)) = polled {
            inner.taken = Some(Instant::now());
        }
        polled
    }
}

/// The caller's waker, and since when it has been told that there is more to be asked for.
struct More {
    caller: Waker,
    since: Mutex<Option<Instant>>,
}

impl More {
    fn to(caller: &Waker) -> Self {
        Self {
            caller: caller.clone(),
            since: Mutex::default(),
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for More {
    fn wake(self: Arc<Self>) {
        self.since().get_or_insert_with(Instant::now);
        self.caller.wake_by_ref();
    }
}

impl<T> Inner<T> {
    /// Since when the caller could go on and does not.
    fn left_alone(&self) -> Option<Instant> {
        self.taken.or(*self.more.since())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(None);
        };
        let polled = stream.poll_next_unpin(context);
        if let Poll::Ready(None) = polled {
            self.stream = None;
        }
        polled
    }
}

async fn watch<T>(inner: Arc<Mutex<Inner<T>>>, timeout: Duration, idle: CancellationToken) {
    let mut look_at = Instant::now() + timeout;
    let asked = loop {
        tokio::time::sleep_until(look_at).await;
        let inner = lock(&inner);
        let since = inner.left_alone();
        look_at = since.unwrap_or_else(Instant::now) + timeout;
        if since.is_some() && look_at <= Instant::now() {
            break inner.asked;
        }
    };
    idle.cancel();
    poll_fn(|context| lock(&inner).poll_end(asked, context)).await;
}

impl<T> Inner<T> {
    /// Takes what is left of the stream out of it, unless the caller has come back for it.
    fn poll_end(&mut self, asked: u64, context: &mut Context<'_>) -> Poll<()> {
        while self.asked == asked
            && let Some(item) = ready!(self.poll(context))
        {
            self.end.push_back(item);
        }
        Poll::Ready(())
    }
}

fn lock<T>(inner: &Mutex<Inner<T>>) -> MutexGuard<'_, Inner<T>> {
    // A panic of the stream has been caught within it.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    /// Numbers without end, but for a last one when nobody takes them.
    fn numbers(idle: CancellationToken) -> BoxStream<'static, i32> {
        let next = move |number: i32| {
            let idle = idle.clone();
            async move {
                match number {
                    -1 => None,
                    _ if idle.is_cancelled() => Some((-1, -1)),
                    _ => Some((number, number + 1)),
                }
            }
        };
        stream::unfold(0, next).boxed()
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_ends_and_keeps_its_end_for_who_comes_back() {
        let idle = CancellationToken::new();
        let stream = numbers(idle.clone());
        let mut stream = Attended::new(stream, Duration::from_millis(1), idle.clone());
        assert_eq!(stream.next().await, Some(0));
        idle.cancelled().await;
        assert_eq!(stream.collect::<Vec<_>>().await, [-1]);
    }

    /// As where what was taken is being sent, and flow control holds the rest back.
    #[tokio::test]
    async fn a_caller_who_does_not_come_for_what_it_was_told_of_is_idle() {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let idle = CancellationToken::new();
        let mut stream = Attended::new(receiver.boxed(), Duration::from_millis(1), idle.clone());
        assert!(futures::poll!(stream.next()).is_pending());
        sender.unbounded_send(1).unwrap();
        idle.cancelled().await;
        drop(sender);
        assert_eq!(stream.collect::<Vec<_>>().await, [1]);
    }

    #[tokio::test]
    async fn a_stream_that_has_nothing_to_give_is_not_idle() {
        let idle = CancellationToken::new();
        let waiting = stream::pending::<i32>().boxed();
        let mut stream = Attended::new(waiting, Duration::from_millis(1), idle.clone());
        let mut next = stream.next();
        assert!(futures::poll!(&mut next).is_pending());
        // Long enough for the watch to have looked.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!idle.is_cancelled());
    }
}
