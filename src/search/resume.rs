//! Resume tokens: where a stream ended, so that any replica can go on from there.
//!
//! A token grants nothing. It only narrows the request that it comes with: the frozen interval and
//! horizon, and the position. It is bound to that request by a digest, and to the accounts and
//! Regions that the first stream read by another.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::query::{
    AccountId, Case, EventFilter, EventId, EventKey, EventQuery, EventTime, Region, ResumePoint,
    SearchOrder, TimeRange,
};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
/// No token of ours is longer: an event id is a UUID or a digest, and odd ones are bounded here.
const MAX_TOKEN_CHARS: usize = 2_048;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeToken {
    /// The request that the token belongs to.
    pub request_digest: [u8; 16],
    /// The interval, frozen when the first stream began.
    pub range: TimeRange,
    /// Where to go on, under which horizon and for which accounts.
    pub point: ResumePoint,
}

/// The text is no resume token of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a resume token of this service: pass it unchanged, or leave it out to begin anew")]
pub struct InvalidToken;

impl ResumeToken {
    /// Reads a token.
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        if text.len() > MAX_TOKEN_CHARS {
            return Err(InvalidToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken)?;
        let (body, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(InvalidToken)?;
        if checksum_of(body) != *checksum {
            return Err(InvalidToken);
        }
        let mut reader = Reader(body);
        if reader.take::<1>()? != [VERSION] {
            return Err(InvalidToken);
        }
        let request_digest = reader.take()?;
        let scope_digest = reader.take()?;
        let (start, end) = (reader.time()?, reader.time()?);
        let range = TimeRange::new(start, end).ok_or(InvalidToken)?;
        let horizon = reader.time()?;
        let position = match reader.take::<1>()? {
            [0] => None,
            [kind] => Some(reader.key(kind)?),
        };
        if !reader.0.is_empty()
            || position
                .as_ref()
                .is_some_and(|key| key.time < start || key.time > end)
        {
            return Err(InvalidToken);
        }
        Ok(Self {
            request_digest,
            range,
            point: ResumePoint {
                position,
                horizon,
                scope_digest,
            },
        })
    }
}

impl ResumeToken {
    /// Writes the token: what [`ResumeToken::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Arc<str> {
        let ResumePoint {
            position,
            horizon,
            scope_digest,
        } = &self.point;
        let head = head(self.request_digest, *scope_digest, self.range, *horizon);
        TokenWriter { head }.write(position.as_ref())
    }
}

/// Writes the tokens of one search: all but the position is the same in each.
#[derive(Debug, Clone)]
pub struct TokenWriter {
    head: Vec<u8>,
}

impl TokenWriter {
    /// For a search of this query over this scope.
    #[must_use]
    pub fn new(query: &EventQuery, scope_digest: [u8; 16], horizon: EventTime) -> Self {
        Self {
            head: head(request_digest(query), scope_digest, query.range, horizon),
        }
    }

    /// The token that goes on after `position` (`None`: from the beginning).
    #[must_use]
    pub fn write(&self, position: Option<&EventKey>) -> Arc<str> {
        let mut bytes = Vec::with_capacity(self.head.len() + 80);
        bytes.extend_from_slice(&self.head);
        match position {
            None => bytes.push(0),
            Some(key) => {
                let (kind, ordinal, id) = match &key.id {
                    EventId::Recorded(id) => (1, 0, id),
                    EventId::Made { digest, ordinal } => (2, *ordinal, digest),
                };
                bytes.push(kind);
                bytes.extend(key.time.second().to_be_bytes());
                bytes.extend(key.account.as_u64().to_be_bytes());
                bytes.extend(ordinal.to_be_bytes());
                bytes.extend_from_slice(id.as_bytes());
            }
        }
        let checksum = checksum_of(&bytes);
        bytes.extend(checksum);
        URL_SAFE_NO_PAD.encode(bytes).into()
    }
}

fn head(
    request_digest: [u8; 16],
    scope_digest: [u8; 16],
    range: TimeRange,
    horizon: EventTime,
) -> Vec<u8> {
    let mut head = vec![VERSION];
    head.extend(request_digest);
    head.extend(scope_digest);
    for time in [range.start(), range.end(), horizon] {
        head.extend(time.second().to_be_bytes());
    }
    head
}

/// The position at which everything before `second`, in the reading order, is answered and nothing
/// of it: the key lies between that second's events and those that are read before them.
#[must_use]
pub fn position_before(order: SearchOrder, second: EventTime) -> Option<EventKey> {
    Some(EventKey {
        time: order.boundary(second),
        account: AccountId::from_u64(0)?,
        id: EventId::Recorded("".into()),
    })
}

/// What makes a request this request: everything that decides which events it answers with, in
/// which order. Limits and views may differ between a stream and its continuation.
#[must_use]
pub fn request_digest(query: &EventQuery) -> [u8; 16] {
    let asked = query.asked_range;
    let mut digest = FieldDigest::default();
    digest.list("identities", query.identities.iter());
    digest.list(
        "ignore_case",
        (query.case == Case::Ignored).then_some("yes").iter(),
    );
    digest.list("start", asked.start.iter());
    digest.list("end", asked.end.iter());
    digest.list("lookback", asked.lookback_seconds.iter());
    digest.list("accounts", query.account_ids.iter());
    let selector = &query.account_selector;
    if !selector.is_empty() {
        digest.list("account_names", selector.names.iter());
        digest.list("organizational_units", selector.organizational_units.iter());
        digest.list("account_tags", selector.tags.iter());
    }
    digest.list("regions", query.regions.iter());
    // Every field: one that is added does not compile until it is digested too.
    let EventFilter {
        event_names,
        event_sources,
        access,
        error_codes,
        errors_only,
        source_ips,
        resources,
        event_ids,
        categories,
    } = &query.filter;
    digest.list("event_names", event_names.iter());
    digest.list("event_sources", event_sources.iter());
    digest.list("access", access.iter().map(|access| access.as_str()));
    digest.list("error_codes", error_codes.iter());
    digest.list("errors_only", errors_only.then_some("yes").iter());
    digest.list("source_ips", source_ips.iter());
    digest.list("resources", resources.iter());
    digest.list("event_ids", event_ids.iter());
    digest.list("categories", categories.iter().map(|c| c.as_str()));
    digest.list(
        "exact_roles",
        [query.exact_roles].iter().filter(|exact| **exact),
    );
    digest.list(
        "backends",
        query.backends.iter().map(|backend| backend.as_str()),
    );
    digest.list("order", std::iter::once(query.order.as_str()));
    digest.finish()
}

/// Digest of the accounts that a search reads and the Regions that it reads in each.
#[must_use]
pub fn scope_digest<'a>(scope: impl Iterator<Item = (AccountId, &'a [Region])>) -> [u8; 16] {
    let mut lines: Vec<String> = scope
        .map(|(account, regions)| {
            let mut regions: Vec<&str> = regions.iter().map(Region::as_str).collect();
            regions.sort_unstable();
            format!("{account} {}", regions.join(","))
        })
        .collect();
    lines.sort_unstable();
    let mut digest = FieldDigest::default();
    digest.list("scope", lines.iter());
    digest.finish()
}

/// Digests named lists of values so that no two different inputs write the same bytes. The order
/// within a list does not matter to any question, so lists are sorted.
#[derive(Default)]
struct FieldDigest(Sha256);

impl FieldDigest {
    fn list(&mut self, name: &str, values: impl Iterator<Item = impl ToString>) {
        let mut values: Vec<String> = values.map(|value| value.to_string()).collect();
        values.sort_unstable();
        for part in std::iter::once(name).chain(values.iter().map(String::as_str)) {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
        self.0.update(u64::MAX.to_be_bytes());
    }

    fn finish(self) -> [u8; 16] {
        first_bytes(&self.0.finalize())
    }
}

fn checksum_of(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    first_bytes(&Sha256::digest(bytes))
}

fn first_bytes<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&digest[..N]);
    out
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], InvalidToken> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(InvalidToken)?;
        self.0 = rest;
        Ok(*head)
    }

    fn time(&mut self) -> Result<EventTime, InvalidToken> {
        EventTime::from_second(i64::from_be_bytes(self.take()?)).ok_or(InvalidToken)
    }

    /// The position is the token's last part: what is left is the event's id.
    fn key(&mut self, kind: u8) -> Result<EventKey, InvalidToken> {
        let time = self.time()?;
        let account = AccountId::from_u64(u64::from_be_bytes(self.take()?)).ok_or(InvalidToken)?;
        let ordinal = u32::from_be_bytes(self.take()?);
        let text: Arc<str> = std::str::from_utf8(self.0)
            .map_err(|_| InvalidToken)?
            .into();
        self.0 = &[];
        let id = match kind {
            1 if ordinal == 0 => EventId::Recorded(text),
            2 => EventId::Made {
                digest: text,
                ordinal,
            },
            _ => return Err(InvalidToken),
        };
        Ok(EventKey { time, account, id })
    }
}
