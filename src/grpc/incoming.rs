//! Connections as they come in, with TLS or without. A handshake holds up no other, has a deadline,
//! and only so many run at once; a client that says nothing after it is cut off.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::Connected;

use super::peer::Peer;
use super::preface::Preface;
use crate::tls::ServerTls;

/// What a caller has for its handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Handshakes at once. Another one ends the oldest: who never finishes keeps nobody out.
const MAX_HANDSHAKES: usize = 512;

/// A connection to serve: `IO` as it came in, or TLS over it. Reading fails if its preface is not there
/// in time; later silence is for the keepalive.
pub(super) struct Connection<IO> {
    stream: Either<IO, Box<TlsStream<IO>>>,
    peer: Peer,
    /// None once it has been read.
    preface: Option<Preface>,
}

/// What connections come in as.
pub(super) trait Accepted:
    AsyncRead + AsyncWrite + Connected<ConnectInfo = Peer> + Unpin + Send + 'static
{
}

impl<IO> Accepted for IO where
    IO: AsyncRead + AsyncWrite + Connected<ConnectInfo = Peer> + Unpin + Send + 'static
{
}

/// The connections of `listener`, those with TLS after their handshake, each of which has so much
/// patience for its preface.
pub(super) fn connections<S, IO>(
    listener: S,
    tls: Option<Arc<ServerTls>>,
    patience: Duration,
) -> BoxStream<'static, io::Result<Connection<IO>>>
where
    S: Stream<Item = io::Result<IO>> + Unpin + Send + 'static,
    IO: Accepted,
{
    match tls {
        None => listener
            .map(move |io| io.map(|io| Connection::plain(io, patience)))
            .boxed(),
        Some(tls) => {
            let handshakes = Handshakes {
                listener,
                tls,
                patience,
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
    patience: Duration,
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
        let patience = self.patience;
        let handshake = self.running.spawn(async move {
            let peer = io.connect_info().tcp.remote_addr();
            let told = |why: String| {
                tracing::debug!(?peer, "no TLS connection: {why}");
                None
            };
            match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(io)).await {
                Ok(Ok(stream)) => Some(Connection::secured(stream, patience)),
                Ok(Err(error)) => told(error.to_string()),
                Err(_elapsed) => told(format!("no handshake within {HANDSHAKE_DEADLINE:?}")),
            }
        });
        self.oldest.push_back(handshake);
    }
}

impl<IO: Accepted> Connection<IO> {
    fn plain(io: IO, patience: Duration) -> Self {
        Self {
            peer: io.connect_info(),
            stream: Either::Left(io),
            preface: Some(Preface::within(patience)),
        }
    }

    fn secured(stream: TlsStream<IO>, patience: Duration) -> Self {
        let (io, session) = stream.get_ref();
        let peer = Peer {
            certificates: session.peer_certificates().map(Arc::from),
            ..io.connect_info()
        };
        Self {
            stream: Either::Right(Box::new(stream)),
            peer,
            preface: Some(Preface::within(patience)),
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some(preface) = &mut this.preface else {
            return polled;
        };
        match &polled {
            Poll::Pending => {
                let too_late = ready!(preface.poll_too_late(cx));
                return Poll::Ready(Err(too_late));
            }
            Poll::Ready(Ok(())) if preface.is_whole_with(buffer.filled().len() - before) => {
                this.preface = None;
            }
            Poll::Ready(_) => {}
        }
        polled
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    use tonic::transport::server::TcpIncoming;

    use super::*;
    use crate::grpc::connections::{self, Connections};
    use crate::grpc::places::Places;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    trait Io: AsyncRead + AsyncWrite + Unpin {}
    impl<IO: AsyncRead + AsyncWrite + Unpin> Io for IO {}

    type Served = Connection<connections::Connection<TcpStream>>;

    /// A client and the server's end of its connection, with TLS or without.
    async fn connected(
        connections: &mut BoxStream<'static, io::Result<Served>>,
        to: std::net::SocketAddr,
        tls: Option<&TlsConnector>,
    ) -> (Box<dyn Io>, Served) {
        let connecting = async {
            let tcp = TcpStream::connect(to).await.unwrap();
            let client: Box<dyn Io> = match tls {
                None => Box::new(tcp),
                Some(tls) => {
                    let name = "localhost".try_into().unwrap();
                    Box::new(tls.connect(name, tcp).await.unwrap())
                }
            };
            client
        };
        let (client, served) = tokio::join!(connecting, connections.next());
        (client, served.unwrap().unwrap())
    }

    async fn assert_cut_off_unless_prompt(tls: Option<(Arc<ServerTls>, TlsConnector)>) {
        let (tls, connector) = tls.unzip();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let patience = Duration::from_millis(20);
        let placed = Connections::new(TcpIncoming::from(listener), Places::new(2, false));
        let mut connections = connections(placed, tls, patience);
        let (mut client, mut slow) = connected(&mut connections, to, connector.as_ref()).await;
        client
            .write_all(&PREFACE[..PREFACE.len() - 1])
            .await
            .unwrap();
        let cut_off = slow.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(cut_off.kind(), io::ErrorKind::TimedOut);
        // With a preface a client may be silent for as long as it likes.
        let (mut client, mut prompt) = connected(&mut connections, to, connector.as_ref()).await;
        prompt.preface = Some(Preface::within(Duration::MAX));
        client.write_all(PREFACE).await.unwrap();
        prompt.read_exact(&mut [0; 24]).await.unwrap();
        assert!(prompt.preface.is_none());
        assert!(prompt.read(&mut [0; 1]).now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_does_not_finish_the_preface_is_cut_off_and_who_does_is_not() {
        assert_cut_off_unless_prompt(None).await;
    }

    #[tokio::test]
    async fn a_handshake_is_no_preface() {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (cert_file, key_file) = (dir.path().join("crt"), dir.path().join("key"));
        std::fs::write(&cert_file, cert.pem()).unwrap();
        std::fs::write(&key_file, signing_key.serialize_pem()).unwrap();
        let config = serde_json::json!({"cert_file": cert_file, "key_file": key_file});
        let server = ServerTls::load(&serde_json::from_value(config).unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(client));
        assert_cut_off_unless_prompt(Some((server, connector))).await;
    }
}
