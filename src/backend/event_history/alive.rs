//! One name (or key) of sessions, read only while one of its sessions could live.

use async_trait::async_trait;

use super::Place;
use crate::backend::{Page, ScanError, ScanReader};
use crate::plan::LookupAttribute;
use crate::query::{EventTime, TimeRange};

/// One lookup over all lives of a name, begun anew where a page ends between two of them: that
/// never costs more than going on would.
pub(super) struct WhileAlive {
    place: Place,
    attribute: LookupAttribute,
    /// Newest first. Never empty.
    lives: Vec<TimeRange>,
    reader: Box<dyn ScanReader>,
}

impl WhileAlive {
    /// Reads by `attribute` in these intervals, newest first; `None` if there are none.
    pub fn new(
        place: &Place,
        attribute: &LookupAttribute,
        lives: Vec<TimeRange>,
    ) -> Option<(TimeRange, Self)> {
        let range = TimeRange::new(lives.last()?.start(), lives.first()?.end())?;
        let reader = place.lookup(Some(attribute.clone()), range);
        let this = Self {
            place: place.clone(),
            attribute: attribute.clone(),
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

#[async_trait]
impl ScanReader for WhileAlive {
    async fn wait_for_turn(&mut self) {
        self.reader.wait_for_turn().await;
    }

    fn give_up_turn(&mut self) {
        self.reader.give_up_turn();
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let mut page = self.reader.next_page().await?;
        if let Some(left) = page.bound.and_then(|bound| self.before(bound)) {
            self.reader = self.place.lookup(Some(self.attribute.clone()), left);
            page.bound = Some(left.last());
        }
        Ok(page)
    }
}
