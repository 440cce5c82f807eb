//! The newest record of each concept, as the columns have it.

use std::sync::atomic::{Ordering, fence};

use sutra_layout::column::NEWEST;
use sutra_layout::geometry::Region;
use sutra_layout::version::{WALK_BUDGET, newest_below};

use super::Deep;

impl Deep<'_> {
    pub(super) fn columns(&mut self) -> String {
        let concepts = self.slot.concepts;
        for concept in 0..concepts {
            self.advance(concept, concepts);
            self.column(concept);
        }
        format!("{concepts} concepts")
    }

    fn column(&mut self, concept: u64) {
        let (view, slot) = (self.view(), self.slot);
        let place = (Region::COLUMNS, concept);
        let newest = match view.columns(concept as u32) {
            Ok(words) => words[NEWEST].load(Ordering::Relaxed),
            Err(damage) => return self.damaged(place, &damage),
        };
        fence(Ordering::Acquire); // pairs with the release store of the column word
        let what = "the newest record";
        let Some(newest) = newest.checked_sub(1) else {
            return self.found(place, what, "none", "one, as the concept is published");
        };
        let mut budget = WALK_BUDGET;
        let seen = newest_below(newest, slot.records, &mut budget, |at| view.record_previous(at));
        match seen {
            Err(damage) => self.damaged(place, &damage),
            Ok(None) => self.found(place, what, newest, "one with a version in the snapshot"),
            Ok(Some(record)) if self.records.broken.get(record) => {} // told there
            Ok(Some(record)) => {
                let owner = view.record(record, &slot).map(|record| record.concept_ordinal);
                if owner.ok() != Some(concept as u32) {
                    self.found(place, what, record, "a record of this concept");
                } else if self.records.superseded.get(record) {
                    self.found(place, what, record, "the newest, and that is an older one");
                }
            }
        }
    }
}
