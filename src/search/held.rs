//! Events that wait for their turn in the merge, in little memory where many scans wait.
//!
//! Nothing leaves the merge before every scan has shown its first page: of an organization with
//! thousands of accounts and Regions that is some hundred thousand events. As a structure of small
//! strings an event takes about 3 KB; packed beside the first of its page, which it resembles, about a
//! tenth of that.

use std::sync::Arc;

use lz4_flex::block;
use tokio::sync::OwnedSemaphorePermit;

use crate::query::{Event, EventKey, Identity};

/// What a packed event takes besides its bytes: its place in the order, and this structure.
const BESIDE_BYTES: usize = 256;

/// An event that waits for its turn, and the share of memory that its page holds.
#[derive(Debug)]
pub struct HeldEvent {
    form: Form,
    _memory: Option<Arc<OwnedSemaphorePermit>>,
}

#[derive(Debug)]
enum Form {
    Whole(Box<Event>),
    Packed(Packed),
}

#[derive(Debug)]
struct Packed {
    bytes: Box<[u8]>,
    /// The first event of the page, serialized: what `bytes` refers to.
    first: Arc<[u8]>,
    matched_identities: Vec<Identity>,
}

impl HeldEvent {
    /// The event, as it was.
    #[must_use]
    pub fn into_event(self) -> Box<Event> {
        match self.form {
            Form::Whole(event) => event,
            Form::Packed(packed) => Box::new(packed.unpack()),
        }
    }
}

/// The events of one page on their way to the merge.
#[derive(Debug, Default)]
pub(super) struct HeldPage {
    events: Vec<(EventKey, Form)>,
}

impl HeldPage {
    /// As they are: nothing is to be done when their turn comes.
    pub fn whole(events: Vec<Event>) -> Self {
        let whole = |event: Event| (event.key.clone(), Form::Whole(Box::new(event)));
        Self {
            events: events.into_iter().map(whole).collect(),
        }
    }

    /// Packed, and how many bytes they take.
    pub fn packed(events: Vec<Event>) -> (Self, u64) {
        let (mut first, mut bytes) = (None, 0);
        let mut pack = |event: Event| {
            let (key, form) = pack(event, &mut first);
            if let Form::Packed(packed) = &form {
                bytes += packed.bytes.len() + BESIDE_BYTES;
            }
            (key, form)
        };
        let events = events.into_iter().map(&mut pack).collect();
        let bytes = bytes + first.map_or(0, |first| first.len());
        (Self { events }, bytes as u64)
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// With the memory that all of them together hold until the last is gone.
    pub fn hold(self, memory: Option<OwnedSemaphorePermit>) -> Vec<(EventKey, HeldEvent)> {
        let memory = memory.map(Arc::new);
        let hold = |(key, form)| {
            let held = HeldEvent {
                form,
                _memory: memory.clone(),
            };
            (key, held)
        };
        self.events.into_iter().map(hold).collect()
    }
}

fn pack(mut event: Event, first: &mut Option<Arc<[u8]>>) -> (EventKey, Form) {
    let key = event.key.clone();
    let Ok(bytes) = postcard::to_allocvec(&event) else {
        return (key, Form::Whole(Box::new(event)));
    };
    let first = first.get_or_insert_with(|| bytes.as_slice().into());
    let packed = Packed {
        bytes: block::compress_prepend_size_with_dict(&bytes, first).into_boxed_slice(),
        first: Arc::clone(first),
        matched_identities: std::mem::take(&mut event.matched_identities),
    };
    (key, Form::Packed(packed))
}

impl Packed {
    fn unpack(self) -> Event {
        let bytes = block::decompress_size_prepended_with_dict(&self.bytes, &self.first)
            .expect("what was packed in this process can be unpacked");
        let event: Event = postcard::from_bytes(&bytes).expect("what was written can be read back");
        Event {
            matched_identities: self.matched_identities,
            ..event
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::query::record::{ReadFrom, TextOrigin, parse_record};
    use crate::query::{BackendKind, Provenance};

    /// An event with a member of every kind.
    fn event(number: u32) -> Event {
        let record = json!({
            "eventVersion": "1.08", "eventTime": "2023-07-10T11:42:17Z", "readOnly": true,
            "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "awsRegion": "us-east-1",
            "eventID": format!("5f8ee9e1-9a3c-4c8d-8d1e-{number:012}"), "recipientAccountId": "111122223333",
            "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2.15.0 Python/3.11",
            "userIdentity": {"type": "AssumedRole", "principalId": "AROAEXAMPLE:deploy", "sessionContext": {
                "sessionIssuer": {"type": "Role", "userName": "task"}, "attributes": {"mfaAuthenticated": "false"},
                "webIdFederationData": {"federatedProvider": "p", "attributes": {"aud": "sts"}}}},
            "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/task", "number": number},
            "responseElements": {"credentials": {"accessKeyId": "ASIAEXAMPLEEXAMPLE00",
                "sessionToken": "secret", "expiration": "Jul 10, 2023 12:42:17 PM"}},
            "resources": [{"ARN": "arn:aws:iam::111122223333:role/task", "accountId": "111122223333"}],
            "tlsDetails": {"tlsVersion": "TLSv1.3"},
        });
        let read_from = ReadFrom {
            provenance: Provenance {
                backend: BackendKind::EventHistory,
                account_id: "111122223333".parse().unwrap(),
                account_name: Some("production".into()),
                region: Some("us-east-1".parse().unwrap()),
                archive: None,
                log_group: None,
                aws_request_id: Some("request".into()),
                log_file: None,
            },
            origin: TextOrigin::Delivered,
            keep_record: true,
        };
        let mut event = parse_record(&record.to_string(), &read_from).unwrap();
        event.matched_identities = vec![Identity::Root];
        event
    }

    #[test]
    fn a_packed_page_is_the_page_in_a_fraction_of_its_size() {
        let page: Vec<Event> = (0..50).map(event).collect();
        let written: usize = (page.iter())
            .map(|event| postcard::to_allocvec(event).unwrap().len())
            .sum();
        let (packed, bytes) = HeldPage::packed(page.clone());
        let events: Vec<Event> = (packed.hold(None).into_iter())
            .map(|(_, held)| *held.into_event())
            .collect();
        assert_eq!(events, page);
        let places = 50 * BESIDE_BYTES as u64;
        assert!(
            (bytes - places) * 5 < written as u64,
            "{bytes} of {written}"
        );
    }
}
