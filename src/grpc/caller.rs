//! Who sent a request: what authentication found, else where it comes from.

use std::sync::Arc;

use tonic::Request;

use crate::caller::Caller;

/// The caller that authentication put into the request's extensions; without authentication the
/// peer's address, so that pacing takes turns between hosts.
pub fn caller<T>(request: &Request<T>) -> Arc<Caller> {
    match request.extensions().get::<Arc<Caller>>() {
        Some(caller) => Arc::clone(caller),
        None => Arc::new(Caller::at(request.remote_addr().map(|peer| peer.ip()))),
    }
}
