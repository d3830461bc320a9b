//! The sandbox's command-line flags, which `sandbox` and `demo` share.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::athena::TrinoConfig;
use super::faults::{Denial, FaultSettings, Percent};
use super::logs::LogsConfig;
use super::{AthenaEngine, Data, OrganizationSpec, SandboxConfig};

/// Flags of whatever starts a sandbox.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Serve the CloudTrail log files of any AWSLogs/ tree below DIR (repeatable) [default: a
    /// generated organization]
    #[arg(long = "logs", value_name = "DIR", help_heading = "Sandbox")]
    pub logs: Vec<PathBuf>,

    /// What the sandbox's clock reads at the start, for event times only [default: the present]
    #[arg(long, value_name = "RFC3339", help_heading = "Sandbox")]
    pub now: Option<Timestamp>,

    /// What everything random follows from
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Sandbox")]
    pub seed: u64,

    /// How many accounts the generated organization has
    #[arg(
        long,
        value_name = "N",
        default_value_t = 12,
        conflicts_with = "logs",
        help_heading = "Sandbox"
    )]
    pub accounts: usize,

    /// How many days back the generated organization's logs go
    #[arg(
        long,
        value_name = "N",
        default_value_t = 200,
        conflicts_with = "logs",
        help_heading = "Sandbox"
    )]
    pub days: u32,

    /// How many events the generated organization has on an average day
    #[arg(
        long,
        value_name = "N",
        default_value_t = 250,
        conflicts_with = "logs",
        help_heading = "Sandbox"
    )]
    pub events_per_day: u32,

    /// The role that each account has for the service to assume
    #[arg(
        long,
        value_name = "NAME",
        default_value = "identity-trail-reader",
        help_heading = "Sandbox"
    )]
    pub role_name: String,

    /// The external id that the roles' trust policies ask for
    #[arg(long, value_name = "ID", help_heading = "Sandbox")]
    pub external_id: Option<String>,

    /// LookupEvents calls a second for each account and Region, or `off`
    #[arg(
        long,
        value_name = "N|off",
        default_value = "2",
        help_heading = "Sandbox"
    )]
    pub lookup_rate: Rate,

    /// How much of the lookup quota others take, in calls a second
    #[arg(
        long,
        value_name = "RATE",
        default_value = "off",
        help_heading = "Sandbox"
    )]
    pub other_tenants: Rate,

    /// How long a page token of event history can be used
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 3600,
        help_heading = "Sandbox"
    )]
    pub page_token_lifetime: u64,

    /// How often a page token of event history can be used [default: any number of times]
    #[arg(long, value_name = "N", help_heading = "Sandbox")]
    pub page_token_uses: Option<u32>,

    /// Keep each event's JSON once written (about three times the memory), for benchmarks
    #[arg(long, help_heading = "Sandbox")]
    pub prerender: bool,

    /// What runs Athena's SQL: `datafusion`, in this process, or a Trino server with a hive connector
    #[arg(
        long,
        value_name = "datafusion|trino=http://HOST:PORT",
        default_value = "datafusion",
        help_heading = "Sandbox"
    )]
    pub athena_engine: EngineName,

    /// The folder that Trino's hive connector reads as its local file system; needed with trino
    #[arg(long, value_name = "DIR", help_heading = "Sandbox")]
    pub athena_warehouse: Option<PathBuf>,

    /// How many days the CloudWatch log group keeps an event
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 365,
        value_parser = clap::value_parser!(u32).range(1..=3653),
        help_heading = "Sandbox"
    )]
    pub log_retention_days: u32,

    /// FilterLogEvents calls a second for each account and Region, or `off`
    #[arg(
        long,
        value_name = "N|off",
        default_value = "25",
        help_heading = "Sandbox"
    )]
    pub log_filter_rate: Rate,

    /// Answer every call that much later
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 0,
        help_heading = "Sandbox faults"
    )]
    pub latency_ms: u64,

    /// Throttle that share of all calls
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        help_heading = "Sandbox faults"
    )]
    pub throttle_percent: Percent,

    /// Deny the account's role, and sessions in it (repeatable)
    #[arg(long, value_name = "ACCOUNT", help_heading = "Sandbox faults")]
    pub deny_account: Vec<String>,

    /// The same, as a service control policy denies (repeatable)
    #[arg(long, value_name = "ACCOUNT", help_heading = "Sandbox faults")]
    pub deny_by_scp: Vec<String>,

    /// Deny that action to everyone, such as cloudtrail:LookupEvents (repeatable)
    #[arg(long, value_name = "ACTION", help_heading = "Sandbox faults")]
    pub deny_action: Vec<String>,

    /// End sessions after that time, whatever was asked for
    #[arg(long, value_name = "SECONDS", help_heading = "Sandbox faults")]
    pub credential_lifetime: Option<u64>,

    /// Never answer calls to this Region (repeatable)
    #[arg(long, value_name = "REGION", help_heading = "Sandbox faults")]
    pub dead_region: Vec<String>,

    /// A Region that no account has enabled (repeatable)
    #[arg(long, value_name = "REGION", help_heading = "Sandbox faults")]
    pub disabled_region: Vec<String>,

    /// Reset the connection instead of answering that share of all calls
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        help_heading = "Sandbox faults"
    )]
    pub reset_percent: Percent,

    /// That share of event history's page tokens is stale by the time it is used
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        help_heading = "Sandbox faults"
    )]
    pub stale_token_percent: Percent,

    /// That share of event history's pages has its newest event last
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        help_heading = "Sandbox faults"
    )]
    pub out_of_order_percent: Percent,

    /// Let every Athena query run at least that long
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 0,
        help_heading = "Sandbox faults"
    )]
    pub athena_slow_ms: u64,

    /// Let that share of all Athena queries fail
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        help_heading = "Sandbox faults"
    )]
    pub athena_fail_percent: Percent,

    /// Let every Logs Insights query run at least that long
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 0,
        help_heading = "Sandbox faults"
    )]
    pub insights_slow_ms: u64,

    /// Let that share of all Logs Insights queries fail
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        help_heading = "Sandbox faults"
    )]
    pub insights_fail_percent: Percent,
}

/// Calls a second, or no limit: `off`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub Option<f64>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        let rate = text.parse().ok();
        let rate = rate.filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
        rate.map(|rate| Self(Some(rate)))
            .ok_or_else(|| "expected calls a second, such as 2 or 0.5, or `off`".to_owned())
    }
}

/// An engine, as `--athena-engine` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineName {
    /// `datafusion`
    DataFusion,
    /// `trino=URL`
    Trino(String),
}

impl FromStr for EngineName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "datafusion" => Ok(Self::DataFusion),
            Some(("trino", url)) => Ok(Self::Trino(url.to_owned())),
            _ => Err("expected `datafusion` or `trino=http://HOST:PORT`".to_owned()),
        }
    }
}

/// Flags that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Trino reads files that the sandbox writes.
    #[error("--athena-engine trino=… needs --athena-warehouse DIR, the folder that it reads")]
    NoWarehouse,
    /// The folder would not be used.
    #[error("--athena-warehouse is for --athena-engine trino=http://HOST:PORT")]
    UnusedWarehouse,
}

impl SandboxArgs {
    /// The sandbox that these flags describe, on a free port.
    pub fn config(&self) -> Result<SandboxConfig, ArgsError> {
        let athena_engine = match (&self.athena_engine, &self.athena_warehouse) {
            (EngineName::DataFusion, None) => AthenaEngine::DataFusion,
            (EngineName::DataFusion, Some(_)) => return Err(ArgsError::UnusedWarehouse),
            (EngineName::Trino(_), None) => return Err(ArgsError::NoWarehouse),
            (EngineName::Trino(url), Some(warehouse)) => AthenaEngine::Trino(TrinoConfig {
                url: url.clone(),
                catalog: "hive".to_owned(),
                warehouse: warehouse.clone(),
            }),
        };
        let data = if self.logs.is_empty() {
            Data::Organization(OrganizationSpec {
                seed: self.seed,
                now: self.now.unwrap_or_else(Timestamp::now),
                days: self.days,
                accounts: self.accounts,
                events_per_day: self.events_per_day,
            })
        } else {
            Data::Logs(self.logs.clone())
        };
        Ok(SandboxConfig {
            athena_engine,
            now: self.now,
            seed: self.seed,
            role_name: self.role_name.clone(),
            external_id: self.external_id.clone(),
            lookup_rate: self.lookup_rate.0,
            other_tenants_rate: self.other_tenants.0.unwrap_or(0.0),
            page_token_lifetime: Duration::from_secs(self.page_token_lifetime),
            page_token_uses: self.page_token_uses,
            prerender: self.prerender,
            athena_slow: Duration::from_millis(self.athena_slow_ms),
            athena_fail: self.athena_fail_percent,
            logs: LogsConfig {
                retention_days: self.log_retention_days,
                filter_rate: self.log_filter_rate.0,
                ..LogsConfig::default()
            },
            insights_slow: Duration::from_millis(self.insights_slow_ms),
            insights_fail: self.insights_fail_percent,
            faults: self.faults(),
            ..SandboxConfig::new(data)
        })
    }

    fn faults(&self) -> FaultSettings {
        let denied = |accounts: &[String], denial| {
            let accounts = accounts.iter().cloned();
            accounts
                .map(move |account| (account, denial))
                .collect::<Vec<_>>()
        };
        let by_account = denied(&self.deny_account, Denial::NotAllowed);
        let by_policy = denied(&self.deny_by_scp, Denial::ServiceControlPolicy);
        FaultSettings {
            latency: Duration::from_millis(self.latency_ms),
            throttle: self.throttle_percent,
            denied_accounts: by_account.into_iter().chain(by_policy).collect(),
            denied_actions: denied(&self.deny_action, Denial::NotAllowed)
                .into_iter()
                .collect(),
            credential_lifetime: self.credential_lifetime.map(Duration::from_secs),
            dead_regions: self.dead_region.iter().cloned().collect(),
            disabled_regions: self.disabled_region.iter().cloned().collect(),
            reset: self.reset_percent,
            stale_token: self.stale_token_percent,
            out_of_order: self.out_of_order_percent,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        sandbox: SandboxArgs,
    }

    fn parse(flags: &[&str]) -> Result<SandboxArgs, clap::Error> {
        let flags = ["test"].iter().chain(flags);
        Command::try_parse_from(flags).map(|command| command.sandbox)
    }

    #[test]
    fn nothing_goes_wrong_by_default() {
        let config = parse(&[]).unwrap().config().unwrap();
        assert_eq!(config.lookup_rate, Some(2.0));
        assert_eq!(config.athena_engine, AthenaEngine::DataFusion);
        assert!(matches!(config.data, Data::Organization(_)));
        assert_eq!(
            format!("{:?}", config.faults),
            format!("{:?}", FaultSettings::default())
        );
    }

    #[test]
    fn flags_reach_the_sandbox() {
        let flags = [
            "--logs=a",
            "--logs=b",
            "--now=2026-03-01T12:00:00Z",
            "--lookup-rate=off",
            "--deny-account=111122223333",
            "--deny-by-scp=222233334444",
            "--throttle-percent=30",
            "--log-retention-days=30",
            "--log-filter-rate=off",
            "--insights-fail-percent=5",
            "--athena-engine=trino=http://localhost:8080",
            "--athena-warehouse=w",
        ];
        let config = parse(&flags).unwrap().config().unwrap();
        assert!(matches!(config.data, Data::Logs(folders) if folders.len() == 2));
        assert_eq!(config.lookup_rate, None);
        assert_eq!(config.faults.denied_accounts.len(), 2);
        assert_eq!(config.faults.throttle, "30".parse().unwrap());
        assert!(matches!(config.athena_engine, AthenaEngine::Trino(_)));
        assert_eq!(config.logs.retention_days, 30);
        assert_eq!(config.logs.filter_rate, None);
        assert_eq!(config.insights_fail, "5".parse().unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for flag in [
            "--lookup-rate=0",
            "--lookup-rate=fast",
            "--throttle-percent=101",
            "--log-retention-days=0",
            "--now=yesterday",
            "--athena-engine=duckdb",
        ] {
            assert!(parse(&[flag]).is_err(), "{flag}");
        }
        assert!(parse(&["--logs=a", "--days=3"]).is_err());
        let config = |flags: &[&str]| parse(flags).unwrap().config().map(|_| ());
        let trino = "--athena-engine=trino=http://localhost:8080";
        assert_eq!(config(&[trino]), Err(ArgsError::NoWarehouse));
        assert_eq!(
            config(&["--athena-warehouse=w"]),
            Err(ArgsError::UnusedWarehouse)
        );
    }
}
