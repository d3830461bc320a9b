//! Who sent a request: what authentication found, else where it comes from.

use std::sync::Arc;

use tonic::Extensions;
use tonic::transport::server::TcpConnectInfo;

use crate::caller::Caller;

/// The caller that authentication put into a request's extensions; without authentication the peer's
/// address, so that pacing takes turns between hosts.
pub fn caller(extensions: &Extensions) -> Arc<Caller> {
    if let Some(caller) = extensions.get::<Arc<Caller>>() {
        return Arc::clone(caller);
    }
    let peer = extensions.get::<TcpConnectInfo>();
    let address = peer.and_then(TcpConnectInfo::remote_addr);
    Arc::new(Caller::at(address.map(|address| address.ip())))
}
