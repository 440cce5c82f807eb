//! A vector space: what the rows of one vectors region are. Each has a page of its own.
//!
//! | offset | size | field             | meaning |
//! |-------:|-----:|-------------------|---------|
//! |      0 |    4 | `number`          | 1 + its place in the table; 0: not used |
//! |      4 |    4 | `dimension`       | elements of a row |
//! |      8 |    1 | `metric`          | 0 cosine, 1 dot product, 2 Euclidean distance |
//! |      9 |    1 | `element_type`    | 0 f32, 1 f16 |
//! |     10 |    2 | `m`               | links of a graph node on an upper level; level 0 has twice as many |
//! |     12 |    1 | `quantization`    | of the graph's codes: 0 int8 with a scale for each vector, 1 none |
//! |     13 |    3 | `reserved`        | zero |
//! |     16 |   64 | `name`            | UTF-8, padded with zeros; empty: the default space |
//! |     80 |  128 | `model`           | likewise: the model that made the vectors, as the caller calls it |
//! |    208 |    8 | `lsn`             | the log entry that made it; 0: given at creation |
//! |    216 |    2 | `ef_construction` | candidates that an insertion into the graph looks at |
//! |    218 |    2 | `ef_search`       | candidates of a search that is not told otherwise |
//! |    220 |    4 | `checksum`        | CRC32C of the bytes before it |
//!
//! Written once, before the first row. Readers read the entries below the slot's count of spaces.

use std::ops::RangeInclusive;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum_of;
use crate::error::Damage;
use crate::geometry::{PAGE_SIZE, SPACES_OFFSET, Shape};
use crate::limits::VECTOR_DIMENSION_MAX;

/// See the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct SpaceEntry {
    pub number: u32,
    pub dimension: u32,
    pub metric: u8,
    pub element_type: u8,
    pub m: u16,
    pub quantization: u8,
    pub reserved: [u8; 3],
    pub name: [u8; 64],
    pub model: [u8; 128],
    pub lsn: u64,
    pub ef_construction: u16,
    pub ef_search: u16,
    pub checksum: u32,
}

/// How nearness is measured. A larger score is nearer under each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Metric {
    /// Cosine similarity, -1 to 1.
    #[default]
    Cosine = 0,
    /// The dot product.
    Dot = 1,
    /// Minus the Euclidean distance.
    L2 = 2,
}

impl Metric {
    /// The metric whose number is `number`.
    pub fn from_number(number: u8) -> Option<Metric> {
        [Metric::Cosine, Metric::Dot, Metric::L2].get(usize::from(number)).copied()
    }

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
            Metric::L2 => "l2",
        }
    }
}

/// Bytes of a space's name.
pub const NAME_SIZE_MAX: usize = 64;
/// Bytes of a model's name.
pub const MODEL_SIZE_MAX: usize = 128;
/// What `m` may be.
pub const M_RANGE: RangeInclusive<u16> = 2..=256;
/// What `ef_construction` and `ef_search` may be.
pub const EF_RANGE: RangeInclusive<u16> = 1..=4096;

/// What a graph node holds of its vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Quantization {
    /// One byte an element, with a scale of the vector's own.
    #[default]
    Int8 = 0,
    /// Nothing: the vector's row is read.
    None = 1,
}

impl Quantization {
    /// The quantization whose number is `number`.
    pub fn from_number(number: u8) -> Option<Quantization> {
        [Quantization::Int8, Quantization::None].get(usize::from(number)).copied()
    }

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Quantization::Int8 => "int8",
            Quantization::None => "none",
        }
    }
}

/// How a space's graph is built and searched; docs/VECTORS.md says what each setting costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphSettings {
    /// Links of a node on an upper level; level 0 has twice as many.
    pub m: u16,
    /// Candidates that an insertion looks at.
    pub ef_construction: u16,
    /// Candidates of a search that is not told otherwise.
    pub ef_search: u16,
    /// What a node holds of its vector.
    pub quantization: Quantization,
}

impl Default for GraphSettings {
    fn default() -> GraphSettings {
        GraphSettings {
            m: 16,
            ef_construction: 200,
            ef_search: 64,
            quantization: Quantization::default(),
        }
    }
}

impl GraphSettings {
    /// The first setting that is out of its range: its name, what it is, and the range.
    pub fn out_of_range(&self) -> Option<(&'static str, u16, RangeInclusive<u16>)> {
        let settings = [
            ("M", self.m, M_RANGE),
            ("ef_construction", self.ef_construction, EF_RANGE),
            ("ef_search", self.ef_search, EF_RANGE),
        ];
        settings.into_iter().find(|(_, found, range)| !range.contains(found))
    }
}

/// A vector space that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Elements of a row.
    pub dimension: usize,
    /// How nearness is measured.
    pub metric: Metric,
    /// How its graph is built and searched.
    pub graph: GraphSettings,
    /// The caller's name for it; empty for the default one.
    pub name: String,
    /// The model that made the vectors, as the caller calls it.
    pub model: String,
}

impl Space {
    /// The default space, of that dimension and everything else as it is unless somebody says
    /// otherwise.
    pub fn of_default_name(dimension: usize) -> Space {
        Space {
            dimension,
            metric: Metric::default(),
            graph: GraphSettings::default(),
            name: String::new(),
            model: String::new(),
        }
    }

    /// The rows of the vectors region: f32, each row on cache-line boundaries.
    pub fn vector_shape(&self) -> Shape {
        Shape::new((self.dimension as u64 * 4).next_multiple_of(64))
    }

    /// The level-0 records of the graph region.
    pub fn graph_shape(&self) -> Shape {
        let GraphSettings { m, quantization, .. } = self.graph;
        Shape::new(crate::graph::node_size(self.dimension, m.into(), quantization))
    }
}

impl SpaceEntry {
    /// The entry of space `index`, with f32 rows.
    ///
    /// # Panics
    /// If a name is too long, the dimension or a setting out of range: all are checked before.
    pub fn new(index: usize, space: &Space, lsn: u64) -> SpaceEntry {
        assert!(space.dimension > 0 && space.dimension <= VECTOR_DIMENSION_MAX);
        assert_eq!(space.graph.out_of_range(), None);
        let mut entry = SpaceEntry {
            number: index as u32 + 1,
            dimension: space.dimension as u32,
            metric: space.metric as u8,
            element_type: 0,
            m: space.graph.m,
            quantization: space.graph.quantization as u8,
            reserved: [0; 3],
            name: [0; 64],
            model: [0; 128],
            lsn,
            ef_construction: space.graph.ef_construction,
            ef_search: space.graph.ef_search,
            checksum: 0,
        };
        entry.name[..space.name.len()].copy_from_slice(space.name.as_bytes());
        entry.model[..space.model.len()].copy_from_slice(space.model.as_bytes());
        entry.checksum = checksum_of(&entry);
        entry
    }

    /// The space, if this is the entry of space `index`.
    pub fn check(&self, index: usize) -> Result<Space, Damage> {
        let offset = SPACES_OFFSET + index as u64 * PAGE_SIZE;
        if self.checksum != checksum_of(self) {
            return Err(Damage::new(
                offset,
                "a vector space's checksum",
                self.checksum.into(),
                checksum_of(self),
            ));
        }
        let range = |what, found: u64, expected: std::ops::RangeInclusive<u64>| {
            if expected.contains(&found) {
                Ok(())
            } else {
                Err(Damage::new(
                    offset,
                    what,
                    found,
                    format!("{} to {}", expected.start(), expected.end()),
                ))
            }
        };
        range("a vector space's number", self.number.into(), index as u64 + 1..=index as u64 + 1)?;
        range(
            "a vector space's dimension",
            self.dimension.into(),
            1..=VECTOR_DIMENSION_MAX as u64,
        )?;
        range("a vector space's element type", self.element_type.into(), 0..=0)?;
        let quantization = Quantization::from_number(self.quantization).ok_or_else(|| {
            let found = self.quantization.into();
            Damage::new(offset, "a vector space's quantization", found, "0 or 1")
        })?;
        let graph = GraphSettings {
            m: self.m,
            ef_construction: self.ef_construction,
            ef_search: self.ef_search,
            quantization,
        };
        if let Some((_, found, expected)) = graph.out_of_range() {
            let expected = format!("{} to {}", expected.start(), expected.end());
            return Err(Damage::new(offset, "a vector space's graph", found.into(), expected));
        }
        let metric = Metric::from_number(self.metric).ok_or_else(|| {
            Damage::new(offset, "a vector space's metric", self.metric.into(), "0 to 2")
        })?;
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        Ok(Space {
            dimension: self.dimension as usize,
            metric,
            graph,
            name: text(&self.name),
            model: text(&self.model),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            SpaceEntry,
            number,
            dimension,
            metric,
            element_type,
            m,
            quantization,
            reserved,
            name,
            model,
            lsn,
            ef_construction,
            ef_search,
            checksum,
        );
    }

    #[test]
    fn a_space_comes_back_as_it_was_given_and_at_its_own_place_only() {
        let space = Space {
            dimension: 384,
            metric: Metric::Dot,
            graph: GraphSettings::default(),
            name: "text".into(),
            model: "all-MiniLM-L6-v2".into(),
        };
        let entry = SpaceEntry::new(2, &space, 9);
        assert_eq!(entry.check(2).unwrap(), space);
        assert!(entry.check(1).is_err());
        assert!(SpaceEntry { dimension: 385, ..entry }.check(2).is_err());
        assert_eq!(space.vector_shape().stride, 1536);
        assert_eq!(space.graph_shape().stride, 576);

        let graph = GraphSettings {
            m: 4,
            ef_construction: 7,
            ef_search: 9,
            quantization: Quantization::None,
        };
        let other = Space { graph, ..space };
        let entry = SpaceEntry::new(0, &other, 9);
        assert_eq!(entry.check(0).unwrap(), other);
        assert_eq!(other.graph_shape().stride, 128);
        for wrong in [
            SpaceEntry { m: 1, ..entry },
            SpaceEntry { ef_construction: 0, ..entry },
            SpaceEntry { ef_search: 4097, ..entry },
            SpaceEntry { quantization: 2, ..entry },
        ] {
            let sealed = SpaceEntry { checksum: checksum_of(&wrong), ..wrong };
            assert!(sealed.check(0).is_err());
        }
    }
}
