//! CSV: the events alone, for a spreadsheet.

use std::io;

use super::Writer;
use super::table::{outcome_of, principal_of, time_text};
use super::text::spreadsheet_safe;
use crate::grpc::pb::search_events_response::Item;
use crate::grpc::pb::{Event, SearchEventsResponse};

const COLUMNS: [&str; 22] = [
    "event_time",
    "account_id",
    "account_name",
    "aws_region",
    "event_source",
    "event_name",
    "read_only",
    "error_code",
    "error_message",
    "identity_type",
    "identity",
    "principal_id",
    "access_key_id",
    "source_ip_address",
    "user_agent",
    "targets",
    "request_parameters_json",
    "response_elements_json",
    "event_id",
    "backend",
    "late",
    "record_json",
];

/// Writes a header and one row an event.
pub struct CsvWriter {
    out: csv::Writer<io::Stdout>,
    begun: bool,
}

impl CsvWriter {
    /// To standard output.
    pub fn new() -> Self {
        Self {
            out: csv::Writer::from_writer(io::stdout()),
            begun: false,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            self.out.write_record(COLUMNS).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Writer for CsvWriter {
    fn write(&mut self, response: &SearchEventsResponse) -> io::Result<()> {
        self.header()?;
        if let Some(Item::Event(event)) = &response.item {
            let row = row(event);
            self.out
                .write_record(row.iter().map(|cell| spreadsheet_safe(cell).into_owned()))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn takes_words(&self) -> bool {
        false
    }
}

fn row(event: &Event) -> [String; COLUMNS.len()] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let who = event.user_identity.clone().unwrap_or_default();
    let from = event.provenance.clone().unwrap_or_default();
    let targets: Vec<String> = event
        .targets
        .iter()
        .map(|target| format!("{}={}", target.origin, target.value))
        .collect();
    [
        time_text(event.event_time.as_ref()),
        event
            .recipient_account_id
            .clone()
            .unwrap_or_else(|| from.account_id.clone()),
        text(&from.account_name),
        text(&event.aws_region),
        event.event_source.clone(),
        event.event_name.clone(),
        event
            .read_only
            .map(|read| read.to_string())
            .unwrap_or_default(),
        outcome_of(event),
        text(&event.error_message),
        text(&who.r#type),
        principal_of(event),
        text(&who.principal_id),
        text(&who.access_key_id),
        text(&event.source_ip_address),
        text(&event.user_agent),
        targets.join("; "),
        text(&event.request_parameters_json),
        text(&event.response_elements_json),
        event.event_id.clone(),
        from.backend()
            .as_str_name()
            .trim_start_matches("BACKEND_")
            .to_ascii_lowercase(),
        event.late.to_string(),
        text(&event.record_json),
    ]
}
