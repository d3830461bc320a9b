//! `identity-trail check`: whether the federation is as its configuration says, at a running service
//! or with the engine in its own process.

mod table;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use tonic::{Code, Status};

use super::channel::{ServiceChannel, refusal_in_words};
use super::credentials::CredentialArgs;
use super::search::json_output::to_json;
use super::search::text::printable;
use super::search::window;
use crate::grpc::pb::check_accounts_response::Item;
use crate::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use crate::grpc::pb::{CheckAccountsRequest, CheckAccountsResponse, CheckSummary};

/// Can every account, archive and log group be read?
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Only this account, and the archives and log groups that hold it; repeatable [default: all]
    #[arg(long = "account", value_name = "ID")]
    pub accounts: Vec<String>,
    /// How many days back archives are asked for log files, and log groups for events [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub days: Option<i32>,
    /// How to print [default: table on a terminal, jsonl in a pipe]
    #[arg(long, short, value_enum)]
    pub output: Option<CheckOutput>,
    /// The service to ask
    #[arg(
        long,
        value_name = "URL",
        env = "IDENTITY_TRAIL_ENDPOINT",
        default_value = "http://127.0.0.1:50051"
    )]
    pub endpoint: String,
    /// What is shown to it.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// Ask no service: read this configuration and check it from this process
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End after this long with what is known by then (30s, 10m)
    #[arg(long, value_name = "TIME", value_parser = window::duration)]
    pub timeout: Option<SignedDuration>,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// For people.
    Table,
    /// One JSON message a line, as the API has it.
    Jsonl,
}

/// How a check from the command line can end; the number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// All is as it should be.
    Fine = 0,
    /// There is no answer.
    Failed = 1,
    /// It cannot be asked like this.
    BadUsage = 2,
    /// There is something to fix, or something that could not be checked.
    NeedsFix = 3,
}

impl From<Checked> for ExitCode {
    fn from(checked: Checked) -> Self {
        Self::from(checked as u8)
    }
}

/// Runs one check over `channel` and prints it.
pub async fn run(args: &CheckArgs, channel: ServiceChannel) -> Checked {
    let mut request = tonic::Request::new(CheckAccountsRequest {
        account_ids: args.accounts.clone(),
        days: args.days,
    });
    if let Some(timeout) = args.timeout.and_then(|it| Duration::try_from(it).ok()) {
        request.set_timeout(timeout);
    }
    let mut client =
        IdentityTrailServiceClient::new(channel).max_decoding_message_size(16 * 1024 * 1024);
    let stream = match client.check_accounts(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return refused(&status),
    };
    match print(args, stream).await {
        Ok(checked) => checked,
        // Whoever reads has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Checked::Failed,
        Err(error) => {
            eprintln!("identity-trail check: cannot write the findings: {error}");
            Checked::Failed
        }
    }
}

async fn print(
    args: &CheckArgs,
    mut stream: tonic::Streaming<CheckAccountsResponse>,
) -> io::Result<Checked> {
    let by_default = if io::stdout().is_terminal() {
        CheckOutput::Table
    } else {
        CheckOutput::Jsonl
    };
    let output = args.output.unwrap_or(by_default);
    let mut summary = None;
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) => break,
            Err(status) => {
                eprintln!(
                    "identity-trail check: the stream broke off: {} ({:?})",
                    printable(status.message()),
                    status.code()
                );
                return Ok(Checked::Failed);
            }
        };
        let text = match (output, &response.item) {
            (CheckOutput::Jsonl, _) => to_json("CheckAccountsResponse", &response)? + "\n",
            (CheckOutput::Table, Some(Item::Finding(finding))) => table::finding_in_words(finding),
            (CheckOutput::Table, Some(Item::Summary(summary))) => table::summary_in_words(summary),
            (CheckOutput::Table, None) => String::new(),
        };
        io::stdout().write_all(text.as_bytes())?;
        io::stdout().flush()?;
        if let Some(Item::Summary(done)) = response.item {
            summary = Some(done);
        }
    }
    Ok(match summary {
        None => {
            eprintln!("identity-trail check: the stream ended without a summary");
            Checked::Failed
        }
        Some(CheckSummary {
            needs_fix: 0,
            not_checked: 0,
            ..
        }) => Checked::Fine,
        Some(_) => Checked::NeedsFix,
    })
}

/// The service said no before it began.
fn refused(status: &Status) -> Checked {
    eprintln!(
        "identity-trail check: {}",
        printable(&refusal_in_words(status))
    );
    match status.code() {
        Code::InvalidArgument | Code::NotFound => Checked::BadUsage,
        _ => Checked::Failed,
    }
}
