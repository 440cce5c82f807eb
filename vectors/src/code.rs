//! A row's code: one signed byte an element, with the largest element of the row at ±127.
//!
//! Under cosine the code stands for the row at unit length. A space without codes has heads only,
//! whose scale is the factor of the row itself.

use std::sync::atomic::Ordering;

use sutra_layout::Damage;
use sutra_layout::checksum::checksum_append;
use sutra_layout::graph::NodeHead;
use sutra_layout::space::{Metric, Quantization};

use crate::graph::{Graph, Node};
use crate::level::level_of;

/// The code of the largest element.
const CODE_MAX: f32 = 127.0;

/// Writes the node of a row that nothing names yet: head and code, current, without links.
///
/// The same row again gives the same bytes. `inverse_norm` is that of the row's column.
pub fn store_node(
    graph: &Graph<'_>,
    row: u32,
    elements: impl Iterator<Item = f32> + Clone,
    inverse_norm: f32,
    scratch: &mut Vec<i8>,
) -> Result<(), Damage> {
    let node = graph.node(row).ok_or_else(|| no_node(graph, row))?;
    let head = encode(graph, row, elements, inverse_norm, scratch);
    node.store_code(scratch);
    node.store_head(&head);
    for link in node.links() {
        link.store(0, Ordering::Relaxed);
    }
    Ok(())
}

/// Says since which record a row's node is no longer current: 1 + its ordinal.
pub fn store_superseded(graph: &Graph<'_>, row: u32, superseded_at: u64) -> Result<(), Damage> {
    let node = graph.node(row).ok_or_else(|| no_node(graph, row))?;
    node.superseded_at_word().store(superseded_at, Ordering::Relaxed);
    Ok(())
}

/// The head of a row's node, its code in `code`.
pub(crate) fn encode(
    graph: &Graph<'_>,
    row: u32,
    elements: impl Iterator<Item = f32> + Clone,
    inverse_norm: f32,
    code: &mut Vec<i8>,
) -> NodeHead {
    let metric = graph.metric();
    let factor = if metric == Metric::Cosine { inverse_norm } else { 1.0 };
    let mut head = NodeHead { level: level_of(row, graph.m()), inverse_norm, ..Default::default() };
    code.clear();
    let mut square = 0.0;
    match graph.settings().quantization {
        Quantization::Int8 => {
            let largest = elements.clone().fold(0.0f32, |largest, x| largest.max(x.abs()));
            head.scale = largest * factor / CODE_MAX;
            let inverse = CODE_MAX / largest;
            // `as` rounds towards zero, takes what is no number for 0, and ends at the type's bounds.
            code.extend(elements.map(|x| (x * inverse + 0.5f32.copysign(x)) as i8));
            code.resize(graph.code_size(), 0);
            head.code_sum = code.iter().map(|c| i32::from(*c)).sum();
            let squares: i64 = code.iter().map(|c| i64::from(*c) * i64::from(*c)).sum();
            square = squares as f32 * head.scale * head.scale;
        }
        Quantization::None => {
            head.scale = factor;
            if metric == Metric::L2 {
                square = elements.map(|x| f64::from(x) * f64::from(x)).sum::<f64>() as f32;
            }
        }
    }
    if metric == Metric::L2 {
        head.square = square;
    }
    head.checksum = checksum_of(&head, code);
    head
}

/// The checksum that belongs to a head and its code.
pub(crate) fn checksum_of(head: &NodeHead, code: &[i8]) -> u32 {
    let fields = [
        head.scale.to_bits(),
        head.code_sum as u32,
        head.level,
        head.square.to_bits(),
        head.inverse_norm.to_bits(),
    ];
    let sum = fields.iter().fold(0, |sum, field| checksum_append(sum, &field.to_le_bytes()));
    code.chunks(64).fold(sum, |sum, part| {
        let mut bytes = [0u8; 64];
        for (byte, code) in bytes.iter_mut().zip(part) {
            *byte = *code as u8;
        }
        checksum_append(sum, &bytes[..part.len()])
    })
}

/// Whether the head and the code of a row's node are as [`store_node`] stored them, by their
/// checksum.
pub fn node_is_whole(graph: &Graph<'_>, row: u32) -> bool {
    graph.node(row).is_some_and(|node| {
        let head = node.head();
        head.level == level_of(row, graph.m()) && head.checksum == checksum_of(&head, node.code())
    })
}

#[cold]
pub(crate) fn no_node(graph: &Graph<'_>, row: u32) -> Damage {
    let expected = format!("below {}, the nodes in the file", graph.end());
    Damage::new(0, "a row of the vector graph", row.into(), expected)
}

/// A vector as it is compared with nodes: its code or its elements, and the factors around them.
///
/// The distance of a node is `base + square - factor × scale × product`: 1 - cosine, minus the dot
/// product, or the squared Euclidean distance, of the coded vectors.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// Biased for the kernels; empty in a space without codes.
    pub(crate) code: Vec<u8>,
    /// The elements as given, where they are needed.
    pub(crate) row: Vec<f32>,
    pub(crate) base: f32,
    pub(crate) factor: f32,
    scratch: Vec<i8>,
}

impl Target {
    /// Takes a query's vector.
    pub(crate) fn set_vector(&mut self, graph: &Graph<'_>, vector: &[f32]) {
        self.row.clear();
        self.row.extend_from_slice(vector);
        let inverse_norm = crate::search::inverse_norm_of(vector);
        let mut code = std::mem::take(&mut self.scratch);
        let head = encode(graph, 0, vector.iter().copied(), inverse_norm, &mut code);
        self.set_code(graph, &head, &code);
        self.scratch = code;
    }

    /// Takes a node.
    pub(crate) fn set_node(&mut self, graph: &Graph<'_>, row: u32, node: Node<'_>) {
        if !graph.is_quantized() {
            self.row.clear();
            self.row.extend_from_slice(graph.row(row).unwrap_or_default());
        }
        self.set_code(graph, &node.head(), node.code());
    }

    fn set_code(&mut self, graph: &Graph<'_>, head: &NodeHead, code: &[i8]) {
        self.code.clear();
        self.code.extend(code.iter().map(|c| *c as u8 ^ crate::kernel::CODE_BIAS));
        (self.base, self.factor) = match graph.metric() {
            Metric::Cosine => (1.0, head.scale),
            Metric::Dot => (0.0, head.scale),
            Metric::L2 => (head.square, 2.0 * head.scale),
        };
    }
}
