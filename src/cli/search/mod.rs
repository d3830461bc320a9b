//! `identity-trail search`: the question from the command line, against a running service or with
//! the engine in its own process.

mod args;
mod coverage;
mod csv_output;
mod json_output;
mod progress;
mod table;
pub mod text;
mod window;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Status};

use args::UsageError;
pub use args::{Output, SearchArgs};
use progress::ProgressLine;

use crate::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use crate::grpc::pb::search_events_response::Item;
use crate::grpc::pb::{Completeness, Coverage, SearchEventsResponse, SearchSummary};

/// How a search from the command line can end; the number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The answer is complete.
    Complete = 0,
    /// There is no answer.
    Failed = 1,
    /// The question cannot be asked like this.
    BadUsage = 2,
    /// There is an answer, and it says what is missing.
    Incomplete = 3,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(ended as u8)
    }
}

/// Writes the answer as it comes, in one of the formats.
trait Writer {
    /// Takes one message.
    fn write(&mut self, response: &SearchEventsResponse) -> io::Result<()>;

    /// Writes what was kept back: called when the stream pauses and when it has ended.
    fn flush(&mut self) -> io::Result<()>;

    /// Whether the closing words belong between the answer's own lines (a table) or beside them.
    fn takes_words(&self) -> bool;
}

/// How long the table may keep a row back to print it with others.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// Runs one search over `channel` and prints it.
pub async fn run(args: &SearchArgs, channel: Channel) -> Ended {
    let request = match args.request() {
        Ok(request) => request,
        Err(UsageError(message)) => {
            eprintln!("identity-trail search: {message}");
            return Ended::BadUsage;
        }
    };
    let mut request = tonic::Request::new(request);
    if let Some(timeout) = args.timeout() {
        request.set_timeout(timeout);
    }
    let mut client =
        IdentityTrailServiceClient::new(channel).max_decoding_message_size(16 * 1024 * 1024);
    let stream = match client.search_events(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return refused(&status),
    };
    match print(args, stream).await {
        Ok(ended) => ended,
        // Whoever reads has closed the pipe: the question was not answered to them.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ended::Failed,
        Err(error) => {
            eprintln!("identity-trail search: cannot write the answer: {error}");
            Ended::Failed
        }
    }
}

async fn print(
    args: &SearchArgs,
    mut stream: tonic::Streaming<SearchEventsResponse>,
) -> io::Result<Ended> {
    let mut writer = writer(args);
    let mut progress = ProgressLine::new();
    let mut summary = None;
    let mut coverage = Vec::new();
    loop {
        let message = match tokio::time::timeout(FLUSH_AFTER, stream.message()).await {
            Err(_paused) => {
                progress.suspend(|| writer.flush())?;
                stream.message().await
            }
            Ok(message) => message,
        };
        let response = match message {
            Ok(Some(response)) => response,
            Ok(None) => break,
            Err(status) => {
                progress.clear();
                writer.flush()?;
                return Ok(broken(&status));
            }
        };
        progress.observe(&response);
        progress.suspend(|| writer.write(&response))?;
        match response.item {
            Some(Item::Outcome(report)) => coverage.extend(coverage::of_coverage(report)),
            Some(Item::Plan(plan)) if !writer.takes_words() => {
                for warning in &plan.warnings {
                    eprintln!("warning: {}", text::printable(warning));
                }
            }
            Some(Item::Summary(done)) => summary = Some(done),
            _ => {}
        }
    }
    progress.clear();
    writer.flush()?;
    let Some(summary) = summary else {
        eprintln!(
            "identity-trail search: the stream ended without a summary: the answer is not whole"
        );
        return Ok(Ended::Failed);
    };
    let words = coverage::in_words(args, &summary, &coverage);
    if writer.takes_words() {
        io::stdout().write_all(words.as_bytes())?;
        io::stdout().flush()?;
    } else {
        eprint!("{words}");
    }
    Ok(verdict(&summary))
}

fn writer(args: &SearchArgs) -> Box<dyn Writer> {
    let terminal = io::stdout().is_terminal();
    match args.output.unwrap_or(if terminal {
        Output::Table
    } else {
        Output::Jsonl
    }) {
        Output::Table => Box::new(table::TableWriter::new(terminal)),
        Output::Jsonl => Box::new(json_output::JsonLines::new()),
        Output::Csv => Box::new(csv_output::CsvWriter::new()),
    }
}

fn verdict(summary: &SearchSummary) -> Ended {
    let completeness = summary.coverage.as_ref().map(Coverage::completeness);
    match completeness {
        Some(Completeness::Complete | Completeness::CompleteExceptAccepted) => Ended::Complete,
        _ => Ended::Incomplete,
    }
}

/// The service said no before it began.
fn refused(status: &Status) -> Ended {
    use tonic_types::StatusExt as _;

    eprintln!(
        "identity-trail search: {}",
        text::printable(status.message())
    );
    if let Some(violations) = status.get_details_bad_request() {
        for violation in violations.field_violations {
            eprintln!(
                "  {}: {}",
                text::printable(&violation.field),
                text::printable(&violation.description)
            );
        }
    }
    match status.code() {
        Code::InvalidArgument | Code::Unimplemented | Code::NotFound | Code::FailedPrecondition => {
            Ended::BadUsage
        }
        _ => Ended::Failed,
    }
}

/// The stream broke off.
fn broken(status: &Status) -> Ended {
    eprintln!(
        "identity-trail search: the stream broke off, the answer is not whole: {} ({:?})",
        text::printable(status.message()),
        status.code()
    );
    Ended::Failed
}
