//! (c) The first event of a search of 200 scans with 200 ms before each answer, from a service that
//! has just started; alone, and with an archive whose queries take a minute.

use std::time::{Duration, Instant};

use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};

use crate::fixture::{Fixture, SESSION};
use crate::process::{Reach, SandboxProcess, Service, ServiceOptions};
use crate::report::Row;
use crate::{Error, bare, client, median};

const ROUNDS: usize = 3;
const SLICES: i64 = 10;
/// With slices of 1, 2, 4, … days below the 90 days of event history, so many days make ten.
const DAYS: i64 = 700;

pub async fn run() -> Result<Vec<Row>, Error> {
    let mut fixture = Fixture::new(50, 4, 400);
    fixture.lookup_rate = Some(2.0);
    fixture.latency = Duration::from_millis(200);
    fixture.athena_slow = Duration::from_mins(1);
    let sandbox = SandboxProcess::start(&fixture)?;
    let (start, end) = fixture.last(1.0);
    let long = (end - DAYS * 24 * 60 * 60, end);

    let (mut of_bare, mut alone, mut with_archive) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_bare.push(assume_and_look_up(&fixture, &sandbox.reach).await?);
        alone.push(first(&fixture, &sandbox.reach, false, (start, end), 0).await?);
        with_archive.push(first(&fixture, &sandbox.reach, true, long, SLICES).await?);
    }
    eprintln!("  seconds: bare {of_bare:.3?}, alone {alone:.3?}, with archive {with_archive:.3?}");
    let of_bare = median(of_bare);
    let row = |name: &str, seconds: f64| {
        let ratio = seconds / of_bare;
        Row {
            name: name.to_owned(),
            service: format!("{seconds:.3} s"),
            against: format!("bare SDK, AssumeRole and one lookup {of_bare:.3} s"),
            ratio: format!("{ratio:.2}"),
            target: "≤ 2".to_owned(),
            met: ratio <= 2.0,
        }
    };
    Ok(vec![
        row("c: first event of 200 scans", median(alone)),
        row(
            "c: the same beside an archive with ten slow slices",
            median(with_archive),
        ),
    ])
}

async fn assume_and_look_up(fixture: &Fixture, reach: &Reach) -> Result<f64, Error> {
    let (account, region) = fixture.lanes().swap_remove(0);
    let sdk = bare::sdk(reach).await;
    let by_name = LookupAttribute::builder()
        .attribute_key(LookupAttributeKey::Username)
        .attribute_value(SESSION)
        .build()?;
    let began = Instant::now();
    let session = bare::assume(&sdk, reach, &account).await?;
    let client = bare::client(&sdk, &session, region);
    let page = client
        .lookup_events()
        .lookup_attributes(by_name)
        .send()
        .await?;
    if page.events().is_empty() {
        return Err("the session has no events".into());
    }
    Ok(began.elapsed().as_secs_f64())
}

/// A new service, so that it has no session yet. Its quota is whole again: nobody asked for seconds.
async fn first(
    fixture: &Fixture,
    reach: &Reach,
    archive: bool,
    times: (i64, i64),
    slices: i64,
) -> Result<f64, Error> {
    let options = ServiceOptions {
        paced: true,
        archive,
    };
    let service = Service::start(fixture, reach, options)?;
    let mut caller = client::connect(&service.url).await?;
    // What the service does by itself when it starts (a readiness probe) is over by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = client::first_event(&mut caller, client::by_session(times)).await?;
    if seen.scans != (200, slices) {
        return Err(format!("another plan than was meant: {:?} scans", seen.scans).into());
    }
    Ok(seen.after.as_secs_f64())
}
