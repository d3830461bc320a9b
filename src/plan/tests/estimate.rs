//! What a plan is estimated to cost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::plan::estimate::{
    Amount, Basis, BytesBasis, DaysUnseen, Estimate, Expected, FirstPage, LookupId, Probed,
    ScanGroup, Windows, lookups,
};
use crate::plan::log_days::{AccountDays, DayRun};
use crate::plan::{QueryPlan, estimate, plan};

/// Without any archive to verify.
fn estimate(plan: &QueryPlan, basis: &Basis) -> (Vec<ScanGroup>, Estimate) {
    estimate::estimate(plan, basis, &[])
}

fn basis(probes: BTreeMap<LookupId, FirstPage>) -> Basis {
    Basis {
        now: now(),
        order: SearchOrder::NewestFirst,
        lookup_interval: Duration::from_millis(500),
        federation_size: 2,
        probes,
    }
}

/// Everything that is probed shows the same.
fn probed(plan: &QueryPlan, page: FirstPage, every: usize) -> Basis {
    let ids = lookups(plan).into_iter().step_by(every);
    basis(ids.map(|id| (id, page)).collect())
}

fn at_least(amount: u64) -> Amount {
    Amount::at_least(amount)
}

/// A group in one line.
fn told(group: &ScanGroup) -> String {
    let accounts: Vec<String> = (group.accounts.iter())
        .map(|account| account.as_u64().to_string())
        .collect();
    let regions: Vec<&str> = (group.regions.iter().flatten())
        .map(Region::as_str)
        .collect();
    let Estimate {
        requests,
        seconds,
        bytes_scanned,
        bytes_basis,
        lookups,
        windows: _,
    } = group.estimate;
    let amount = |amount: Amount| match amount.expected {
        Expected::About(about) => format!("{}..~{about}", amount.at_least),
        Expected::UpTo(most) => format!("{}..{most}", amount.at_least),
        Expected::Unknown => format!("{}..?", amount.at_least),
    };
    format!(
        "{} {} in {}: {} scans, {} requests, {} s, {bytes_scanned:?} bytes by {bytes_basis:?}, \
         {} of {} lookups probed",
        group.backend.as_str(),
        accounts.join("+"),
        regions.join("+"),
        group.scans.len(),
        amount(requests),
        amount(seconds),
        lookups.probed,
        lookups.total
    )
}

#[test]
fn without_a_probe_only_the_least_is_known() {
    let facts = with(facts(), archive("trail"));
    let plan = plan(&ask(user("alice"), HORIZON + 50, 0), &facts, now());
    let (groups, total) = estimate(&plan, &basis(BTreeMap::new()));
    let groups: Vec<String> = groups.iter().map(told).collect();
    insta::assert_snapshot!(groups.join("\n"), @"
    event_history 1+2 in eu-west-1: 2 scans, 2..? requests, 0..? s, Some(0) bytes by None, 0 of 2 lookups probed
    athena 1+2 in eu-west-1: 1 scans, 3..? requests, 0..? s, None bytes by None, 0 of 0 lookups probed
    athena 1+2 in eu-west-1: 1 scans, 3..? requests, 0..? s, None bytes by None, 0 of 0 lookups probed
    ");
    assert_eq!(total.requests, at_least(8));
    assert_eq!(total.bytes_scanned, None);
}

#[test]
fn pages_follow_from_the_density_of_the_first() {
    let plan = plan(&ask(user("alice"), 24, 0), &facts(), now());
    // 50 events in the newest hour of 24: 1,200 events, 24 pages, in each of two accounts at once. And
    // two requests to find whom alice federated.
    let page = FirstPage {
        events: 50,
        read_down_to: Some(ago(1)),
    };
    let (groups, total) = estimate(&plan, &probed(&plan, page, 1));
    assert_eq!(groups.len(), 1);
    assert_eq!(total.requests, Amount::about(8, 52));
    // The first at once, 25 more at two a second.
    assert_eq!(total.seconds, Amount::about(2, 13));
    assert_eq!(groups[0].estimate, total);
    // The one page that is all there is, looked at before it is read.
    let all = FirstPage {
        events: 7,
        read_down_to: None,
    };
    let (_, total) = estimate(&plan, &probed(&plan, all, 1));
    assert_eq!(
        (total.requests, total.seconds),
        (Amount::known(4), Amount::known(1))
    );
}

#[test]
fn a_sample_speaks_for_the_rest_but_not_for_the_slowest() {
    let plan = plan(&ask(user("alice"), 24, 0), &facts(), now());
    let page = FirstPage {
        events: 50,
        read_down_to: Some(ago(1)),
    };
    let (_, total) = estimate(&plan, &probed(&plan, page, 2));
    assert_eq!(
        total.lookups,
        Probed {
            total: 2,
            probed: 1
        }
    );
    assert_eq!(total.requests, Amount::about(5, 52));
    assert_eq!(total.seconds, at_least(2));
}

#[test]
fn bytes_are_a_share_of_the_days_and_accounts_that_are_read() {
    let bytes = |change: fn(&mut ArchiveFacts), accounts: &[u64]| {
        let mut held = archive("trail");
        held.bytes_per_day = Some(1_000);
        change(&mut held);
        let mut facts = with(facts(), held);
        for account in &mut facts.accounts {
            account.event_history = false;
        }
        // From noon to noon: two days, and the one at the end on which late files are delivered.
        let mut query = ask(user("alice"), 48, 24);
        query.account_ids = accounts.iter().map(|number| account(*number)).collect();
        let plan = plan(&query, &facts, now());
        let (_, total) = estimate(&plan, &basis(BTreeMap::new()));
        (total.bytes_scanned, total.bytes_basis)
    };
    let configured = Some(BytesBasis::Configuration);
    assert_eq!(bytes(|_| {}, &[1, 2]), (Some(3_000), configured));
    assert_eq!(bytes(|_| {}, &[1]), (Some(1_500), configured));
    let whole = |held: &mut ArchiveFacts| held.partitioned_by_account = false;
    assert_eq!(bytes(whole, &[1]), (Some(3_000), configured));
    // The catalog's size goes first: of 11 days, three.
    let crawled = |held: &mut ArchiveFacts| {
        held.holds.first_time = at("2026-11-12T00:00:00Z");
        let table = TableFacts {
            bytes: Some(11_000),
            ..documented_table()
        };
        held.table = Ok(Arc::new(table));
        held.bytes_per_day = Some(7);
    };
    let of_catalog = Some(BytesBasis::TableStatistics);
    assert_eq!(bytes(crawled, &[1, 2]), (Some(3_000), of_catalog));
    let unknown = |held: &mut ArchiveFacts| held.bytes_per_day = None;
    assert_eq!(bytes(unknown, &[1, 2]), (None, None));
}

#[test]
fn a_group_is_every_account_in_every_region() {
    let mut facts = facts();
    facts.accounts[1].regions.push(region("us-east-1"));
    facts.accounts.push(AccountFacts {
        id: account(3),
        ..facts.accounts[1].clone()
    });
    let plan = plan(&ask(user("alice"), 24, 0), &facts, now());
    let (groups, total) = estimate(&plan, &basis(BTreeMap::new()));
    let mut scans = 0;
    for group in &groups {
        let regions = group.regions.as_ref().unwrap().len();
        assert_eq!(group.scans.len(), group.accounts.len() * regions);
        scans += group.scans.len();
    }
    assert_eq!((groups.len(), scans), (2, plan.scans.len()));
    assert_eq!(total.lookups.total, 5);
}

#[test]
fn a_role_takes_up_to_twice_what_reading_everything_does() {
    let mut query = ask(role("deploy"), 24, 0);
    let dense = FirstPage {
        events: 50,
        read_down_to: Some(ago(1)),
    };
    let estimated = |query: &EventQuery, page: FirstPage| {
        let plan = plan(query, &facts(), now());
        let (_, total) = estimate(&plan, &probed(&plan, page, 1));
        (total.requests, total.seconds)
    };
    // 24 pages in each account; of a role without sessions one, and finding that out as many at
    // least as there are Regions.
    let (requests, seconds) = estimated(&query, dense);
    assert_eq!(requests, Amount::up_to(2, 96));
    assert_eq!(seconds, Amount::up_to(0, 24));
    // Too quiet for another way, and then insisted upon.
    let quiet = FirstPage {
        events: 50,
        read_down_to: Some(ago(12)),
    };
    assert_eq!(estimated(&query, quiet).0, Amount::about(4, 4));
    let all = FirstPage {
        events: 3,
        read_down_to: None,
    };
    assert_eq!(estimated(&query, all).0, Amount::known(2));
    query.exact_roles = true;
    assert_eq!(estimated(&query, dense).0, Amount::about(4, 48));
    query.exact_roles = false;
    // Three lookups or more likewise, where reading everything takes more than a page for each.
    query.identities = ["a", "b", "c", "d"].map(user).to_vec();
    assert_eq!(estimated(&query, dense).0, Amount::up_to(4, 96));
    assert_eq!(estimated(&query, quiet).0, Amount::about(4, 4));
}

#[test]
fn oldest_first_takes_windows_and_says_what_they_add() {
    let query = EventQuery {
        order: SearchOrder::OldestFirst,
        ..ask(user("alice"), 24, 0)
    };
    let plan = plan(&query, &facts(), now());
    let oldest_first = |page: Option<FirstPage>| {
        let probes = page.map(|page| probed(&plan, page, 1).probes);
        let basis = Basis {
            order: SearchOrder::OldestFirst,
            ..basis(probes.unwrap_or_default())
        };
        let (_, total) = estimate(&plan, &basis);
        (total.requests, total.windows)
    };
    let windows = |requests| Windows {
        at_least: 6,
        requests,
    };
    // A user who did nothing is looked at once.
    let unknown = Windows {
        at_least: 0,
        requests: Expected::Unknown,
    };
    assert_eq!(oldest_first(None), (at_least(2), unknown));
    let all = FirstPage {
        events: 7,
        read_down_to: None,
    };
    assert_eq!(
        oldest_first(Some(all)),
        (Amount::known(8), windows(Expected::About(4)))
    );
    let dense = FirstPage {
        events: 50,
        read_down_to: Some(ago(1)),
    };
    let (requests, extra) = oldest_first(Some(dense));
    let (Expected::About(requests), Expected::About(extra)) = (requests.expected, extra.requests)
    else {
        panic!("{requests:?}");
    };
    assert_eq!(
        requests,
        48 + extra + 4,
        "two more find whom alice federated"
    );
    assert!(extra > 0 && extra < 16, "{extra}");
}

#[test]
fn only_days_whose_log_files_were_not_seen_are_verified() {
    let mut held = archive("trail");
    held.bytes_per_day = Some(1_000);
    let accounts: BTreeSet<_> = [account(1), account(2)].into();
    let days = |first: i8, last: i8| DayRun {
        first: jiff::civil::date(2026, 11, first),
        last: jiff::civil::date(2026, 11, last),
    };
    let verified = |unseen: Vec<AccountDays>| {
        let asked = DaysUnseen {
            archive: Arc::new(held.clone()),
            accounts: accounts.clone(),
            days: days(1, 10),
            unseen,
        };
        basis(BTreeMap::new()).verification(&asked)
    };
    let none = verified(Vec::new());
    assert_eq!((none.account_days, none.unseen_account_days), (20, 0));
    assert_eq!(none.estimate.requests, Amount::known(0));
    assert_eq!(none.estimate.bytes_scanned, Some(0));
    // All of one account's days, and two of the other's.
    let some = verified(vec![
        AccountDays {
            days: days(1, 10),
            accounts: [account(1)].into(),
        },
        AccountDays {
            days: days(9, 10),
            accounts: [account(2)].into(),
        },
    ]);
    assert_eq!(some.unseen_account_days, 12);
    assert_eq!(some.estimate.requests, at_least(3));
    assert_eq!(some.estimate.bytes_scanned, Some(6_000));
    assert_eq!(some.estimate.bytes_basis, Some(BytesBasis::Configuration));

    // It is in what the search costs.
    let facts = with(facts(), held.clone());
    let plan = plan(&ask(user("alice"), 24 * 200, 24 * 199), &facts, now());
    let basis = basis(BTreeMap::new());
    let (_, without) = estimate(&plan, &basis);
    let (_, total) = estimate::estimate(&plan, &basis, &[some]);
    assert_eq!(total.requests, without.requests.and(at_least(3)));
    let bytes = without.bytes_scanned.map(|bytes| bytes + 6_000);
    assert_eq!(total.bytes_scanned, bytes);
    assert_eq!(total.bytes_basis, Some(BytesBasis::Configuration));
}
