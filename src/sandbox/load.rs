//! Reading log files from disk: any `AWSLogs/` tree, wherever it lies below a directory.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::log_file::{LogFile, LogRecord};

/// What was found below the directories, and what of it could not be read.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// The log files.
    pub files: Vec<LogFile>,
    /// Files named like log files that could not be read, and records that could not be parsed.
    pub problems: Vec<Problem>,
    /// Files that are none of CloudTrail's logs: digests, other services' logs, a README.
    pub other_files: usize,
}

impl LoadReport {
    /// How many records were read.
    #[must_use]
    pub fn records(&self) -> usize {
        self.files.iter().map(|file| file.records.len()).sum()
    }
}

/// Something that could not be read, and is therefore in no answer.
#[derive(Debug)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The record's place in `Records`, from 0; none if the whole file is unreadable.
    pub record: Option<usize>,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(record) = self.record {
            write!(f, ", record {record}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Why nothing could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A directory could not be listed.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no log file in a directory.
    #[error(
        "no CloudTrail log file below {path}: expected \
         AWSLogs/[o-…/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/*.json.gz at any depth \
         ({other_files} other files there, {problems} unreadable)",
        path = path.display()
    )]
    NoLogFiles {
        /// The directory.
        path: PathBuf,
        /// Files there that are none of CloudTrail's logs.
        other_files: usize,
        /// Log files that could not be read.
        problems: usize,
    },
}

/// Loads all log files below `directories`. What cannot be parsed is listed in the report.
pub fn load(directories: &[PathBuf]) -> Result<LoadReport, LoadError> {
    let mut report = LoadReport::default();
    for directory in directories {
        let unreadable = |source| LoadError::Unreadable {
            path: directory.clone(),
            source,
        };
        // So that `--logs .` inside a tree still sees the folders above it.
        let root = directory.canonicalize().map_err(unreadable)?;
        let mut found = LoadReport::default();
        walk(&root, &mut found)?;
        if found.files.is_empty() {
            return Err(LoadError::NoLogFiles {
                path: directory.clone(),
                other_files: found.other_files,
                problems: found.problems.len(),
            });
        }
        report.files.append(&mut found.files);
        report.problems.append(&mut found.problems);
        report.other_files += found.other_files;
    }
    Ok(report)
}

fn walk(directory: &Path, report: &mut LoadReport) -> Result<(), LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: directory.to_owned(),
        source,
    };
    let entries: io::Result<Vec<_>> = fs::read_dir(directory).map_err(unreadable)?.collect();
    let mut entries = entries.map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A linked directory is not followed: it could lead back up.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            walk(&path, report)?;
        } else if let Some(place) = Place::of(&path) {
            read_file(&path, place, report);
        } else {
            report.other_files += 1;
        }
    }
    Ok(())
}

/// What a log file's path says.
struct Place {
    key: String,
    account_id: String,
    region: String,
    delivered_at: Timestamp,
}

impl Place {
    /// None for whatever is not a CloudTrail log file by its folders.
    fn of(path: &Path) -> Option<Self> {
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        let start = parts.iter().rposition(|part| *part == "AWSLogs")?;
        let inside = &parts[start + 1..];
        let inside = match inside {
            [organization, rest @ ..] if organization.starts_with("o-") => rest,
            rest => rest,
        };
        let [account, "CloudTrail", region, year, month, day, name] = inside else {
            return None;
        };
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            key: parts[start..].join("/"),
            account_id: (*account).to_owned(),
            region: (*region).to_owned(),
            delivered_at: delivery_time(name).or_else(|| day_folder(year, month, day))?,
        })
    }
}

/// From `123456789012_CloudTrail_eu-west-1_20230710T1145Z_Xyz.json.gz`.
fn delivery_time(name: &str) -> Option<Timestamp> {
    let stamp = name.split('_').nth(3)?;
    let time = DateTime::strptime("%Y%m%dT%H%MZ", stamp).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn day_folder(year: &str, month: &str, day: &str) -> Option<Timestamp> {
    let time = DateTime::new(
        year.parse().ok()?,
        month.parse().ok()?,
        day.parse().ok()?,
        0,
        0,
        0,
        0,
    );
    Some(time.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn read_file(path: &Path, place: Place, report: &mut LoadReport) {
    let mut problem = |record, reason: String| {
        report.problems.push(Problem {
            path: path.to_owned(),
            record,
            reason,
        });
    };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => return problem(None, error.to_string()),
    };
    let file: Body<'_> = match serde_json::from_str(&text) {
        Ok(file) => file,
        Err(error) => {
            return problem(None, format!(r#"not {{"Records": […]}}: {error}"#));
        }
    };
    let mut records = Vec::with_capacity(file.records.len());
    for (place, record) in file.records.iter().enumerate() {
        match LogRecord::parse(record.get()) {
            Ok(record) => records.push(Arc::new(record)),
            Err(error) => problem(Some(place), error.to_string()),
        }
    }
    report.files.push(LogFile {
        key: place.key,
        account_id: place.account_id,
        region: place.region,
        delivered_at: place.delivered_at,
        records,
    });
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

/// The file's text, unpacked if its content is gzip, whatever its name ends in.
fn read_text(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
        unpacked
    } else {
        bytes
    };
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const FOLDER: &str = "AWSLogs/o-abc/111122223333/CloudTrail/eu-west-1/2023/07/10";
    const NAME: &str = "111122223333_CloudTrail_eu-west-1_20230710T1145Z_x.json";

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_are_read_by_content_at_any_depth_and_what_is_broken_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("bucket/prefix").join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        let good = r#"{"Records":[{"eventTime":"2023-07-10T11:42:17Z"}]}"#;
        fs::write(folder.join(NAME), gzip(good)).unwrap();
        fs::write(folder.join("plain.json.gz"), good).unwrap();
        fs::write(folder.join("half.json"), r#"{"Records":[{},7,{}]}"#).unwrap();
        fs::write(folder.join("torn.json.gz"), &gzip(good)[..30]).unwrap();
        fs::write(folder.join("other.json"), "{}").unwrap();
        fs::write(root.path().join("README.md"), "x").unwrap();

        let report = load(&[root.path().to_owned()]).unwrap();

        assert_eq!(report.records(), 4);
        assert_eq!(report.other_files, 1);
        let mut problems: Vec<_> = report
            .problems
            .iter()
            .map(|problem| {
                let name = problem.path.file_name().unwrap().to_str().unwrap();
                (name, problem.record)
            })
            .collect();
        problems.sort_unstable();
        let expected = [
            ("half.json", Some(1)),
            ("other.json", None),
            ("torn.json.gz", None),
        ];
        assert_eq!(problems, expected);

        let named = report.files.iter().find(|file| file.key.ends_with(NAME));
        let named = named.unwrap();
        assert_eq!(named.key, format!("{FOLDER}/{NAME}"));
        assert_eq!(named.account_id, "111122223333");
        assert_eq!(named.delivered_at.to_string(), "2023-07-10T11:45:00Z");
        let plain = report
            .files
            .iter()
            .find(|file| file.key.ends_with("plain.json.gz"));
        assert_eq!(
            plain.unwrap().delivered_at.to_string(),
            "2023-07-10T00:00:00Z"
        );
    }

    #[test]
    fn a_directory_without_logs_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let error = load(&[root.path().to_owned()]).unwrap_err();
        assert!(matches!(error, LoadError::NoLogFiles { .. }), "{error}");
    }
}
