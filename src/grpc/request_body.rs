//! Requests as they come in: bounded in size and time, one by one and all together.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tower::Service;

use super::status;

/// What comes before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// So much of each request is there for everyone, whatever others send.
const FREE_BYTES: usize = 16 * 1024;

/// How much requests may hold while they are received, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestBounds {
    /// One message.
    pub message_bytes: usize,
    /// All requests together, beyond the first 16 KiB of each.
    pub bytes_at_once: usize,
    /// From the head of a request to its end.
    pub patience: Duration,
}

/// A service whose requests are bounded.
#[derive(Debug, Clone)]
pub(super) struct Bounded<S> {
    inner: S,
    bounds: RequestBounds,
    room: Arc<Semaphore>,
}

impl<S> Bounded<S> {
    /// `inner` within these bounds.
    pub fn new(inner: S, bounds: RequestBounds) -> Self {
        Self {
            inner,
            bounds,
            room: Arc::new(Semaphore::new(bounds.bytes_at_once)),
        }
    }
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let bounded = |body| BoundedBody {
            body,
            message_bytes: self.bounds.message_bytes,
            patience: self.bounds.patience,
            deadline: Box::pin(tokio::time::sleep(self.bounds.patience)),
            prefix: Vec::with_capacity(PREFIX_BYTES),
            received: 0,
            room: Arc::clone(&self.room),
            held: None,
        };
        self.inner
            .call(request.map(|body| Body::new(bounded(body))))
    }
}

/// The body of a request, until it has been received or is too large or too late.
struct BoundedBody {
    body: Body,
    message_bytes: usize,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    /// The message's prefix, as far as it has come.
    prefix: Vec<u8>,
    received: usize,
    room: Arc<Semaphore>,
    /// Its part of the room; free again when the message has been read, and this is dropped.
    held: Option<OwnedSemaphorePermit>,
}

impl BoundedBody {
    fn receive(&mut self, data: &[u8]) -> Result<(), Status> {
        let missing = PREFIX_BYTES - self.prefix.len();
        self.prefix.extend(data.iter().take(missing));
        if let [_, a, b, c, d] = self.prefix[..] {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if length > self.message_bytes {
                return Err(status::message_too_large(length, self.message_bytes));
            }
        }
        let counted = self.received.max(FREE_BYTES);
        self.received += data.len();
        let more = self.received.saturating_sub(counted);
        if more > 0 {
            let room = Arc::clone(&self.room);
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            let more = room
                .try_acquire_many_owned(more)
                .map_err(|_| status::no_room())?;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        Ok(())
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let received = match frame.data_ref() {
                    Some(data) => this.receive(data),
                    None => Ok(()),
                };
                Poll::Ready(Some(received.map(|()| frame)))
            }
            Poll::Ready(other) => Poll::Ready(other),
            Poll::Pending => match this.deadline.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(status::not_received(this.patience)))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, StreamExt};
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    fn bounds(patience: Duration) -> RequestBounds {
        RequestBounds {
            message_bytes: 100_000,
            bytes_at_once: 50_000,
            patience,
        }
    }

    /// A request that begins with these bytes and never ends.
    fn sent(service: &mut Bounded<Echo>, chunks: Vec<Vec<u8>>) -> Body {
        let frames = chunks
            .into_iter()
            .map(|it| Ok::<_, Status>(Frame::data(Bytes::from(it))));
        let body = StreamBody::new(stream::iter(frames).chain(stream::pending()));
        let answer = service.call(Request::new(Body::new(body)));
        futures::executor::block_on(answer).unwrap().into_body()
    }

    /// Answers with the request's own body.
    #[derive(Clone)]
    struct Echo;

    impl Service<Request<Body>> for Echo {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            std::future::ready(Ok(Response::new(request.into_body())))
        }
    }

    fn message(length: u32, content: usize) -> Vec<u8> {
        [&[0], &length.to_be_bytes()[..], &vec![7; content]].concat()
    }

    #[tokio::test]
    async fn a_message_is_refused_as_soon_as_it_says_how_long_it_will_be() {
        let mut service = Bounded::new(Echo, bounds(Duration::from_mins(1)));
        let whole = message(100_001, 0);
        let chunks = whole.iter().map(|byte| vec![*byte]).collect();
        let mut body = sent(&mut service, chunks);
        for _ in 0..4 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        let refused = body.frame().await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let violations = refused.get_details_quota_failure().unwrap().violations;
        assert_eq!(violations[0].subject, "message size");
    }

    #[tokio::test]
    async fn large_requests_share_a_room_and_small_ones_never_wait_for_it() {
        let mut service = Bounded::new(Echo, bounds(Duration::from_mins(1)));
        let large = || vec![message(99_999, 60_000)];
        let mut first = sent(&mut service, large());
        assert!(first.frame().await.unwrap().is_ok());
        let mut second = sent(&mut service, large());
        let refused = second.frame().await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(refused.get_details_retry_info().is_some());
        for _ in 0..100 {
            let mut small = sent(&mut service, vec![message(16_000, 16_000)]);
            assert!(small.frame().await.unwrap().is_ok());
        }
        drop(first);
        let mut third = sent(&mut service, large());
        assert!(third.frame().await.unwrap().is_ok());
        drop((second, third));
        assert_eq!(service.room.available_permits(), 50_000);
    }

    #[tokio::test]
    async fn what_does_not_come_in_time_is_not_waited_for() {
        let mut service = Bounded::new(Echo, bounds(Duration::from_millis(10)));
        let mut body = sent(&mut service, vec![message(10, 3)]);
        assert!(body.frame().await.unwrap().is_ok());
        let refused = body.frame().await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::DeadlineExceeded);
    }
}
