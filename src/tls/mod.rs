//! TLS of both ends: certificates, keys and authorities out of PEM files, and the service's side of
//! it, which follows its files.

mod material;
mod server;

pub use material::{MaterialError, certificates, identity, read_file, roots};
pub use server::ServerTls;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The one cryptography of the process, named wherever TLS is set up: others may be linked in.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
