//! The table.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use jiff::Timestamp;

/// One target.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub service: String,
    /// What it is held against, in the same run.
    pub against: String,
    pub ratio: String,
    pub target: String,
    pub met: bool,
}

/// Prints where and when this runs.
pub fn print_machine() {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |model| {
        model.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    println!(
        "{:.10}, {cores} cores of {model}, load average at the start {load}\n",
        Timestamp::now().to_string()
    );
}

/// Prints the rows as Markdown.
pub fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN);
    table.set_header(["", "service", "against", "ratio", "target", ""]);
    for row in rows {
        let met = if row.met { "met" } else { "MISSED" };
        table.add_row([
            &row.name,
            &row.service,
            &row.against,
            &row.ratio,
            &row.target,
            met,
        ]);
    }
    println!("\n{table}");
}
