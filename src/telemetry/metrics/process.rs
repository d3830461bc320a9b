//! What the system knows of the process, under the names that Prometheus's own clients use.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::registry::{Registry, Unit};

use super::sampled::Sampled;

/// Adds it, as far as this system tells.
pub(super) fn register(registry: &mut Registry) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = started.unwrap_or_default().as_secs();
    registry.register_with_unit(
        "process_start_time",
        "When the process started, since the Unix epoch",
        Unit::Seconds,
        Sampled::new(move || started),
    );
    if resident_memory().is_some() {
        registry.register_with_unit(
            "process_resident_memory",
            "Memory that the process has resident",
            Unit::Bytes,
            Sampled::new(|| resident_memory().unwrap_or_default()),
        );
    }
}

/// Linux tells it in kB.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
