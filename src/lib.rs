//! identity-trail answers one question over gRPC: *what did this identity do, in all our AWS
//! accounts, between these times?*
//!
//! # Codemap
//!
//! Data moves one way, and so do imports:
//!
//! ```text
//! SearchEventsRequest ─ grpc ─▶ EventQuery ─ policy: accounts that the caller may read
//!                                   └─ plan(query, facts, now) ─▶ QueryPlan [Scan, Scan, …]
//!                                                     │ one reader per scan
//!            federation (accounts, sessions, pacing) ─▶ backend ─▶ pages of events + bound
//! SearchEventsResponse ◀─ grpc ◀─ search (merge, order, resume) ◀┘  + ScanOutcome ─▶ Coverage
//! ```
//!
//! | module | what it holds | what it never does |
//! |---|---|---|
//! | [`caller`] | who asks | deciding what they may |
//! | [`policy`] | what callers may ask | I/O, but for reading its policies; naming tonic or AWS |
//! | [`authentication`] | who calls, by token or certificate | deciding what they may |
//! | [`tls`] | certificates and keys out of files | opening a connection |
//! | [`query`] | the domain: what is asked, what an event is | I/O |
//! | [`plan`] | planning, routing, coverage | I/O; reading a clock |
//! | [`search`] | running a plan: fan-out, merge, resume | naming the AWS SDK |
//! | [`check`] | whether accounts and archives are as declared, probed live | naming the AWS SDK |
//! | [`federation`] | account inventory, sessions, pacing | knowing what a search is |
//! | [`backend`] | reading one scan from AWS | merging, retrying elsewhere |
//! | [`audit`] | one line for each request: who asked what | blocking the runtime; losing a line |
//! | [`usage`] | what the process and each caller use, and may use | knowing what a search is |
//! | [`grpc`] | the wire: proto ⇄ domain, status codes | deciding anything about AWS |
//! | [`telemetry`] | logs, traces and metrics: what whoever does something says or counts it with | knowing who does it |
//! | [`cli`] | one file per subcommand, and the one place where the parts are put together | deciding anything |
//! | [`sandbox`] | an AWS look-alike on loopback | being part of a production build |
//!
//! Only `backend`, `federation` (and the sandbox, for nothing but wire names) know AWS; only
//! `grpc` and `cli` name tonic and the generated types.
#![forbid(unsafe_code)]

pub mod audit;
pub mod authentication;
pub mod backend;
pub mod caller;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod federation;
pub mod grpc;
pub mod plan;
pub mod policy;
pub mod query;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod search;
pub mod supervise;
pub mod telemetry;
pub mod tls;
pub mod usage;

pub use cli::assembly;
