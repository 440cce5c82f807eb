//! How far one client's writes were applied, so that a retry is not applied twice.
//!
//! | offset | size | field       | meaning |
//! |-------:|-----:|-------------|---------|
//! |      0 |   16 | `client_id` | the client's uuid |
//! |     16 |    8 | `sequence`  | the highest sequence number applied |
//! |     24 |    8 | `lsn`       | the log entry it became |
//! |     32 |   32 | `problems`  | bit n: the frame `sequence - n` was refused, wholly or in part |
//!
//! Each checkpoint writes a whole table into the region that its durable slot names; the other
//! slot's stays as it is. The slot holds the count and a checksum of the table.

use std::sync::atomic::Ordering;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum;
use crate::error::Damage;
use crate::geometry::Region;
use crate::limits::CLIENTS_MAX;
use crate::slot::Slot;
use crate::view::View;

/// See the table above.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct ClientEntry {
    pub client_id: [u8; 16],
    pub sequence: u64,
    pub lsn: u64,
    pub problems: [u64; 4],
}

/// Frames before the highest whose problems are remembered.
pub const PROBLEMS_MAX: u64 = 256;

/// The client table that the durable slot at `place` names.
pub fn read_clients(view: &View, place: usize, slot: &Slot) -> Result<Vec<ClientEntry>, Damage> {
    if slot.clients_count > CLIENTS_MAX as u64 {
        let expected = format!("at most {CLIENTS_MAX}");
        return Err(Damage::new(0, "the number of clients", slot.clients_count, expected));
    }
    let mut table = Vec::new();
    for ordinal in 0..slot.clients_count {
        let words = view.words(clients_region(place), ordinal, 8)?;
        let words: [u64; 8] = std::array::from_fn(|at| words[at].load(Ordering::Relaxed));
        let entry = ClientEntry::read_from_bytes(words.as_bytes());
        table.push(entry.unwrap_or_else(|_| unreachable!("the sizes agree")));
    }
    let found = u64::from(checksum(table.as_bytes()));
    if found != slot.clients_checksum {
        return Err(Damage::new(
            0,
            "the checksum of the client table",
            found,
            slot.clients_checksum,
        ));
    }
    Ok(table)
}

/// The region of the client table that the durable slot at `place` (0 for A) names.
pub fn clients_region(place: usize) -> Region {
    if place == 0 { Region::CLIENTS_A } else { Region::CLIENTS_B }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(ClientEntry, client_id, sequence, lsn, problems);
    }
}
