//! Connections as they come in: no more than there is room for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::peer::Peer;
use super::places::{Place, Places};

/// That all places are taken is logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Turns connections away that find no place.
#[derive(Debug)]
pub(super) struct Connections<S> {
    incoming: S,
    places: Arc<Places>,
    full: Full,
}

/// What came of all places being taken, since it was logged.
#[derive(Debug, Default)]
struct Full {
    turned_away: u64,
    made_room: u64,
    logged: Option<Instant>,
}

impl<S> Connections<S> {
    /// Each has one of these.
    pub fn new(incoming: S, places: Arc<Places>) -> Self {
        Self {
            incoming,
            places,
            full: Full::default(),
        }
    }
}

impl Full {
    fn log(&mut self, limit: usize) {
        if (self.logged).is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            tracing::warn!(
                limit,
                turned_away = self.turned_away,
                made_room = self.made_room,
                "limits.connections are open: connections were turned away, or without a caller and \
                 made room"
            );
            *self = Self {
                logged: Some(Instant::now()),
                ..Self::default()
            };
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
            let limit = this.places.limit();
            let Some(place) = this.places.take() else {
                this.full.turned_away += 1;
                this.full.log(limit);
                continue;
            };
            if place.was_taken() {
                this.full.made_room += 1;
                this.full.log(limit);
            }
            return Poll::Ready(Some(Ok(Connection::new(io, place))));
        }
    }
}

/// A connection that has a place. Reading and writing fail once the place is somebody else's.
#[derive(Debug)]
pub(super) struct Connection<IO> {
    io: IO,
    place: Place,
    given_away: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<IO> Connection<IO> {
    fn new(io: IO, place: Place) -> Self {
        Self {
            io,
            given_away: Box::pin(place.given_away().clone().cancelled_owned()),
            place,
        }
    }

    /// The stream while it has its place.
    fn poll_placed(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut IO>>
    where
        IO: Unpin,
    {
        match self.given_away.as_mut().poll(context) {
            Poll::Pending => Ok(Pin::new(&mut self.io)),
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "no caller was authenticated on it, and another connection needed its place",
            )),
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let io = self.get_mut().poll_placed(context)?;
        io.poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let io = self.get_mut().poll_placed(context)?;
        io.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = self.get_mut().poll_placed(context)?;
        io.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = self.get_mut().poll_placed(context)?;
        io.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

impl<IO: Connected<ConnectInfo = TcpConnectInfo>> Connected for Connection<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer {
            tcp: self.io.connect_info(),
            certificates: None,
            visitor: self.place.visitor(),
        }
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
        let mut connections = Connections::new(accepted, Places::new(1, false));
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
    async fn who_has_lost_its_place_can_neither_read_nor_write() {
        let (mut clients, waiting) = pairs(2);
        let mut connections =
            Connections::new(futures::stream::iter(waiting), Places::new(1, true));
        let mut first = connections.next().await.unwrap().unwrap();
        let reading = tokio::spawn(async move {
            let read = first.read_u8().await;
            (read.unwrap_err(), first.write_u8(1).await.unwrap_err())
        });
        tokio::task::yield_now().await;
        let mut second = connections.next().await.unwrap().unwrap();
        let (read, write) = reading.await.unwrap();
        assert_eq!(
            (read.kind(), write.kind()),
            (
                io::ErrorKind::ConnectionAborted,
                io::ErrorKind::ConnectionAborted
            )
        );
        clients[1].write_u8(7).await.unwrap();
        assert_eq!(second.read_u8().await.unwrap(), 7);
    }
}
