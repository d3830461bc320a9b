//! Connections as they come in: no more than there is room for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

/// One that is turned away is logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Turns connections away while all places are taken; a place is free again when its connection is
/// dropped.
#[derive(Debug)]
pub(super) struct Connections<S> {
    incoming: S,
    places: Arc<Semaphore>,
    limit: usize,
    turned_away: u64,
    logged: Option<Instant>,
}

impl<S> Connections<S> {
    /// At most `limit` of them at a time.
    pub fn new(incoming: S, limit: usize) -> Self {
        Self {
            incoming,
            places: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            limit,
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
            return Poll::Ready(Some(Ok(Connection { io, _place: place })));
        }
    }
}

/// A connection that has a place.
#[derive(Debug)]
pub(super) struct Connection<IO> {
    io: IO,
    _place: OwnedSemaphorePermit,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
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
    use tokio::io::{DuplexStream, duplex};

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
        let mut connections = Connections::new(accepted, 1);
        let mut accepting = waiting.into_iter();
        accept.unbounded_send(accepting.next().unwrap()).unwrap();
        let first = connections.next().await.unwrap().unwrap();
        accept.unbounded_send(accepting.next().unwrap()).unwrap();
        assert!(connections.next().now_or_never().is_none(), "turned away");
        drop(first);
        accept.unbounded_send(accepting.next().unwrap()).unwrap();
        assert!(connections.next().await.unwrap().is_ok());
    }
}
