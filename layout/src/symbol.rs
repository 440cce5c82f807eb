//! The name behind a small number: a type, kind, namespace or author.
//!
//! | offset | size | field      | meaning |
//! |-------:|-----:|------------|---------|
//! |      0 |    4 | `checksum` | CRC32C of the rest of the head and the name |
//! |      4 |    4 | `number`   | what records and edges hold |
//! |      8 |    1 | `table`    | 0 types, 1 kinds, 2 namespaces, 3 authors, 4 times to live |
//! |      9 |    1 | `size`     | bytes of the name, which follows |
//! |     10 |    2 | `reserved` | zero |
//!
//! A time to live is that of the namespace with its number, in microseconds, written as decimal
//! digits; the last one counts, and 0 ends it.
//!
//! Then the name, UTF-8, then zeros up to a multiple of 4. Entries follow each other; where the
//! next would straddle extents, it begins with the next extent, and the rest of the old one is
//! zero. Written by the reconciler only, once, when a name is first used. Readers keep a private
//! table and read on from where they were.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum;
use crate::error::Damage;
use crate::geometry::{Region, Shape};
use crate::slot::Slot;
use crate::view::View;

/// See the table above.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct SymbolHead {
    pub checksum: u32,
    pub number: u32,
    pub table: u8,
    pub size: u8,
    pub reserved: [u8; 2],
}

/// Bytes of a [`SymbolHead`].
pub const SYMBOL_HEAD_SIZE: u64 = size_of::<SymbolHead>() as u64;

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SymbolTable {
    /// Association types.
    Type = 0,
    /// Kinds of concept.
    Kind = 1,
    /// Namespaces.
    Namespace = 2,
    /// Authors of versions.
    Author = 3,
    /// How long a namespace's concepts live unless told otherwise.
    TimeToLive = 4,
}

impl SymbolTable {
    /// All of them, by number.
    pub const ALL: [SymbolTable; 5] = [
        SymbolTable::Type,
        SymbolTable::Kind,
        SymbolTable::Namespace,
        SymbolTable::Author,
        SymbolTable::TimeToLive,
    ];

    /// The number that the first own name gets.
    pub fn first_number(self) -> u32 {
        match self {
            SymbolTable::Type => FIRST_OWN_TYPE,
            _ => 1,
        }
    }

    /// The largest number that its records can hold.
    pub fn number_max(self) -> u32 {
        match self {
            SymbolTable::Type | SymbolTable::Kind => u32::from(u16::MAX),
            _ => u32::MAX - 1,
        }
    }
}

/// The association types that every store has, by number.
pub const BUILT_IN_TYPES: [&str; 5] =
    ["semantic", "causal", "temporal", "hierarchical", "compositional"];
/// The number of a store's first own type.
pub const FIRST_OWN_TYPE: u32 = 16;

/// Head and name of one symbol, padded, as they stand in the file.
pub fn encode_symbol(table: SymbolTable, number: u32, name: &str) -> Vec<u8> {
    let size =
        u8::try_from(name.len()).expect("names of symbols are checked before they are written");
    let mut head = SymbolHead { number, table: table as u8, size, ..Default::default() };
    head.checksum = symbol_checksum(&head, name.as_bytes());
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(name.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The checksum of a head and the name that follows it.
pub fn symbol_checksum(head: &SymbolHead, name: &[u8]) -> u32 {
    crc32c::crc32c_append(checksum(&head.as_bytes()[4..]), name)
}

/// Reads the symbols from byte `from` of the region up to the slot's size, and returns where the
/// next ones will begin.
pub fn read_symbols(
    view: &View,
    from: u64,
    slot: &Slot,
    mut visit: impl FnMut(SymbolTable, u32, &str),
) -> Result<u64, Damage> {
    let shape = Shape::new(1);
    let mut at = from;
    while at < slot.symbols_size {
        let (extent, within) = shape
            .place(at)
            .ok_or_else(|| Damage::new(0, "a symbol's place", at, "within the region"))?;
        let left = shape.extent_size(extent) - within;
        let head = if left < SYMBOL_HEAD_SIZE {
            None
        } else {
            let bytes = view.symbol_bytes(at, SYMBOL_HEAD_SIZE, slot)?;
            let head = SymbolHead::read_from_bytes(bytes).expect("the sizes agree");
            Some(head).filter(|head| head.size != 0)
        };
        let Some(head) = head else {
            at = shape.extent_start(extent + 1); // the rest of the extent was too small for the next
            continue;
        };
        let name = view.symbol_bytes(at + SYMBOL_HEAD_SIZE, head.size.into(), slot)?;
        let table = SymbolTable::ALL.get(usize::from(head.table)).copied();
        let (Some(table), Ok(text)) = (table, std::str::from_utf8(name)) else {
            return Err(Damage::new(
                view.locate(Region::SYMBOLS, shape, at)?,
                "a symbol's table",
                head.table.into(),
                "0 to 4, and a name in UTF-8",
            ));
        };
        if head.checksum != symbol_checksum(&head, name) {
            let expected = symbol_checksum(&head, name);
            let offset = view.locate(Region::SYMBOLS, shape, at)?;
            return Err(Damage::new(offset, "a symbol's checksum", head.checksum.into(), expected));
        }
        visit(table, head.number, text);
        at += symbol_space(text);
    }
    Ok(at)
}

/// Before the number in the name of a symbol whose own name is lost.
const LOST_PREFIX: &str = "\u{fffd}lost ";

/// The name that a repair gives to a number whose own name cannot be read any more.
pub fn lost_name(number: u32) -> String {
    format!("{LOST_PREFIX}{number}")
}

/// Whether a name is one of [`lost_name`].
pub fn is_lost_name(name: &str) -> bool {
    name.starts_with(LOST_PREFIX)
}

/// Bytes that the symbol of `name` takes, head and padding included.
pub fn symbol_space(name: &str) -> u64 {
    (SYMBOL_HEAD_SIZE + name.len() as u64).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(SymbolHead, checksum, number, table, size, reserved);
    }
}
