//! What users did, and what the sessions did that they issued, as one scan.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::Place;
use super::federated::Federated;
use super::frugal::{Alternative, Frugal};
use super::merged::Merged;
use crate::backend::{Page, PageCost, ScanError, ScanReader};
use crate::plan::{LookupAttribute, RoleReading};
use crate::query::TimeRange;

/// So many lookups of sessions are made without asking whether to read everything instead.
const FEW: usize = 2;

/// Reads by a few attributes, and by those of the sessions once these have been found.
pub(super) struct Federating {
    place: Place,
    range: TimeRange,
    attributes: BTreeSet<LookupAttribute>,
    federated: Federated,
    reading: Option<Box<dyn ScanReader>>,
    told: Option<RoleReading>,
    /// What finding the sessions took, until it is told.
    cost: PageCost,
}

impl Federating {
    pub fn new(
        place: Place,
        range: TimeRange,
        attributes: BTreeSet<LookupAttribute>,
        federated: Federated,
    ) -> Self {
        Self {
            place,
            range,
            attributes,
            federated,
            reading: None,
            told: None,
            cost: PageCost::default(),
        }
    }

    /// Finds the sessions, unless that is done, and says how to read.
    async fn reading(&mut self) -> &mut Box<dyn ScanReader> {
        if self.reading.is_none() {
            let Self {
                place,
                range,
                attributes,
                federated,
                cost,
                ..
            } = self;
            let lookups = federated.lookups(place, attributes, *range, cost).await;
            let reading: Box<dyn ScanReader> = if lookups.len() > attributes.len() + FEW {
                let by = Alternative::Each(attributes.clone());
                let federated = Some(federated.clone());
                Box::new(Frugal::new(place.clone(), *range, by, federated))
            } else {
                self.told = federated.reading();
                Box::new(Merged::new(lookups, range.last()))
            };
            self.reading = Some(reading);
        }
        self.reading.as_mut().expect("there is one by now")
    }
}

#[async_trait]
impl ScanReader for Federating {
    async fn wait_for_turn(&mut self) {
        self.reading().await.wait_for_turn().await;
    }

    fn give_up_turn(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.give_up_turn();
        }
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let answer = self.reading().await.next_page().await;
        let cost = std::mem::take(&mut self.cost).beside();
        match answer {
            Ok(mut page) => {
                page.cost.add(&cost);
                page.role_reading = page.role_reading.or_else(|| self.told.clone());
                Ok(page)
            }
            Err(mut error) => {
                error.cost.add(&cost);
                Err(error)
            }
        }
    }
}
