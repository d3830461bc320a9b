//! Connections as they come in, with TLS or without. A handshake holds up no other, has a deadline,
//! and only so many run at once.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::tls::ServerTls;

/// What a caller has for its handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Handshakes at once. Another one ends the oldest: who never finishes keeps nobody out.
const MAX_HANDSHAKES: usize = 512;

/// A connection to serve: `IO` as it came in, or TLS over it.
pub(super) struct Connection<IO> {
    stream: Either<IO, Box<TlsStream<IO>>>,
    peer: Peer,
}

/// What connections come in as: TCP, or something around it.
pub(super) trait Accepted:
    AsyncRead + AsyncWrite + Connected<ConnectInfo = TcpConnectInfo> + Unpin + Send + 'static
{
}

impl<IO> Accepted for IO where
    IO: AsyncRead + AsyncWrite + Connected<ConnectInfo = TcpConnectInfo> + Unpin + Send + 'static
{
}

/// Who is at the other end of a connection, as far as the connection knows: an extension of every
/// request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub tcp: TcpConnectInfo,
    /// The certificates that it showed, its own first; they were valid at the handshake.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
}

/// The connections of `listener`, those with TLS after their handshake.
pub(super) fn connections<S, IO>(
    listener: S,
    tls: Option<Arc<ServerTls>>,
) -> BoxStream<'static, io::Result<Connection<IO>>>
where
    S: Stream<Item = io::Result<IO>> + Unpin + Send + 'static,
    IO: Accepted,
{
    match tls {
        None => listener.map(|io| io.map(Connection::plain)).boxed(),
        Some(tls) => {
            let handshakes = Handshakes {
                listener,
                tls,
                running: JoinSet::new(),
                oldest: VecDeque::new(),
            };
            stream::unfold(handshakes, |mut handshakes| async move {
                let next = handshakes.next().await?;
                Some((next, handshakes))
            })
            .boxed()
        }
    }
}

/// The handshakes that are going on. Dropping it ends them.
struct Handshakes<S, IO> {
    listener: S,
    tls: Arc<ServerTls>,
    running: JoinSet<Option<Connection<IO>>>,
    /// Those that may still run, the oldest first.
    oldest: VecDeque<AbortHandle>,
}

impl<S, IO> Handshakes<S, IO>
where
    S: Stream<Item = io::Result<IO>> + Unpin,
    IO: Accepted,
{
    /// The next connection whose handshake is done.
    async fn next(&mut self) -> Option<io::Result<Connection<IO>>> {
        loop {
            tokio::select! {
                accepted = self.listener.next() => match accepted? {
                    Ok(io) => self.begin(io),
                    Err(error) => return Some(Err(error)),
                },
                Some(ended) = self.running.join_next() => {
                    self.oldest.retain(|handshake| !handshake.is_finished());
                    if let Ok(Some(connection)) = ended {
                        return Some(Ok(connection));
                    }
                }
            }
        }
    }

    fn begin(&mut self, io: IO) {
        if self.oldest.len() >= MAX_HANDSHAKES
            && let Some(oldest) = self.oldest.pop_front()
        {
            tracing::warn!("{MAX_HANDSHAKES} TLS handshakes at once: the oldest is given up");
            oldest.abort();
        }
        let acceptor = TlsAcceptor::from(self.tls.server_config());
        let handshake = self.running.spawn(async move {
            let peer = io.connect_info().remote_addr();
            let told = |why: String| {
                tracing::debug!(?peer, "no TLS connection: {why}");
                None
            };
            match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(io)).await {
                Ok(Ok(stream)) => Some(Connection::secured(stream)),
                Ok(Err(error)) => told(error.to_string()),
                Err(_elapsed) => told(format!("no handshake within {HANDSHAKE_DEADLINE:?}")),
            }
        });
        self.oldest.push_back(handshake);
    }
}

impl<IO: Accepted> Connection<IO> {
    fn plain(io: IO) -> Self {
        let peer = Peer {
            tcp: io.connect_info(),
            certificates: None,
        };
        Self {
            stream: Either::Left(io),
            peer,
        }
    }

    fn secured(stream: TlsStream<IO>) -> Self {
        let (io, session) = stream.get_ref();
        let peer = Peer {
            tcp: io.connect_info(),
            certificates: session.peer_certificates().map(Arc::from),
        };
        Self {
            stream: Either::Right(Box::new(stream)),
            peer,
        }
    }
}

impl<IO: Accepted> Connected for Connection<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<IO: Accepted> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<IO: Accepted> AsyncWrite for Connection<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
