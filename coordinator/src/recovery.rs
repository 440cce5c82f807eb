//! From whatever the last coordinator left to a writer that may go on.
//!
//! | state | how it is told | what happens |
//! |---|---|---|
//! | A a clean stop | clean flag in the newest durable slot | open |
//! | B the process died | the run mark is of this boot, device and inode | the page cache is intact: from the last published slot, the log's tail is applied again |
//! | C power lost, or a copied file | the run mark is not | the durable slot only: truth checked, everything derived made anew, the log applied again |
//! | D a sync failed | `wal/poisoned`, or the mark's flag in this boot | neither the page cache nor the file is trusted: a copy is made of what the disk itself gives, recovered as in C with the log as the disk has it, and takes the file's place; then the mark goes |
//! | E a torn log tail | the log tells | cut; if the file shows more than is left of the log, a copy of it is recovered as in C and takes its place |
//! | F proven damage | the log, or a check of truth, tells | refused, with the place |
//!
//! The run mark is written and synced when everything before it is done; after a clean stop that is
//! at once, since there is nothing to recover.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use std::sync::atomic::Ordering;
use sutra_layout::client_entry::read_clients;
use sutra_layout::directory::{check_all, word_offset};
use sutra_layout::geometry::{
    COMMIT_SEQ_OFFSET, HEADER_SIZE, SUPERBLOCK_OFFSET, SUPERSEDED_BY_OFFSET,
};
use sutra_layout::limits::VECTOR_DIMENSION_MAX;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::space::Space;
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::sys;
use sutra_layout::view::View;
use zerocopy::IntoBytes;

use crate::apply::{Gathered, Roots, Writer};
use crate::checkpoint::Checkpointer;
use crate::clients::Clients;
use crate::direct;
use crate::entry::{Entry, EntryHead};
use crate::error::CoordinatorError;
use crate::image::Image;
use crate::options::Options;
use crate::publish::Publisher;
use crate::rebuild::clear_derived;
use crate::reconciler::settle;
use crate::store_dir::StoreDir;
use crate::symbols::Symbols;
use crate::wal::{self, Wal};

/// What state a store was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Row A.
    Clean,
    /// Row B.
    ProcessDied,
    /// Row C.
    PowerLost,
}

/// A store that may be written.
#[derive(Debug)]
pub struct Opened {
    /// The file and what is applied to it.
    pub writer: Writer,
    /// The log.
    pub wal: Wal,
    /// Who publishes.
    pub publisher: Publisher,
    /// Who writes durable slots.
    pub checkpointer: Checkpointer,
    /// The epoch of this start.
    pub writer_epoch: u64,
    /// How the store was found.
    pub state: State,
}

/// Opens the store in `dir`, making it if it is new, and recovers it.
pub fn open(dir: &StoreDir, options: &Options) -> Result<Opened, CoordinatorError> {
    let path = dir.storage_path();
    let opening = CoordinatorError::io(format!("{} could not be opened", path.display()));
    let file = match dir.open_storage().map_err(opening)? {
        Some(file) => file,
        None => create(dir)?,
    };
    let view = View::writable(file)
        .map_err(|source| CoordinatorError::View { path: path.clone(), source })?;
    if !view.superblock().is_writable {
        return Err(CoordinatorError::ReadOnlyFormat { path });
    }
    let poisoned = dir.poisoned().or_else(|| is_poisoned(&view).then(|| MARKED.to_owned()));
    let recovered = match poisoned {
        Some(reason) => {
            tracing::warn!(%reason, "a sync failed: making storage.dat anew from the disk");
            drop(view);
            recover_copy(dir, options, Trust::Disk)
        }
        None => match recover(dir, options, view, Trust::PageCache) {
            Err(CoordinatorError::LogCut { written_lsn, begun_lsn }) => {
                tracing::warn!(written_lsn, begun_lsn, "the log was cut: making storage.dat anew");
                recover_copy(dir, options, Trust::PageCache)
            }
            recovered => recovered,
        },
    };
    recovered.map_err(|error| match error {
        CoordinatorError::Damaged { damage, .. } => CoordinatorError::Damaged { path, damage },
        other => other,
    })
}

/// Why a file whose run mark is flagged is not trusted.
const MARKED: &str = "its run mark says so";

/// Whose word is taken for what is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The system's, as always.
    PageCache,
    /// The disk's alone: after a failed sync the system calls pages clean that were never written.
    Disk,
}

/// Whether a sync of this file failed in this boot. After another boot the page cache is gone, and
/// what there is of the file is what the disk has: row C.
fn is_poisoned(view: &View) -> bool {
    use std::os::unix::fs::MetadataExt;
    let mark = view.run_mark();
    let is_of_this_boot = sys::clock::boot_id().ok().zip(view.map().file().metadata().ok());
    is_of_this_boot.is_some_and(|(boot, stat)| mark.is_of(boot, stat.dev(), stat.ino()))
        && mark.flags & RunMark::POISONED != 0
}

/// Recovers a copy of `storage.dat` as after a loss of power, and puts it in the file's place: what
/// is derived from entries that the log has no more cannot be taken back under the readers of the
/// file, who stay with it until they see that it was replaced.
///
/// The copy takes the place when it is whole and on disk, and a mark of a failed sync goes last; so
/// whatever ends this in between, it is begun again.
fn recover_copy(
    dir: &StoreDir,
    options: &Options,
    trust: Trust,
) -> Result<Opened, CoordinatorError> {
    let path = dir.storage_path();
    let copying =
        || CoordinatorError::io(format!("{} could not be replaced by a copy", path.display()));
    let viewing = |source| CoordinatorError::View { path: path.clone(), source };
    let gone = || copying()(std::io::ErrorKind::NotFound.into());
    let mut old = dir.open_storage().map_err(copying())?.ok_or_else(gone)?;
    let (mut storage, file) = dir.begin_next_storage().map_err(copying())?;
    match trust {
        Trust::PageCache => std::io::copy(&mut old, &mut &file).map(drop),
        Trust::Disk => direct::copy(&old, &file),
    }
    .map_err(copying())?;
    // The copy's own words count from here on.
    let copied = View::writable(file.try_clone().map_err(copying())?).map_err(viewing)?;
    let block = copied.superblock();
    let generation = block.generation + 1;
    let block =
        UncheckedSuperblock::new(block.store_id, generation, block.created_at, block.hash_seed);
    drop(copied);
    use std::os::unix::fs::FileExt;
    file.write_all_at(block.as_bytes(), SUPERBLOCK_OFFSET).map_err(copying())?;
    let opened = recover(dir, options, View::writable(file).map_err(viewing)?, trust)?;

    let syncing = |source| CoordinatorError::Sync { what: "storage.dat", source };
    opened.writer.image.view().map().file().sync_all().map_err(syncing)?;
    storage.take_place().map_err(copying())?;
    storage.settle().map_err(syncing)?;
    // Its readers are told if it can still be told anything; else they see that its heartbeat ends.
    if let Ok(view) = View::writable(old) {
        view.header_word(SUPERSEDED_BY_OFFSET).store(generation, Ordering::Release);
        if let Some(word) = view.map().half_word(COMMIT_SEQ_OFFSET) {
            sys::wait::wake_all(word);
        }
    }
    storage.remove_old().map_err(copying())?;
    dir.clear_poisoned().map_err(copying())?;
    Ok(opened)
}

/// Makes `storage.dat`: a header, and a durable slot that says it is clean.
fn create(dir: &StoreDir) -> Result<File, CoordinatorError> {
    let log = wal::inspect(&dir.wal_path())?;
    if log.last_lsn > 0 {
        let (store, log_size) = (dir.path().to_owned(), log.segments.iter().map(|s| s.size).sum());
        return Err(CoordinatorError::StorageMissing { store, log_size });
    }
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|error| {
        CoordinatorError::io("the system gave no random bytes")(std::io::Error::other(
            error.to_string(),
        ))
    })?;
    let (store_id, seed) = random.split_at(16);
    let store_id = std::array::from_fn(|at| store_id[at]);
    let seed = u64::from_le_bytes(std::array::from_fn(|at| seed[at]));
    let block = UncheckedSuperblock::new(store_id, 1, sys::clock::now_us(), seed);
    let fill = |file: &File| {
        use std::os::unix::fs::FileExt;
        sys::reserve(file, 0, HEADER_SIZE)?;
        file.write_all_at(block.as_bytes(), 0)?;
        let slot = Slot {
            commit_seq: 1,
            published_at: block.created_at,
            flags: Slot::CLEAN,
            ..Slot::default()
        };
        file.write_all_at(slot.sealed().as_bytes(), sutra_layout::geometry::DURABLE_SLOTS_OFFSET)
    };
    let path = dir.storage_path();
    dir.create_storage(fill)
        .map_err(CoordinatorError::io(format!("{} could not be made", path.display())))
}

fn recover(
    dir: &StoreDir,
    options: &Options,
    view: View,
    trust: Trust,
) -> Result<Opened, CoordinatorError> {
    let path = dir.storage_path();
    let boot_id =
        sys::clock::boot_id().map_err(CoordinatorError::io("the boot id could not be read"))?;
    let stat = view
        .map()
        .file()
        .metadata()
        .map_err(CoordinatorError::io(format!("{}", path.display())))?;
    let mark = view.run_mark();
    let slots = view.durable_slots();
    let Some((place, durable)) = Slot::newest(&slots) else {
        let damage = sutra_layout::Damage::new(
            sutra_layout::geometry::DURABLE_SLOTS_OFFSET,
            "the checksum of both durable slots",
            slots[0].checksum,
            "that of either slot",
        );
        return Err(damage.into());
    };
    let is_of_this_boot = mark.is_of(boot_id, stat.dev(), stat.ino());
    let published = if is_of_this_boot { view.capture()? } else { None };
    let (state, base) = match published {
        _ if trust == Trust::PageCache && durable.flags & Slot::CLEAN != 0 => {
            (State::Clean, *durable)
        }
        Some(slot) if slot.commit_seq >= durable.commit_seq => (State::ProcessDied, slot),
        Some(_) => (State::ProcessDied, *durable),
        None => (State::PowerLost, *durable),
    };
    let writer_epoch = 1 + last_epoch(&mark).max(durable.writer_epoch).max(base.writer_epoch);

    check_directory(&view)?;
    // A loss of power may have taken back the exchange of names, and not what was said of it.
    view.header_word(SUPERSEDED_BY_OFFSET).store(0, Ordering::Relaxed);
    if state == State::PowerLost {
        clear_derived(&view)?;
    }
    let clients = Clients::new(&read_clients(&view, place, durable)?);
    let symbols = Symbols::load(&view, &base)?;
    let image = Image::new(view, &base)?;
    // The last coordinator may have died between storing a durable slot and syncing it. It counts as
    // the newest, so the next checkpoint writes over the client table of the other, which then must
    // not be the only one on disk. Likewise the entry of a vector space, before its extents are.
    image.sync_header()?;
    let roots = Roots::recover(&image)?;
    let mut now = base;
    now.id_index_depth = roots.ids.depth.into();
    now.edge_index_depth = roots.edges.depth.into();
    if state != State::ProcessDied {
        image.begun_lsn().store(base.published_lsn, Ordering::Relaxed);
    }
    let gathered = Gathered::default();
    let mut writer = Writer { image: image.clone(), now, roots, symbols, clients, gathered };
    let new_mark = RunMark {
        boot_id,
        device: stat.dev(),
        inode: stat.ino(),
        writer_epoch,
        started_at: sys::clock::now_us(),
        ..RunMark::default()
    };
    // What a copy's durable slot says is synced is so of the original: nothing of it is believed.
    let synced = if is_of_this_boot { *durable } else { Slot::default() };
    let mut checkpointer = Checkpointer::new(image.clone(), place, synced);
    if state == State::Clean {
        // Before the first store: a power cut from here on must not find the flag.
        image.store_run_mark(new_mark)?;
        let unclean = Slot { commit_seq: durable.commit_seq + 1, flags: 0, ..*durable };
        checkpointer.write(&unclean, &writer.clients.table(), false)?;
        writer.now.commit_seq = unclean.commit_seq;
    }
    if state == State::PowerLost {
        writer.rebuild_derived(&mut || Ok(()))?;
    }

    let proof_lsn = base.published_lsn;
    let mut wal = Wal::open(
        &dir.wal_path(),
        image.view().superblock().store_id,
        wal::Options {
            distrust_page_cache: trust == Trust::Disk,
            ..wal::Options::with_first_segment(options.log_segment_size)
        },
        durable.published_lsn,
        proof_lsn,
        |lsn, payload| {
            let bad = |what| CoordinatorError::BadEntry { lsn, what };
            let entry = Entry::decode(payload).map_err(bad)?;
            if lsn > base.published_lsn {
                writer.apply(lsn, &entry, &[])?;
            } else if entry.head.kind != EntryHead::SETTLING {
                writer.clients.note(entry.head.client_id, lsn, entry.outcome());
            }
            Ok(())
        },
    )?;
    if let Some(archive) = &options.keep_log {
        wal.keep_in(archive)?;
    }
    let (begun_lsn, written_lsn) = (image.begun_lsn().load(Ordering::Relaxed), wal.written_lsn());
    if begun_lsn > written_lsn {
        return Err(CoordinatorError::LogCut { written_lsn, begun_lsn });
    }
    // The log's entries were written under a mark that was synced before; this guards a lost one.
    let writer_epoch = writer_epoch.max(wal.writer_epoch() + 1);
    if !writer.gathered.is_empty() {
        // Reinforcements that the last coordinator had not settled: published without their
        // versions, they would be passed over by the next recovery.
        settle(&mut writer, &mut wal, writer_epoch)?;
    }
    wal.syncer().sync()?;
    let new_mark = RunMark { writer_epoch, ..new_mark };
    let highest =
        slots.iter().filter(|slot| slot.is_whole()).map(|slot| slot.commit_seq).max().unwrap_or(0);
    // Also of a copy, whose readers may have seen that number; but not of noise.
    let on_ring = image.view().header_word(COMMIT_SEQ_OFFSET).load(Ordering::Relaxed);
    let on_ring = if on_ring < 1 << 48 { on_ring } else { 0 };
    let last_number = highest.max(on_ring).max(writer.now.commit_seq);
    writer.now.durable_lsn = wal.written_lsn();
    writer.now.checkpoint_lsn = durable.published_lsn;
    if state == State::PowerLost {
        let slot = Slot { commit_seq: last_number + 1, writer_epoch, ..writer.now };
        checkpointer.write(&slot, &writer.clients.table(), false)?;
        writer.now.checkpoint_lsn = slot.published_lsn;
    }
    let last_number = last_number + u64::from(state == State::PowerLost);
    let made_space = make_asked_space(dir, options, &mut writer, &mut checkpointer, last_number)?;
    let last_number = last_number + u64::from(made_space);
    image.store_run_mark(new_mark)?;
    let last = Slot { commit_seq: last_number, ..base };
    let mut publisher = Publisher::new(image.clone(), writer_epoch, last);
    image.beat();
    publisher.publish(&writer.now, true)?;
    Ok(Opened { writer, wal, publisher, checkpointer, writer_epoch, state })
}

/// Makes the default vector space of a store that has none, if its dimension is given. That is no
/// log entry, so it goes into a durable slot before anything else; returns whether it did.
fn make_asked_space(
    dir: &StoreDir,
    options: &Options,
    writer: &mut Writer,
    checkpointer: &mut Checkpointer,
    last_number: u64,
) -> Result<bool, CoordinatorError> {
    let Some(asked) = options.vector_dimension else {
        return Ok(false);
    };
    if asked == 0 || asked as usize > VECTOR_DIMENSION_MAX {
        return Err(CoordinatorError::BadDimension { asked });
    }
    if writer.now.spaces_count > 0 {
        let found = writer.image.view().space(0)?.dimension;
        if found != asked as usize {
            return Err(CoordinatorError::OtherDimension {
                store: dir.path().to_owned(),
                found,
                asked,
            });
        }
        return Ok(false);
    }
    let space = Space {
        metric: options.metric,
        graph: options.graph,
        ..Space::of_default_name(asked as usize)
    };
    writer.make_space(&space, writer.applied_lsn())?;
    let slot = Slot { commit_seq: last_number + 1, flags: 0, ..writer.now };
    checkpointer.write(&slot, &writer.clients.table(), false)?;
    writer.now.checkpoint_lsn = slot.published_lsn;
    Ok(true)
}

fn check_directory(view: &View) -> Result<(), CoordinatorError> {
    let word =
        |region, extent| view.header_word(word_offset(region, extent)).load(Ordering::Relaxed);
    check_all(word, |region| view.shape(region))?;
    Ok(())
}

/// The epoch of a run mark, if it can be believed.
fn last_epoch(mark: &RunMark) -> u64 {
    if mark.is_whole() { mark.writer_epoch } else { 0 }
}
