//! The YAML configuration: one file per section, defaults, checks and meaning together.
//!
//! A value is checked where it is read, so that an error names its line; what only shows when
//! sections are seen together is checked afterwards. Every key is explained in
//! `identity-trail.example.yaml`.

pub mod accepted_gaps;
pub mod accounts;
pub mod archives;
pub mod audit;
pub mod auth;
pub mod event_history;
pub mod hub;
pub mod limits;
pub mod log_groups;
mod rate;
pub mod regions;
pub mod routing;
pub mod shutdown;
pub mod stores;
pub mod telemetry;
pub mod tls;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;

pub use accepted_gaps::AcceptedGap;
pub use accounts::{Access, Accounts, ExternalId, Organization};
pub use archives::Archive;
pub use audit::{Audit, AuditTarget};
pub use auth::{Auth, Jwks, Jwt, JwtAlgorithm, Mtls, is_loopback};
pub use event_history::EventHistory;
pub use hub::Hub;
pub use limits::Limits;
pub use log_groups::LogGroup;
pub use rate::RequestRate;
pub use regions::Regions;
pub use routing::Routing;
pub use shutdown::Shutdown;
pub use telemetry::{LogFormat, Otlp, Telemetry};
pub use tls::{ClientAuth, Tls};

use crate::query::{AccountId, Region};
use accounts::AccessKeys;
use stores::Store as _;

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the service listens; `IDENTITY_TRAIL_LISTEN` overrides it.
    #[serde(default = "default_listen", deserialize_with = "value::text")]
    pub listen: SocketAddr,
    /// The AWS principal that the service runs as.
    pub hub: Hub,
    /// The federation.
    pub accounts: Accounts,
    /// The Regions that searches read in every account that does not say otherwise.
    pub regions: Regions,
    /// How event history is read.
    #[serde(default)]
    pub event_history: EventHistory,
    /// The archives, in order of preference.
    #[serde(default)]
    pub archives: Vec<Spanned<Archive>>,
    /// The log groups, in order of preference, after the archives.
    #[serde(default)]
    pub log_groups: Vec<Spanned<LogGroup>>,
    /// What is known to be unreadable, and accepted.
    #[serde(default)]
    pub accepted_gaps: Vec<Spanned<AcceptedGap>>,
    /// How the planner divides a question.
    #[serde(default)]
    pub routing: Routing,
    /// What requests and the process may use.
    #[serde(default)]
    pub limits: Limits,
    /// The audit log, which `serve` keeps.
    #[serde(default)]
    pub audit: Audit,
    /// TLS on the service's port.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Who may call, and what callers may ask.
    #[serde(default)]
    pub auth: Auth,
    /// How the process ends.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// What the service says about itself.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// Why a configuration cannot be used: the place, and what is allowed there.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot read the configuration: {source}")]
    Unreadable {
        /// The file, as it was named.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no configuration: wrong syntax, an unknown key, a value out of range.
    #[error("{file}: {}", .source.render())]
    Malformed {
        /// The file, as it was named.
        file: String,
        /// What the parser says, with line, column and the lines around it.
        source: Box<serde_saphyr::Error>,
    },
    /// Each value is fine, but not together.
    #[error("{file}{invalid}")]
    Invalid {
        /// The file, as it was named.
        file: String,
        /// What does not fit.
        invalid: Invalid,
    },
    /// An environment variable that overrides a key has a bad value.
    #[error("environment variable {variable}: {why}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What is allowed.
        why: String,
    },
}

/// A key whose value does not fit the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The key, such as `accounts.list[2].id`.
    pub key: String,
    /// Its line, where known.
    pub line: Option<u64>,
    /// What is wrong and what is allowed.
    pub why: String,
}

impl Invalid {
    fn new(key: impl Into<String>, line: Option<u64>, why: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            line,
            why: why.into(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}", self.key, self.why)
    }
}

/// Reads the file at `path`, applies the environment's overrides and checks everything.
///
/// Opens nothing but that file and asks AWS nothing.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        file: file.clone(),
        source,
    })?;
    let mut config = Config::parse(&text, &file)?;
    config.override_from(|variable| std::env::var(variable).ok())?;
    Ok(config)
}

impl Config {
    /// Reads a configuration from `text`; errors call it `file`.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let config: Self =
            serde_saphyr::from_str(text).map_err(|source| ConfigError::Malformed {
                file: file.to_owned(),
                source: Box::new(source),
            })?;
        config
            .accounts
            .check()
            .and_then(|()| stores::check(&config.archives))
            .and_then(|()| stores::check(&config.log_groups))
            .and_then(|()| accepted_gaps::check(&config.accepted_gaps))
            .and_then(|()| config.check_store_access())
            .and_then(|()| tls::check(config.tls.as_ref()))
            .and_then(|()| auth::check(&config.auth, config.tls.as_ref()))
            .map_err(|invalid| ConfigError::Invalid {
                file: file.to_owned(),
                invalid,
            })?;
        Ok(config)
    }

    /// Every account of the organization that the hub's own credentials can list, with defaults for
    /// the rest: what stands in for a file where a role is all that is known. The role is yet to be
    /// filled in.
    #[must_use]
    pub fn of_organization(hub_region: Region, regions: Regions) -> Self {
        let unwritten = serde_saphyr::Location::UNKNOWN;
        Self {
            listen: default_listen(),
            hub: Hub {
                region: hub_region,
                endpoint_url: None,
                attribution: hub::Attribution::default(),
                session_name: None,
                profile: None,
            },
            accounts: Accounts {
                defaults: accounts::AccountDefaults::default(),
                list: Vec::new(),
                organization: Some(Spanned::new(Organization::whole(), unwritten, unwritten)),
            },
            regions,
            event_history: EventHistory::default(),
            archives: Vec::new(),
            log_groups: Vec::new(),
            accepted_gaps: Vec::new(),
            routing: Routing::default(),
            limits: Limits::default(),
            audit: Audit::default(),
            tls: None,
            auth: Auth::default(),
            shutdown: Shutdown::default(),
            telemetry: Telemetry::default(),
        }
    }

    /// How the service gets into `account`; `None` if no list has it. Whether an organization has
    /// it is not known here.
    #[must_use]
    pub fn account_access(&self, account: AccountId) -> Option<Access> {
        let own = match self.accounts.get(account) {
            Some(own) => own.access_keys(),
            None if self.accounts.organization.is_some() => AccessKeys::default(),
            None => return None,
        };
        let places = [own, self.accounts.defaults.access_keys()];
        AccessKeys::resolve(&places, account, self.hub.partition())
    }

    /// How the service gets at an archive's Athena: as the archive says, else as into its account.
    #[must_use]
    pub fn archive_access(&self, archive: &Archive) -> Option<Access> {
        self.access_in(archive.account, archive.access_keys())
    }

    /// How the service gets at a log group: as the log group says, else as into its account.
    #[must_use]
    pub fn log_group_access(&self, log_group: &LogGroup) -> Option<Access> {
        self.access_in(log_group.account, log_group.access_keys())
    }

    fn access_in(&self, account: AccountId, own: AccessKeys<'_>) -> Option<Access> {
        let of_account = self.accounts.get(account);
        let places = [
            own,
            of_account
                .map(accounts::Account::access_keys)
                .unwrap_or_default(),
            self.accounts.defaults.access_keys(),
        ];
        AccessKeys::resolve(&places, account, self.hub.partition())
    }

    fn check_store_access(&self) -> Result<(), Invalid> {
        let no_way = |section: &str, index: usize, line: u64, to: &str| {
            let why = format!(
                "no way to {to}: give role_name, role_arn or `credentials: hub`, here or in accounts.defaults"
            );
            Err(Invalid::new(format!("{section}[{index}]"), Some(line), why))
        };
        for (index, entry) in self.archives.iter().enumerate() {
            if self.archive_access(&entry.value).is_none() {
                return no_way("archives", index, entry.referenced.line(), "Athena");
            }
        }
        for (index, entry) in self.log_groups.iter().enumerate() {
            if self.log_group_access(&entry.value).is_none() {
                return no_way(
                    "log_groups",
                    index,
                    entry.referenced.line(),
                    "CloudWatch Logs",
                );
            }
        }
        Ok(())
    }

    /// Applies what the environment overrides: what differs by deployment.
    fn override_from(
        &mut self,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        fn set<T>(
            place: &mut T,
            name: &'static str,
            value: Option<String>,
            read: impl FnOnce(String) -> Result<T, String>,
        ) -> Result<(), ConfigError> {
            if let Some(value) = value {
                *place = read(value).map_err(|why| ConfigError::Environment {
                    variable: name,
                    why,
                })?;
            }
            Ok(())
        }
        macro_rules! set {
            ($place:expr, $name:literal, $read:expr) => {
                set(&mut $place, $name, variable($name), $read)?
            };
        }
        set!(self.listen, "IDENTITY_TRAIL_LISTEN", |text| value::parse(
            &text
        ));
        set!(self.hub.region, "IDENTITY_TRAIL_HUB_REGION", |text| {
            value::parse(&text)
        });
        set!(
            self.hub.endpoint_url,
            "IDENTITY_TRAIL_HUB_ENDPOINT_URL",
            |url| { hub::check_endpoint_url(url).map(Some) }
        );
        set!(
            self.hub.profile,
            "IDENTITY_TRAIL_HUB_PROFILE",
            |profile| Ok(Some(profile))
        );
        set!(
            self.telemetry.admin_listen,
            "IDENTITY_TRAIL_ADMIN_LISTEN",
            |text| value::parse(&text).map(Some)
        );
        set!(
            self.telemetry.log_format,
            "IDENTITY_TRAIL_LOG_FORMAT",
            |text| {
                match text.as_str() {
                    "text" => Ok(LogFormat::Text),
                    "json" => Ok(LogFormat::Json),
                    _ => Err(format!("`{text}`: allowed are text and json")),
                }
            }
        );
        Ok(())
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50051))
}

#[cfg(test)]
mod caller_tests;
#[cfg(test)]
mod chart_tests;
#[cfg(test)]
mod tests;
