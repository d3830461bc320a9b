//! (e) An organization of 500 accounts and 17 Regions: 8,500 scans of a page each, by a service that
//! has no session yet, beside the bare SDK with as many calls at once.

use std::time::Instant;

use crate::fixture::Fixture;
use crate::process::{SandboxProcess, Service, ServiceOptions};
use crate::report::Row;
use crate::throughput::check;
use crate::{Error, bare, client};

const ACCOUNTS: u32 = 500;
const REGIONS: usize = 17;
const EVENTS: u32 = 20;
/// What the service allows itself by default (`limits.aws_calls`).
const AT_ONCE: usize = 256;
const MIB: f64 = 1024.0 * 1024.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "of bytes and thousands of calls"
)]
pub async fn run() -> Result<Vec<Row>, Error> {
    let fixture = Fixture::new(ACCOUNTS, REGIONS, EVENTS);
    let sandbox = SandboxProcess::start(&fixture)?;
    let day = fixture.last(1.0);
    let calls = f64::from(ACCOUNTS) * (1 + REGIONS) as f64;

    // Once unmeasured, so that the sandbox has written every page.
    let clients = bare::clients(&fixture, &sandbox.reach).await?;
    check(&fixture, bare::drain(&clients, day, None, AT_ONCE).await?)?;
    drop(clients);

    let began = Instant::now();
    let clients = bare::clients(&fixture, &sandbox.reach).await?;
    check(&fixture, bare::drain(&clients, day, None, AT_ONCE).await?)?;
    let of_bare = calls / began.elapsed().as_secs_f64();
    drop(clients);

    let options = ServiceOptions {
        paced: false,
        archive: false,
    };
    let service = Service::start(&fixture, &sandbox.reach, options)?;
    let mut caller = client::connect(&service.url).await?;
    let began = Instant::now();
    let read = client::read_all(&mut caller, client::by_role(day), None).await?;
    let of_service = calls / began.elapsed().as_secs_f64();
    check(&fixture, read.events)?;
    let peak = service.peak_memory()? as f64;
    let ratio = of_service / of_bare;
    Ok(vec![
        Row {
            name: "e: 500 accounts × 17 Regions, AWS calls/s".to_owned(),
            service: format!("{of_service:.0}"),
            against: format!("bare SDK {of_bare:.0}"),
            ratio: format!("{ratio:.2}"),
            target: "≥ 0.5".to_owned(),
            met: ratio >= 0.5,
        },
        Row {
            name: "e: its peak memory, and the largest message".to_owned(),
            service: format!(
                "{:.0} MiB, {:.0} KiB",
                peak / MIB,
                read.largest_message as f64 / 1024.0
            ),
            against: String::new(),
            ratio: String::new(),
            target: "< 512 MB, < 1 MB".to_owned(),
            met: peak < 512e6 && read.largest_message < 1_000_000,
        },
    ])
}
