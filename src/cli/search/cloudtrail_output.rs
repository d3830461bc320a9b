//! `--output cloudtrail`: the records as a CloudTrail log file has them, for tools that read these.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::Writer;
use crate::grpc::pb::search_events_response::Item;
use crate::grpc::pb::{Event, RecordOrigin, SearchEventsResponse};

/// Writes `{"Records":[…]}`. An answer that breaks off is never closed, so that nobody reads it as
/// a whole.
pub struct CloudTrailWriter<W: Write> {
    out: W,
    records: u64,
    rebuilt: u64,
    masked: u64,
    unseen_fields: BTreeSet<String>,
}

impl<W: Write> CloudTrailWriter<W> {
    /// To `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            records: 0,
            rebuilt: 0,
            masked: 0,
            unseen_fields: BTreeSet::new(),
        }
    }

    fn record(&mut self, event: &Event) -> io::Result<()> {
        let Some(record) = &event.record_json else {
            return Err(io::Error::other(format!(
                "event {} came without its record",
                event.event_id
            )));
        };
        if event.record_origin() == RecordOrigin::Rebuilt {
            self.rebuilt += 1;
            let unseen = event.unseen_fields.iter().cloned();
            self.unseen_fields.extend(unseen);
        }
        self.masked += u64::from(event.credentials_masked);
        let before = if self.records == 0 {
            "{\"Records\":["
        } else {
            ","
        };
        self.records += 1;
        write!(self.out, "{before}\n{record}")
    }
}

impl<W: Write> Writer for CloudTrailWriter<W> {
    fn write(&mut self, response: &SearchEventsResponse) -> io::Result<()> {
        match &response.item {
            Some(Item::Event(event)) => self.record(event),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        let end = if self.records == 0 {
            "{\"Records\":[]}\n"
        } else {
            "\n]}\n"
        };
        self.out.write_all(end.as_bytes())?;
        self.out.flush()
    }

    fn takes_words(&self) -> bool {
        false
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.masked > 0 {
            notes.push(format!(
                "in {} of {} records a credential is masked: they are not as CloudTrail delivered \
                 them",
                self.masked, self.records
            ));
        }
        if self.rebuilt > 0 {
            let unseen: Vec<&str> = self.unseen_fields.iter().map(String::as_str).collect();
            let lacking = match unseen.as_slice() {
                [] => String::new(),
                unseen => format!("; whether they had {} is not known", unseen.join(", ")),
            };
            notes.push(format!(
                "{} of {} records were rebuilt from a table's columns: they are not as CloudTrail \
                 delivered them{lacking}",
                self.rebuilt, self.records
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(record: &str, origin: RecordOrigin, masked: bool) -> SearchEventsResponse {
        let event = Event {
            record_json: Some(record.into()),
            record_origin: origin.into(),
            credentials_masked: masked,
            unseen_fields: vec!["tlsDetails".into()],
            ..Event::default()
        };
        SearchEventsResponse {
            item: Some(Item::Event(Box::new(event))),
        }
    }

    #[test]
    fn records_stand_as_in_a_log_file_and_what_they_are_not_is_said() {
        let mut out = Vec::new();
        let mut writer = CloudTrailWriter::new(&mut out);
        let delivered = event(r#"{"n":1.10}"#, RecordOrigin::Delivered, true);
        writer.write(&delivered).unwrap();
        let rebuilt = event("{}", RecordOrigin::Rebuilt, false);
        writer.write(&rebuilt).unwrap();
        writer.finish().unwrap();
        insta::assert_snapshot!(writer.notes().join("\n"), @"
        in 1 of 2 records a credential is masked: they are not as CloudTrail delivered them
        1 of 2 records were rebuilt from a table's columns: they are not as CloudTrail delivered them; whether they had tlsDetails is not known
        ");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "{\"Records\":[\n{\"n\":1.10},\n{}\n]}\n");
    }

    #[test]
    fn without_events_there_are_no_records() {
        let mut out = Vec::new();
        let mut writer = CloudTrailWriter::new(&mut out);
        writer.finish().unwrap();
        assert!(writer.notes().is_empty());
        assert_eq!(out, b"{\"Records\":[]}\n");
    }

    #[test]
    fn an_event_without_its_record_is_an_error() {
        let bare = SearchEventsResponse {
            item: Some(Item::Event(Box::default())),
        };
        assert!(CloudTrailWriter::new(Vec::new()).write(&bare).is_err());
    }
}
