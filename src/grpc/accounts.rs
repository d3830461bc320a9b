//! `ListAccounts`: the federation in pages.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::convert::{self, Findings, Rejection};
use super::pb;
use crate::plan::facts::{AccountFacts, ArchiveFacts, Declared, LogGroupFacts};
use crate::plan::inventory::{
    AccountState, LeftOutAccount, Membership, OrganizationalUnit, selects,
};
use crate::plan::{Inventory, Reason};
use crate::query::{AccountId, EventTime};

const DEFAULT_PAGE_SIZE: usize = 100;
const MAX_PAGE_SIZE: usize = 1_000;
/// What page tokens begin with: tokens of another format are refused, not misread.
const TOKEN_PREFIX: &str = "after:";

/// What the listing is made of.
#[derive(Debug, Clone)]
pub struct Listing<'a> {
    /// The federation's accounts, as far as the caller may see them.
    pub inventory: &'a Inventory,
    /// Whether there are others.
    pub scope_limited: bool,
    /// Why they may be out of date.
    pub refresh_failure: Option<Reason>,
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
    let selector = convert::account_selector(request.account_selector.as_ref(), &mut findings);
    findings.finish()?;
    let inventory = listing.inventory;
    let mut entries: Vec<Entry<'_>> = (inventory.accounts.iter().map(Entry::Searchable))
        .chain(inventory.left_out.iter().map(Entry::LeftOut))
        .filter(|entry| selects(&selector, entry.name(), entry.membership()))
        .collect();
    entries.sort_by_key(Entry::id);
    let from = match after {
        None => 0,
        Some(last) => entries.partition_point(|entry| entry.id() <= last),
    };
    let rest = &entries[from..];
    let page = &rest[..size.min(rest.len())];
    let next_page_token = match page.last() {
        Some(last) if page.len() < rest.len() => write_token(last.id()),
        _ => String::new(),
    };
    Ok(pb::ListAccountsResponse {
        accounts: page.iter().map(|entry| account(entry, listing)).collect(),
        next_page_token,
        total_size: convert::count(entries.len()),
        discovered_time: inventory.discovered_at.map(convert::timestamp),
        refresh_failure: listing
            .refresh_failure
            .clone()
            .map(convert::outcome::reason),
        scope_limited: listing.scope_limited,
    })
}

/// An account of the listing.
enum Entry<'a> {
    Searchable(&'a AccountFacts),
    LeftOut(&'a LeftOutAccount),
}

impl Entry<'_> {
    fn id(&self) -> AccountId {
        match self {
            Self::Searchable(account) => account.id,
            Self::LeftOut(account) => account.id,
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Searchable(account) => account.name.as_deref(),
            Self::LeftOut(account) => account.name.as_deref(),
        }
    }

    fn membership(&self) -> Option<&Membership> {
        match self {
            Self::Searchable(account) => account.membership(),
            Self::LeftOut(account) => Some(&account.membership),
        }
    }
}

fn account(entry: &Entry<'_>, listing: &Listing<'_>) -> pb::Account {
    let membership = entry.membership().cloned().unwrap_or_default();
    let unit = |unit: OrganizationalUnit| pb::OrganizationalUnit {
        id: unit.id.to_string(),
        name: unit.name.to_string(),
    };
    let tag = |(key, value): (Arc<str>, Arc<str>)| pb::AccountTag {
        key: key.to_string(),
        value: Some(value.to_string()),
    };
    let mut account = pb::Account {
        account_id: entry.id().to_string(),
        account_name: entry.name().map(str::to_owned),
        state: state(membership.state).into(),
        organizational_units: (membership.organizational_units.into_iter())
            .map(unit)
            .collect(),
        tags: membership.tags.into_iter().map(tag).collect(),
        ..pb::Account::default()
    };
    if let Entry::Searchable(facts) = entry {
        account.regions = facts.regions.iter().map(ToString::to_string).collect();
        account.regions_unknown = facts.regions_unknown.clone().map(convert::outcome::reason);
        account.backends = backends(facts, listing);
    }
    account
}

fn backends(facts: &AccountFacts, listing: &Listing<'_>) -> Vec<pb::AccountBackend> {
    let event_history = facts.event_history.then(|| pb::AccountBackend {
        backend: pb::Backend::EventHistory.into(),
        archive: None,
        log_group: None,
        first_time: Some(convert::event_time(listing.horizon)),
        regions: facts.regions.iter().map(ToString::to_string).collect(),
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
    let stored = archives.chain(log_groups);
    event_history.into_iter().chain(stored).collect()
}

fn state(state: AccountState) -> pb::AccountState {
    match state {
        AccountState::Active => pb::AccountState::Active,
        AccountState::Suspended => pb::AccountState::Suspended,
        AccountState::PendingClosure => pb::AccountState::PendingClosure,
        AccountState::Closed => pb::AccountState::Closed,
        AccountState::PendingActivation => pb::AccountState::PendingActivation,
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
