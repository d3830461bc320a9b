//! One integration-test binary: every module here talks to the crate through its public surface or a socket.
#![cfg(feature = "sandbox")]

mod accepted_gaps;
mod athena;
mod athena_records;
mod athena_world;
mod check;
mod cli_search;
mod discovery;
mod event_history;
mod event_history_windows;
mod federation;
mod grpc_accounts;
mod grpc_event;
mod grpc_requests;
mod grpc_server;
mod grpc_service;
mod log_days;
mod logs;
mod oracle;
mod plan_search;
mod records;
mod role_sessions;
mod sandbox;
mod sandbox_athena;
mod sandbox_faults;
mod sandbox_insights;
mod sandbox_logs;
mod sandbox_lookup;
mod sandbox_organizations;
mod sandbox_sts;
mod search_org;
mod serve;
mod service_faults;
mod traffic;
mod trino;
mod world;
