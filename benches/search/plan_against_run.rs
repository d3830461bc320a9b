//! (f) What PlanSearch estimates, its lookups probed, beside what the sandbox counts when the search
//! runs.

use identity_trail::grpc::pb;
use pb::identity::Kind;

use crate::Error;
use crate::client::asked;
use crate::counted::Counted;
use crate::report::Row;
use crate::traffic::{self, ACCOUNT, DAY, HOUR, REGIONS, Traffic};

/// An estimate is held to this factor, and to so many requests where there are few.
const FACTOR: f64 = 2.0;
const FEW: f64 = 4.0;
const ROLE: &str = "/ci/deploy";
const SESSIONS: i64 = 40;

pub async fn run() -> Result<Vec<Row>, Error> {
    let mut world = Counted::start(records().sandbox(), &REGIONS, &[ACCOUNT]).await?;
    let now = traffic::now();
    let since = |kind: Kind, days: i64| asked(kind, now - days * DAY, now);
    let user = || Kind::UserName("user-3".to_owned());
    let role = || Kind::Arn(traffic::role(ROLE));
    let with = |request: pb::SearchEventsRequest, backend: pb::Backend| pb::SearchEventsRequest {
        backends: vec![backend.into()],
        ..request
    };
    let history = |request| with(request, pb::Backend::EventHistory);
    let cases = [
        ("a user, 60 days", history(since(user(), 60))),
        (
            "an access key, 60 days",
            history(since(
                Kind::AccessKeyId("ASIAEXAMPLE000000007".to_owned()),
                60,
            )),
        ),
        (
            "a role, by its sessions or whole",
            history(since(role(), 30)),
        ),
        (
            "the same role, exact",
            pb::SearchEventsRequest {
                exact_roles: true,
                ..history(since(role(), 30))
            },
        ),
        (
            "a user, oldest first",
            pb::SearchEventsRequest {
                order: pb::SearchOrder::OldestFirst.into(),
                ..history(since(user(), 60))
            },
        ),
        ("a user, archive beyond the horizon", since(user(), 150)),
        (
            "the same again, days with log files known",
            since(user(), 150),
        ),
        (
            "a user, log group by FilterLogEvents",
            with(asked(user(), now - 12 * HOUR, now), pb::Backend::Logs),
        ),
        (
            "a user, log group by Logs Insights",
            with(since(user(), 30), pb::Backend::Logs),
        ),
    ];
    let mut rows = Vec::new();
    for (name, request) in cases {
        let request = pb::SearchEventsRequest {
            account_ids: vec![ACCOUNT.to_owned()],
            ..request
        };
        let planned = world.plan(&request).await?;
        let counted = world.run(request).await?;
        rows.push(row(
            &format!("f: {name}, requests"),
            requests(&planned),
            counted.requests,
        ));
        if planned.bytes_scanned_about != Some(0) {
            rows.push(row(
                &format!("f: {name}, bytes"),
                bytes(&planned),
                counted.bytes,
            ));
        }
    }
    Ok(rows)
}

/// Half a year of seven users, and a role with a path that several sessions were assumed of.
fn records() -> Traffic {
    let mut traffic = Traffic::default();
    let now = traffic::now();
    traffic.noise(now - 180 * DAY, now, 600);
    let role = traffic::role(ROLE);
    let account = serde_json::json!({"type": "AWSAccount", "accountId": "999999999999"});
    for (number, region) in (0..SESSIONS).zip(REGIONS.iter().cycle()) {
        let at = now - 60 * DAY + number * DAY;
        let session = format!("run-{number}");
        traffic.assume(at, region, "AssumeRole", &role, &session, &account);
        for step in 0..10 {
            traffic.act(at + step * 600, region, &role, &session, 7);
        }
    }
    traffic
}

/// What is planned: at least, and about or at most.
#[derive(Debug, Clone, Copy)]
struct Planned {
    at_least: u64,
    about: Option<u64>,
    at_most: Option<u64>,
}

fn requests(estimate: &pb::CostEstimate) -> Planned {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Planned {
        at_least: count(estimate.requests_at_least),
        about: estimate.requests_about.map(count),
        at_most: estimate.requests_at_most_about.map(count),
    }
}

fn bytes(estimate: &pb::CostEstimate) -> Planned {
    Planned {
        at_least: 0,
        about: estimate
            .bytes_scanned_about
            .and_then(|bytes| bytes.try_into().ok()),
        at_most: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few million at most")]
fn row(name: &str, planned: Planned, counted: u64) -> Row {
    let Planned {
        at_least,
        about,
        at_most,
    } = planned;
    let (service, ratio, near) = match (about, at_most) {
        (Some(about), _) => {
            let (about_so, so) = (about as f64, counted as f64);
            let near = (about_so - so).abs() <= FEW
                || (about_so <= FACTOR * so && so <= FACTOR * about_so);
            let ratio = format!("{:.2}", so / about_so.max(1.0));
            (format!("planned about {about}"), ratio, near)
        }
        (None, Some(most)) => (
            format!("planned {at_least} to about {most}"),
            String::new(),
            counted <= most,
        ),
        (None, None) if at_least > 0 => {
            (format!("planned at least {at_least}"), String::new(), true)
        }
        (None, None) => ("unknown beforehand".to_owned(), String::new(), true),
    };
    Row {
        name: name.to_owned(),
        service,
        against: format!("counted {counted}"),
        ratio,
        target: match about {
            Some(_) => format!("0.5 to {FACTOR}"),
            None if at_least > 0 => "within".to_owned(),
            None => "none".to_owned(),
        },
        met: near && at_least <= counted,
    }
}
