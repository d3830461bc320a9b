//! The other end of a connection.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tonic::transport::server::TcpConnectInfo;

use super::places::Visitor;

/// Who is at the other end of a connection, as far as the connection knows: an extension of every
/// request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub tcp: TcpConnectInfo,
    /// The certificates that it showed, its own first; they were valid at the handshake.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
    /// Its place among the connections.
    pub visitor: Visitor,
}
