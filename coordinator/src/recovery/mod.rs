//! From whatever the last coordinator left to a writer that may go on.
//!
//! The states that there are, how each is told and what happens in it are in [`table`]; here it
//! happens.
//!
//! The run mark is written and synced when everything before it is done; after a clean stop that is
//! at once, since there is nothing to recover.

mod copy;
mod table;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;

use sutra_layout::Damage;
use sutra_layout::client_entry::read_clients;
use sutra_layout::directory::{check_all, word_offset};
use sutra_layout::geometry::{
    COMMIT_SEQ_OFFSET, DURABLE_SLOTS_OFFSET, HEADER_SIZE, SUPERSEDED_BY_OFFSET,
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
use crate::entry::{Entry, EntryHead};
use crate::error::CoordinatorError;
use crate::image::Image;
use crate::options::Options;
use crate::poison;
use crate::publish::Publisher;
use crate::rebuild::clear_derived;
use crate::reconciler::settle;
use crate::store_dir::StoreDir;
use crate::symbols::Symbols;
use crate::wal::{self, Wal};

use copy::recover_copy;
pub use table::State;
use table::{Durable, Evidence, LogEnd, Published};

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
    /// How many records the newest durable slot has, and how many bytes of log follow it: what the
    /// next start would apply again.
    pub since_checkpoint: (u64, u64),
}

/// Opens the store in `dir`, making it if it is new, and recovers it.
pub fn open(dir: &StoreDir, options: &Options) -> Result<Opened, CoordinatorError> {
    // A sync that fails here leaves what one of a serving coordinator leaves.
    open_unmarked(dir, options).inspect_err(|error| poison::mark(dir, error))
}

fn open_unmarked(dir: &StoreDir, options: &Options) -> Result<Opened, CoordinatorError> {
    let path = dir.storage_path();
    let mut found = Found::look(dir)?;
    if found.state == State::New {
        create(dir)?;
        found = Found::look(dir)?;
    }
    let Found { state, file, poisoned } = found;
    let recovered = match (state, file) {
        (State::SyncFailed, _) => {
            let reason = poisoned.unwrap_or_default();
            tracing::warn!(%reason, "a sync failed: making storage.dat anew from the disk");
            recover_copy(dir, options, state)
        }
        (State::Clean | State::ProcessDied | State::PowerLost, Some(StorageFile { view, .. })) => {
            match recover(dir, options, view, state) {
                Err(CoordinatorError::LogCut { written_lsn, begun_lsn }) => {
                    tracing::warn!(
                        written_lsn,
                        begun_lsn,
                        "the log was cut: making storage.dat anew"
                    );
                    recover_copy(dir, options, state)
                }
                recovered => recovered,
            }
        }
        (State::Damaged, Some(file)) => Err(file.damage()),
        _ => Err(missing(dir)?),
    };
    recovered.map_err(|error| match error {
        CoordinatorError::Damaged { damage, .. } => CoordinatorError::Damaged { path, damage },
        other => other,
    })
}

/// A store as it is found.
struct Found {
    state: State,
    file: Option<StorageFile>,
    /// Why neither the file nor the page cache is trusted.
    poisoned: Option<String>,
}

/// A file that has the header of a store.
struct StorageFile {
    view: View,
    published: Result<Option<Slot>, Damage>,
}

impl Found {
    /// Looks, and changes nothing.
    fn look(dir: &StoreDir) -> Result<Found, CoordinatorError> {
        let path = dir.storage_path();
        let failed = || CoordinatorError::io(format!("{} could not be opened", path.display()));
        let nothing = Evidence {
            has_file: false,
            has_log: false,
            is_poisoned: false,
            is_of_this_boot: false,
            durable: Durable::None,
            published: Published::Nothing,
        };
        let Some(file) = dir.open_storage().map_err(failed())? else {
            let has_log = wal::inspect(&dir.wal_path())?.last_lsn > 0;
            let state = Evidence { has_log, ..nothing }.state();
            return Ok(Found { state, file: None, poisoned: None });
        };
        let poisoned = poison::reason(dir, &file);
        let stat = file.metadata().map_err(failed())?;
        let boot_id = boot_id()?;
        let view = View::writable(file)
            .map_err(|source| CoordinatorError::View { path: path.clone(), source })?;
        if !view.superblock().is_writable {
            return Err(CoordinatorError::ReadOnlyFormat { path });
        }
        let slots = view.durable_slots();
        let newest = Slot::newest(&slots).map(|(_, slot)| slot);
        let published = view.capture();
        let evidence = Evidence {
            has_file: true,
            has_log: false, // it is read when it is known from where on
            is_poisoned: poisoned.is_some(),
            is_of_this_boot: view.run_mark().is_of(boot_id, stat.dev(), stat.ino()),
            durable: match newest {
                None => Durable::None,
                Some(slot) if slot.flags & Slot::CLEAN != 0 => Durable::Clean,
                Some(_) => Durable::Unclean,
            },
            published: match (&published, newest) {
                (Err(_), _) => Published::Torn,
                (Ok(None), _) => Published::Nothing,
                (Ok(Some(slot)), Some(durable)) if slot.commit_seq < durable.commit_seq => {
                    Published::Older
                }
                (Ok(Some(_)), _) => Published::Newer,
            },
        };
        let file = StorageFile { view, published };
        Ok(Found { state: evidence.state(), file: Some(file), poisoned })
    }
}

impl StorageFile {
    /// What is damaged of it.
    fn damage(self) -> CoordinatorError {
        let slots = self.view.durable_slots();
        match (self.published, Slot::newest(&slots)) {
            (Err(damage), Some(_)) => damage.into(),
            _ => no_durable_slot(&slots).into(),
        }
    }
}

fn no_durable_slot(slots: &[Slot; 2]) -> Damage {
    Damage::new(
        DURABLE_SLOTS_OFFSET,
        "the checksum of both durable slots",
        slots[0].checksum,
        "that of either slot",
    )
}

/// The error for a log without a file.
fn missing(dir: &StoreDir) -> Result<CoordinatorError, CoordinatorError> {
    let log = wal::inspect(&dir.wal_path())?;
    let log_size = log.segments.iter().map(|segment| segment.size).sum();
    Ok(CoordinatorError::StorageMissing { store: dir.path().to_owned(), log_size })
}

fn boot_id() -> Result<[u8; 16], CoordinatorError> {
    sys::clock::boot_id().map_err(CoordinatorError::io("the boot id could not be read"))
}

/// Makes `storage.dat`: a header, and a durable slot that says it is clean.
fn create(dir: &StoreDir) -> Result<File, CoordinatorError> {
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
        file.write_all_at(slot.sealed().as_bytes(), DURABLE_SLOTS_OFFSET)
    };
    let path = dir.storage_path();
    dir.create_storage(fill)
        .map_err(CoordinatorError::io(format!("{} could not be made", path.display())))
}

/// Makes a file of row A, B or C one that may be written. Of row D it is a copy of what the disk has.
fn recover(
    dir: &StoreDir,
    options: &Options,
    view: View,
    state: State,
) -> Result<Opened, CoordinatorError> {
    let path = dir.storage_path();
    let boot_id = boot_id()?;
    let stat = view
        .map()
        .file()
        .metadata()
        .map_err(CoordinatorError::io(format!("{}", path.display())))?;
    let mark = view.run_mark();
    let slots = view.durable_slots();
    let (place, durable) = Slot::newest(&slots).ok_or_else(|| no_durable_slot(&slots))?;
    let is_of_this_boot = mark.is_of(boot_id, stat.dev(), stat.ino());
    let is_rebuilt = matches!(state, State::PowerLost | State::SyncFailed);
    let published = if state == State::ProcessDied { view.capture()? } else { None };
    let base = published.filter(|slot| slot.commit_seq >= durable.commit_seq).unwrap_or(*durable);
    let writer_epoch = 1 + last_epoch(&mark).max(durable.writer_epoch).max(base.writer_epoch);

    check_directory(&view)?;
    // A loss of power may have taken back the exchange of names, and not what was said of it.
    view.header_word(SUPERSEDED_BY_OFFSET).store(0, Ordering::Relaxed);
    if is_rebuilt {
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
    if is_rebuilt {
        writer.rebuild_derived(&mut || Ok(()))?;
    }

    let proof_lsn = base.published_lsn;
    let mut wal = Wal::open(
        &dir.wal_path(),
        image.view().superblock().store_id,
        wal::Options {
            distrust_page_cache: state == State::SyncFailed,
            acknowledged_lsn: match state {
                State::Clean => Some(base.published_lsn),
                // Nothing is acknowledged before it is applied.
                State::ProcessDied => Some(image.begun_lsn().load(Ordering::Relaxed)),
                _ => None,
            },
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
    if LogEnd::of(wal.recovery().cut.is_some(), written_lsn, begun_lsn) == LogEnd::BelowFile {
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
    if is_rebuilt {
        let slot = Slot { commit_seq: last_number + 1, writer_epoch, ..writer.now };
        checkpointer.write(&slot, &writer.clients.table(), false)?;
        writer.now.checkpoint_lsn = slot.published_lsn;
    }
    let last_number = last_number + u64::from(is_rebuilt);
    let made_space = make_asked_space(dir, options, &mut writer, &mut checkpointer, last_number)?;
    let last_number = last_number + u64::from(made_space);
    // As readers of this boot have seen it; where there are none, as it is published next. Before
    // the mark, so that whoever finds that finds the ring whole.
    let last = if state == State::ProcessDied { base } else { writer.now };
    let last = Slot { commit_seq: last_number, flags: 0, ..last };
    let mut publisher = Publisher::new(image.clone(), writer_epoch, last);
    image.store_run_mark(new_mark)?;
    image.beat();
    publisher.publish(&writer.now, true)?;
    let since_checkpoint = match is_rebuilt {
        true => (writer.now.records, 0),
        false => (durable.records, wal.recovery().entries_size),
    };
    Ok(Opened { writer, wal, publisher, checkpointer, writer_epoch, state, since_checkpoint })
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
