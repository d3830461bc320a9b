//! The flags of `search`, and the request that they make.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use super::window::{self, When};
use crate::grpc::pb;
use crate::grpc::pb::identity::Kind;

/// What did this identity do?
#[derive(Debug, Clone, Args)]
pub struct SearchArgs {
    /// An IAM user's name, without its path
    #[arg(long, value_name = "NAME", help_heading = "Identity (one of)")]
    pub user: Option<String>,
    /// A role's name, without its path; with --session one session of it
    #[arg(long, value_name = "NAME", help_heading = "Identity (one of)")]
    pub role: Option<String>,
    /// A role session's name (for people from Identity Center: their user name, often an e-mail)
    #[arg(long, value_name = "NAME", help_heading = "Identity (one of)")]
    pub session: Option<String>,
    /// An access key id (AKIA…, ASIA…)
    #[arg(long, value_name = "ID", help_heading = "Identity (one of)")]
    pub access_key: Option<String>,
    /// The root user of any account
    #[arg(long, help_heading = "Identity (one of)")]
    pub root: bool,
    /// The ARN of a user, a role, an assumed role or a root user
    #[arg(long, value_name = "ARN", help_heading = "Identity (one of)")]
    pub arn: Option<String>,

    /// Begin: a length of time before the end (30d, 12h) or an RFC 3339 time [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = window::parse, help_heading = "Time")]
    pub since: Option<When>,
    /// End, not included: an RFC 3339 time [default: the service's now]
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub until: Option<Timestamp>,

    /// Only this account; repeatable [default: all]
    #[arg(long = "account", value_name = "ID", help_heading = "Scope")]
    pub accounts: Vec<String>,
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
    /// Stop after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..), help_heading = "Answer")]
    pub max_events: Option<i64>,
    /// Stop Athena and Logs Insights when they have scanned this many bytes
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1..), help_heading = "Answer")]
    pub max_scan_bytes: Option<i64>,
    /// Go on where an earlier answer to the same question ended
    #[arg(long, value_name = "TOKEN", help_heading = "Answer")]
    pub resume_token: Option<String>,
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
    /// Ask no service: read this configuration and run the engine in this process
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub config: Option<PathBuf>,
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

/// The flags make no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl SearchArgs {
    /// The request that the flags make. What it says is checked by the service.
    pub fn request(&self) -> Result<pb::SearchEventsRequest, UsageError> {
        let (start_time, lookback) = match self.since {
            Some(When::At(instant)) => (Some(proto_time(instant)), None),
            Some(When::Before(length)) => (None, Some(proto_duration(length))),
            None => (None, None),
        };
        let filter = pb::EventFilter {
            event_names: self.event_names.clone(),
            event_sources: self.event_sources.clone(),
            categories: self
                .categories
                .iter()
                .map(|category| category.proto().into())
                .collect(),
            ..pb::EventFilter::default()
        };
        let record_view = match (self.full, self.summary_only) {
            (true, _) => pb::RecordView::Full,
            (_, true) => pb::RecordView::None,
            _ => pb::RecordView::Fields,
        };
        Ok(pb::SearchEventsRequest {
            identities: vec![pb::Identity {
                kind: Some(self.identity()?),
            }],
            start_time,
            end_time: self.until.map(proto_time),
            lookback,
            account_ids: self.accounts.clone(),
            account_selector: None,
            regions: self.regions.clone(),
            filter: Some(filter),
            order: pb::SearchOrder::NewestFirst.into(),
            max_events: self.max_events,
            resume_token: self.resume_token.clone().unwrap_or_default(),
            record_view: record_view.into(),
            backends: self
                .backends
                .iter()
                .map(|backend| backend.proto().into())
                .collect(),
            max_scan_bytes: self.max_scan_bytes,
            progress_interval: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
        })
    }

    /// How long the answer may take.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        Duration::try_from(self.timeout?).ok()
    }

    fn identity(&self) -> Result<Kind, UsageError> {
        let named = [
            self.user.is_some(),
            self.role.is_some() || self.session.is_some(),
            self.access_key.is_some(),
            self.root,
            self.arn.is_some(),
        ];
        if named.into_iter().filter(|named| *named).count() != 1 {
            return Err(UsageError(
                "name one identity: --user, --session, --role, --role with --session, --access-key, --root or --arn"
                    .to_owned(),
            ));
        }
        let kind = match (&self.role, &self.session) {
            (Some(role), Some(session)) => Some(Kind::RoleSession(pb::RoleSession {
                role_name: role.clone(),
                session_name: session.clone(),
            })),
            (Some(role), None) => Some(Kind::RoleName(role.clone())),
            (None, Some(session)) => Some(Kind::SessionName(session.clone())),
            (None, None) => None,
        };
        let kind = kind
            .or_else(|| self.user.clone().map(Kind::UserName))
            .or_else(|| self.access_key.clone().map(Kind::AccessKeyId))
            .or_else(|| self.arn.clone().map(Kind::Arn));
        Ok(kind.unwrap_or(Kind::Root(pb::RootUser {})))
    }

    /// The command line that asks about the same identity with the same filter, without time and
    /// scope: the beginning of a line to retry with.
    #[must_use]
    pub fn same_question(&self) -> String {
        let mut line = format!("{} search", crate::cli::program());
        let mut flag = |name: &str, value: &str| {
            line.push_str(" --");
            line.push_str(name);
            if !value.is_empty() {
                line.push(' ');
                line.push_str(&shell_word(value));
            }
        };
        for (name, value) in [
            ("user", &self.user),
            ("role", &self.role),
            ("session", &self.session),
            ("access-key", &self.access_key),
            ("arn", &self.arn),
        ] {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        if self.root {
            flag("root", "");
        }
        for name in &self.event_names {
            flag("event-name", name);
        }
        for source in &self.event_sources {
            flag("event-source", source);
        }
        for category in &self.categories {
            if let Some(value) = category.to_possible_value() {
                flag("category", value.get_name());
            }
        }
        for backend in &self.backends {
            if let Some(value) = backend.to_possible_value() {
                flag("backend", value.get_name());
            }
        }
        if self.full {
            flag("full", "");
        }
        match &self.config {
            Some(config) => flag("config", &config.to_string_lossy()),
            None => flag("endpoint", &self.endpoint),
        }
        line
    }
}

impl BackendArg {
    fn proto(self) -> pb::Backend {
        match self {
            Self::EventHistory => pb::Backend::EventHistory,
            Self::Logs => pb::Backend::Logs,
            Self::Athena => pb::Backend::Athena,
        }
    }
}

impl CategoryArg {
    fn proto(self) -> pb::EventCategory {
        match self {
            Self::Management => pb::EventCategory::Management,
            Self::Data => pb::EventCategory::Data,
            Self::NetworkActivity => pb::EventCategory::NetworkActivity,
            Self::Insight => pb::EventCategory::Insight,
        }
    }
}

fn proto_time(instant: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: instant.as_second(),
        nanos: instant.subsec_nanosecond(),
    }
}

fn proto_duration(length: SignedDuration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: length.as_secs(),
        nanos: length.subsec_nanos(),
    }
}

/// A word that a shell reads as itself.
#[must_use]
pub fn shell_word(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=.,@:/%".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}
