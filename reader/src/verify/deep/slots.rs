//! The published slots and the durable ones, with the client table of the newest.

use std::sync::atomic::Ordering;

use sutra_layout::client_entry::read_clients;
use sutra_layout::geometry::{DURABLE_SLOTS_OFFSET, PAGE_SIZE, RING_OFFSET};
use sutra_layout::ring::RING;
use sutra_layout::slot::{SLOT_WORDS, Slot};

use super::{Deep, Finding};

/// Looks at the newest durable slot while checkpoints replace it.
const LOOKS: usize = 4;

impl Deep<'_> {
    pub(super) fn slots(&mut self) -> String {
        let durable = self.view().durable_slots();
        let newest = Slot::newest(&durable).map(|(_, slot)| *slot);
        if newest.is_some_and(|slot| slot.flags & Slot::CLEAN != 0) {
            self.settled_slots(&durable);
        }
        let clients = self.clients();
        format!("{clients} clients known to the newest checkpoint")
    }

    /// After a clean stop nothing is left half written: each slot is whole, or was never written.
    fn settled_slots(&mut self, durable: &[Slot; 2]) {
        for (at, slot) in (0..).zip(durable) {
            self.settled_slot("durable slot", at, DURABLE_SLOTS_OFFSET + at * PAGE_SIZE, slot);
        }
        let words = SLOT_WORDS as u64;
        for at in 0..RING.slots {
            let offset = RING_OFFSET + at * words * 8;
            let Some(slot) = self.view().map().words(offset, words) else { continue };
            let slot = Slot::from_words(std::array::from_fn(|at| slot[at].load(Ordering::Relaxed)));
            self.settled_slot("published slot", at, offset, &slot);
        }
    }

    fn settled_slot(&mut self, region: &'static str, ordinal: u64, offset: u64, slot: &Slot) {
        if !slot.is_whole() && *slot != Slot::default() {
            self.push(Finding {
                check: self.check,
                offset: Some(offset),
                region,
                ordinal,
                last_ordinal: ordinal,
                what: "its checksum".to_owned(),
                found: slot.checksum.to_string(),
                expected: slot.sealed().checksum.to_string(),
            });
        }
    }

    /// Checks the client table of the newest durable slot; how many it has.
    fn clients(&mut self) -> u64 {
        let mut problem = None;
        for _ in 0..LOOKS {
            let slots = self.view().durable_slots();
            let Some((place, slot)) = Slot::newest(&slots) else { return 0 }; // told before
            match read_clients(self.view(), place, slot) {
                Ok(clients) => return clients.len() as u64,
                // Only the table of the newest slot stays as it is.
                Err(damage) => problem = Some((place, damage)),
            }
        }
        if let Some((place, damage)) = problem {
            self.damaged((sutra_layout::client_entry::clients_region(place), 0), &damage);
        }
        0
    }
}
