//! Both indexes as the writer sees them: the same words, and room for more.

use std::sync::atomic::{AtomicU64, Ordering};

use sutra_layout::Damage;
use sutra_layout::checksum::{edge_hash, id_hash};
use sutra_layout::geometry::Region;
use sutra_layout::index::{INDEX, IndexMemory, IndexRoot, IndexSpace, repair, upsert};
use sutra_layout::index_view::IndexView;
use sutra_layout::sync::AllFences;

use super::Writer;
use crate::error::CoordinatorError;
use crate::image::Image;

/// Depths and segments of the id and the edge index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// Of the id index.
    pub ids: IndexRoot,
    /// Of the edge index.
    pub edges: IndexRoot,
}

/// One index, writable.
struct Index<'a> {
    image: &'a Image,
    view: IndexView<'a>,
    segments: Region,
    directory: Region,
}

impl<'a> Index<'a> {
    fn ids(image: &'a Image) -> Index<'a> {
        let view = image.view().id_index();
        Index { image, view, segments: Region::ID_SEGMENTS, directory: Region::ID_DIRECTORY }
    }

    fn edges(image: &'a Image) -> Index<'a> {
        let view = image.view().edge_index();
        Index { image, view, segments: Region::EDGE_SEGMENTS, directory: Region::EDGE_DIRECTORY }
    }

    /// Stores the depth that a restart begins with.
    fn store_depth(&self, root: &IndexRoot) {
        self.image.live_end(self.directory).store(1 + u64::from(root.depth), Ordering::Release);
    }

    /// The root as it was stored last.
    fn load_root(&self) -> IndexRoot {
        let depth = self.image.live_end(self.directory).load(Ordering::Relaxed).saturating_sub(1);
        let segments = self.image.live_end(self.segments).load(Ordering::Relaxed);
        IndexRoot { depth: depth.min(u64::from(u32::MAX)) as u32, segments }
    }
}

impl IndexMemory for Index<'_> {
    type Word = AtomicU64;
    type Error = CoordinatorError;

    fn directory_word(&self, at: u64) -> Result<&AtomicU64, CoordinatorError> {
        Ok(self.view.directory_word(at)?)
    }

    #[inline]
    fn line(&self, segment: u64, line: u64) -> Result<&[AtomicU64], CoordinatorError> {
        Ok(self.view.line(segment, line)?)
    }

    fn damaged_directory(&self, at: u64, word: u64) -> CoordinatorError {
        self.view.damaged_directory(at, word).into()
    }
}

impl IndexSpace for Index<'_> {
    fn ensure_directory(&self, words: u64) -> Result<(), CoordinatorError> {
        self.image.ensure(self.directory, words)
    }

    fn ensure_segments(&self, segments: u64) -> Result<(), CoordinatorError> {
        self.image.ensure(self.segments, segments * INDEX.segment_words())?;
        // Given out before it is filled: space is never used twice.
        self.image.live_end(self.segments).store(segments, Ordering::Release);
        Ok(())
    }

    fn full(&self) -> CoordinatorError {
        CoordinatorError::LimitReached {
            what: "an index",
            limit: 1 << sutra_layout::index::DEPTH_MAX,
        }
    }
}

/// The key of record `ordinal`, which may lie above every watermark: its bytes were stored before
/// the index word that names it.
fn record_key(image: &Image, ordinal: u64) -> Result<(u32, [u8; 16]), Damage> {
    let words = image.view().record_words(ordinal)?;
    let mut key = [0; 16];
    key[..8].copy_from_slice(&words[0].load(Ordering::Relaxed).to_le_bytes());
    key[8..].copy_from_slice(&words[1].load(Ordering::Relaxed).to_le_bytes());
    Ok((words[11].load(Ordering::Relaxed) as u32, key))
}

const _: () = assert!(std::mem::offset_of!(sutra_layout::record::ConceptRecord, namespace) == 88);

/// The (source, target, type) of edge `ordinal`, likewise.
fn edge_key(image: &Image, ordinal: u64) -> Result<(u32, u32, u16), Damage> {
    let words = image.view().edge_words(ordinal)?;
    let ends = words[3].load(Ordering::Relaxed);
    let edge_type = words[6].load(Ordering::Relaxed) >> 48;
    Ok((ends as u32, (ends >> 32) as u32, edge_type as u16))
}

const _: () = assert!(std::mem::offset_of!(sutra_layout::edge::EdgeRecord, source) == 24);
const _: () = assert!(std::mem::offset_of!(sutra_layout::edge::EdgeRecord, edge_type) == 54);

impl Writer {
    /// The id index names record `ordinal` as the newest of its key.
    pub(crate) fn index_record(
        &mut self,
        ordinal: u64,
        namespace: u32,
        key: &[u8; 16],
    ) -> Result<(), CoordinatorError> {
        let image = &self.image;
        let index = Index::ids(image);
        let seed = image.view().superblock().hash_seed;
        let hash = id_hash(seed, namespace, key);
        let is_same = |old| Ok(record_key(image, old)? == (namespace, *key));
        let hash_of = |old| {
            let (namespace, key) = record_key(image, old)?;
            Ok(id_hash(seed, namespace, &key))
        };
        let before = self.roots.ids;
        upsert(INDEX, &index, AllFences, &mut self.roots.ids, (hash, ordinal), is_same, hash_of)?;
        if before != self.roots.ids {
            index.store_depth(&self.roots.ids);
            self.now.id_index_depth = self.roots.ids.depth.into();
        }
        Ok(())
    }

    /// The edge index names edge `ordinal` as the newest of its ends and type.
    pub(crate) fn index_edge(
        &mut self,
        ordinal: u32,
        key: (u32, u32, u16),
    ) -> Result<(), CoordinatorError> {
        let image = &self.image;
        let index = Index::edges(image);
        let seed = image.view().superblock().hash_seed;
        let hash_of = |(source, target, edge_type)| edge_hash(seed, source, target, edge_type);
        let is_same = |old| Ok(edge_key(image, old)? == key);
        let before = self.roots.edges;
        let pair = (hash_of(key), u64::from(ordinal));
        upsert(INDEX, &index, AllFences, &mut self.roots.edges, pair, is_same, |old| {
            Ok(hash_of(edge_key(image, old)?))
        })?;
        if before != self.roots.edges {
            index.store_depth(&self.roots.edges);
            self.now.edge_index_depth = self.roots.edges.depth.into();
        }
        Ok(())
    }
}

impl Roots {
    /// The roots that the last coordinator of this boot left, its indexes made whole.
    pub fn recover(image: &Image) -> Result<Roots, CoordinatorError> {
        let seed = image.view().superblock().hash_seed;
        let (ids, edges) = (Index::ids(image), Index::edges(image));
        let mut roots = Roots { ids: ids.load_root(), edges: edges.load_root() };
        repair(INDEX, &ids, &mut roots.ids, |old| {
            let (namespace, key) = record_key(image, old)?;
            Ok(id_hash(seed, namespace, &key))
        })?;
        repair(INDEX, &edges, &mut roots.edges, |old| {
            let (source, target, edge_type) = edge_key(image, old)?;
            Ok(edge_hash(seed, source, target, edge_type))
        })?;
        ids.store_depth(&roots.ids);
        edges.store_depth(&roots.edges);
        Ok(roots)
    }
}
