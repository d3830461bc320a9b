//! What metrics show of a search.

use futures::StreamExt;

use super::fake::{Script, collect, query, test_caller, world};
use crate::query::EventQuery;
use crate::search::{Engine, EngineLimits};

const HOUR: i64 = 3_600;

fn dense(events: u32) -> Script {
    Script {
        events: (0..events).map(|id| (i64::from(id) + 1, id)).collect(),
        page: 10,
        turns: 3,
        ..Script::default()
    }
}

/// The series that are not at zero, of those whose names begin so.
fn counted(engine: &Engine, name: &str) -> Vec<String> {
    let text = engine.shared.parts.metrics.render();
    let lines = text
        .lines()
        .filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
    lines.map(|line| line[name.len()..].to_owned()).collect()
}

const SEARCHES: &str = "identity_trail_searches_total";
const SCANS: &str = "identity_trail_scans_total{backend=\"event_history\",";

#[tokio::test]
async fn a_whole_answer_is_counted_with_its_scans_and_events() {
    let world = world(vec![dense(5), dense(7)], 2, EngineLimits::default());
    collect(&world.engine, query(HOUR)).await;
    assert_eq!(
        counted(&world.engine, SEARCHES),
        ["{outcome=\"complete\"} 1"]
    );
    assert_eq!(counted(&world.engine, SCANS), ["outcome=\"complete\"} 2"]);
    let sent = counted(&world.engine, "identity_trail_events_sent_total");
    assert_eq!(sent, [" 12"]);
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_cancelled_and_so_are_its_scans() {
    let world = world(vec![dense(500), dense(500)], 2, EngineLimits::default());
    let search = world.engine.search(query(HOUR), test_caller(), None);
    let begun: Vec<_> = search.unwrap().take(3).collect().await;
    assert_eq!(begun.len(), 3);
    assert_eq!(
        counted(&world.engine, SEARCHES),
        ["{outcome=\"cancelled\"} 1"]
    );
    assert_eq!(counted(&world.engine, SCANS), ["outcome=\"cancelled\"} 2"]);
}

#[tokio::test]
async fn an_answer_that_its_request_cuts_off_is_limited() {
    let world = world(vec![dense(500)], 2, EngineLimits::default());
    let limited = EventQuery {
        max_events: Some(3),
        ..query(HOUR)
    };
    collect(&world.engine, limited).await;
    assert_eq!(
        counted(&world.engine, SEARCHES),
        ["{outcome=\"limited\"} 1"]
    );
    assert_eq!(counted(&world.engine, SCANS), ["outcome=\"truncated\"} 1"]);
}

#[tokio::test]
async fn an_account_that_fails_leaves_the_answer_incomplete() {
    let broken = Script {
        breaks_at_page: Some(2),
        ..dense(500)
    };
    let world = world(vec![dense(5), broken], 2, EngineLimits::default());
    collect(&world.engine, query(HOUR)).await;
    assert_eq!(
        counted(&world.engine, SEARCHES),
        ["{outcome=\"incomplete\"} 1"]
    );
    let mut scans = counted(&world.engine, SCANS);
    scans.sort();
    assert_eq!(scans, ["outcome=\"complete\"} 1", "outcome=\"failed\"} 1"]);
}
