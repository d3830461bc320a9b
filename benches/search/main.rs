//! The search, end to end: the service in a process of its own, its AWS (the sandbox) in another,
//! the client in this one. Every number stands beside what the bare SDK does with the same pages in
//! the same run; what counts is the ratio.
//!
//! (f) counts calls and bytes instead, of which a search takes as many on any machine: there service
//! and sandbox share this process.
//!
//! `cargo bench` runs everything, `cargo bench -- a` one of them; `quick` cuts the volume to a tenth.
//! The exit status is 1 if a target is missed.
#![forbid(unsafe_code)]

mod bare;
mod client;
mod counted;
mod expansion;
mod first_event;
mod fixture;
mod memory;
mod organization;
mod plan_against_run;
mod process;
mod quota;
mod report;
mod throughput;
#[path = "../../tests/it/traffic.rs"]
mod traffic;

use std::process::ExitCode;

use report::Row;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// What the targets are about.
    Full,
    /// A tenth, to try the benchmark itself.
    Quick,
}

impl Volume {
    fn of(self, full: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Quick => full / 10,
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ended = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [process::SANDBOX, fixture] => runtime().block_on(process::be_sandbox(fixture)),
        [process::BARE, fixture] => runtime().block_on(memory::be_bare(fixture)),
        _ => measure(&args),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            // The SDK's errors say what happened in their causes only.
            eprintln!("error: {error}: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &[String]) -> Result<ExitCode, Error> {
    const ALL: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut volume = Volume::Full;
    let mut wanted = Vec::new();
    for arg in args {
        match arg.as_str() {
            // Cargo's own.
            "--bench" => {}
            "quick" => volume = Volume::Quick,
            name if ALL.contains(&name) => wanted.push(name),
            other => {
                eprintln!("`{other}` is no benchmark: there are a to f, and `quick`");
                return Ok(ExitCode::from(2));
            }
        }
    }
    if wanted.is_empty() {
        wanted = ALL.to_vec();
    }
    report::print_machine();
    let mut rows: Vec<Row> = Vec::new();
    for name in wanted {
        eprintln!("running {name} …");
        rows.extend(runtime().block_on(async {
            match name {
                "a" => throughput::run(volume).await,
                "b" => quota::run().await,
                "c" => first_event::run().await,
                "d" => memory::run(volume).await,
                "e" => organization::run().await,
                _ => {
                    let mut rows = Box::pin(plan_against_run::run()).await?;
                    rows.extend(Box::pin(expansion::run()).await?);
                    Ok(rows)
                }
            }
        })?);
    }
    report::print(&rows);
    if volume == Volume::Quick {
        println!("\nquick: a tenth of the volume, no measure of the targets");
    }
    let met = rows.iter().all(|row| row.met);
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime needs threads only")
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
