//! The configuration of a service beside a sandbox.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::query::Region;
use crate::sandbox::{Account, Sandbox};

/// The configuration, as an operator would write it: every account by its role, event history for
/// all, and one archive over everything.
pub(super) fn config(sandbox: &Sandbox, lookup_rate: Option<f64>) -> String {
    let hub = sandbox.hub_account_id();
    let rate = lookup_rate.map_or_else(|| "off".to_owned(), |rate| rate.to_string());
    let mut yaml = format!(
        "hub:
  region: us-east-1
  endpoint_url: {}
event_history:
  requests_per_second: {rate}
accounts:
  defaults:
    role_name: {}
",
        sandbox.endpoint(),
        sandbox.role_name(),
    );
    if let Some(external_id) = sandbox.external_id() {
        let _ = writeln!(yaml, "    external_id: {external_id:?}");
    }
    yaml.push_str("  list:\n");
    for account in sandbox.accounts() {
        let hub = if account.id == hub {
            ", credentials: hub"
        } else {
            ""
        };
        let _ = writeln!(
            yaml,
            "    - {{id: {:?}, name: {:?}{hub}}}",
            account.id, account.name
        );
    }
    let regions: Vec<String> = regions(sandbox).iter().map(Region::to_string).collect();
    let _ = writeln!(yaml, "regions: [{}]", regions.join(", "));
    let _ = write!(
        yaml,
        "archives:
  - name: everything
    account: {hub:?}
    region: us-east-1
    credentials: hub
    database: cloudtrail_logs
    table: cloudtrail_by_account
    output_location: s3://athena-results/
    partitions:
      layout: account_region_date
    holds:
      accounts: all
      first_day: {}
      categories: [management, data, network_activity]
    # A folder of log files is what somebody copied: a day that it lacks is no fault of a trail.
    verify_days: {}
",
        first_day(sandbox),
        sandbox.story().is_some(),
    );
    yaml
}

/// An account with no part in the story: the last one.
pub(super) fn bystander(sandbox: &Sandbox) -> Option<&Account> {
    let story = sandbox.story()?;
    (sandbox.accounts().iter().rev()).find(|account| {
        account.id != sandbox.hub_account_id() && !story.account_ids.contains(&account.id)
    })
}

/// Every Region in which something was delivered or happened.
fn regions(sandbox: &Sandbox) -> BTreeSet<Region> {
    let named = sandbox.files().iter().flat_map(|file| {
        let happened = file.records.iter().filter_map(|record| record.aws_region());
        std::iter::once(file.region.as_str()).chain(happened)
    });
    let named: BTreeSet<&str> = named.collect();
    named
        .into_iter()
        .filter_map(|name| name.parse().ok())
        .collect()
}

fn first_day(sandbox: &Sandbox) -> jiff::civil::Date {
    let happened = sandbox.files().iter().filter_map(|file| {
        let records = file.records.iter().filter_map(|record| record.event_time());
        records.min()
    });
    let first = happened
        .min()
        .and_then(|second| jiff::Timestamp::from_second(second).ok());
    let first = first.unwrap_or_else(|| sandbox.clock().now());
    let day = first.to_zoned(TimeZone::UTC).date();
    if sandbox.story().is_some() {
        // A generated organization begins in the middle of it.
        return day.tomorrow().unwrap_or(day);
    }
    day
}
