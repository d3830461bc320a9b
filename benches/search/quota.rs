//! (b) 50 accounts in 4 Regions with 10 pages each, at AWS's quota of 2 requests a second.

use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::process::{SandboxProcess, Service, ServiceOptions};
use crate::report::Row;
use crate::throughput::check;
use crate::{Error, bare, client};

const PAGES: u32 = 10;
const EVENTS_ON_A_PAGE: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(500);

pub async fn run() -> Result<Vec<Row>, Error> {
    let mut fixture = Fixture::new(50, 4, PAGES * EVENTS_ON_A_PAGE);
    fixture.lookup_rate = Some(2.0);
    let sandbox = SandboxProcess::start(&fixture)?;
    let day = fixture.last(1.0);

    let began = Instant::now();
    let clients = bare::clients(&fixture, &sandbox.reach).await?;
    check(
        &fixture,
        bare::drain(&clients, day, Some(INTERVAL), bare::UNBOUNDED).await?,
    )?;
    let of_bare = began.elapsed();

    // The sandbox's quota has a second's worth in reserve again by the time the service has started.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let options = ServiceOptions {
        paced: true,
        archive: false,
    };
    let service = Service::start(&fixture, &sandbox.reach, options)?;
    let mut caller = client::connect(&service.url).await?;
    let began = Instant::now();
    let read = client::read_all(&mut caller, client::by_role(day), None).await?;
    let of_service = began.elapsed();
    check(&fixture, read.events)?;

    // The first page needs no wait.
    let allowed = INTERVAL * (PAGES - 1);
    let ratio = of_service.as_secs_f64() / allowed.as_secs_f64();
    Ok(vec![Row {
        name: "b: 50 accounts × 4 Regions × 10 pages at 2 requests/s".to_owned(),
        service: format!("{:.2} s", of_service.as_secs_f64()),
        against: format!(
            "the quota allows {:.2} s (bare SDK {:.2} s)",
            allowed.as_secs_f64(),
            of_bare.as_secs_f64()
        ),
        ratio: format!("{ratio:.2}"),
        target: "≤ 1.1".to_owned(),
        met: ratio <= 1.1,
    }])
}
