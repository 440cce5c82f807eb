//! The pages of the header.

use sutra_layout::geometry::Region;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;

use super::problem_of;
use crate::file::{StoreFile, check_slot};

pub(super) fn superblock(file: &StoreFile) -> String {
    let superblock = file.view.superblock();
    let mode = if superblock.is_writable {
        ""
    } else {
        ", readable only: it has features this version does not know"
    };
    let id = sutra_layout::id::key_to_hex(&superblock.store_id);
    format!("store {id}, generation {}{mode}", superblock.generation)
}

pub(super) fn directory(file: &StoreFile) -> Result<String, String> {
    let placed = file.check_directory().map_err(problem_of)?;
    let unknown = placed.iter().filter(|extent| extent.region.0 >= Region::KNOWN_END).count();
    let unknown = match unknown {
        0 => String::new(),
        count => format!(", {count} of regions unknown to this version"),
    };
    Ok(format!("{} extents{unknown}", placed.len()))
}

pub(super) fn run_mark(file: &StoreFile) -> Result<String, String> {
    let mark = file.view.run_mark();
    if mark == RunMark::default() {
        return Ok("none yet".to_owned());
    }
    if !mark.is_whole() {
        return Err(format!(
            "its checksum is {}, and its bytes give another; start the coordinator to recover",
            mark.checksum
        ));
    }
    if mark.flags & RunMark::POISONED != 0 {
        return Err(
            "a sync of this store failed, and the coordinator refuses it: check the disk, and \
             restore a copy of the store"
                .to_owned(),
        );
    }
    let epoch = mark.writer_epoch;
    Ok(if file.is_of_this_boot(&mark) {
        format!("writer epoch {epoch}, of this boot")
    } else {
        format!("writer epoch {epoch}, of another boot or file")
    })
}

pub(super) fn durable_slots(file: &StoreFile) -> Result<String, String> {
    let slots = file.view.durable_slots();
    let state = |slot: &Slot| match (slot.is_whole() && slot.commit_seq > 0, slot) {
        (true, slot) if slot.flags & Slot::CLEAN != 0 => {
            format!("checkpoint at LSN {}, clean", slot.published_lsn)
        }
        (true, slot) => format!("checkpoint at LSN {}", slot.published_lsn),
        (false, slot) if *slot == Slot::default() => "not written yet".to_owned(),
        (false, _) => "torn".to_owned(), // a crash while it was written; the other one counts
    };
    let detail = format!("A: {}; B: {}", state(&slots[0]), state(&slots[1]));
    let Some((_, newest)) = Slot::newest(&slots) else {
        return Err(format!("none is whole ({detail}); `sutra repair` saves what is"));
    };
    check_slot(newest).map_err(problem_of)?;
    Ok(detail)
}

/// The version that the other checks look at: the published one if the ring may be believed, else
/// the newest checkpoint.
pub(super) fn newest_slot(file: &StoreFile) -> (Result<String, String>, Option<Slot>) {
    let durable = file.view.durable_slots();
    let durable = Slot::newest(&durable).map(|(_, slot)| *slot);
    let durable = durable.filter(|slot| check_slot(slot).is_ok());
    let mark = file.view.run_mark();
    let is_clean = durable.is_some_and(|slot| slot.flags & Slot::CLEAN != 0);
    if !is_clean && !file.is_of_this_boot(&mark) {
        let detail = match durable {
            Some(slot) => {
                format!("needs recovery; the checkpoint at LSN {} is looked at", slot.published_lsn)
            }
            None => "needs recovery".to_owned(),
        };
        return (Ok(detail), durable);
    }
    let captured = file.view.capture().and_then(|slot| {
        slot.iter().try_for_each(check_slot)?;
        Ok(slot)
    });
    let newest = match captured {
        Err(damage) => return (Err(problem_of(damage)), durable),
        Ok(ring) => ring.into_iter().chain(durable),
    };
    let Some(slot) = newest.max_by_key(|slot| slot.commit_seq) else {
        return (Ok("nothing was published yet".to_owned()), None);
    };
    let (checkpoint, published) = (slot.checkpoint_lsn, slot.published_lsn);
    if checkpoint > published {
        let problem = format!("its checkpoint is LSN {checkpoint}, above its own {published}");
        return (Err(problem), Some(slot));
    }
    let detail = format!("commit {}, LSN {published}", slot.commit_seq);
    (Ok(detail), Some(slot))
}
