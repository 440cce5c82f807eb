//! Making what is applied visible: the one place where readers' view moves.

use sutra_layout::geometry::COMMIT_SEQ_OFFSET;
use sutra_layout::slot::Slot;
use sutra_layout::sys;

use crate::error::CoordinatorError;
use crate::image::Image;

/// Publishes slots, numbered on from the highest number ever seen.
#[derive(Debug)]
pub struct Publisher {
    image: Image,
    writer_epoch: u64,
    last: Slot,
    /// Publications of this coordinator.
    pub publications: u64,
}

impl Publisher {
    /// A publisher for the coordinator with that epoch, going on from `last`: what readers may see
    /// already, under the highest number ever seen.
    pub fn new(image: Image, writer_epoch: u64, last: Slot) -> Publisher {
        let last = last.sealed();
        image.view().ring().resume(last.commit_seq, &last.to_words());
        Publisher { image, writer_epoch, last, publications: 0 }
    }

    /// What was published last.
    pub fn last(&self) -> &Slot {
        &self.last
    }

    /// Fails once another coordinator has taken over.
    pub fn check_epoch(&self) -> Result<(), CoordinatorError> {
        let found = self.image.marked_epoch();
        if found == self.writer_epoch {
            return Ok(());
        }
        Err(CoordinatorError::Deposed { found, own: self.writer_epoch })
    }

    /// Everything in `slot`'s counts becomes visible, and final; then whoever waits is woken.
    ///
    /// # Panics
    /// If that would move anything back, or publish more than is durable while `must_be_durable`.
    pub fn publish(&mut self, slot: &Slot, must_be_durable: bool) -> Result<(), CoordinatorError> {
        self.check_epoch()?;
        let last = &self.last;
        assert!(last.published_lsn <= slot.published_lsn, "a publication would move back");
        assert!(
            slot.checkpoint_lsn <= slot.published_lsn,
            "a checkpoint is ahead of its publication"
        );
        assert!(
            !must_be_durable || slot.published_lsn <= slot.durable_lsn,
            "a publication is not durable"
        );
        assert!(
            last.records <= slot.records && last.edges <= slot.edges,
            "a watermark would move back"
        );
        let slot = Slot {
            commit_seq: last.commit_seq + 1,
            published_at: sys::clock::now_us(),
            writer_epoch: self.writer_epoch,
            clients_count: 0,
            clients_checksum: 0,
            flags: 0,
            ..*slot
        }
        .sealed();
        let view = self.image.view();
        view.ring().publish(slot.commit_seq, &slot.to_words());
        self.last = slot;
        self.publications += 1;
        if let Some(word) = view.map().half_word(COMMIT_SEQ_OFFSET) {
            sys::wait::wake_all(word);
        }
        Ok(())
    }
}
