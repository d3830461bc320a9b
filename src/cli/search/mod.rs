//! `identity-trail search`: the question from the command line, against a running service or with
//! the engine in its own process.

mod args;
mod cloudtrail_output;
mod coverage;
mod csv_output;
mod explain;
pub(super) mod json_output;
mod organization;
mod progress;
mod request;
mod same_question;
mod save;
pub(super) mod table;
pub mod text;
pub(super) mod window;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use tonic::{Code, Status};

pub use args::{Output, SearchArgs};
use progress::ProgressLine;
use request::UsageError;
use save::Saved;

use crate::cli::channel::{ServiceChannel, refusal_in_words};
use crate::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use crate::grpc::pb::search_events_response::Item;
use crate::grpc::pb::{
    Completeness, Coverage, SearchEventsRequest, SearchEventsResponse, SearchSummary,
};

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

    /// Writes what belongs at the end of a whole answer.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    /// What is to be known of what was written, for standard error.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the closing words belong between the answer's own lines (a table) or beside them.
    fn takes_words(&self) -> bool;
}

/// How long the table may keep a row back to print it with others.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// Runs one search over `channel` and prints it.
pub async fn run(args: &SearchArgs, channel: ServiceChannel) -> Ended {
    let request = match args.request() {
        Ok(request) => request,
        Err(UsageError(message)) => {
            eprintln!("identity-trail search: {message}");
            return Ended::BadUsage;
        }
    };
    let mut client =
        IdentityTrailServiceClient::new(channel).max_decoding_message_size(16 * 1024 * 1024);
    if args.explain {
        return explain::run(args, request, client).await;
    }
    let saved = match args.save.as_deref().map(Saved::begin).transpose() {
        Ok(saved) => saved,
        Err(error) => {
            eprintln!("identity-trail search: --save: {error}");
            return Ended::BadUsage;
        }
    };
    let mut call = tonic::Request::new(request.clone());
    if let Some(timeout) = args.timeout() {
        call.set_timeout(timeout);
    }
    let stream = match client.search_events(call).await {
        Ok(response) => response.into_inner(),
        Err(status) => return refused(&status),
    };
    let saving = saved.map(|files| Saving {
        files,
        request,
        client,
    });
    match print(args, stream, saving).await {
        Ok(ended) => ended,
        Err(error) => broken_pipe(&error),
    }
}

/// The answer cannot be written.
fn broken_pipe(error: &io::Error) -> Ended {
    // Whoever reads has closed the pipe: the question was not answered to them.
    if error.kind() != io::ErrorKind::BrokenPipe {
        eprintln!("identity-trail search: cannot write the answer: {error}");
    }
    Ended::Failed
}

/// An answer that is being saved, and the question, to ask for its plan.
struct Saving {
    files: Saved,
    request: SearchEventsRequest,
    client: IdentityTrailServiceClient<ServiceChannel>,
}

impl Saving {
    async fn take(&mut self, item: &Item) -> io::Result<()> {
        match item {
            Item::Plan(announced) => {
                // The token keeps interval and horizon, so that this is the plan of this search.
                let same = SearchEventsRequest {
                    resume_token: announced.resume_token.clone(),
                    ..self.request.clone()
                };
                let pages = explain::pages_as_json(same, &mut self.client).await;
                let pages = pages.map_err(|status| {
                    let why = status.message().to_owned();
                    eprintln!(
                        "--save: no statements in plan.json: {}",
                        text::printable(&why)
                    );
                    why
                });
                self.files.plan(announced, pages)
            }
            Item::Event(event) => self.files.event(event),
            _ => Ok(()),
        }
    }
}

async fn print(
    args: &SearchArgs,
    mut stream: tonic::Streaming<SearchEventsResponse>,
    mut saving: Option<Saving>,
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
        if let (Some(saving), Some(item)) = (&mut saving, &response.item) {
            saving.take(item).await?;
        }
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
    writer.finish()?;
    for note in writer.notes() {
        eprintln!("{}", text::printable(&note));
    }
    if let Some(saving) = saving {
        saving.files.finish(&summary, &coverage)?;
    }
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
    match args.output() {
        Output::Table => Box::new(table::TableWriter::new(terminal)),
        Output::Jsonl => Box::new(json_output::JsonLines::new()),
        Output::Csv => Box::new(csv_output::CsvWriter::new()),
        Output::Cloudtrail => {
            let out = io::BufWriter::new(io::stdout());
            Box::new(cloudtrail_output::CloudTrailWriter::new(out))
        }
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
        text::printable(&refusal_in_words(status))
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
