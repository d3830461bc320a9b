//! Bytes as a resume token: one that is read is written as it was, and no token makes a request ask for
//! anything else than it does without.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity_trail::config::Limits;
use identity_trail::grpc::convert::{Rules, event_query};
use identity_trail::grpc::pb;
use identity_trail::search::resume::{ResumeToken, request_digest};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        whole(text);
    }
    let mut body = bytes.to_vec();
    whole(&signed(&body));
    // One that claims to belong to the request below.
    let digest = request_digest(&event_query(&request(String::new()), &rules(&Limits::default())).expect("a question"));
    if let Some(claimed) = body.get_mut(1..1 + digest.len()) {
        claimed.copy_from_slice(&digest);
    }
    whole(&signed(&body));
    resumed(signed(&body));
});

/// With the checksum that whoever reads this code can write.
fn signed(body: &[u8]) -> String {
    let checksum = Sha256::digest(body);
    URL_SAFE_NO_PAD.encode([body, &checksum[..4]].concat())
}

fn whole(text: &str) {
    if let Ok(token) = ResumeToken::decode(text) {
        assert_eq!(&*token.encode(), text);
        assert!(token.range.start() < token.range.end());
    }
}

fn rules(limits: &Limits) -> Rules<'_> {
    Rules {
        now: Timestamp::from_second(1_793_491_200).expect("a time"),
        limits,
    }
}

fn request(resume_token: String) -> pb::SearchEventsRequest {
    pb::SearchEventsRequest {
        identities: vec![pb::Identity {
            kind: Some(pb::identity::Kind::UserName("alice".into())),
        }],
        resume_token,
        ..pb::SearchEventsRequest::default()
    }
}

fn resumed(token: String) {
    let limits = Limits::default();
    let plain = event_query(&request(String::new()), &rules(&limits)).expect("a question");
    let Ok(query) = event_query(&request(token), &rules(&limits)) else {
        return;
    };
    assert!(query.resume.is_some());
    assert_eq!(query.range.duration(), plain.range.duration());
    assert_eq!(request_digest(&query), request_digest(&plain));
    assert_eq!(query.condition(), plain.condition());
    assert_eq!(query.account_ids, plain.account_ids);
}
