//! The graph of one space as it lies in the file: nodes, their links on each level, and the rows.
//!
//! A [`Graph`] is captured before a search and costs a look at the extent directory. It knows what
//! is in the file, so that visiting a node costs no more than finding its place. Row numbers that
//! come from the file lead to `None` where they lead nowhere.
#![expect(unsafe_code, reason = "the room that knows how the fields of a node follow each other")]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sutra_layout::geometry::{Region, Shape};
use sutra_layout::graph::{NodeHead, code_size};
use sutra_layout::space::{GraphSettings, Metric, Quantization, Space};
use sutra_layout::{Damage, View};

use crate::place::{Place, Table};

/// Bytes before a node's code.
const HEAD_SIZE: usize = size_of::<NodeHead>();

/// See the module.
#[derive(Debug)]
pub struct Graph<'v> {
    view: &'v View,
    space_index: usize,
    dimension: usize,
    metric: Metric,
    settings: GraphSettings,
    code_size: usize,
    nodes: Table<'v>,
    rows: Table<'v>,
    levels: Table<'v>,
}

impl<'v> Graph<'v> {
    /// The graph of a space, of which the first `count` rows are there and final.
    pub fn capture(view: &'v View, space_index: usize, count: u64) -> Result<Graph<'v>, Damage> {
        let space = view.space(space_index)?;
        let Space { dimension, metric, graph: settings, .. } = *space;
        let levels = Region::graph_levels(space_index);
        let unit = Shape::fixed(levels).expect("the levels of every space have one shape");
        Ok(Graph {
            view,
            space_index,
            dimension,
            metric,
            settings,
            code_size: code_size(dimension, settings.quantization),
            nodes: Table::capture(view, Region::graph(space_index), space.graph_shape(), count)?,
            rows: Table::capture(view, Region::vectors(space_index), space.vector_shape(), count)?,
            levels: Table::capture(view, levels, unit, 0)?,
        })
    }

    /// The file that it lies in.
    pub fn view(&self) -> &'v View {
        self.view
    }

    /// The number of its space.
    pub fn space_index(&self) -> usize {
        self.space_index
    }

    /// Elements of a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// How nearness is measured.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Links of a node on an upper level.
    pub fn m(&self) -> usize {
        self.settings.m.into()
    }

    /// How the graph is built and searched.
    pub fn settings(&self) -> &GraphSettings {
        &self.settings
    }

    /// Whether nodes hold codes.
    #[inline(always)]
    pub fn is_quantized(&self) -> bool {
        self.settings.quantization == Quantization::Int8
    }

    /// Bytes of a node's code.
    pub fn code_size(&self) -> usize {
        self.code_size
    }

    /// Rows below it have a place for their node and their elements.
    pub fn end(&self) -> u64 {
        self.nodes.end().min(self.rows.end())
    }

    /// The node of a row; `None` if there is no place for it.
    #[inline(always)]
    pub fn node(&self, row: u32) -> Option<Node<'v>> {
        Some(Node { place: self.nodes.place(row.into())?, code_size: self.code_size, m: self.m() })
    }

    /// The elements of a row; `None` if there is no place for it.
    #[inline(always)]
    pub fn row(&self, row: u32) -> Option<&'v [f32]> {
        let place = self.rows.place(row.into())?;
        // SAFETY: a row's stride has room for its elements. It is named by a count or by a link,
        // and both are stored after the row was, for good.
        Some(unsafe { place.floats(self.dimension) })
    }

    /// The links of a node on upper level `level`, whose lists begin at unit `first`; `None` if
    /// there is no place for them.
    #[inline(always)]
    pub fn upper_links(&self, first: u64, level: u32) -> Option<&'v [AtomicU32]> {
        let per_level = units_per_level(self.m());
        let unit = first.checked_add(u64::from(level.checked_sub(1)?) * per_level)?;
        let end = unit.checked_add(per_level)?;
        if end > self.levels.end() || !lie_in_one_extent(unit, end - 1) {
            return None;
        }
        // SAFETY: links are words of 4 bytes, and `per_level` units have room for M of them; the
        // units are there and follow each other, as just checked.
        Some(unsafe { self.levels.place(unit)?.halves(0, self.m()) })
    }

    /// Units of upper levels that are in the file.
    pub fn level_units_end(&self) -> u64 {
        self.levels.end()
    }

    /// Asks for the lines that a distance to a row needs.
    #[inline(always)]
    pub(crate) fn prefetch_for_distance(&self, row: u32) {
        self.nodes.prefetch(row.into(), 0, HEAD_SIZE + self.code_size);
        if self.code_size == 0 {
            self.prefetch_row(row);
        }
    }

    /// Asks for the lines of a node's links on level 0.
    #[inline(always)]
    pub(crate) fn prefetch_links(&self, row: u32) {
        let first = HEAD_SIZE + self.code_size;
        self.nodes.prefetch(row.into(), first & !63, first + 8 * self.m());
    }

    /// Asks for the elements of a row.
    #[inline(always)]
    pub(crate) fn prefetch_row(&self, row: u32) {
        self.rows.prefetch(row.into(), 0, 4 * self.dimension);
    }
}

/// Units that one upper level of one node takes.
pub fn units_per_level(m: usize) -> u64 {
    (m * 4).div_ceil(64) as u64
}

/// Whether two units of upper levels lie in the same extent.
#[inline(always)]
fn lie_in_one_extent(first: u64, last: u64) -> bool {
    const UNIT: Shape = Shape::new(64);
    let number = |ordinal: u64| (ordinal + (1 << UNIT.first_count_log2)).ilog2();
    first == last || number(first) == number(last)
}

/// A node that is there.
#[derive(Clone, Copy, Debug)]
pub struct Node<'v> {
    place: Place<'v>,
    code_size: usize,
    m: usize,
}

/// Words of a node's head, two fields to a word but for the last two.
mod word {
    pub(super) const CHECKSUM_AND_SCALE: usize = 0;
    pub(super) const CODE_SUM_AND_LEVEL: usize = 1;
    pub(super) const LEVELS: usize = 2;
    pub(super) const SUPERSEDED_AT: usize = 3;
    pub(super) const SQUARE_AND_INVERSE_NORM: usize = 4;
}

impl<'v> Node<'v> {
    #[inline(always)]
    fn word(self, at: usize) -> u64 {
        self.place.head()[at].load(Ordering::Relaxed)
    }

    /// An element is about code × scale.
    #[inline(always)]
    pub fn scale(self) -> f32 {
        f32::from_bits((self.word(word::CHECKSUM_AND_SCALE) >> 32) as u32)
    }

    /// The sum of the code.
    #[inline(always)]
    pub fn code_sum(self) -> i32 {
        self.word(word::CODE_SUM_AND_LEVEL) as i32
    }

    /// What the squared distance begins with; see [`NodeHead`].
    #[inline(always)]
    pub fn square(self) -> f32 {
        f32::from_bits(self.word(word::SQUARE_AND_INVERSE_NORM) as u32)
    }

    /// 1 over the row's Euclidean norm.
    #[inline(always)]
    pub fn inverse_norm(self) -> f32 {
        f32::from_bits((self.word(word::SQUARE_AND_INVERSE_NORM) >> 32) as u32)
    }

    /// 1 + the first unit of its upper lists; 0: none.
    #[inline(always)]
    pub fn levels(self) -> u64 {
        self.word(word::LEVELS)
    }

    /// 1 + the record that replaced or forgot its owner's version; 0: current.
    #[inline(always)]
    pub fn superseded_at(self) -> u64 {
        self.word(word::SUPERSEDED_AT)
    }

    /// The code; empty where the space has none.
    #[inline(always)]
    pub fn code(self) -> &'v [i8] {
        // SAFETY: a node's stride has room for its code. The node is named by a count or by a link,
        // and both are stored after the code was, for good.
        unsafe { self.place.bytes(HEAD_SIZE, self.code_size) }
    }

    /// The links on level 0: 1 + a row, or 0. Who follows one fences in between
    /// ([`std::sync::atomic::fence`], acquire), to see the row's node as it was when it was linked.
    #[inline(always)]
    pub fn links(self) -> &'v [AtomicU32] {
        // SAFETY: a code is a multiple of 4 long, and the stride has room for 2M links behind it.
        unsafe { self.place.halves(HEAD_SIZE + self.code_size, 2 * self.m) }
    }

    /// A copy of the head.
    pub fn head(self) -> NodeHead {
        let [mut low, mut high] = [[0u32; 8]; 2];
        for at in 0..8 {
            let word = self.word(at);
            (low[at], high[at]) = (word as u32, (word >> 32) as u32);
        }
        NodeHead {
            checksum: low[word::CHECKSUM_AND_SCALE],
            scale: self.scale(),
            code_sum: self.code_sum(),
            level: high[word::CODE_SUM_AND_LEVEL],
            levels: self.levels(),
            superseded_at: self.superseded_at(),
            square: self.square(),
            inverse_norm: self.inverse_norm(),
            reserved: [low[5], high[5], low[6], high[6], low[7], high[7]],
        }
    }

    /// Stores a head. Coordinator only.
    pub(crate) fn store_head(self, head: &NodeHead) {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let words = self.place.head();
        let store = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed);
        store(word::CHECKSUM_AND_SCALE, pair(head.checksum, head.scale.to_bits()));
        store(word::CODE_SUM_AND_LEVEL, pair(head.code_sum as u32, head.level));
        store(word::LEVELS, head.levels);
        store(word::SUPERSEDED_AT, head.superseded_at);
        let norms = pair(head.square.to_bits(), head.inverse_norm.to_bits());
        store(word::SQUARE_AND_INVERSE_NORM, norms);
        for at in 0..3 {
            store(5 + at, pair(head.reserved[2 * at], head.reserved[2 * at + 1]));
        }
    }

    /// Stores a code. Coordinator only, before a count or a link names the row.
    pub(crate) fn store_code(self, code: &[i8]) {
        assert_eq!(code.len(), self.code_size);
        // SAFETY: a code is a multiple of 4 long and lies behind the head.
        let halves = unsafe { self.place.halves(HEAD_SIZE, self.code_size / 4) };
        for (half, bytes) in halves.iter().zip(code.as_chunks::<4>().0) {
            half.store(u32::from_le_bytes(bytes.map(|byte| byte as u8)), Ordering::Relaxed);
        }
    }

    /// The word that holds [`Node::levels`]. Only the coordinator stores.
    pub fn levels_word(self) -> &'v AtomicU64 {
        &self.place.head()[word::LEVELS]
    }

    /// The word that holds [`Node::superseded_at`].
    pub(crate) fn superseded_at_word(self) -> &'v AtomicU64 {
        &self.place.head()[word::SUPERSEDED_AT]
    }
}
