use super::*;

fn value(metrics: &Metrics, series: &str) -> Option<String> {
    let text = metrics.render();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(series));
    lines.next().map(|value| value.trim().to_owned())
}

/// Names, types and help texts are an interface.
#[test]
fn what_is_counted() {
    let metrics = Metrics::new();
    // What nothing was ever counted in is not described either.
    metrics.request("SearchEvents").ended("OK");
    metrics.aws_call_ended("STS", "AssumeRole", AwsCallOutcome::Ok, Duration::ZERO);
    let text = metrics.render();
    let described: Vec<&str> = (text.lines())
        .filter(|line| line.starts_with("# HELP") || line.starts_with("# TYPE"))
        .collect();
    insta::assert_snapshot!(described.join("\n"));
}

#[test]
fn a_call_that_nobody_ends_was_cancelled() {
    let metrics = Metrics::new();
    let open = "identity_trail_open_streams{rpc=\"SearchEvents\"}";
    let mut answered = metrics.request("SearchEvents");
    let dropped = metrics.request("SearchEvents");
    assert_eq!(value(&metrics, open).as_deref(), Some("2"));
    answered.ended("OK");
    drop((answered, dropped));
    assert_eq!(value(&metrics, open).as_deref(), Some("0"));
    for code in ["OK", "CANCELLED"] {
        let ended =
            format!("identity_trail_grpc_requests_total{{rpc=\"SearchEvents\",code=\"{code}\"}}");
        assert_eq!(value(&metrics, &ended).as_deref(), Some("1"), "{code}");
    }
}

#[test]
fn what_others_keep_is_read_when_it_is_asked_for() {
    let metrics = Metrics::new();
    let kept = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let read = Arc::clone(&kept);
    let load = move || read.load(std::sync::atomic::Ordering::Relaxed);
    metrics.sample("identity_trail_kept", "Kept", Some(Unit::Bytes), load);
    kept.store(7, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        value(&metrics, "identity_trail_kept_bytes ").as_deref(),
        Some("7")
    );
}

#[test]
fn what_can_occur_is_there_from_the_start() {
    let text = Metrics::new().render();
    for outcome in StreamOutcome::ALL {
        let series = format!(
            "identity_trail_searches_total{{outcome=\"{}\"}} 0",
            outcome.as_str()
        );
        assert!(text.contains(&series), "{series}");
    }
}
