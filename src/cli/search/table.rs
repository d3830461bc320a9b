//! The table that people read: as wide as the terminal, printed as it grows.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};
use jiff::Timestamp;

use super::Writer;
use super::text::printable;
use crate::grpc::pb::search_events_response::Item;
use crate::grpc::pb::{
    Event, EventCategory, EventPart, OutcomePhase, OutcomeState, Reason, ReasonCode, ScanOutcome,
    SearchEventsResponse, SearchPlan,
};

/// Rows printed together at most.
const ROWS_AT_ONCE: usize = 50;
/// Without a terminal, the table is this wide.
const DEFAULT_WIDTH: u16 = 160;
/// Unverified intervals that one outcome spells out.
const FEW_DAYS: usize = 5;
/// A narrower terminal breaks the lines itself.
const MIN_WIDTH: u16 = 120;
const HEADER: [&str; 8] = [
    "TIME (UTC)",
    "ACCOUNT",
    "REGION",
    "API",
    "TARGET",
    "BY",
    "FROM",
    "RESULT",
];

/// Said wherever "all accounts" were fewer than the federation has.
pub const SCOPE_LIMITED: &str =
    "of the accounts only that the service's policies let you read: the federation has others";

/// A column's share of the line.
#[derive(Clone, Copy)]
enum Share {
    /// This many characters, padding included.
    Fixed(u16),
    /// This many percent of what the fixed columns leave.
    Percent(u16),
}

const SHARES: [Share; 8] = [
    Share::Fixed(22),
    Share::Fixed(18),
    Share::Fixed(16),
    Share::Percent(32),
    Share::Percent(29),
    Share::Percent(22),
    Share::Fixed(17),
    Share::Percent(17),
];
const FIXED_WIDTH: u16 = 22 + 18 + 16 + 17;

/// Prints events as rows.
pub struct TableWriter {
    rows: Vec<[String; 8]>,
    /// Names that more than one account has: these are shown by their ids.
    ambiguous_names: HashSet<String>,
    width: u16,
    header_printed: bool,
}

impl TableWriter {
    /// To standard output, which may be a terminal.
    pub fn new(terminal: bool) -> Self {
        let detected = terminal.then(|| Table::new().width()).flatten();
        Self {
            rows: Vec::new(),
            ambiguous_names: HashSet::new(),
            width: detected.unwrap_or(DEFAULT_WIDTH).max(MIN_WIDTH),
            header_printed: false,
        }
    }

    fn render(&mut self) -> String {
        let mut table = Table::new();
        table
            .load_preset(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width);
        if !self.header_printed {
            table.add_row(HEADER);
            self.header_printed = true;
        }
        table.add_rows(self.rows.drain(..));
        let rest = self.width.saturating_sub(FIXED_WIDTH);
        for (column, share) in table.column_iter_mut().zip(SHARES) {
            let width = match share {
                Share::Fixed(width) => width,
                Share::Percent(percent) => rest * percent / 100,
            };
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Writer for TableWriter {
    fn write(&mut self, response: &SearchEventsResponse) -> io::Result<()> {
        match &response.item {
            Some(Item::Plan(plan)) => {
                let mut seen = HashSet::new();
                let names = plan
                    .accounts
                    .iter()
                    .filter_map(|account| account.account_name.clone());
                self.ambiguous_names = names.filter(|name| !seen.insert(name.clone())).collect();
                let text = plan_in_words(plan);
                io::stdout().write_all(text.as_bytes())
            }
            Some(Item::Event(event)) => {
                self.rows.push(row(event, &self.ambiguous_names));
                if self.rows.len() >= ROWS_AT_ONCE {
                    self.flush()?;
                }
                Ok(())
            }
            Some(Item::Outcome(report)) if report.phase() == OutcomePhase::Early => {
                self.flush()?;
                let mut out = io::stdout();
                for outcome in &report.outcomes {
                    let mark = match outcome.state() {
                        // How roles were read, which is said at the end.
                        OutcomeState::Complete => continue,
                        OutcomeState::HandedOver => "--",
                        _ => "!!",
                    };
                    writeln!(out, "{mark} {}", outcome_in_words(outcome))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.rows.is_empty() {
            let text = self.render();
            io::stdout().write_all(text.as_bytes())?;
        }
        io::stdout().flush()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

fn row(event: &Event, ambiguous_names: &HashSet<String>) -> [String; 8] {
    let from = event.provenance.clone().unwrap_or_default();
    let recipient = event.recipient_account_id.clone();
    let own_name = from.account_name.filter(|name| {
        !ambiguous_names.contains(name)
            && recipient.as_ref().is_none_or(|id| *id == from.account_id)
    });
    let account = own_name.or(recipient).unwrap_or(from.account_id);
    let service = event.event_source.trim_end_matches(".amazonaws.com");
    let late = if event.late { " (late)" } else { "" };
    [
        time_text(event.event_time.as_ref()),
        account,
        event.aws_region.clone().unwrap_or_default(),
        format!("{service}:{}{late}", event.event_name),
        targets_of(event),
        principal_of(event),
        event.source_ip_address.clone().unwrap_or_default(),
        outcome_of(event),
    ]
    .map(|cell| printable(&cell).into_owned())
}

/// What was acted upon; what is the end of something longer (a name, and the ARN it ends) is said
/// once.
fn targets_of(event: &Event) -> String {
    let values: Vec<&str> = event
        .targets
        .iter()
        .map(|target| target.value.as_str())
        .collect();
    let mut told: Vec<&str> = Vec::new();
    for value in &values {
        let longer = |other: &&str| other.len() > value.len() && other.ends_with(value);
        if !values.iter().any(longer) && !told.contains(value) {
            told.push(value);
        }
    }
    told.join(" ")
}

/// Who made the call, briefly: a user's name, `role/session`, `root` or an AWS service.
pub(super) fn principal_of(event: &Event) -> String {
    let Some(who) = &event.user_identity else {
        return String::new();
    };
    if let Some(session) = (who.arn.as_deref()).and_then(|arn| arn.split_once(":assumed-role/")) {
        return session.1.to_owned();
    }
    let name = (who.user_name.clone())
        .or_else(|| who.invoked_by.clone())
        .or_else(|| who.arn.clone())
        .or_else(|| who.principal_id.clone());
    match (who.r#type.as_deref(), name) {
        (Some("Root"), _) => "root".to_owned(),
        (_, Some(name)) => name,
        (kind, None) => kind.unwrap_or_default().to_owned(),
    }
}

/// The error code, empty for a call that went well.
pub(super) fn outcome_of(event: &Event) -> String {
    event.error_code.clone().unwrap_or_default()
}

/// RFC 3339 in UTC, to the second: what event times have.
pub(in crate::cli) fn time_text(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
        .map(|time| format!("{time:.0}"))
        .unwrap_or_default()
}

fn plan_in_words(plan: &SearchPlan) -> String {
    let mut text = format!(
        "{} to {} (the service's now: {}), {} accounts\n",
        time_text(plan.start_time.as_ref()),
        time_text(plan.end_time.as_ref()),
        time_text(plan.service_time.as_ref()),
        plan.accounts_total,
    );
    for owner in &plan.access_key_owners {
        let account = owner.account_id.as_deref().unwrap_or_default();
        let whose = match (&owner.failure, owner.in_federation) {
            (Some(failure), _) => format!("has an unknown owner: {}", failure.message),
            (None, Some(true)) => format!("belongs to account {account}"),
            (None, _) => format!("belongs to account {account}, which is not in this federation"),
        };
        text.push_str(&printable(&format!("key {} {whose}", owner.access_key_id)));
        text.push('\n');
    }
    for warning in &plan.warnings {
        text.push_str(&printable(&format!("warning: {warning}")));
        text.push('\n');
    }
    text.push('\n');
    text
}

/// One outcome on one line.
pub(super) fn outcome_in_words(outcome: &ScanOutcome) -> String {
    let state = outcome
        .state()
        .as_str_name()
        .trim_start_matches("OUTCOME_STATE_")
        .to_ascii_lowercase();
    let backend = outcome
        .backend()
        .as_str_name()
        .trim_start_matches("BACKEND_")
        .to_ascii_lowercase();
    let place = outcome
        .archive
        .as_ref()
        .or(outcome.log_group.as_ref())
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    let regions = match outcome.regions.as_slice() {
        [] => "all Regions".to_owned(),
        regions => regions.join(", "),
    };
    let state = if outcome.reason.as_ref().is_some_and(is_accepted) {
        "accepted gap".to_owned()
    } else {
        state.replace('_', " ")
    };
    let what = match outcome.state() {
        OutcomeState::HandedOver => format!("{state} to{place}: {backend}"),
        _ => format!("{state} {backend}{place}"),
    };
    let mut text = format!(
        "{what} {} in {regions}{}, {} to {}",
        accounts_in_words(&outcome.account_ids),
        events_in_words(outcome.events.as_ref()),
        time_text(outcome.start_time.as_ref()),
        time_text(outcome.end_time.as_ref()),
    );
    let (start, end) = (&outcome.covered_start_time, &outcome.covered_end_time);
    if start.is_some() && end.is_some() {
        let (from, until) = (time_text(start.as_ref()), time_text(end.as_ref()));
        let _ = match (*start == outcome.start_time, *end == outcome.end_time) {
            (true, true) => write!(text, " (read to its end)"),
            (false, true) => write!(text, " (read from {from} on)"),
            (true, false) => write!(text, " (read until {until})"),
            (false, false) => write!(text, " (read from {from} until {until})"),
        };
    }
    if let Some(reading) = &outcome.role_reading {
        let _ = write!(text, " ({})", reading.note);
    }
    for days in outcome.unverified.iter().take(FEW_DAYS) {
        let message = days.reason.as_ref().map(|reason| reason.message.as_str());
        let _ = write!(
            text,
            "; {} {} to {}: {}",
            accounts_in_words(&days.account_ids),
            time_text(days.start_time.as_ref()),
            time_text(days.end_time.as_ref()),
            message.unwrap_or_default(),
        );
    }
    if outcome.unverified.len() > FEW_DAYS {
        let more = outcome.unverified.len() - FEW_DAYS;
        let _ = write!(
            text,
            "; and {more} more such intervals (all of them with --output jsonl)"
        );
    }
    if let Some(reason) = &outcome.reason {
        let _ = write!(text, ": {}", reason.message);
        if let Some(code) = &reason.aws_code {
            let _ = write!(text, " [{code}]");
        }
    }
    printable(&text).into_owned()
}

/// Which events, where it is not simply all management events.
fn events_in_words(part: Option<&EventPart>) -> String {
    let Some(part) = part else {
        return String::new();
    };
    let mut words = Vec::new();
    let categories: Vec<EventCategory> = part.categories().collect();
    if !matches!(categories[..], [] | [EventCategory::Management]) {
        let names = categories.iter().map(|category| {
            let name = category.as_str_name().trim_start_matches("EVENT_CATEGORY_");
            name.to_ascii_lowercase().replace('_', " ")
        });
        words.push(names.collect::<Vec<_>>().join(" and "));
    }
    words.extend(part.read_only.map(|read_only| {
        let kind = if read_only { "read-only" } else { "write" };
        kind.to_owned()
    }));
    if !part.event_sources.is_empty() {
        words.push(format!("of {}", part.event_sources.join(", ")));
    }
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({} events)", words.join(", "))
    }
}

fn is_accepted(reason: &Reason) -> bool {
    reason.code() == ReasonCode::AcceptedGap
}

pub(in crate::cli) fn accounts_in_words(accounts: &[String]) -> String {
    match accounts {
        few if few.len() <= 4 => few.join(", "),
        many => format!("{} accounts ({}, …)", many.len(), many[..3].join(", ")),
    }
}
