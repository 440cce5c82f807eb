//! The peer: mmap-sync, which has one mapped value that a writer replaces as a whole. Reading it is as
//! fast as memory; any change writes everything anew.
#![expect(
    unsafe_code,
    reason = "mmap-sync leaves it to the reader that it is done before the value is replaced twice"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mmap_sync::synchronizer::Synchronizer;
use rkyv::{Archive, Serialize};

use super::{Concept, Lists, Writing, folder_size, whole};
use crate::reading::Source;
use crate::workload::Edge;

/// How long a writer waits for readers of the value before the last.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Archive, Serialize)]
#[archive(check_bytes)]
struct Filed {
    ordinal: u32,
    strength: f32,
    confidence: f32,
    content: String,
}

#[derive(Archive, Clone, Copy, Serialize)]
#[archive(check_bytes)]
struct Link {
    neighbor: u32,
    edge_type: u16,
    confidence: f32,
}

/// Edges in rows: those of concept n are `links[starts[n]..starts[n + 1]]`.
#[derive(Archive, Default, Serialize)]
#[archive(check_bytes)]
struct Rows {
    starts: Vec<u32>,
    links: Vec<Link>,
}

#[derive(Archive, Default, Serialize)]
#[archive(check_bytes)]
struct Whole {
    concepts: HashMap<[u8; 16], Filed>,
    out: Rows,
    back: Rows,
}

fn prefix_in(dir: &Path) -> OsString {
    dir.join("whole").into_os_string()
}

/// The writer, with the value that it is to write.
pub struct Writer {
    synchronizer: Synchronizer,
    whole: Whole,
    edges: Vec<Edge>,
    dir: PathBuf,
}

impl Writer {
    /// A writer of an empty value.
    pub fn new(dir: &Path) -> Writer {
        Writer {
            synchronizer: Synchronizer::new(&prefix_in(dir)),
            whole: Whole::default(),
            edges: Vec::new(),
            dir: dir.to_owned(),
        }
    }

    fn rows(&self, is_out: bool) -> Rows {
        let end = |edge: &Edge| if is_out { edge.source } else { edge.target };
        let mut edges = self.edges.clone();
        edges.sort_unstable_by_key(end);
        let mut rows = Rows { starts: vec![0], links: Vec::with_capacity(edges.len()) };
        for at in 0..self.whole.concepts.len() as u32 {
            let rest = &edges[rows.links.len()..];
            rows.links.extend(rest.iter().take_while(|edge| end(edge) == at).map(|edge| {
                let super::Link { neighbor, edge_type, confidence } = super::Link::of(edge, is_out);
                Link { neighbor, edge_type, confidence }
            }));
            rows.starts.push(rows.links.len() as u32);
        }
        rows
    }
}

impl Writing for Writer {
    fn write(&mut self, concepts: &[Concept<'_>]) -> anyhow::Result<()> {
        for concept in concepts {
            let filed = Filed {
                ordinal: concept.ordinal,
                strength: 0.5,
                confidence: 0.75,
                content: concept.content.to_owned(),
            };
            self.whole.concepts.insert(concept.id, filed);
        }
        Ok(())
    }

    fn write_edges(&mut self, edges: &[Edge]) -> anyhow::Result<()> {
        self.edges.extend_from_slice(edges);
        Ok(())
    }

    /// Replaces the mapped value; the file is in memory, and lost with the power.
    fn sync(&mut self) -> anyhow::Result<()> {
        (self.whole.out, self.whole.back) = (self.rows(true), self.rows(false));
        self.synchronizer.write(&self.whole, GRACE)?;
        Ok(())
    }

    fn file_size(&self) -> anyhow::Result<u64> {
        folder_size(&self.dir)
    }
}

/// The value, mapped.
pub struct Reader(RefCell<Synchronizer>);

impl Reader {
    /// Opens it.
    pub fn open(dir: &Path) -> anyhow::Result<Reader> {
        Ok(Reader(RefCell::new(Synchronizer::new(&prefix_in(dir)))))
    }
}

/// The value as it is.
pub struct View<'s>(&'s ArchivedWhole);

impl Source for Reader {
    type View<'s> = View<'s>;

    fn view(&self) -> View<'_> {
        let mut synchronizer = self.0.borrow_mut();
        // SAFETY: the value was written by this binary, and nobody writes it while readers run.
        let read = whole(unsafe { synchronizer.read::<Whole>(false) });
        let value: *const ArchivedWhole = &raw const *read;
        // SAFETY: the value lies in a mapping that the synchronizer keeps until the value was
        // replaced, which nobody does while readers run.
        View(unsafe { &*value })
    }
}

impl Lists for View<'_> {
    #[inline]
    fn ordinal(&self, id: &[u8; 16]) -> Option<u32> {
        Some(self.0.concepts.get(id)?.ordinal)
    }

    #[inline]
    fn content(&self, id: &[u8; 16], touch: impl FnOnce(&[u8]) -> u64) -> Option<(u32, u64)> {
        let filed = self.0.concepts.get(id)?;
        Some((filed.ordinal, touch(filed.content.as_bytes())))
    }

    #[inline]
    fn links(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(super::Link)) {
        let rows = if is_out { &self.0.out } else { &self.0.back };
        let [start, end] = [0, 1].map(|next| rows.starts[ordinal as usize + next] as usize);
        for &ArchivedLink { neighbor, edge_type, confidence } in &rows.links[start..end] {
            visit(super::Link { neighbor, edge_type, confidence });
        }
    }
}
