//! `ListAccounts`: the federation in pages.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::convert::{self, Findings, Rejection};
use super::pb;
use crate::plan::facts::{AccountFacts, ArchiveFacts, Declared, LogGroupFacts};
use crate::query::{AccountId, EventTime};

const DEFAULT_PAGE_SIZE: usize = 100;
const MAX_PAGE_SIZE: usize = 1_000;
/// What page tokens begin with: tokens of another format are refused, not misread.
const TOKEN_PREFIX: &str = "after:";

/// What the listing is made of.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// The federation's accounts, in order of their ids.
    pub accounts: &'a [AccountFacts],
    /// The archives.
    pub archives: &'a [Arc<ArchiveFacts>],
    /// The log groups.
    pub log_groups: &'a [Arc<LogGroupFacts>],
    /// Event history holds nothing before this.
    pub horizon: EventTime,
}

/// One page. A token names the last account of the page before, so that accounts which come and go
/// in between move nothing.
pub fn page(
    request: &pb::ListAccountsRequest,
    listing: &Listing<'_>,
) -> Result<pb::ListAccountsResponse, Rejection> {
    let mut findings = Findings::default();
    let size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE_SIZE,
        Ok(size) => size.min(MAX_PAGE_SIZE),
        Err(_) => {
            findings.invalid("page_size", "1 to 1,000, or leave it out for 100");
            DEFAULT_PAGE_SIZE
        }
    };
    let after = match request.page_token.as_str() {
        "" => None,
        text => {
            let account = read_token(text);
            if account.is_none() {
                let expected = "not a page token of this service: pass next_page_token unchanged";
                findings.malformed("page_token", text, expected);
            }
            account
        }
    };
    findings.finish()?;
    let from = match after {
        None => 0,
        Some(last) => listing.accounts.partition_point(|known| known.id <= last),
    };
    let rest = &listing.accounts[from..];
    let page = &rest[..size.min(rest.len())];
    let next_page_token = match page.last() {
        Some(last) if page.len() < rest.len() => write_token(last.id),
        _ => String::new(),
    };
    Ok(pb::ListAccountsResponse {
        accounts: page.iter().map(|one| account(one, listing)).collect(),
        next_page_token,
        total_size: convert::count(listing.accounts.len()),
    })
}

fn account(facts: &AccountFacts, listing: &Listing<'_>) -> pb::Account {
    let regions: Vec<String> = facts.regions.iter().map(ToString::to_string).collect();
    let event_history = facts.event_history.then(|| pb::AccountBackend {
        backend: pb::Backend::EventHistory.into(),
        archive: None,
        log_group: None,
        first_time: Some(convert::event_time(listing.horizon)),
        regions: regions.clone(),
        categories: vec![pb::EventCategory::Management.into()],
    });
    let holds = |declared: &Declared| {
        let accounts = declared.accounts.as_ref();
        accounts.is_none_or(|accounts| accounts.contains(&facts.id))
    };
    let archives = listing.archives.iter().filter(|it| holds(&it.holds));
    let log_groups = listing.log_groups.iter().filter(|it| holds(&it.holds));
    let archives = archives.map(|facts| pb::AccountBackend {
        archive: Some(facts.name.to_string()),
        ..stored(pb::Backend::Athena, &facts.holds)
    });
    let log_groups = log_groups.map(|facts| pb::AccountBackend {
        log_group: Some(facts.name.to_string()),
        ..stored(pb::Backend::Logs, &facts.holds)
    });
    pb::Account {
        account_id: facts.id.to_string(),
        account_name: facts.name.as_deref().map(str::to_owned),
        backends: (event_history.into_iter().chain(archives).chain(log_groups)).collect(),
        regions,
    }
}

fn stored(backend: pb::Backend, holds: &Declared) -> pb::AccountBackend {
    pb::AccountBackend {
        backend: backend.into(),
        archive: None,
        log_group: None,
        first_time: Some(convert::event_time(holds.first_time)),
        regions: (holds.regions.iter().flatten())
            .map(ToString::to_string)
            .collect(),
        categories: (holds.categories.iter())
            .map(|&category| convert::category(category).into())
            .collect(),
    }
}

fn write_token(last: AccountId) -> String {
    URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{last}"))
}

fn read_token(text: &str) -> Option<AccountId> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    text.strip_prefix(TOKEN_PREFIX)?.parse().ok()
}
