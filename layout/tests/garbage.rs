//! A reader trusts no byte: whatever the file holds, it gets an error or a value, and goes on.

mod file;

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use file::TestFile;
use file::sample::{CONCEPTS, Sample, ends, key};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sutra_layout::adjacency::{Block, BlockRef, Entries, Entry, dequantize, find_entry, quantize};
use sutra_layout::blob::BlobHead;
use sutra_layout::checksum::checksum_of;
use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::{EXTENTS_MAX, HEADER_SIZE, REGIONS_MAX, Region, SPACES_OFFSET, Shape};
use sutra_layout::id::Id;
use sutra_layout::index::{self, INDEX, IndexMemory};
use sutra_layout::lookup::{find_concept, find_edge, newest_record};
use sutra_layout::record::ConceptRecord;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::{SLOT_WORDS, Slot};
use sutra_layout::space::SpaceEntry;
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::symbol::read_symbols;
use sutra_layout::sync::AllFences;
use sutra_layout::{View, directory};
use zerocopy::{FromBytes, IntoBytes};

/// The bytes of a whole store, and the slot it published.
static WHOLE: LazyLock<(Vec<u8>, Slot)> = LazyLock::new(|| {
    let sample = Sample::new();
    (sample.file.bytes(), sample.slot)
});

/// Numbers at which arithmetic and limits go wrong.
fn number() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 2, 3, 7, 8, 63, 64, 255, 511, 512, 1023, 1024, 4095, 65535];
    let wide = (0..64u32).prop_map(|bit| 1 << bit);
    prop_oneof![
        4 => any::<u64>(),
        3 => select(edges.to_vec()),
        2 => wide.clone().prop_map(|bit: u64| bit - 1),
        1 => wide.prop_map(|bit| bit.wrapping_neg()),
        2 => Just(u64::MAX),
        2 => 0..100u64,
    ]
}

/// A word as the structures of the file hold it, with wild numbers inside.
fn word() -> impl Strategy<Value = u64> {
    let block = (number(), 0..9u64).prop_map(|(unit, log2)| (unit % (1 << 12)) | log2 << 48);
    let directory = (0..40u64, 0..45u64).prop_map(|(segment, depth)| segment << 8 | depth);
    prop_oneof![2 => number(), 2 => block, 1 => directory]
}

/// The whole word of some extent at some page.
fn extent_word() -> impl Strategy<Value = (Region, usize, u64)> {
    let page = prop_oneof![3 => 16..400u64, 1 => 16..1u64 << 48];
    (0..REGIONS_MAX as u8, 0..EXTENTS_MAX, page).prop_map(|(region, extent, page)| {
        let region = Region(region);
        (region, extent, directory::encode(region, extent, page * 4096))
    })
}

/// What happens to a whole store.
#[derive(Clone, Debug)]
enum Harm {
    /// A word of a region's first extent, or of the header, is another.
    Word(usize, u64, u64),
    /// An extent lies elsewhere, as its checked word says.
    Extent(Region, usize, u64),
    /// Bytes are others.
    Bytes(usize, Vec<u8>),
    /// The entry of a vector space is another, with the checksum of its bytes.
    Space(u8, u32, u16),
    /// The file ends there.
    Cut(usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let size = WHOLE.0.len();
    prop_oneof![
        20 => (0..size / 65536, number(), word())
            .prop_map(|(extent, at, word)| Harm::Word(extent, at, word)),
        3 => extent_word().prop_map(|(region, extent, word)| Harm::Extent(region, extent, word)),
        2 => (4096..size, vec(any::<u8>(), 1..4096)).prop_map(|(at, bytes)| Harm::Bytes(at, bytes)),
        1 => (0..4u8, number(), number())
            .prop_map(|(space, dimension, m)| Harm::Space(space, dimension as u32, m as u16)),
        1 => (0..size).prop_map(Harm::Cut),
    ]
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    let end = bytes.len().min(at + new.len());
    if at < end {
        bytes[at..end].copy_from_slice(&new[..end - at]);
    }
}

fn do_harm(bytes: &mut Vec<u8>, harm: &Harm) {
    match harm {
        Harm::Word(extent, at, word) => {
            // Most of an extent is zeros; what counts lies at its start. Of the header, page 0 stays.
            let within = match extent {
                0 => 4096 + at % (15 * 512) * 8,
                _ => at % 1024 * 8,
            } as usize;
            put(bytes, extent * 65536 + within, word.as_bytes());
        }
        Harm::Extent(region, extent, word) => {
            let offset = directory::word_offset(*region, *extent) as usize;
            put(bytes, offset, word.as_bytes());
        }
        Harm::Bytes(at, new) => put(bytes, *at, new),
        Harm::Space(space, dimension, m) => {
            let at = SPACES_OFFSET as usize + usize::from(*space) * 4096;
            let mut entry = SpaceEntry::read_from_bytes(&WHOLE.0[4096..4096 + 224]).unwrap();
            entry.number = u32::from(*space) + 1;
            entry.dimension = *dimension;
            entry.m = *m;
            entry.checksum = checksum_of(&entry);
            put(bytes, at, entry.as_bytes());
        }
        Harm::Cut(size) => bytes.truncate(*size),
    }
}

/// A slot of any counts, as nothing but its checksum is proof of them.
fn slot() -> impl Strategy<Value = Slot> {
    let counts = vec(prop_oneof![2 => Just(None), 1 => number().prop_map(Some)], SLOT_WORDS);
    counts.prop_map(|counts| {
        let mut words = WHOLE.1.to_words();
        for (word, count) in words.iter_mut().zip(counts) {
            *word = count.unwrap_or(*word);
        }
        Slot::from_words(words)
    })
}

const ORDINALS: [u64; 12] = [
    0,
    1,
    39,
    40,
    512,
    1023,
    65_530,
    1 << 20,
    u32::MAX as u64,
    (1 << 48) - 1,
    u64::MAX - 8,
    u64::MAX,
];

/// Reads all there is, in every way there is. Errors are as good as values.
fn read_everything(view: &View, slot: &Slot) {
    let _ = view.capture();
    view.run_mark().is_whole();
    Slot::newest(&view.durable_slots());
    for ordinal in ORDINALS {
        let _ = view.record(ordinal, slot).map(|record| record.id_form());
        let _ = view.record_previous(ordinal);
        let _ = view.edge(ordinal, slot).map(|edge| edge.is_whole());
        let _ = view.edge_previous(ordinal);
        let _ = view.blob(ordinal, slot).map(|bytes| bytes.iter().max());
        let _ = view.blob_with_head(ordinal, slot).map(|(head, bytes)| head.matches(bytes));
        for size in ORDINALS {
            let bytes = view.symbol_bytes(ordinal, size, slot);
            let _ = bytes.map(|bytes| bytes.iter().max());
        }
        let _ = newest_record(view, slot, ordinal as u32);
        let _ = read_symbols(view, ordinal, slot, |_, _, _| ());
    }
    read_spaces(view, slot);
    read_indexes(view, slot);
    read_lists(view);
    let word = |region, extent| {
        let word = view.header_word(directory::word_offset(region, extent));
        word.load(Ordering::Relaxed)
    };
    let _ = directory::check_all(word, |region| view.shape(region));
}

fn read_spaces(view: &View, slot: &Slot) {
    for space in [0, 1, 3, 4, 255] {
        let _ = view.space(space);
        for ordinal in ORDINALS {
            let _ = view.vector(space, ordinal, slot).map(<[f32]>::len);
            let _ = view.vector_column(space, ordinal, slot);
            for end in ORDINALS {
                let rows = view.vectors(space, ordinal, end, slot);
                let _ = rows.map(|(rows, _)| rows.iter().copied().fold(0.0, f32::max));
            }
        }
    }
}

fn read_indexes(view: &View, slot: &Slot) {
    for concept in 0..=CONCEPTS {
        let _ = find_concept(view, slot, 0, &key(concept)).map(|found| found.is_some());
        let (source, target) = ends(concept);
        let _ = find_edge(view, slot, (source, target, 16)).map(|found| found.is_some());
    }
    for ordinal in ORDINALS {
        let ids = view.id_index();
        let _ = ids.directory_word(ordinal).map(|word| word.load(Ordering::Relaxed));
        let _ = ids.line(ordinal, 63).map(<[_]>::len);
        ids.damaged_directory(ordinal, 0);
        let depth = ordinal as u32;
        let _ = index::find(INDEX, &ids, AllFences, depth, ordinal, |_| Ok(None::<()>));
    }
}

fn read_lists(view: &View) {
    let blocks = ORDINALS.map(|unit| (unit % (1 << 48)) | (unit % 9) << 48);
    let columns = (0..CONCEPTS).filter_map(|concept| view.columns(concept).ok());
    let heads = columns.flat_map(|words| [1, 2].map(|head| words[head].load(Ordering::Relaxed)));
    for head in heads.chain(blocks) {
        let mut last = None;
        for entry in Entries::new(view, head) {
            last = entry.ok();
        }
        for edge in last.map(|entry| entry.edge).into_iter().chain([0, 30, u32::MAX]) {
            let _ = find_entry(view, head, edge).map(|found| found.is_some());
        }
        if let Some(Ok(block)) = BlockRef::decode(head).map(|at| Block::open(view, at)) {
            let _ = (block.next(), block.skip(), block.count());
            (0..block.capacity()).for_each(|at| {
                block.entry(at);
            });
        }
    }
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count) }
}

#[test]
fn the_whole_store_reads_without_an_error() {
    let (bytes, slot) = &*WHOLE;
    let file = TestFile::of_bytes(bytes);
    let view = file.view().unwrap();
    assert_eq!(view.capture().unwrap(), Some(*slot));
    for concept in 0..CONCEPTS {
        let (ordinal, record) = find_concept(&view, slot, 0, &key(concept)).unwrap().unwrap();
        assert_eq!(ordinal, u64::from(CONCEPTS + concept));
        assert_eq!(newest_record(&view, slot, concept).unwrap().unwrap().0, ordinal);
        let content = view.blob(record.content.get(), slot).unwrap();
        assert_eq!(content, format!("content {ordinal}").as_bytes());
        assert_eq!(view.vector(0, concept.into(), slot).unwrap()[0], concept as f32 + 0.5);
        let words = view.columns(concept).unwrap();
        let list = |head: usize| Entries::new(&view, words[head].load(Ordering::Relaxed));
        assert!(list(1).chain(list(2)).all(|entry| entry.is_ok()));
    }
    let mut names = Vec::new();
    let end = read_symbols(&view, 0, slot, |_, _, name| names.push(name.to_owned()));
    assert_eq!(end.unwrap(), slot.symbols_size);
    assert_eq!(names, ["eats", "animals", "a program"]);
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_damaged_store_gives_errors_or_values(
        harms in vec(harm(), 1..60),
        slots in vec(slot(), 3),
    ) {
        let mut bytes = WHOLE.0.clone();
        for harm in &harms {
            do_harm(&mut bytes, harm);
        }
        if let Ok(view) = TestFile::of_bytes(&bytes).view() {
            read_everything(&view, &WHOLE.1);
            slots.iter().for_each(|slot| read_everything(&view, slot));
        }
    }

    #[test]
    fn a_store_cut_anywhere_gives_errors_or_values(size in 0..WHOLE.0.len(), slot in slot()) {
        let view = TestFile::of_bytes(&WHOLE.0[..size]).view();
        prop_assert_eq!(view.is_ok(), size as u64 >= HEADER_SIZE);
        if let Ok(view) = view {
            read_everything(&view, &WHOLE.1);
            read_everything(&view, &slot);
        }
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_file_of_any_bytes_is_refused(mut bytes in vec(any::<u8>(), 0..1000), pads: bool) {
        if pads {
            bytes.resize(2 * HEADER_SIZE as usize, 0);
        }
        prop_assert!(TestFile::of_bytes(&bytes).view().is_err());
    }

    /// Of any bytes with the right magic and checksum, only what this version writes is accepted.
    #[test]
    fn a_superblock_is_refused_or_has_the_sizes_of_this_version(
        bytes in vec(any::<u8>(), 128),
        changed in vec((8..124usize, any::<u8>()), 0..3),
        is_new: bool,
    ) {
        let mut block = UncheckedSuperblock::read_from_bytes(&bytes).unwrap();
        prop_assert!(block.check().is_err());
        if is_new {
            block = UncheckedSuperblock::new(block.store_id, block.generation, 0, block.hash_seed);
        }
        block.magic = *b"SUTRASTO";
        let mut bytes = block.as_bytes().to_vec();
        for (at, byte) in changed {
            bytes[at] = byte;
        }
        let mut block = UncheckedSuperblock::read_from_bytes(&bytes).unwrap();
        block.checksum = checksum_of(&block);
        if block.check().is_ok() {
            prop_assert_eq!((block.format_major, block.incompat), (1, 0));
            prop_assert_eq!((block.record_size, block.edge_size, block.slot_size), (128, 64, 512));
        }
    }

    #[test]
    fn a_slot_of_any_words_is_whole_only_with_its_checksum(words in vec(word(), SLOT_WORDS)) {
        let slot = Slot::from_words(words.try_into().unwrap());
        prop_assert!(!slot.is_whole() || slot == slot.sealed());
        prop_assert!(slot.sealed().is_whole());
        let newest = Slot::newest(&[slot, slot.sealed()]).map(|(at, _)| at);
        prop_assert_eq!(newest.unwrap_or(1), 1);
    }

    #[test]
    fn a_directory_of_any_words_is_refused_or_has_no_overlap(
        extents in vec(extent_word(), 0..8),
        garbage in vec((0..REGIONS_MAX * EXTENTS_MAX, word()), 0..2),
    ) {
        let mut words = vec![0; REGIONS_MAX * EXTENTS_MAX];
        for (region, extent, word) in extents {
            words[region.index() * EXTENTS_MAX + extent] = word;
        }
        for (at, word) in garbage {
            words[at] = word;
        }
        let word = |region: Region, extent| words[region.index() * EXTENTS_MAX + extent];
        let shape_of = |region: Region| match region.0 {
            12..=15 | 20..=23 => Some(Shape::new(64 << (region.0 % 4))),
            _ => Shape::fixed(region),
        };
        let _ = directory::check_all(word, |_| None);
        if let Ok(placed) = directory::check_all(word, shape_of) {
            let known: Vec<_> = placed.iter().filter(|e| e.region.0 < Region::KNOWN_END).collect();
            for pair in known.windows(2) {
                prop_assert!(pair[0].offset + pair[0].size <= pair[1].offset);
            }
            prop_assert!(placed.iter().all(|extent| extent.offset >= HEADER_SIZE));
        }
    }

    #[test]
    fn structs_of_any_bytes_are_read_and_checked(bytes in vec(any::<u8>(), 224), text in ".*") {
        let record = ConceptRecord::read_from_prefix(&bytes).unwrap().0;
        let _ = (record.is_whole(), record.id_form(), record.is_tombstone(), record.content.get());
        let edge = EdgeRecord::read_from_prefix(&bytes).unwrap().0;
        let _ = (edge.is_whole(), edge.is_tombstone());
        RunMark::read_from_prefix(&bytes).unwrap().0.is_of([0; 16], 1, 2);
        BlobHead::read_from_prefix(&bytes).unwrap().0.matches(&bytes);
        let mut entry = SpaceEntry::read_from_bytes(&bytes).unwrap();
        for index in [0, 3] {
            prop_assert!(entry.check(index).is_err());
            entry.number = index as u32 + 1;
            entry.checksum = checksum_of(&entry);
            if let Ok(space) = entry.check(index) {
                let _ = (space.vector_shape(), space.graph_shape());
            }
        }
        let _ = Id::from(text.as_str()).check();
    }

    #[test]
    fn words_of_any_bits_are_decoded(first in word(), second in word(), confidence: f32) {
        let _ = (index::decode(first), BlockRef::decode(first).map(BlockRef::encode));
        if let Some(entry) = Entry::from_words([first, second]) {
            prop_assert_eq!(entry.to_words(), [first, second]);
            let _ = (entry.lives_in(first), dequantize(entry.confidence));
        }
        quantize(confidence);
        for region in 0..REGIONS_MAX as u8 {
            if let Ok(Some(offset)) = directory::decode(Region(region), 3, first) {
                prop_assert_eq!(directory::encode(Region(region), 3, offset), first);
            }
        }
    }
}
