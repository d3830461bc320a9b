//! (f) Roles in event history: the requests of the way that is chosen while reading, beside reading
//! everything and beside finding the sessions and reading each.

use identity_trail::grpc::pb;
use identity_trail::sandbox::{Data, OrganizationSpec, SandboxConfig};
use pb::identity::Kind;

use crate::Error;
use crate::client::asked;
use crate::counted::Counted;
use crate::report::Row;
use crate::traffic::{self, ACCOUNT, DAY, HOUR, REGIONS, Traffic};

/// Never more than so many times what the cheaper way takes.
const TARGET: f64 = 2.0;

pub async fn run() -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    let (origins, [deploy, other]) = traffic::of_every_origin();
    let every_origin = [
        (
            "sessions of every origin, by ARN",
            Kind::Arn(deploy.clone()),
            &deploy,
        ),
        (
            "the same by name, its path unknown",
            Kind::RoleName("deploy".to_owned()),
            &deploy,
        ),
        (
            "a session name shared with that role, and a chain's first",
            Kind::Arn(other.clone()),
            &other,
        ),
    ];
    rows.extend(Box::pin(traffic_rows(&origins, every_origin)).await?);
    let deploy = traffic::role("/deploy");
    for (name, every, sessions) in [
        ("a thousand session names, busy", 240, 1000),
        ("a thousand session names, quiet", 2400, 1000),
        ("15 session names", 480, 15),
        ("one session name", 240, 1),
    ] {
        let traffic = traffic::many_sessions(every, sessions);
        let case = (name, Kind::Arn(deploy.clone()), &deploy);
        rows.extend(Box::pin(traffic_rows(&traffic, [case])).await?);
    }
    rows.push(organization().await?);
    Ok(rows)
}

async fn traffic_rows<'a>(
    traffic: &Traffic,
    cases: impl IntoIterator<Item = (&'a str, Kind, &'a String)>,
) -> Result<Vec<Row>, Error> {
    let mut world = Counted::start(traffic.sandbox(), &REGIONS, &[]).await?;
    let now = traffic::now();
    let mut rows = Vec::new();
    for (name, kind, role) in cases {
        let request = pb::SearchEventsRequest {
            account_ids: vec![ACCOUNT.to_owned()],
            ..asked(kind, now - 20 * DAY, now)
        };
        let (chosen, whole) = both(&mut world, request).await?;
        rows.push(row(name, chosen, whole, Some(traffic.by_sessions(role))));
    }
    Ok(rows)
}

/// Three roles of a generated organization, together.
async fn organization() -> Result<Row, Error> {
    const NOW: &str = "2026-06-01T12:00:00Z";
    let now: jiff::Timestamp = NOW.parse()?;
    let mut sandbox = SandboxConfig::new(Data::Organization(OrganizationSpec {
        seed: 4,
        now,
        days: 8,
        accounts: 4,
        events_per_day: 800,
    }));
    sandbox.now = Some(now);
    sandbox.lookup_rate = None;
    let regions = ["us-east-1", "us-west-2", "eu-central-1", "eu-west-1"];
    let mut world = Counted::start(sandbox, &regions, &[]).await?;
    let (mut chosen, mut whole) = (0, 0);
    for kind in [
        Kind::RoleName("app-server".to_owned()),
        Kind::RoleName("data-migration".to_owned()),
        Kind::PermissionSet("PowerUserAccess".to_owned()),
    ] {
        // What issued the sessions of the first twelve hours lies before all records.
        let start = now.as_second() - 8 * DAY + 13 * HOUR;
        let request = asked(kind, start, now.as_second());
        let counted = both(&mut world, request).await?;
        chosen += counted.0;
        whole += counted.1;
    }
    Ok(row(
        "three roles of a generated organization",
        chosen,
        whole,
        None,
    ))
}

/// The requests of the way that is chosen, and of reading everything.
async fn both(world: &mut Counted, request: pb::SearchEventsRequest) -> Result<(u64, u64), Error> {
    let request = pb::SearchEventsRequest {
        backends: vec![pb::Backend::EventHistory.into()],
        ..request
    };
    let exact = pb::SearchEventsRequest {
        exact_roles: true,
        ..request.clone()
    };
    let chosen = world.run(request).await?.requests;
    let whole = world.run(exact).await?.requests;
    Ok((chosen, whole))
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn row(name: &str, chosen: u64, whole: u64, by_sessions: Option<u64>) -> Row {
    let cheaper = by_sessions.map_or(whole, |sessions| whole.min(sessions));
    let ratio = chosen as f64 / cheaper as f64;
    let sessions = by_sessions.map_or(String::new(), |sessions| {
        format!(", by its sessions {sessions}")
    });
    Row {
        name: format!("f: a role, {name}"),
        service: format!("{chosen} requests"),
        against: format!("whole {whole}{sessions}"),
        ratio: format!("{ratio:.2}"),
        target: format!("≤ {TARGET} × the cheaper"),
        met: ratio <= TARGET,
    }
}
