//! `search --explain`: what the search would do, and about what it would cost.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use tonic::Status;

use super::args::{Output, SearchArgs};
use super::table::{SCOPE_LIMITED, accounts_in_words, outcome_in_words, time_text};
use super::text::printable;
use super::{Ended, broken_pipe, json_output, refused};
use crate::cli::channel::ServiceChannel;
use crate::grpc::pb::identity::Kind;
use crate::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use crate::grpc::pb::{
    BytesBasis, CostEstimate, Identity, PlanSearchRequest, PlanSearchResponse, PlannedLookup,
    PlannedScans, PlannedVerification, SearchEventsRequest,
};

/// Plans and prints, a page at a time.
pub(super) async fn run(
    args: &SearchArgs,
    search: SearchEventsRequest,
    mut client: IdentityTrailServiceClient<ServiceChannel>,
) -> Ended {
    let mut request = PlanSearchRequest {
        search: Some(search),
        probe: args.probe,
        ..PlanSearchRequest::default()
    };
    let mut totals = None;
    loop {
        let mut call = tonic::Request::new(request.clone());
        if let Some(timeout) = args.timeout() {
            call.set_timeout(timeout);
        }
        let page = match client.plan_search(call).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return refused(&status),
        };
        let text = match args.output() {
            Output::Table => Ok(in_words(&page)),
            _ => json_output::to_json("PlanSearchResponse", &page).map(|json| json + "\n"),
        };
        let written = text.and_then(|text| io::stdout().write_all(text.as_bytes()));
        if let Err(error) = written {
            return broken_pipe(&error);
        }
        request.page_token.clone_from(&page.next_page_token);
        let last = page.next_page_token.is_empty();
        totals.get_or_insert(page);
        if last {
            break;
        }
    }
    if let (Output::Table, Some(first)) = (args.output(), totals)
        && let Err(error) = io::stdout().write_all(totals_in_words(&first).as_bytes())
    {
        return broken_pipe(&error);
    }
    Ended::Complete
}

/// All pages of the plan of `search`, as JSON.
pub(super) async fn pages_as_json(
    search: SearchEventsRequest,
    client: &mut IdentityTrailServiceClient<ServiceChannel>,
) -> Result<Vec<String>, Status> {
    let mut request = PlanSearchRequest {
        search: Some(search),
        ..PlanSearchRequest::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = client.plan_search(request.clone()).await?.into_inner();
        let json = json_output::to_json("PlanSearchResponse", &page);
        pages.push(json.map_err(|error| Status::internal(error.to_string()))?);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(pages);
        }
    }
}

fn in_words(page: &PlanSearchResponse) -> String {
    let mut text = String::new();
    // Only the first page has the estimate of the whole.
    if page.estimate.is_some() {
        let _ = writeln!(
            text,
            "{} to {} (the service's now: {}), {} accounts, {} scans\n",
            time_text(page.start_time.as_ref()),
            time_text(page.end_time.as_ref()),
            time_text(page.service_time.as_ref()),
            page.accounts_total,
            page.scans_total,
        );
        if page.scope_limited {
            let _ = writeln!(text, "{SCOPE_LIMITED}\n");
        }
        for warning in &page.warnings {
            let _ = writeln!(text, "warning: {}\n", printable(warning));
        }
    }
    for scans in &page.scans {
        text.push_str(&scans_in_words(scans));
        text.push('\n');
    }
    for verification in &page.verifications {
        text.push_str(&verification_in_words(verification));
        text.push('\n');
    }
    for gap in &page.gaps {
        let _ = writeln!(text, "not read: {}", outcome_in_words(gap));
    }
    for failure in &page.probe_failures {
        let _ = writeln!(text, "probe failed: {}", outcome_in_words(failure));
    }
    text
}

fn scans_in_words(scans: &PlannedScans) -> String {
    let backend = scans
        .backend()
        .as_str_name()
        .trim_start_matches("BACKEND_")
        .to_ascii_lowercase();
    let place = scans.archive.as_ref().or(scans.log_group.as_ref());
    let place = place.map_or(String::new(), |name| format!(" {name}"));
    let regions = match scans.regions.as_slice() {
        [] => "all Regions".to_owned(),
        regions => regions.join(", "),
    };
    let mut text = format!(
        "{backend}{place} {} in {regions}, {} to {}: {} scans\n",
        accounts_in_words(&scans.account_ids),
        time_text(scans.start_time.as_ref()),
        time_text(scans.end_time.as_ref()),
        scans.scans,
    );
    let statement = (scans.sql.iter())
        .chain(&scans.filter_pattern)
        .chain(&scans.insights_query)
        .next();
    if let Some(failure) = &scans.failure {
        let _ = writeln!(text, "  cannot be asked: {}", failure.message);
    } else if let Some(statement) = statement {
        for line in statement.lines() {
            let _ = writeln!(text, "    {line}");
        }
    } else if !scans.roles.is_empty() {
        text.push_str(&roles_in_words(scans));
    } else if scans.lookups.is_empty() {
        text.push_str("  everything is read: no attribute narrows this\n");
    } else {
        let _ = writeln!(text, "  by {}", lookups_in_words(&scans.lookups));
        if scans.lookups.len() >= 3 {
            text.push_str("  or everything is read, where that turns out to take fewer requests\n");
        }
    }
    if !scans.hands_over_to.is_empty() {
        let names = scans.hands_over_to.join(", ");
        let _ = writeln!(text, "  if it fails or turns out long: {names}");
    }
    if !scans.checked_afterwards.is_empty() {
        let fields = scans.checked_afterwards.join(", ");
        let _ = writeln!(text, "  checked only afterwards: {fields}");
    }
    if let Some(estimate) = &scans.estimate {
        let _ = writeln!(text, "  {}", cost_in_words(estimate));
    }
    printable_lines(&text)
}

fn lookups_in_words(lookups: &[PlannedLookup]) -> String {
    let lookups = lookups.iter().map(|lookup| {
        let (key, value) = (&lookup.attribute_key, &lookup.attribute_value);
        format!("{key}={value}")
    });
    lookups.collect::<Vec<_>>().join(", ")
}

fn roles_in_words(scans: &PlannedScans) -> String {
    let mut text = String::new();
    for role in &scans.roles {
        let identity = role.identity.as_ref();
        let _ = writeln!(
            text,
            "  by the sessions of {}, found by {} in {} from {} on",
            identity.map_or_else(String::new, identity_in_words),
            lookups_in_words(&role.issued_by),
            role.regions.join(", "),
            time_text(role.assumed_from_time.as_ref()),
        );
        if role.path_unknown {
            text.push_str("    (if no event names this ARN: by AssumeRole events, for its path)\n");
        }
    }
    if !scans.lookups.is_empty() {
        let _ = writeln!(text, "  and by {}", lookups_in_words(&scans.lookups));
    }
    text.push_str("  or everything is read, where that turns out to take fewer requests\n");
    text
}

/// As far as it is a role.
fn identity_in_words(identity: &Identity) -> String {
    match &identity.kind {
        Some(Kind::RoleName(name)) => format!("role {name}"),
        Some(Kind::PermissionSet(set)) => format!("permission set {set}"),
        Some(Kind::Arn(arn)) => arn.clone(),
        _ => "the role".to_owned(),
    }
}

fn verification_in_words(verification: &PlannedVerification) -> String {
    let (archive, all) = (&verification.archive, verification.account_days);
    let text = match verification.unseen_account_days {
        0 => {
            format!("archive {archive} has log files of all {all} accounts × days: not asked again")
        }
        unseen => format!(
            "archive {archive}, log files of {unseen} of {all} accounts × days not seen yet: {}",
            verification
                .estimate
                .as_ref()
                .map_or(String::new(), cost_in_words)
        ),
    };
    printable_lines(&text)
}

fn totals_in_words(first: &PlanSearchResponse) -> String {
    let Some(estimate) = &first.estimate else {
        return String::new();
    };
    let mut text = format!("\nin all: {}\n", cost_in_words(estimate));
    if let Some(probe) = &first.probe {
        let _ = writeln!(
            text,
            "probed {} of {} lookups in {} requests",
            estimate.lookups_probed, estimate.lookups, probe.requests
        );
        text.push_str("estimated from how densely events lie on the newest page of each\n");
    } else if estimate.lookups > 0 {
        text.push_str("with --probe, requests and seconds of event history are estimated\n");
    }
    text
}

fn cost_in_words(cost: &CostEstimate) -> String {
    let amount = |at_least: i64, about: Option<i64>, at_most: Option<i64>| match (about, at_most) {
        (Some(about), _) if about == at_least => format!("{about}"),
        (Some(about), _) => format!("about {about}"),
        (None, Some(at_most)) => format!("{at_least} to about {at_most}"),
        (None, None) => format!("at least {at_least}"),
    };
    let requests = amount(
        cost.requests_at_least,
        cost.requests_about,
        cost.requests_at_most_about,
    );
    let seconds = amount(
        cost.seconds_at_least,
        cost.seconds_about,
        cost.seconds_at_most_about,
    );
    let mut text = format!("{requests} requests");
    if cost.windows_at_least > 0 {
        let _ = match cost.windows_requests_about {
            Some(extra) => write!(text, " (oldest first takes about {extra} of them)"),
            None => write!(
                text,
                " (oldest first, in at least {} windows)",
                cost.windows_at_least
            ),
        };
    }
    let _ = write!(text, ", {seconds} s of pacing");
    match (cost.bytes_scanned_about, cost.bytes_basis()) {
        (Some(0), BytesBasis::Unspecified) => {}
        (None, _) => text.push_str(
            ", unknown bytes scanned (set the archive's estimated_bytes_per_day for an estimate)",
        ),
        (Some(bytes), basis) => {
            let from = match basis {
                BytesBasis::TableStatistics => "from the table's size in the data catalog",
                BytesBasis::Configuration => "from the archive's estimated_bytes_per_day",
                BytesBasis::Unspecified => "from several archives",
            };
            let _ = write!(text, ", about {bytes} bytes scanned ({from})");
        }
    }
    text
}

fn printable_lines(text: &str) -> String {
    let lines = text.lines().map(|line| printable(line).into_owned() + "\n");
    lines.collect()
}
