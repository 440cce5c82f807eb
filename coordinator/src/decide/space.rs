//! The space that a frame can take, reserved before the frame is logged.

use std::sync::atomic::Ordering;

use sutra_layout::blob::blob_space;
use sutra_layout::geometry::Region;
use sutra_layout::index::INDEX;
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_vectors::units_per_level;

use crate::apply::Writer;
use crate::error::CoordinatorError;
use crate::image::Image;

/// What the accepted operations can take at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    pub records: u64,
    pub edges: u64,
    content: u64,
    pub symbols: u64,
    pub vectors: [u64; VECTOR_SPACES_MAX],
    largest_blob: u64,
}

/// Units that the upper levels of the graph over so many rows take, with some to spare: the index
/// thread takes them, and would have to wait if the disk were full by then.
fn level_units(image: &Image, space: usize, rows: u64) -> Result<u64, CoordinatorError> {
    let m = usize::from(image.view().space(space)?.graph.m);
    let levels = rows / (m as u64 - 1); // one node in M has a level more than the others, and so on
    Ok((levels + levels / 8 + 64) * units_per_level(m))
}

impl Need {
    /// A blob of `size` bytes.
    pub fn blob(&mut self, size: usize) {
        let space = blob_space(size);
        self.content += space;
        self.largest_blob = self.largest_blob.max(space);
    }

    /// Reserves it.
    pub fn reserve(&self, writer: &Writer) -> Result<(), CoordinatorError> {
        let &Need { records, edges, content, symbols, vectors, largest_blob } = self;
        let (image, now) = (&writer.image, &writer.now);
        // Each concept that was reinforced gets a record before the next publication.
        image.ensure(Region::RECORDS, now.records + records + writer.gathered.len() as u64)?;
        image.ensure(Region::COLUMNS, now.concepts + records)?;
        // A blob that does not fit into the rest of an extent begins with one that holds it, which
        // is less than twice its size further on.
        image.ensure(Region::CONTENT, now.content_size + content + 2 * largest_blob)?;
        image.ensure(Region::SYMBOLS, now.symbols_size + symbols + 512)?;
        image.ensure(Region::EDGES, now.edges + edges)?;
        // A checkpoint must find room for its client table, or a full disk would end the service.
        let clients = writer.clients.len() as u64 + 64;
        image.ensure(Region::CLIENTS_A, clients)?;
        image.ensure(Region::CLIENTS_B, clients)?;
        for (space, count) in vectors.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            // A space that the entry itself makes has its rows reserved there.
            if (space as u64) < now.spaces_count {
                let end = now.spaces[space].count + count;
                image.ensure(Region::vectors(space), end)?;
                image.ensure(Region::vector_columns(space), end)?;
                image.ensure(Region::graph(space), end)?;
                image.ensure(Region::graph_levels(space), level_units(image, space, end)?)?;
            }
        }
        let words = |keys: u64| (keys / 64 + 8) * 2 * INDEX.segment_words();
        let (ids, of_edges) = (writer.roots.ids, writer.roots.edges);
        image.ensure(Region::ID_SEGMENTS, ids.segments * INDEX.segment_words() + words(records))?;
        image.ensure(Region::ID_DIRECTORY, 4 << ids.depth)?;
        if edges > 0 {
            let segment_words = of_edges.segments * INDEX.segment_words();
            image.ensure(Region::EDGE_SEGMENTS, segment_words + words(edges))?;
            image.ensure(Region::EDGE_DIRECTORY, 4 << of_edges.depth)?;
            // Both ends of an edge may need a block; a large one serves for many more edges.
            let end = image.live_end(Region::ADJACENCY).load(Ordering::Relaxed);
            image.ensure(Region::ADJACENCY, end + 2 * edges + edges.min(64) * 128 + 128)?;
        }
        Ok(())
    }
}
