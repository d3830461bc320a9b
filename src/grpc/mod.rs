//! The wire: proto ⇄ domain, status codes, the tonic service and server.

pub mod accounts;
mod asked;
mod attended;
mod authentication;
pub mod caller;
pub mod check;
mod connections;
pub mod convert;
mod counted;
pub mod discretion;
pub mod edge;
pub mod in_process;
mod incoming;
pub mod json;
mod open_calls;
mod peer;
mod places;
pub mod plan_search;
mod preface;
mod protection;
pub mod readiness;
mod reloadable;
mod request_body;
pub mod server;
pub mod service;
pub mod status;

pub use in_process::InProcessServer;
pub use protection::Protection;
pub use readiness::{Probe, Readiness, ReadinessPace};
pub use server::{Server, ServerError, ServerParts};

/// The generated types and their descriptors: named here, in `grpc` and in `cli` only.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod pb {
    tonic::include_proto!("identitytrail.v1");

    /// The encoded descriptors of the API and all that it imports, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/identity_trail_descriptor.bin"));
}
