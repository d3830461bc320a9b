//! The end of an answer in words: what was read, what was not, and the line that asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::args::SearchArgs;
use super::same_question::shell_word;
use super::table::{SCOPE_LIMITED, accounts_in_words, outcome_in_words, time_text};
use super::text::printable;
use crate::grpc::pb::{
    Completeness, Facet, Facets, OutcomePhase, OutcomeReport, OutcomeState, Reason, ReasonCode,
    ScanOutcome, SearchSummary, StopReason,
};

/// How many bad outcomes are spelled out.
const SPELLED_OUT: usize = 20;
/// How many values of a facet are.
const FACET_VALUES: usize = 5;

/// The outcomes of a message that belongs to the summary's coverage.
pub(super) fn of_coverage(report: OutcomeReport) -> Vec<ScanOutcome> {
    match report.phase() {
        OutcomePhase::Coverage => report.outcomes,
        _ => Vec::new(),
    }
}

/// The closing words.
pub(super) fn in_words(
    args: &SearchArgs,
    summary: &SearchSummary,
    sent_before: &[ScanOutcome],
) -> String {
    let coverage = summary.coverage.clone().unwrap_or_default();
    let outcomes: Vec<&ScanOutcome> = sent_before.iter().chain(&coverage.outcomes).collect();
    let bad: Vec<&ScanOutcome> = (outcomes.iter().copied())
        .filter(|outcome| is_bad(outcome))
        .collect();
    let mut text = String::new();
    facets(&mut text, summary.facets.as_ref());
    let counts = summary.counts.unwrap_or_default();
    let _ = writeln!(
        text,
        "\n{} events matched of {} read in {} AWS calls{}{}{}",
        counts.events_matched,
        counts.events_read,
        counts.requests,
        some(counts.bytes_scanned, "bytes scanned by queries"),
        some(counts.throttles, "throttled"),
        some(counts.duplicates_removed, "copies removed"),
    );
    let window = format!(
        "{} to {}",
        time_text(summary.start_time.as_ref()),
        time_text(summary.end_time.as_ref())
    );
    let verdict = match coverage.completeness() {
        Completeness::Complete => "COMPLETE",
        Completeness::CompleteExceptAccepted => "COMPLETE, except for the accepted gaps",
        _ => "INCOMPLETE",
    };
    // A resumed stream speaks for what was left; gaps before it are the first stream's to tell.
    let resumed = match &args.resume_token {
        Some(_) => ", the part that the token left",
        None => "",
    };
    let _ = writeln!(text, "{verdict}: {window}{resumed}{}", stopped(summary));
    for outcome in bad.iter().take(SPELLED_OUT) {
        let _ = writeln!(text, "  - {}", outcome_in_words(outcome));
    }
    if bad.len() > SPELLED_OUT {
        let _ = writeln!(
            text,
            "  - and {} more (all of them with --output jsonl)",
            bad.len() - SPELLED_OUT
        );
    }
    handed_over(&mut text, &outcomes);
    role_readings(&mut text, &outcomes);
    if summary.provisional_from_time.is_some() {
        let _ = writeln!(
            text,
            "  events from {} on may still arrive",
            time_text(summary.provisional_from_time.as_ref())
        );
    }
    if summary.scope_limited {
        let _ = writeln!(text, "  {SCOPE_LIMITED}");
    }
    if !summary.categories_not_searched.is_empty() {
        let names: Vec<String> = summary
            .categories_not_searched()
            .map(|category| {
                category
                    .as_str_name()
                    .trim_start_matches("EVENT_CATEGORY_")
                    .to_ascii_lowercase()
            })
            .collect();
        let _ = writeln!(
            text,
            "  not asked for: {} events",
            names.join(", ").replace('_', " ")
        );
    }
    if let Some(line) = retry(args, &bad) {
        let _ = writeln!(text, "retry what failed:\n  {line}");
    }
    if !summary.resume_token.is_empty() {
        let _ = writeln!(
            text,
            "go on from here:\n  {} --resume-token {}",
            asked_again(args),
            shell_word(&summary.resume_token)
        );
    }
    text
}

/// What another backend read instead: no part of what is missing.
fn handed_over(text: &mut String, outcomes: &[&ScanOutcome]) {
    let is_handed = |it: &&&ScanOutcome| it.state() == OutcomeState::HandedOver;
    let handed: Vec<_> = outcomes.iter().filter(is_handed).collect();
    for outcome in handed.iter().take(SPELLED_OUT) {
        let code = outcome.reason.as_ref().map(Reason::code);
        let code = code.unwrap_or_default().as_str_name();
        let why = code.trim_start_matches("REASON_CODE_").to_ascii_lowercase();
        let brief = ScanOutcome {
            reason: None,
            ..(**outcome).clone()
        };
        let _ = writeln!(
            text,
            "  {} ({})",
            outcome_in_words(&brief),
            why.replace('_', " ")
        );
    }
    if handed.len() > SPELLED_OUT {
        let more = handed.len() - SPELLED_OUT;
        let _ = writeln!(text, "  and {more} more (all of them with --output jsonl)");
    }
}

/// How roles were read where there was a choice: not of what is told in full already.
fn role_readings(text: &mut String, outcomes: &[&ScanOutcome]) {
    let good = outcomes.iter().filter(|outcome| !is_bad(outcome));
    let readings = good.filter_map(|outcome| Some((outcome.role_reading.as_ref()?, outcome)));
    let mut by_note = BTreeMap::<(bool, &str), BTreeSet<String>>::new();
    for (reading, outcome) in readings {
        let accounts = by_note
            .entry((!reading.inferred, &reading.note))
            .or_default();
        accounts.extend(outcome.account_ids.iter().cloned());
    }
    for ((exact, note), accounts) in by_note.iter().take(SPELLED_OUT) {
        let how = if *exact { "read whole" } else { "inferred" };
        let accounts: Vec<String> = accounts.iter().cloned().collect();
        let place = accounts_in_words(&accounts);
        let _ = writeln!(text, "  {how} in {place}: {}", printable(note));
    }
    if by_note.len() > SPELLED_OUT {
        let more = by_note.len() - SPELLED_OUT;
        let _ = writeln!(text, "  and {more} more (all of them with --output jsonl)");
    }
}

fn is_bad(outcome: &ScanOutcome) -> bool {
    !matches!(
        outcome.state(),
        OutcomeState::Complete | OutcomeState::NotApplicable | OutcomeState::HandedOver
    )
}

fn some(count: i64, what: &str) -> String {
    if count == 0 {
        String::new()
    } else {
        format!(", {count} {what}")
    }
}

fn stopped(summary: &SearchSummary) -> &'static str {
    match summary.stop_reason() {
        StopReason::MaxEvents => " (stopped at --max-events)",
        StopReason::MaxScanBytes => " (stopped at --max-scan-bytes)",
        StopReason::Deadline => " (stopped at the deadline)",
        StopReason::Drain => " (the service is shutting down)",
        StopReason::Quota => " (stopped at a bound of the service)",
        StopReason::Idle => " (nothing was taken of the answer for too long)",
        StopReason::End | StopReason::Unspecified => "",
    }
}

/// A line for what failed and may go better: not for gaps that would be gaps again, nor for what
/// the resume token continues.
fn retry(args: &SearchArgs, bad: &[&ScanOutcome]) -> Option<String> {
    let again: Vec<&&ScanOutcome> = bad
        .iter()
        .filter(|outcome| may_go_better(outcome))
        .collect();
    let accounts: BTreeSet<&str> = again
        .iter()
        .flat_map(|outcome| &outcome.account_ids)
        .map(String::as_str)
        .collect();
    let regions: BTreeSet<&str> = again
        .iter()
        .flat_map(|outcome| &outcome.regions)
        .map(String::as_str)
        .collect();
    let unread: Vec<(i64, i64)> = again.iter().filter_map(|outcome| unread(outcome)).collect();
    let start = unread.iter().map(|(start, _)| *start).min()?;
    let end = unread.iter().map(|(_, end)| *end).max()?;
    let mut line = args.same_question();
    for account in accounts {
        let _ = write!(line, " --account {}", shell_word(account));
    }
    if again.iter().all(|outcome| !outcome.regions.is_empty()) {
        for region in regions {
            let _ = write!(line, " --region {}", shell_word(region));
        }
    }
    let _ = write!(line, " --since {} --until {}", rfc3339(start), rfc3339(end));
    Some(line)
}

/// From when until when an outcome's interval was not read: what was read lies at one of its ends.
fn unread(outcome: &ScanOutcome) -> Option<(i64, i64)> {
    let (start, end) = (outcome.start_time?.seconds, outcome.end_time?.seconds);
    Some(
        match (outcome.covered_start_time, outcome.covered_end_time) {
            (Some(read), _) if read.seconds > start => (start, read.seconds),
            (Some(_), Some(read)) if read.seconds < end => (read.seconds, end),
            _ => (start, end),
        },
    )
}

fn may_go_better(outcome: &ScanOutcome) -> bool {
    outcome.state() == OutcomeState::Failed
        || outcome
            .reason
            .as_ref()
            .is_some_and(|reason| reason.code() == ReasonCode::AgedOut)
}

/// The same question with the same scope and limits, for a resume token.
fn asked_again(args: &SearchArgs) -> String {
    let mut line = args.same_question();
    for account in &args.accounts {
        let _ = write!(line, " --account {}", shell_word(account));
    }
    for (flag, values) in [
        ("account-name", &args.account_names),
        ("ou", &args.organizational_units),
        ("account-tag", &args.account_tags),
    ] {
        for value in values {
            let _ = write!(line, " --{flag} {}", shell_word(value));
        }
    }
    for region in &args.regions {
        let _ = write!(line, " --region {}", shell_word(region));
    }
    match args.since {
        Some(super::window::When::Before(length)) => {
            let _ = write!(line, " --since {}s", length.as_secs());
        }
        Some(super::window::When::At(instant)) => {
            let _ = write!(line, " --since {instant}");
        }
        None => {}
    }
    if let Some(until) = args.until {
        let _ = write!(line, " --until {until}");
    }
    line
}

fn rfc3339(seconds: i64) -> String {
    time_text(Some(&prost_types::Timestamp { seconds, nanos: 0 }))
}

fn facets(text: &mut String, facets: Option<&Facets>) {
    let Some(facets) = facets.filter(|facets| facets.first_seen_time.is_some()) else {
        return;
    };
    let _ = writeln!(
        text,
        "\nfirst seen {}, last seen {}",
        time_text(facets.first_seen_time.as_ref()),
        time_text(facets.last_seen_time.as_ref())
    );
    for (name, facet) in [
        ("APIs", &facets.event_names),
        ("accounts", &facets.accounts),
        ("Regions", &facets.regions),
        ("source IPs", &facets.source_ips),
        ("errors", &facets.error_codes),
    ] {
        if let Some(facet) = facet.as_ref().filter(|facet| !facet.values.is_empty()) {
            let _ = writeln!(text, "  {name:<10} {}", facet_in_words(facet));
        }
    }
}

fn facet_in_words(facet: &Facet) -> String {
    let shown = facet.values.iter().take(FACET_VALUES);
    let mut words: Vec<String> = shown
        .map(|value| format!("{} ({})", printable(&value.value), value.events))
        .collect();
    let rest: i64 = facet
        .values
        .iter()
        .skip(FACET_VALUES)
        .map(|value| value.events)
        .sum();
    if rest + facet.other_events > 0 {
        words.push(format!("others ({})", rest + facet.other_events));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(covered: Option<(i64, i64)>) -> ScanOutcome {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        ScanOutcome {
            state: OutcomeState::Failed.into(),
            account_ids: vec!["111122223333".into()],
            start_time: time(0),
            end_time: time(3_600),
            covered_start_time: covered.and_then(|(start, _)| time(start)),
            covered_end_time: covered.and_then(|(_, end)| time(end)),
            reason: Some(Reason {
                message: "no".into(),
                ..Reason::default()
            }),
            ..ScanOutcome::default()
        }
    }

    /// What was read lies at the newest end, or oldest first at the oldest: the rest is asked again.
    #[test]
    fn what_was_not_read_is_asked_again_in_either_order() {
        for (covered, rest, words) in [
            (None, (0, 3_600), ": no"),
            (
                Some((600, 3_600)),
                (0, 600),
                " (read from 1970-01-01T00:10:00Z on): no",
            ),
            (
                Some((0, 3_000)),
                (3_000, 3_600),
                " (read until 1970-01-01T00:50:00Z): no",
            ),
            (Some((0, 3_600)), (0, 3_600), " (read to its end): no"),
        ] {
            let outcome = failed(covered);
            assert_eq!(unread(&outcome), Some(rest));
            let told = outcome_in_words(&outcome);
            assert!(told.ends_with(words), "{told}");
        }
    }
}
