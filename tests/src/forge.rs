//! Making files as accidents leave them, and saying all that a store shows, to compare two.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use sutra_coordinator::wal;
use sutra_layout::directory::{decode, word_offset};
use sutra_layout::geometry::{EXTENTS_MAX, LIVE_ENDS_OFFSET, RUN_MARK_OFFSET, Region};
use sutra_layout::run_mark::RunMark;
use sutra_layout::view::View;
use sutra_reader::{Direction, NeighborQuery, Snapshot};

use crate::store::all_concepts;
use crate::{Random, TestStore};

/// Where the log in a directory ends: its newest segment with entries, and the byte behind them.
pub fn log_end(wal_dir: &Path) -> (PathBuf, u64) {
    let log = wal::inspect(wal_dir).expect("the log can be read");
    let mut segments = log.segments.iter().rev();
    let newest = segments.find(|segment| segment.entry_count > 0).expect("the log has entries");
    (newest.path.clone(), newest.used_size)
}

/// Writes bytes over those of a file.
pub fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("the file can be written");
    file.write_all_at(bytes, offset).expect("the file can be written");
}

/// Flips a bit of a byte of a file.
pub fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("the file has that byte");
    file.write_all_at(&[byte[0] ^ 0x10], offset).expect("the file can be written");
}

/// Where `bytes` stand in a file.
///
/// # Panics
/// If they do not, or not once.
pub fn place_of(path: &Path, bytes: &[u8]) -> u64 {
    let file = std::fs::read(path).expect("the file can be read");
    let places: Vec<usize> = file
        .windows(bytes.len())
        .enumerate()
        .filter_map(|(at, window)| (window == bytes).then_some(at))
        .collect();
    assert_eq!(places.len(), 1, "{bytes:?} at {places:?}");
    places[0] as u64
}

fn view(path: &Path) -> View {
    let file = std::fs::File::open(path).expect("the file is there");
    View::read_only(file).expect("it is a store")
}

/// The byte of a unit of a region whose unit has a fixed size.
pub fn unit_place(store: &TestStore, region: Region, ordinal: u64) -> u64 {
    let view = view(&store.storage_path());
    let shape = view.shape(region).expect("the region has a shape");
    view.locate(region, shape, ordinal).expect("the unit is there")
}

/// Writes noise over everything derived, as a loss of power may leave it, and returns how many
/// bytes that is.
pub fn scramble_derived(store: &TestStore, random: &mut Random) -> u64 {
    let view = view(&store.storage_path());
    let mut size = 0;
    for region in (0..Region::KNOWN_END).map(Region).filter(|region| region.is_derived()) {
        for extent in 0..EXTENTS_MAX {
            let word = view.header_word(word_offset(region, extent));
            let word = word.load(std::sync::atomic::Ordering::Relaxed);
            if let Some(start) = decode(region, extent, word).expect("the directory is whole") {
                let shape = view.shape(region).expect("an extent has a shape");
                let noise = random.bytes(shape.extent_size(extent) as usize);
                overwrite(&store.storage_path(), start, &noise);
                size += noise.len() as u64;
            }
        }
        let live_end = LIVE_ENDS_OFFSET + region.index() as u64 * 8;
        overwrite(&store.storage_path(), live_end, &random.bytes(8));
    }
    size
}

/// Marks the file of a store as one whose sync has failed.
pub fn poison_run_mark(store: &TestStore) {
    let mark = view(&store.storage_path()).run_mark();
    write_run_mark(&store.storage_path(), RunMark { flags: RunMark::POISONED, ..mark });
}

/// Gives the file of the store in a directory, a copy, the run mark of its own inode, as if the last
/// coordinator had written this very file.
pub fn adopt(store: &Path) {
    let path = store.join(sutra_reader::STORAGE_FILE);
    let stat = std::fs::metadata(&path).expect("the file is there");
    let mark = view(&path).run_mark();
    write_run_mark(&path, RunMark { device: stat.dev(), inode: stat.ino(), ..mark });
}

fn write_run_mark(path: &Path, mark: RunMark) {
    let mark = mark.sealed();
    let mut bytes = mark.boot_id.to_vec();
    for number in [mark.device, mark.inode, mark.writer_epoch, mark.started_at] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in [mark.flags, mark.checksum] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    overwrite(path, RUN_MARK_OFFSET, &bytes);
}

/// Everything that a snapshot shows of its concepts and associations, in words.
///
/// # Panics
/// If any of it cannot be read.
pub fn describe(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for concept in all_concepts(snapshot) {
        let id = concept.id().expect("an id can be read").to_string();
        let found = snapshot.get_in(concept.namespace(), concept.key()).expect("it can be read");
        assert_eq!(found.map(|found| found.ordinal()), Some(concept.ordinal()), "{id}");
        let mut text = format!(
            "{} v{} at {}, born {}, {:?} {:?} {:?} {} {} {} {:?} {:?}",
            concept.ordinal(),
            concept.version(),
            concept.lsn(),
            concept.born_lsn(),
            concept.content().expect("a content can be read"),
            concept.metadata().expect("metadata can be read"),
            concept.embedding().expect("a vector can be read"),
            concept.strength(),
            concept.confidence(),
            concept.created_at(),
            concept.kind(),
            concept.author(),
        );
        for direction in [Direction::Out, Direction::In] {
            let query = NeighborQuery { direction, ..NeighborQuery::default() };
            for neighbor in snapshot.neighbors(&concept, &query).expect("neighbors can be read") {
                let association = snapshot.association(neighbor.edge).expect("it can be read");
                let properties = association.properties().expect("properties can be read");
                let (name, lsn) = (snapshot.type_name(neighbor.edge_type), association.lsn());
                text.push_str(&format!("; {neighbor:?} {name:?} at {lsn} {properties:?}"));
            }
        }
        said.insert(format!("{} {id}", concept.namespace()), text);
    }
    assert_eq!(said.len() as u64, snapshot.concept_count());
    said
}
