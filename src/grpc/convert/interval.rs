//! The interval: half-open, in whole seconds, with its defaults.

use jiff::Timestamp;

use super::{Findings, Rules};
use crate::grpc::pb;
use crate::query::{AskedRange, EventTime, TimeRange};

/// What a search covers if nothing is said.
const DEFAULT_LOOKBACK_SECONDS: i64 = 24 * 60 * 60;

/// Reads the interval, in the service's clock and as the caller wrote it.
///
/// Event times have whole seconds, so both bounds are rounded up: a second is in [start, end) after
/// that exactly if it was before. An end after now is now, since nothing is recorded beforehand.
pub(super) fn interval(
    request: &pb::SearchEventsRequest,
    rules: &Rules<'_>,
    findings: &mut Findings,
) -> Option<(TimeRange, AskedRange)> {
    let start = time(request.start_time.as_ref(), "start_time", findings);
    let end = time(request.end_time.as_ref(), "end_time", findings);
    let lookback = lookback(request.lookback.as_ref(), findings);
    let (start, end, lookback) = (start.ok()?, end.ok()?, lookback.ok()?);
    if start.is_some() && lookback.is_some() {
        findings.invalid("lookback", "give start_time or lookback, not both");
        return None;
    }
    let now = EventTime::ceil(rules.now);
    let asked = AskedRange {
        start,
        end,
        lookback_seconds: lookback,
    };
    if start.is_some_and(|start| start > now) {
        findings.invalid(
            "start_time",
            format!("in the future: the service's clock says {now}"),
        );
        return None;
    }
    if let (Some(start), Some(end)) = (start, end)
        && start >= end
    {
        findings.invalid(
            "end_time",
            format!(
                "must be after start_time by at least a whole second: [{start}, {end}) is empty"
            ),
        );
        return None;
    }
    let until = end.map_or(now, |end| end.min(now));
    let from = match start {
        Some(start) => Some(start),
        None => until
            .second()
            .checked_sub(lookback.unwrap_or(DEFAULT_LOOKBACK_SECONDS))
            .and_then(EventTime::from_second),
    };
    let Some(from) = from else {
        findings.invalid("lookback", "reaches back beyond the year 1");
        return None;
    };
    let Some(range) = TimeRange::new(from, until) else {
        findings.invalid(
            "start_time",
            format!("no whole second lies between it and the end, {until}"),
        );
        return None;
    };
    check_reach(range, rules, findings);
    Some((range, asked))
}

/// How far back a request may reach is limited.
pub(super) fn check_reach(range: TimeRange, rules: &Rules<'_>, findings: &mut Findings) {
    let limit = rules.limits.max_lookback.as_secs();
    let reach = EventTime::ceil(rules.now).second() - range.start().second();
    if u64::try_from(reach).is_ok_and(|reach| reach > limit) {
        findings.exceeded(
            "start_time",
            format!(
                "{} lies more than {} hours back (limits.max_lookback)",
                range.start(),
                limit / 3_600
            ),
        );
    }
}

/// The time of a field: `Err` if it is none, which is noted.
fn time(
    wire: Option<&prost_types::Timestamp>,
    field: &str,
    findings: &mut Findings,
) -> Result<Option<EventTime>, ()> {
    let Some(wire) = wire else { return Ok(None) };
    let valid_nanos = (0..1_000_000_000).contains(&wire.nanos);
    let time = Timestamp::new(wire.seconds, wire.nanos)
        .ok()
        .filter(|_| valid_nanos)
        .and_then(|time| EventTime::from_second(EventTime::ceil(time).second()));
    if time.is_none() {
        findings.invalid(field, "a time is between the years 1 and 9999");
        return Err(());
    }
    Ok(time)
}

fn lookback(
    wire: Option<&prost_types::Duration>,
    findings: &mut Findings,
) -> Result<Option<i64>, ()> {
    const MAX_SECONDS: i64 = 315_576_000_000;
    let Some(wire) = wire else { return Ok(None) };
    let valid = (0..=MAX_SECONDS).contains(&wire.seconds)
        && (0..1_000_000_000).contains(&wire.nanos)
        && (wire.seconds, wire.nanos) > (0, 0);
    if !valid {
        findings.invalid("lookback", "longer than nothing, and at most 10,000 years");
        return Err(());
    }
    Ok(Some(wire.seconds + i64::from(wire.nanos > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::grpc::convert::Rejection;

    const NOW: i64 = 1_700_000_000;

    #[allow(clippy::unnecessary_wraps, reason = "the fields are optional")]
    fn at(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos })
    }

    fn read(request: &pb::SearchEventsRequest) -> Result<(i64, i64), Rejection> {
        let mut findings = Findings::default();
        let rules = Rules {
            // Half a second past NOW.
            now: Timestamp::new(NOW, 500_000_000).unwrap(),
            limits: &Limits::default(),
        };
        let interval = interval(request, &rules, &mut findings);
        findings.finish()?;
        let (range, _) = interval.unwrap();
        Ok((range.start().second() - NOW, range.end().second() - NOW))
    }

    fn request(
        start_time: Option<prost_types::Timestamp>,
        end_time: Option<prost_types::Timestamp>,
        lookback: Option<(i64, i32)>,
    ) -> pb::SearchEventsRequest {
        pb::SearchEventsRequest {
            start_time,
            end_time,
            lookback: lookback.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }),
            ..pb::SearchEventsRequest::default()
        }
    }

    #[test]
    fn defaults_end_now_and_reach_back_a_day() {
        assert_eq!(read(&request(None, None, None)), Ok((1 - 86_400, 1)));
        assert_eq!(read(&request(None, None, Some((60, 0)))), Ok((-59, 1)));
        assert_eq!(
            read(&request(None, at(NOW - 100, 0), None)),
            Ok((-100 - 86_400, -100))
        );
        assert_eq!(read(&request(at(NOW - 9, 0), None, None)), Ok((-9, 1)));
        // An end in the future is now.
        assert_eq!(
            read(&request(at(NOW - 9, 0), at(NOW + 9_000, 0), None)),
            Ok((-9, 1))
        );
    }

    #[test]
    fn fractions_are_rounded_up_on_both_sides() {
        let range = request(at(NOW - 9, 1), at(NOW - 4, 999_999_999), None);
        assert_eq!(read(&range), Ok((-8, -3)));
        assert_eq!(read(&request(None, at(NOW, 0), Some((4, 1)))), Ok((-5, 0)));
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for (wrong, field) in [
            (request(at(NOW, 0), at(NOW, 0), None), "end_time"),
            (request(at(NOW, 0), at(NOW - 1, 0), None), "end_time"),
            (request(at(NOW - 9, 1), at(NOW - 9, 2), None), "end_time"),
            (request(at(NOW + 2, 0), None, None), "start_time"),
            (request(at(NOW + 2, 0), at(NOW + 9, 0), None), "start_time"),
            (request(at(NOW, 600_000_000), None, None), "start_time"),
            (request(at(NOW - 9, 0), None, Some((60, 0))), "lookback"),
            (request(None, None, Some((0, 0))), "lookback"),
            (request(None, None, Some((-60, 0))), "lookback"),
            (request(None, None, Some((60, -1))), "lookback"),
            (request(None, None, Some((i64::MAX, 0))), "lookback"),
            (request(None, None, Some((200_000_000_000, 0))), "lookback"),
            (request(at(i64::MAX, 0), None, None), "start_time"),
            (request(at(i64::MIN, 0), None, None), "start_time"),
            (request(at(0, -1), None, None), "start_time"),
            (request(None, at(0, 1_000_000_000), None), "end_time"),
        ] {
            let refused = read(&wrong);
            let Err(Rejection::Invalid(fields)) = refused else {
                panic!("{wrong:?}: {refused:?}");
            };
            assert_eq!(fields[0].field, field, "{wrong:?}");
        }
    }

    #[test]
    fn how_far_back_a_request_may_reach_is_limited() {
        let refused = read(&request(at(0, 0), None, None));
        assert!(
            matches!(refused, Err(Rejection::Exceeded(_))),
            "{refused:?}"
        );
    }
}
