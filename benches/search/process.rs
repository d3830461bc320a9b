//! The other processes: the sandbox (this binary again) and the service (`identity-trail serve`).

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::process::{Child, Command, ExitCode, Stdio};

use identity_trail::sandbox::Sandbox;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::Error;
use crate::fixture::{Fixture, HUB};

/// The first argument that makes this binary a sandbox.
pub const SANDBOX: &str = "as-sandbox";
/// The first argument that makes it a bare SDK client whose memory is measured.
pub const BARE: &str = "as-bare-sdk";

/// How to reach a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reach {
    pub endpoint: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub role_name: String,
}

/// A process that ends with its owner.
#[derive(Debug)]
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.0.try_wait() {
            eprintln!("process {} ended before its time: {status}", self.0.id());
        }
        // There is nobody left to tell how this goes.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A sandbox in a process of its own.
#[derive(Debug)]
pub struct SandboxProcess {
    pub reach: Reach,
    _process: Owned,
}

impl SandboxProcess {
    pub fn start(fixture: &Fixture) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SANDBOX, &fixture.to_arg()?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let process = Owned(child);
        let mut line = String::new();
        BufReader::new(stdout.ok_or("no stdout")?).read_line(&mut line)?;
        let reach = serde_json::from_str(&line)
            .map_err(|error| format!("the sandbox did not start: {error}"))?;
        Ok(Self {
            reach,
            _process: process,
        })
    }
}

/// Serves until standard input is closed.
pub async fn be_sandbox(fixture: &str) -> Result<ExitCode, Error> {
    let config = Fixture::from_arg(fixture)?.sandbox()?;
    let sandbox = Sandbox::start(config).await?;
    let hub = sandbox.hub_credentials();
    let reach = Reach {
        endpoint: sandbox.endpoint(),
        access_key_id: hub.access_key_id.clone(),
        secret_access_key: hub.secret_access_key.clone(),
        role_name: sandbox.role_name().to_owned(),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(&reach)?)?;
    out.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(ExitCode::SUCCESS)
}

/// What the service is to be told.
#[derive(Debug, Clone, Copy)]
pub struct ServiceOptions {
    /// Whether it keeps to two lookups a second.
    pub paced: bool,
    /// Whether there is an archive for what event history no longer holds.
    pub archive: bool,
}

/// The service in a process of its own.
#[derive(Debug)]
pub struct Service {
    pub url: String,
    process: Owned,
    _config: NamedTempFile,
}

impl Service {
    /// Starts it with a configuration for `fixture` behind `reach`, all else at its defaults.
    pub fn start(fixture: &Fixture, reach: &Reach, options: ServiceOptions) -> Result<Self, Error> {
        let mut config = NamedTempFile::with_suffix(".yaml")?;
        config.write_all(configuration(fixture, reach, options).as_bytes())?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_identity-trail"))
            .arg("serve")
            .arg("--config")
            .arg(config.path())
            .env("AWS_ACCESS_KEY_ID", &reach.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &reach.secret_access_key)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take();
        let process = Owned(child);
        let mut log = BufReader::new(stderr.ok_or("no stderr")?);
        let address = loop {
            let mut line = String::new();
            if log.read_line(&mut line)? == 0 {
                return Err("the service ended before it served".into());
            }
            match serde_json::from_str::<Value>(&line) {
                Ok(entry) if entry["fields"]["message"] == "serving" => {
                    break entry["fields"]["address"]
                        .as_str()
                        .ok_or("no address in the log")?
                        .to_owned();
                }
                Ok(_) => {}
                Err(_) => eprint!("service: {line}"),
            }
        };
        // Warnings are worth seeing, and a full pipe would stop the service.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if !line.contains(r#""level":"INFO""#) {
                    eprintln!("service: {line}");
                }
            }
        });
        Ok(Self {
            url: format!("http://{address}"),
            process,
            _config: config,
        })
    }

    /// The most memory that the process has had, in bytes.
    pub fn peak_memory(&self) -> Result<u64, Error> {
        peak_memory(&self.process.0.id().to_string())
    }
}

/// The most memory that a process (`self` or an id) has had, in bytes: the kernel's VmHWM.
pub fn peak_memory(process: &str) -> Result<u64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("the kernel does not say VmHWM")?
        .trim()
        .parse()?;
    Ok(kib * 1024)
}

fn configuration(fixture: &Fixture, reach: &Reach, options: ServiceOptions) -> String {
    let mut yaml = format!(
        "listen: 127.0.0.1:0
hub: {{region: us-east-1, endpoint_url: {}}}
telemetry: {{log_format: json}}
regions: [{}]
accounts:
  defaults: {{role_name: {}}}
  list:
",
        reach.endpoint,
        fixture.regions().join(", "),
        reach.role_name
    );
    let mut add = |line: std::fmt::Arguments<'_>| {
        yaml.write_fmt(line).expect("a String takes everything");
    };
    for account in fixture.account_ids() {
        add(format_args!("    - {{id: \"{account}\"}}\n"));
    }
    if !options.paced {
        add(format_args!(
            "event_history: {{requests_per_second: off}}\n"
        ));
    }
    if options.archive {
        add(format_args!(
            "archives:
  - name: archive
    account: \"{HUB}\"
    region: us-east-1
    credentials: hub
    database: cloudtrail_logs
    table: cloudtrail_by_account
    output_location: s3://results/
    partitions: {{layout: account_region_date}}
    holds: {{accounts: all, first_day: 2020-01-01}}
"
        ));
    }
    yaml
}
