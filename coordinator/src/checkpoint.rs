//! Making the file itself durable up to a version, so that the log before it is not needed.
//!
//! The order is what makes it safe: client table → truth, extent directory and client table synced →
//! the other durable slot → that synced. A power cut anywhere leaves the slot from before, whole,
//! with its own client table. Derived regions are not synced, as they are made anew after a power
//! cut; a clean stop alone syncs all, so that the file opens as it is.

use sutra_layout::checksum::checksum;
use sutra_layout::client_entry::{ClientEntry, clients_region};
use sutra_layout::slot::Slot;
use zerocopy::IntoBytes;

use crate::error::CoordinatorError;
use crate::image::Image;

/// Writes durable slots in turn.
#[derive(Debug)]
pub struct Checkpointer {
    image: Image,
    /// The slot written next: 0 for A.
    next_place: usize,
    /// The version whose truth is known to be on disk.
    synced: Slot,
}

impl Checkpointer {
    /// One that spares the slot at `newest_place`, where the truth of version `synced` is on disk.
    pub fn new(image: Image, newest_place: usize, synced: Slot) -> Checkpointer {
        Checkpointer { image, next_place: 1 - newest_place, synced }
    }

    /// Makes everything in `slot` durable, with the clients as of the same version. `is_clean` says
    /// that nothing will be stored any more.
    pub fn write(
        &mut self,
        slot: &Slot,
        clients: &[ClientEntry],
        is_clean: bool,
    ) -> Result<(), CoordinatorError> {
        let region = clients_region(self.next_place);
        self.image.ensure_from_reserve(region, clients.len() as u64)?;
        for (ordinal, client) in (0..).zip(clients) {
            self.image.store_unit(region, ordinal, client)?;
        }
        if is_clean {
            self.image.sync_all()?;
        } else {
            self.image.sync_units(region, 0, clients.len() as u64)?;
            self.image.sync_truth(&self.synced, slot)?;
        }
        self.synced = *slot;
        let slot = Slot {
            checkpoint_lsn: slot.published_lsn,
            clients_count: clients.len() as u64,
            clients_checksum: checksum(clients.as_bytes()).into(),
            flags: if is_clean { Slot::CLEAN } else { 0 },
            ..*slot
        };
        self.image.store_durable_slot(self.next_place, slot)?;
        self.next_place = 1 - self.next_place;
        Ok(())
    }
}
