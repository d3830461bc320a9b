//! `PlanSearch`: a plan in pages, of which none is too large for a message.
//!
//! A page token keeps the time that the search was planned for, so that each page is of the same
//! plan; if what planning knows has changed in between, it is refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use prost::Message;
use sha2::{Digest, Sha256};

use super::convert::{Findings, Rejection, planned};
use super::pb;
use crate::search::PlannedSearch;

const MAX_PAGE_SIZE: usize = 1_000;
/// The most that entries take of one message, in bytes.
const PAGE_BYTES: usize = 512 * 1024;
/// A page token is good for so long.
const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// What page tokens begin with: tokens of another format are refused, not misread.
const TOKEN_PREFIX: &str = "plan";
const CHANGED: &str =
    "the plan has changed since this token was issued: begin anew with the first page";

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageAsked {
    /// The time that the search is planned for.
    pub now: Timestamp,
    /// Whether lookups are probed: for the first page only.
    pub probe: bool,
    size: usize,
    /// Entries on the pages before, and the digest of the plan that these were of.
    after: Option<(usize, String)>,
}

/// Reads which page is asked for, at `now`.
pub fn page_asked(request: &pb::PlanSearchRequest, now: Timestamp) -> Result<PageAsked, Rejection> {
    let mut findings = Findings::default();
    if request.search.is_none() {
        findings.invalid("search", "name the search that is to be planned");
    }
    let size = match usize::try_from(request.page_size) {
        Ok(0) => MAX_PAGE_SIZE,
        Ok(size) => size.min(MAX_PAGE_SIZE),
        Err(_) => {
            findings.invalid("page_size", "1 to 1,000, or leave it out for 1,000");
            MAX_PAGE_SIZE
        }
    };
    let mut asked = PageAsked {
        now,
        probe: request.probe,
        size,
        after: None,
    };
    if !request.page_token.is_empty() {
        let token = Token::read(&request.page_token);
        match token.filter(|token| token.planned_at <= now) {
            Some(token) if now.duration_since(token.planned_at).unsigned_abs() <= TOKEN_LIFE => {
                asked.now = token.planned_at;
                asked.probe = false;
                asked.after = Some((token.after, token.digest));
            }
            Some(_) => findings.invalid("page_token", "older than an hour: begin anew"),
            None => {
                let expected = "not a page token of this service: pass next_page_token unchanged";
                findings.malformed("page_token", &request.page_token, expected);
            }
        }
    }
    findings.finish().map(|()| asked)
}

/// The page.
pub fn page(
    search: &pb::SearchEventsRequest,
    asked: &PageAsked,
    planned: PlannedSearch,
) -> Result<pb::PlanSearchResponse, Rejection> {
    let (mut response, entries) = planned::to_wire(planned);
    let digest = digest(search, &entries);
    let from = match &asked.after {
        None => 0,
        Some((after, of)) if *of == digest && *after < entries.len() => *after,
        Some(_) => {
            let mut findings = Findings::default();
            findings.invalid("page_token", CHANGED);
            return findings.finish().map(|()| response);
        }
    };
    if from > 0 {
        response.estimate = None;
        response.probe = None;
        response.verifications.clear();
        response.warnings.clear();
    }
    let all = entries.len();
    let mut bytes = 0;
    let mut on_page = 0;
    for entry in entries.into_iter().skip(from) {
        bytes += entry.encoded_len();
        // One alone is never so large; it is told all the same.
        if on_page == asked.size || (bytes > PAGE_BYTES && on_page > 0) {
            break;
        }
        on_page += 1;
        entry.into_response(&mut response);
    }
    if from + on_page < all {
        let token = Token {
            planned_at: asked.now,
            after: from + on_page,
            digest,
        };
        response.next_page_token = token.write();
    }
    Ok(response)
}

/// One entry of a plan, in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Scans.
    Scans(Box<pb::PlannedScans>),
    /// What nobody reads.
    Gap(pb::ScanOutcome),
    /// A probe that failed.
    ProbeFailure(pb::ScanOutcome),
}

impl Entry {
    fn encoded_len(&self) -> usize {
        const TAG_AND_LENGTH: usize = 6;
        TAG_AND_LENGTH
            + match self {
                Self::Scans(scans) => scans.encoded_len(),
                Self::Gap(outcome) | Self::ProbeFailure(outcome) => outcome.encoded_len(),
            }
    }

    fn into_response(self, response: &mut pb::PlanSearchResponse) {
        match self {
            Self::Scans(scans) => response.scans.push(*scans),
            Self::Gap(gap) => response.gaps.push(gap),
            Self::ProbeFailure(failure) => response.probe_failures.push(failure),
        }
    }
}

/// Of the search and of what was planned for it, whether or not it was probed. Failed probes come
/// last and are not of the plan.
fn digest(search: &pb::SearchEventsRequest, entries: &[Entry]) -> String {
    let mut digest = Sha256::new();
    digest.update(search.encode_to_vec());
    for entry in entries {
        match entry {
            Entry::Scans(scans) => {
                let bare = pb::PlannedScans {
                    estimate: None,
                    ..(**scans).clone()
                };
                digest.update(bare.encode_to_vec());
            }
            Entry::Gap(gap) => digest.update(gap.encode_to_vec()),
            Entry::ProbeFailure(_) => {}
        }
    }
    hex::encode(&digest.finalize()[..8])
}

struct Token {
    planned_at: Timestamp,
    after: usize,
    digest: String,
}

impl Token {
    fn write(&self) -> String {
        let Self {
            planned_at,
            after,
            digest,
        } = self;
        URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX} {planned_at} {after} {digest}"))
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut words = std::str::from_utf8(&bytes).ok()?.split(' ');
        (words.next()? == TOKEN_PREFIX).then_some(())?;
        let token = Self {
            planned_at: words.next()?.parse().ok()?,
            after: words.next()?.parse().ok()?,
            digest: words.next()?.to_owned(),
        };
        words.next().is_none().then_some(token)
    }
}
