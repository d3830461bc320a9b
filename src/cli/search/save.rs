//! `search --save DIR`: the answer as files, with digests to check them by.
//!
//! A file has its name only once it is whole: until then it ends in `.partial`, and what a search
//! that breaks off leaves behind is just that. SHA256SUMS comes last.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::json_output::to_json;
use crate::grpc::pb::{Event, ScanOutcome, SearchPlan, SearchSummary};

const EVENTS: &str = "events.jsonl";
const COVERAGE: &str = "coverage.json";
const PLAN: &str = "plan.json";
const SUMS: &str = "SHA256SUMS";

/// An answer that is being saved.
pub(super) struct Saved {
    dir: PathBuf,
    events: SummedFile,
    plan: Option<String>,
}

impl Saved {
    /// Begins to save into `dir`, which is made if it is missing and must be empty if it is not.
    pub fn begin(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        if fs::read_dir(dir)?.next().is_some() {
            let not_empty = "the directory is not empty: name a new one";
            return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, not_empty));
        }
        Ok(Self {
            dir: dir.to_owned(),
            events: SummedFile::create(dir, EVENTS)?,
            plan: None,
        })
    }

    /// Keeps what was announced, and the pages of the plan in full or why there are none.
    pub fn plan(
        &mut self,
        announced: &SearchPlan,
        pages: Result<Vec<String>, String>,
    ) -> io::Result<()> {
        let announced = to_json("SearchPlan", announced)?;
        self.plan = Some(match pages {
            Ok(pages) => format!(
                "{{\"searchPlan\":{announced},\"pages\":[{}]}}\n",
                pages.join(",")
            ),
            Err(why) => format!(
                "{{\"searchPlan\":{announced},\"pages\":[],\"pagesMissing\":{}}}\n",
                serde_json::Value::from(why)
            ),
        });
        Ok(())
    }

    /// Writes an event: one line.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        writeln!(self.events, "{}", to_json("Event", event)?)
    }

    /// Writes the summary, with those outcomes of its coverage that came before it, and gives every
    /// file its name.
    pub fn finish(self, summary: &SearchSummary, sent_before: &[ScanOutcome]) -> io::Result<()> {
        let mut summary = summary.clone();
        if let Some(coverage) = &mut summary.coverage {
            let outcomes = sent_before.iter().cloned();
            coverage.outcomes = outcomes.chain(coverage.outcomes.drain(..)).collect();
        }
        let mut coverage = SummedFile::create(&self.dir, COVERAGE)?;
        writeln!(coverage, "{}", to_json("SearchSummary", &summary)?)?;
        let mut plan = SummedFile::create(&self.dir, PLAN)?;
        plan.write_all(self.plan.unwrap_or_default().as_bytes())?;
        let mut sums = SummedFile::create(&self.dir, SUMS)?;
        for (file, name) in [(self.events, EVENTS), (coverage, COVERAGE), (plan, PLAN)] {
            writeln!(sums, "{}  {name}", file.finish(&self.dir, name)?)?;
        }
        sums.finish(&self.dir, SUMS)?;
        // The names themselves are on disk once their directory is.
        File::open(&self.dir)?.sync_all()
    }
}

/// A file and the digest of what was written to it.
struct SummedFile {
    out: BufWriter<File>,
    digest: Sha256,
}

impl SummedFile {
    fn create(dir: &Path, name: &str) -> io::Result<Self> {
        let file = File::create_new(partial(dir, name))?;
        Ok(Self {
            out: BufWriter::new(file),
            digest: Sha256::new(),
        })
    }

    /// Gives the file its name once all of it is on disk. Returns its SHA-256 in hex.
    fn finish(mut self, dir: &Path, name: &str) -> io::Result<String> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        fs::rename(partial(dir, name), dir.join(name))?;
        Ok(hex::encode(self.digest.finalize()))
    }
}

impl Write for SummedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn partial(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.partial"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb::Coverage;

    #[test]
    fn files_have_their_names_and_digests_once_they_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut saved = Saved::begin(&dir.path().join("new")).unwrap();
        let dir = dir.path().join("new");
        let names = || {
            let names = fs::read_dir(&dir).unwrap();
            let mut names: Vec<String> = names
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        saved
            .plan(&SearchPlan::default(), Ok(vec!["{}".into()]))
            .unwrap();
        let event = Event {
            event_id: "e".into(),
            ..Event::default()
        };
        saved.event(&event).unwrap();
        assert_eq!(names(), ["events.jsonl.partial"]);
        let summary = SearchSummary {
            coverage: Some(Coverage {
                outcomes: vec![ScanOutcome::default()],
                ..Coverage::default()
            }),
            ..SearchSummary::default()
        };
        saved.finish(&summary, &[ScanOutcome::default()]).unwrap();
        assert_eq!(names(), [SUMS, COVERAGE, EVENTS, PLAN]);
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read(EVENTS), "{\"eventId\":\"e\"}\n");
        assert_eq!(read(COVERAGE), "{\"coverage\":{\"outcomes\":[{},{}]}}\n");
        assert_eq!(read(PLAN), "{\"searchPlan\":{},\"pages\":[{}]}\n");
        let sums = [EVENTS, COVERAGE, PLAN]
            .map(|name| format!("{}  {name}\n", hex::encode(Sha256::digest(read(name)))));
        assert_eq!(read(SUMS), sums.concat());
        // Nothing is written over.
        let again = Saved::begin(&dir).map(|_| ()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::DirectoryNotEmpty);
    }
}
