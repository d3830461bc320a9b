//! Connections as they come in: no more than there is room for, and none that only holds a place.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// What an HTTP/2 client says first: 24 bytes, whatever it wants.
const PREFACE_BYTES: usize = 24;
/// One that is turned away is logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Turns connections away while all places are taken; a place is free again when its connection is
/// dropped.
#[derive(Debug)]
pub(super) struct Connections<S> {
    incoming: S,
    places: Arc<Semaphore>,
    limit: usize,
    patience: Duration,
    turned_away: u64,
    logged: Option<Instant>,
}

impl<S> Connections<S> {
    /// At most `limit` of them at a time, each of which has so much time for its preface.
    pub fn new(incoming: S, limit: usize, patience: Duration) -> Self {
        Self {
            incoming,
            places: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            limit,
            patience,
            turned_away: 0,
            logged: None,
        }
    }

    fn turn_away(&mut self) {
        self.turned_away += 1;
        if self.logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            tracing::warn!(
                connections = self.turned_away,
                limit = self.limit,
                "connections were turned away: limits.connections are open"
            );
            self.turned_away = 0;
            self.logged = Some(Instant::now());
        }
    }
}

impl<S, IO> Stream for Connections<S>
where
    S: Stream<Item = io::Result<IO>> + Unpin,
{
    type Item = io::Result<Connection<IO>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let io = match ready!(Pin::new(&mut this.incoming).poll_next(context)) {
                Some(Ok(io)) => io,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let Ok(place) = Arc::clone(&this.places).try_acquire_owned() else {
                this.turn_away();
                continue;
            };
            let preface = Preface {
                bytes_left: PREFACE_BYTES,
                deadline: Box::pin(tokio::time::sleep(this.patience)),
            };
            return Poll::Ready(Some(Ok(Connection {
                io,
                preface: Some(preface),
                _place: place,
            })));
        }
    }
}

/// A connection that has a place. Reading fails if its preface is not there in time; later silence is
/// for the keepalive.
#[derive(Debug)]
pub(super) struct Connection<IO> {
    io: IO,
    /// None once it has been read.
    preface: Option<Preface>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Preface {
    bytes_left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        if let Some(preface) = &mut this.preface {
            match &polled {
                Poll::Pending => {
                    ready!(preface.deadline.as_mut().poll(context));
                    let silent = "the client sent no HTTP/2 preface in time";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, silent)));
                }
                Poll::Ready(Ok(())) => {
                    let read = buffer.filled().len() - before;
                    preface.bytes_left = preface.bytes_left.saturating_sub(read);
                    if preface.bytes_left == 0 {
                        this.preface = None;
                    }
                }
                Poll::Ready(Err(_)) => {}
            }
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

impl<IO: Connected> Connected for Connection<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pairs(count: usize) -> (Vec<DuplexStream>, Vec<io::Result<DuplexStream>>) {
        (0..count)
            .map(|_| duplex(64))
            .map(|(near, far)| (near, Ok(far)))
            .unzip()
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_is_gone() {
        let (_clients, waiting) = pairs(3);
        let (accept, accepted) = futures::channel::mpsc::unbounded();
        let mut connections = Connections::new(accepted, 1, Duration::MAX);
        let mut accepting = waiting.into_iter();
        accept.unbounded_send(accepting.next().unwrap()).unwrap();
        let first = connections.next().await.unwrap().unwrap();
        accept.unbounded_send(accepting.next().unwrap()).unwrap();
        assert!(connections.next().now_or_never().is_none(), "turned away");
        drop(first);
        accept.unbounded_send(accepting.next().unwrap()).unwrap();
        assert!(connections.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_does_not_finish_the_preface_is_cut_off_and_who_does_is_not() {
        let (mut clients, accepted) = pairs(2);
        let accepted = futures::stream::iter(accepted);
        let mut connections = Connections::new(accepted, 2, Duration::from_millis(20));
        let mut slow = connections.next().await.unwrap().unwrap();
        let mut prompt = connections.next().await.unwrap().unwrap();
        clients[0]
            .write_all(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..23])
            .await
            .unwrap();
        clients[1]
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut bytes = [0; 64];
        assert_eq!(slow.read(&mut bytes).await.unwrap(), 23);
        assert_eq!(prompt.read(&mut bytes).await.unwrap(), 24);
        // Waiting for more ends for the one; the other may be silent for as long as it likes.
        let cut_off = slow.read(&mut bytes).await.unwrap_err();
        assert_eq!(cut_off.kind(), io::ErrorKind::TimedOut);
        assert!(prompt.read(&mut bytes).now_or_never().is_none());
    }
}
