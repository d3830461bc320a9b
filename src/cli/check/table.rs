//! Findings for people: a line each, and below it what to fix.

use std::fmt::Write as _;

use crate::cli::search::table::{SCOPE_LIMITED, accounts_in_words, time_text};
use crate::cli::search::text::printable;
use crate::grpc::pb::{CheckFinding, CheckState, CheckSummary};

/// Intervals without log files that are spelled out.
const FEW_DAYS: usize = 10;

/// One finding.
#[must_use]
pub fn finding_in_words(finding: &CheckFinding) -> String {
    let state = match finding.state() {
        CheckState::Fine => "ok",
        CheckState::NeedsFix => "FIX",
        CheckState::NotChecked | CheckState::Unspecified => "?",
    };
    let probe = finding
        .probe()
        .as_str_name()
        .trim_start_matches("CHECK_PROBE_")
        .to_ascii_lowercase()
        .replace('_', " ");
    let place = match (&finding.archive, &finding.log_group, &finding.account_name) {
        (Some(archive), ..) => format!("archive {archive}"),
        (_, Some(log_group), _) => format!("log group {log_group}"),
        (.., Some(name)) => format!("{} {name}", finding.account_id),
        _ => finding.account_id.clone(),
    };
    let place = printable(&place);
    let mut text = format!("{state:<4} {place:<32} {probe:<14} ");
    // Of a failure in some Regions the words do not say which.
    if finding.state() != CheckState::Fine && !finding.regions.is_empty() {
        let _ = write!(text, "in {}: ", finding.regions.join(", "));
    }
    text.push_str(&finding.detail);
    if let Some(code) = (finding.reason.as_ref()).and_then(|reason| reason.aws_code.as_ref()) {
        let _ = write!(text, " [{code}]");
    }
    let mut lines = vec![text];
    for days in finding.missing_days.iter().take(FEW_DAYS) {
        lines.push(format!(
            "       {} to {}: {}",
            time_text(days.start_time.as_ref()),
            time_text(days.end_time.as_ref()),
            accounts_in_words(&days.account_ids)
        ));
    }
    if let Some(more @ 1..) = finding.missing_days.len().checked_sub(FEW_DAYS) {
        lines.push(format!(
            "       and {more} more intervals (all of them with --output jsonl)"
        ));
    }
    if !finding.fix.is_empty() {
        lines.push(format!("     - {}", finding.fix));
    }
    for policy in &finding.policies {
        lines.push(format!("     - add to {}:", policy.attach_to));
        lines.push(format!("       {}", policy.statement_json));
    }
    lines.iter().fold(String::new(), |mut all, line| {
        all.push_str(&printable(line));
        all.push('\n');
        all
    })
}

/// The end.
#[must_use]
pub fn summary_in_words(summary: &CheckSummary) -> String {
    let mut text = format!("\n{} fine, {} to fix", summary.fine, summary.needs_fix);
    if summary.not_checked > 0 {
        let _ = write!(text, ", {} not checked", summary.not_checked);
    }
    if summary.bytes_scanned > 0 {
        let _ = write!(text, "; {} bytes scanned", summary.bytes_scanned);
    }
    if summary.scope_limited {
        let _ = write!(text, "\n{SCOPE_LIMITED}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb;

    #[test]
    fn a_finding_says_what_to_fix_below_it() {
        let denied = CheckFinding {
            probe: pb::CheckProbe::Credentials.into(),
            state: CheckState::NeedsFix.into(),
            account_id: "333355557777".into(),
            account_name: Some("sand\u{1b}box".into()),
            detail: "AWS refused".into(),
            reason: Some(pb::Reason {
                aws_code: Some("AccessDenied".into()),
                ..pb::Reason::default()
            }),
            policies: vec![pb::MissingPolicy {
                attach_to: "the trust policy of R".into(),
                statement_json: r#"{"Effect":"Allow"}"#.into(),
            }],
            ..CheckFinding::default()
        };
        let days = CheckFinding {
            probe: pb::CheckProbe::LogFiles.into(),
            state: CheckState::NeedsFix.into(),
            archive: Some("everything".into()),
            detail: "no log file of 1 days of 1 accounts".into(),
            fix: "look into the trail".into(),
            missing_days: vec![pb::UnverifiedDays {
                account_ids: vec!["111122223333".into()],
                start_time: Some(prost_types::Timestamp {
                    seconds: 1_793_145_600,
                    nanos: 0,
                }),
                end_time: Some(prost_types::Timestamp {
                    seconds: 1_793_232_000,
                    nanos: 0,
                }),
                reason: None,
            }],
            ..CheckFinding::default()
        };
        let summary = CheckSummary {
            fine: 3,
            needs_fix: 2,
            not_checked: 1,
            bytes_scanned: 17,
            scope_limited: false,
        };
        let text = finding_in_words(&denied) + &finding_in_words(&days);
        insta::assert_snapshot!(text + &summary_in_words(&summary), @r#"
        FIX  333355557777 sand\u{1b}box       credentials    AWS refused [AccessDenied]
             - add to the trust policy of R:
               {"Effect":"Allow"}
        FIX  archive everything               log files      no log file of 1 days of 1 accounts
               2026-10-28T00:00:00Z to 2026-10-29T00:00:00Z: 111122223333
             - look into the trail

        3 fine, 2 to fix, 1 not checked; 17 bytes scanned
        "#);
    }
}
