//! One session name, read only while one of its sessions could live.

use async_trait::async_trait;

use super::Place;
use crate::backend::{Page, ScanError, ScanReader};
use crate::plan::LookupAttribute;
use crate::query::{EventTime, TimeRange};

/// One lookup over all lives of a name, begun anew where a page ends between two of them: that
/// never costs more than going on would.
pub(super) struct WhileAlive {
    place: Place,
    name: String,
    /// Newest first. Never empty.
    lives: Vec<TimeRange>,
    reader: Box<dyn ScanReader>,
}

impl WhileAlive {
    /// Reads `name` in these intervals, newest first; `None` if there are none.
    pub fn new(place: &Place, name: &str, lives: Vec<TimeRange>) -> Option<(TimeRange, Self)> {
        let range = TimeRange::new(lives.last()?.start(), lives.first()?.end())?;
        let reader = read(place, name, range);
        let this = Self {
            place: place.clone(),
            name: name.to_owned(),
            lives,
            reader,
        };
        Some((range, this))
    }

    /// If nothing lives at `bound`: what is left to be read of the lives before it.
    fn before(&self, bound: EventTime) -> Option<TimeRange> {
        let next = self.lives.iter().find(|life| life.start() <= bound)?;
        let is_between = next.end() <= bound;
        (is_between).then(|| TimeRange::new(self.lives.last()?.start(), next.end()))?
    }
}

fn read(place: &Place, name: &str, range: TimeRange) -> Box<dyn ScanReader> {
    place.lookup(Some(LookupAttribute::Username(name.to_owned())), range)
}

#[async_trait]
impl ScanReader for WhileAlive {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let mut page = self.reader.next_page().await?;
        if let Some(left) = page.bound.and_then(|bound| self.before(bound)) {
            self.reader = read(&self.place, &self.name, left);
            page.bound = Some(left.last());
        }
        Ok(page)
    }
}
