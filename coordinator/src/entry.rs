//! What stands in a log entry: a head, then the operations of the frame as the client sent them.
//!
//! | offset | size | field                   | meaning |
//! |-------:|-----:|-------------------------|---------|
//! |      0 |    8 | `time`                  | microseconds since the Unix epoch: the "now" of every operation |
//! |      8 |   16 | `client_id`             | the client's uuid |
//! |     24 |    8 | `sequence`              | the client's number of the frame |
//! |     32 |    4 | `operation_count`       | operations in the frame |
//! |     36 |    4 | `rejected_count`        | how many of them were refused, and are not applied |
//! |     40 |    4 | `space_dimension`       | dimension of the default vector space, if this entry makes it; else 0 |
//! |     44 |    1 | `space_metric`          | its metric |
//! |     45 |    1 | `author_size`           | bytes of the author's name |
//! |     46 |    2 | `refusal`               | why the frame as a whole was refused; 0: it was not |
//! |     48 |    1 | `kind`                  | 0 a client's frame, 1 a settling: what was reinforced gets its version |
//! |     49 |    1 | `space_quantization`    | of that space: 0 int8, 1 none |
//! |     50 |    2 | `space_m`               | links of its graph's nodes on upper levels |
//! |     52 |    2 | `space_ef_construction` | candidates of an insertion into its graph |
//! |     54 |    2 | `space_ef_search`       | candidates of a search of it |
//!
//! Then the author's name, then 8 bytes for each rejected operation, ascending: its index (u32), why
//! (u16), zero (u16); then the operations. Everything that applying needs to come out the same again
//! is in here. A frame that is refused becomes an entry without operations: a client that never got
//! the answer and sends the frame again must not take it for applied.

use sutra_client::protocol::Operations;
use sutra_layout::limits::VECTOR_DIMENSION_MAX;
use sutra_layout::space::{GraphSettings, Metric, Quantization, Space};

use crate::clients::Outcome;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// See the table above.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EntryHead {
    pub time: U64,
    pub client_id: [u8; 16],
    pub sequence: U64,
    pub operation_count: U32,
    pub rejected_count: U32,
    pub space_dimension: U32,
    pub space_metric: u8,
    pub author_size: u8,
    pub refusal: U16,
    pub kind: u8,
    pub space_quantization: u8,
    pub space_m: U16,
    pub space_ef_construction: U16,
    pub space_ef_search: U16,
}

const _: () = assert!(size_of::<EntryHead>() == 56);

/// An operation that is not applied.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Rejected {
    pub index: U32,
    pub code: U16,
    pub reserved: U16,
}

/// A log entry, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub head: EntryHead,
    pub author: &'a str,
    pub rejected: &'a [Rejected],
    pub operations: Operations<'a>,
}

impl EntryHead {
    /// The kind of an entry that the coordinator makes before it publishes reinforcements.
    pub const SETTLING: u8 = 1;

    /// With the default vector space that the entry makes.
    #[must_use]
    pub fn making(self, space: &Space) -> EntryHead {
        EntryHead {
            space_dimension: U32::new(space.dimension as u32),
            space_metric: space.metric as u8,
            space_quantization: space.graph.quantization as u8,
            space_m: U16::new(space.graph.m),
            space_ef_construction: U16::new(space.graph.ef_construction),
            space_ef_search: U16::new(space.graph.ef_search),
            ..self
        }
    }

    /// The default vector space that the entry makes, if it makes one; the error says what is wrong
    /// with it.
    pub fn made_space(&self) -> Result<Option<Space>, String> {
        let dimension = self.space_dimension.get() as usize;
        if dimension == 0 {
            return Ok(None);
        }
        if dimension > VECTOR_DIMENSION_MAX {
            return Err("its vector space is too wide".to_owned());
        }
        let metric =
            Metric::from_number(self.space_metric).ok_or("its vector space has no metric")?;
        let quantization = Quantization::from_number(self.space_quantization)
            .ok_or("its vector space has no quantization")?;
        let graph = GraphSettings {
            m: self.space_m.get(),
            ef_construction: self.space_ef_construction.get(),
            ef_search: self.space_ef_search.get(),
            quantization,
        };
        if let Some((setting, found, _)) = graph.out_of_range() {
            return Err(format!("its vector space's {setting} is {found}"));
        }
        Ok(Some(Space { metric, graph, ..Space::of_default_name(dimension) }))
    }

    /// Appends head, author and rejected indices: what stands before the operations.
    pub fn encode(&self, author: &str, rejected: &[Rejected], out: &mut Vec<u8>) {
        let head = EntryHead {
            rejected_count: U32::new(rejected.len() as u32),
            author_size: author.len() as u8,
            ..*self
        };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(author.as_bytes());
        out.extend_from_slice(rejected.as_bytes());
    }
}

impl<'a> Entry<'a> {
    /// What became of the frame, for a client that asks again.
    pub fn outcome(&self) -> Outcome {
        let errors =
            self.rejected.iter().map(|rejected| (rejected.index.get(), rejected.code.get()));
        Outcome {
            sequence: self.head.sequence.get(),
            refusal: self.head.refusal.get(),
            errors: errors.collect(),
        }
    }

    /// Reads an entry; the error says what is wrong with it.
    pub fn decode(payload: &'a [u8]) -> Result<Entry<'a>, String> {
        let short = || format!("it ends after {} bytes", payload.len());
        let (head, rest) = EntryHead::read_from_prefix(payload).map_err(|_| short())?;
        let (author, rest) = rest.split_at_checked(head.author_size.into()).ok_or_else(short)?;
        let author =
            std::str::from_utf8(author).map_err(|_| "its author is not UTF-8".to_owned())?;
        let rejected_size = head.rejected_count.get() as usize * size_of::<Rejected>();
        let (rejected, operations) = rest.split_at_checked(rejected_size).ok_or_else(short)?;
        let rejected = <[Rejected]>::ref_from_bytes(rejected).map_err(|_| short())?;
        let operations =
            Operations::new(head.operation_count.get(), operations).map_err(|e| e.to_string())?;
        Ok(Entry { head, author, rejected, operations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_a_short_one_is_an_error() {
        let head = EntryHead { sequence: U64::new(9), time: U64::new(5), ..Default::default() };
        let mut bytes = Vec::new();
        let rejected =
            |index| Rejected { index: U32::new(index), code: U16::new(3), reserved: U16::new(0) };
        head.encode("importer", &[rejected(1), rejected(4)], &mut bytes);
        let entry = Entry::decode(&bytes).unwrap();
        assert_eq!((entry.author, entry.head.sequence.get()), ("importer", 9));
        assert_eq!(entry.rejected.iter().map(|r| r.index.get()).collect::<Vec<_>>(), [1, 4]);
        for end in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..end]).is_err(), "{end} bytes");
        }
    }
}
