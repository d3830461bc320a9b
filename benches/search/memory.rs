//! (d) The most memory that the service's own process takes while a client reads 20,000 events a
//! second: for a million events no more than for a tenth of them.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::fixture::Fixture;
use crate::process::{self, Reach, SandboxProcess, Service, ServiceOptions};
use crate::report::Row;
use crate::throughput::rate;
use crate::{Error, Volume, bare, client};

const PER_SECOND: f64 = 20_000.0;
const MIB: f64 = 1024.0 * 1024.0;
/// Runs over a tenth of the events: what processes differ by from run to run shows in them.
const TENTHS: usize = 3;
/// What the highest of them may be passed by.
const NOISE: f64 = 1.05;

pub async fn run(volume: Volume) -> Result<Vec<Row>, Error> {
    let fixture = Fixture::new(10, 2, volume.of(50_000));
    let sandbox = SandboxProcess::start(&fixture)?;
    let bare = bare_peak(&fixture, &sandbox.reach)?;
    let mut tenths = Vec::new();
    for _ in 0..TENTHS {
        tenths.push(read(&fixture, &sandbox.reach, 0.1).await?);
    }
    let highest = tenths.iter().max_by(|a, b| a.peak.total_cmp(&b.peak));
    let tenth = highest.ok_or("no run over a tenth")?;
    let whole = read(&fixture, &sandbox.reach, 1.0).await?;
    let mib = |bytes: f64| format!("{:.0} MiB", bytes / MIB);
    // A client that is kept waiting measures less than was meant.
    let read_fast = |seen: &Seen| seen.per_second >= 0.95 * PER_SECOND;
    let described = |seen: &Seen| {
        format!(
            "{} ({} events at {:.0}/s)",
            mib(seen.peak),
            seen.events,
            seen.per_second
        )
    };
    Ok(vec![
        Row {
            name: "d: peak memory, a million events".to_owned(),
            service: described(&whole),
            against: format!("bare SDK, drained as fast as it can {}", mib(bare)),
            ratio: format!("{:.2}", whole.peak / bare),
            target: "< 256 MB at 20,000/s".to_owned(),
            met: whole.peak < 256e6 && read_fast(&whole),
        },
        Row {
            name: "d: the same against a tenth of the events".to_owned(),
            service: described(&whole),
            against: format!("highest of {TENTHS}: {}", described(tenth)),
            ratio: format!("{:.2}", whole.peak / tenth.peak),
            target: format!("≤ 1, give or take {:.0}%", (NOISE - 1.0) * 100.0),
            met: whole.peak <= NOISE * tenth.peak && read_fast(tenth),
        },
    ])
}

#[derive(Debug)]
struct Seen {
    events: u64,
    per_second: f64,
    peak: f64,
}

/// Reads the last `share` of the day with a new service.
#[expect(clippy::cast_precision_loss, reason = "of bytes of memory")]
async fn read(fixture: &Fixture, reach: &Reach, share: f64) -> Result<Seen, Error> {
    let options = ServiceOptions {
        paced: false,
        archive: false,
    };
    let service = Service::start(fixture, reach, options)?;
    let mut caller = client::connect(&service.url).await?;
    let began = Instant::now();
    let request = client::by_role(fixture.last(share));
    let read = client::read_all(&mut caller, request, Some(PER_SECOND)).await?;
    Ok(Seen {
        events: read.events,
        per_second: rate(read.events, began),
        peak: service.peak_memory()? as f64,
    })
}

/// The same of a process that drains everything with the SDK, which also makes the sandbox write
/// every page before the service is measured.
#[expect(clippy::cast_precision_loss, reason = "of bytes of memory")]
fn bare_peak(fixture: &Fixture, reach: &Reach) -> Result<f64, Error> {
    let arg = serde_json::to_string(&(fixture, reach))?;
    let output = Command::new(std::env::current_exe()?)
        .args([process::BARE, &arg])
        .stderr(Stdio::inherit())
        .output()?;
    let peak: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(peak as f64)
}

/// Drains everything and prints the most memory that this took.
pub async fn be_bare(arg: &str) -> Result<ExitCode, Error> {
    let (fixture, reach): (Fixture, Reach) = serde_json::from_str(arg)?;
    let clients = bare::clients(&fixture, &reach).await?;
    bare::drain(&clients, fixture.last(1.0), None, bare::UNBOUNDED).await?;
    println!("{}", process::peak_memory("self")?);
    Ok(ExitCode::SUCCESS)
}
