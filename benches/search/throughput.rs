//! (a) Events a second of a whole search through gRPC, over event history without a quota.

use std::time::Instant;

use crate::fixture::Fixture;
use crate::process::{SandboxProcess, Service, ServiceOptions};
use crate::report::Row;
use crate::{Error, Volume, bare, client, median};

const ROUNDS: usize = 3;

pub async fn run(volume: Volume) -> Result<Vec<Row>, Error> {
    let fixture = Fixture::new(4, 2, volume.of(25_000));
    let sandbox = SandboxProcess::start(&fixture)?;
    let day = fixture.last(1.0);
    let options = ServiceOptions {
        paced: false,
        archive: false,
    };
    let service = Service::start(&fixture, &sandbox.reach, options)?;
    let mut caller = client::connect(&service.url).await?;
    let clients = bare::clients(&fixture, &sandbox.reach).await?;

    // Once unmeasured: the sandbox writes every page, both sides open their connections.
    check(
        &fixture,
        bare::drain(&clients, day, None, bare::UNBOUNDED).await?,
    )?;
    check(
        &fixture,
        client::read_all(&mut caller, client::by_role(day), None)
            .await?
            .events,
    )?;
    let (mut of_service, mut of_bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let events = bare::drain(&clients, day, None, bare::UNBOUNDED).await?;
        of_bare.push(rate(events, began));
        check(&fixture, events)?;
        let began = Instant::now();
        let read = client::read_all(&mut caller, client::by_role(day), None).await?;
        of_service.push(rate(read.events, began));
        check(&fixture, read.events)?;
    }
    eprintln!("  events/s in each round: service {of_service:.0?}, bare SDK {of_bare:.0?}");
    // Round by round, because the machine's pace changes between them.
    let ratios = of_service.iter().zip(&of_bare);
    let ratio = median(ratios.map(|(service, bare)| service / bare).collect());
    let (of_service, of_bare) = (median(of_service), median(of_bare));
    Ok(vec![Row {
        name: "a: events/s of a whole search".to_owned(),
        service: format!("{of_service:.0}"),
        against: format!("bare SDK {of_bare:.0}"),
        ratio: format!("{ratio:.2}"),
        target: "≥ 0.5".to_owned(),
        met: ratio >= 0.5,
    }])
}

/// An answer that lacks something is no measure.
pub fn check(fixture: &Fixture, events: u64) -> Result<(), Error> {
    if events == fixture.total_events() {
        return Ok(());
    }
    Err(format!("{events} events instead of {}", fixture.total_events()).into())
}

#[expect(clippy::cast_precision_loss, reason = "a few million at most")]
pub fn rate(events: u64, began: Instant) -> f64 {
    events as f64 / began.elapsed().as_secs_f64()
}
