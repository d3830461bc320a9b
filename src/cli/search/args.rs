//! The flags of `search`.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use super::organization::OrganizationArgs;
use super::window::{self, When};
use crate::cli::credentials::CredentialArgs;

const WHO: &str =
    "Identity (any of them; none with a filter by API, source IP, resource or event id)";

/// What did this identity do?
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct SearchArgs {
    /// An IAM user's name, without its path; * is a wildcard here and in the other names
    #[arg(long = "user", value_name = "NAME", help_heading = WHO)]
    pub users: Vec<String>,
    /// A role's name, without its path; with --session those sessions of it
    #[arg(long = "role", value_name = "NAME", help_heading = WHO)]
    pub roles: Vec<String>,
    /// A role session's name (for people from Identity Center: their user name, often an e-mail)
    #[arg(long = "session", value_name = "NAME", help_heading = WHO)]
    pub sessions: Vec<String>,
    /// An Identity Center permission set's name: its role in every account
    #[arg(long = "permission-set", value_name = "NAME", help_heading = WHO)]
    pub permission_sets: Vec<String>,
    /// An access key id (AKIA…, ASIA…)
    #[arg(long = "access-key", value_name = "ID", help_heading = WHO)]
    pub access_keys: Vec<String>,
    /// The unique id of a user or role (AIDA…, AROA…), or of a session (AROA…:name)
    #[arg(long = "principal-id", value_name = "ID", help_heading = WHO)]
    pub principal_ids: Vec<String>,
    /// The source identity that sessions carry
    #[arg(long = "source-identity", value_name = "NAME", help_heading = WHO)]
    pub source_identities: Vec<String>,
    /// The id of the Identity Center user on whose behalf calls are made
    #[arg(long = "identity-center-user", value_name = "ID", help_heading = WHO)]
    pub identity_center_users: Vec<String>,
    /// The root user of any account
    #[arg(long, help_heading = WHO)]
    pub root: bool,
    /// The ARN of a user, a role, an assumed role, a federated user or a root user
    #[arg(long = "arn", value_name = "ARN", help_heading = WHO)]
    pub arns: Vec<String>,
    /// Compare names and ARNs without regard to case
    #[arg(long, help_heading = WHO)]
    pub ignore_case: bool,

    /// Begin: a length of time before the end (30d, 12h) or an RFC 3339 time [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = window::parse, help_heading = "Time")]
    pub since: Option<When>,
    /// End, not included: an RFC 3339 time [default: the service's now]
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub until: Option<Timestamp>,

    /// Only this account; repeatable [default: all]
    #[arg(long = "account", value_name = "ID", help_heading = "Scope")]
    pub accounts: Vec<String>,
    /// Only accounts of this name, * for any characters; repeatable
    #[arg(long = "account-name", value_name = "NAME", help_heading = "Scope")]
    pub account_names: Vec<String>,
    /// Only accounts in this organizational unit or below it, by id (ou-…) or path of names
    /// (Workloads/Prod); repeatable
    #[arg(long = "ou", value_name = "UNIT", help_heading = "Scope")]
    pub organizational_units: Vec<String>,
    /// Only accounts with this tag; repeatable: any value of one key, every key
    #[arg(
        long = "account-tag",
        value_name = "KEY[=VALUE]",
        help_heading = "Scope"
    )]
    pub account_tags: Vec<String>,
    /// Only this Region; repeatable [default: all that the service reads]
    #[arg(long = "region", value_name = "REGION", help_heading = "Scope")]
    pub regions: Vec<String>,
    /// Only from this backend; repeatable [default: whatever holds the answer]
    #[arg(
        long = "backend",
        value_enum,
        value_name = "BACKEND",
        help_heading = "Scope"
    )]
    pub backends: Vec<BackendArg>,

    /// Only this API, such as GetObject; repeatable
    #[arg(long = "event-name", value_name = "NAME", help_heading = "Filter")]
    pub event_names: Vec<String>,
    /// Only this AWS service, such as s3.amazonaws.com; repeatable
    #[arg(long = "event-source", value_name = "SERVICE", help_heading = "Filter")]
    pub event_sources: Vec<String>,
    /// Only calls of this kind; repeatable
    #[arg(long, value_enum, value_name = "ACCESS", help_heading = "Filter")]
    pub access: Vec<AccessArg>,
    /// Only calls that failed
    #[arg(long, help_heading = "Filter")]
    pub errors_only: bool,
    /// Only calls that failed with this error, such as AccessDenied; repeatable
    #[arg(long = "error-code", value_name = "CODE", help_heading = "Filter")]
    pub error_codes: Vec<String>,
    /// Only from this address, network (198.51.100.0/24) or service; repeatable
    #[arg(long = "source-ip", value_name = "ADDRESS", help_heading = "Filter")]
    pub source_ips: Vec<String>,
    /// Only what acted upon this ARN, name or id; repeatable
    #[arg(long = "resource", value_name = "NAME", help_heading = "Filter")]
    pub resources: Vec<String>,
    /// Only this event, by CloudTrail's eventID; repeatable
    #[arg(long = "event-id", value_name = "ID", help_heading = "Filter")]
    pub event_ids: Vec<String>,
    /// This category of events; repeatable [default: management]
    #[arg(
        long = "category",
        value_enum,
        value_name = "CATEGORY",
        help_heading = "Filter"
    )]
    pub categories: Vec<CategoryArg>,

    /// Add the whole record to each event (in JSON Lines and CSV)
    #[arg(long, help_heading = "Answer", conflicts_with = "summary_only")]
    pub full: bool,
    /// No events, only the summary: coverage and facets
    #[arg(long, help_heading = "Answer")]
    pub summary_only: bool,
    /// The oldest events first: how a story began. Event history takes more AWS calls for it
    #[arg(long, help_heading = "Answer")]
    pub oldest_first: bool,
    /// Stop after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..), help_heading = "Answer")]
    pub max_events: Option<i64>,
    /// Stop Athena and Logs Insights when they have scanned this many bytes
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1..), help_heading = "Answer")]
    pub max_scan_bytes: Option<i64>,
    /// Search nothing: print what would be asked, and about what it would cost
    #[arg(long, help_heading = "Answer")]
    pub explain: bool,
    /// With --explain: read a page of each lookup, to estimate requests and seconds
    #[arg(long, help_heading = "Answer", requires = "explain")]
    pub probe: bool,
    /// Save events with their records, coverage, plan and SHA256SUMS into this directory
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Answer",
        conflicts_with_all = ["explain", "summary_only"]
    )]
    pub save: Option<PathBuf>,
    /// Go on where an earlier answer to the same question ended
    #[arg(long, value_name = "TOKEN", help_heading = "Answer")]
    pub resume_token: Option<String>,
    /// Read everybody's events rather than those of a role's or a user's sessions, where only
    /// event history holds them: exact, and often slow
    #[arg(long, help_heading = "Answer")]
    pub exact: bool,
    /// How to print [default: table on a terminal, jsonl in a pipe]
    #[arg(long, short, value_enum, help_heading = "Answer")]
    pub output: Option<Output>,

    /// The service to ask
    #[arg(
        long,
        value_name = "URL",
        env = "IDENTITY_TRAIL_ENDPOINT",
        default_value = "http://127.0.0.1:50051",
        help_heading = "Service"
    )]
    pub endpoint: String,
    /// What is shown to it.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// Ask no service: read this configuration and run the engine in this process
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub config: Option<PathBuf>,
    /// An organization, read without a configuration.
    #[command(flatten)]
    pub organization: OrganizationArgs,
    /// End after this long with what is known by then (30s, 10m)
    #[arg(long, value_name = "TIME", value_parser = window::duration, help_heading = "Service")]
    pub timeout: Option<SignedDuration>,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON message a line, as the API has it.
    Jsonl,
    /// For spreadsheets: events only, cells neutralised.
    Csv,
    /// The records alone, as a CloudTrail log file has them.
    Cloudtrail,
}

/// A backend, as a flag has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// CloudTrail event history.
    EventHistory,
    /// CloudWatch Logs.
    Logs,
    /// Athena archives.
    Athena,
}

/// What a call does, as a flag has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccessArg {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It issues credentials, read-only to CloudTrail or not.
    IssuesCredentials,
}

/// An event category, as a flag has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CategoryArg {
    /// Control-plane calls.
    Management,
    /// Data-plane calls.
    Data,
    /// Calls through VPC endpoints.
    NetworkActivity,
    /// CloudTrail Insights.
    Insight,
}

impl SearchArgs {
    /// How to print, with the default applied.
    #[must_use]
    pub fn output(&self) -> Output {
        self.output.unwrap_or_else(|| {
            if io::stdout().is_terminal() {
                Output::Table
            } else {
                Output::Jsonl
            }
        })
    }

    /// How long the answer may take.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        Duration::try_from(self.timeout?).ok()
    }
}
