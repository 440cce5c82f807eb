//! Bugs for the targets to find: in each a number that was read is believed.

use sutra_client::protocol::{FrameKind, Request};
use sutra_reader::Snapshot;

/// The variable that plants them in a program that is told nothing else.
const PLANTED: &str = "SUTRA_FUZZ_PLANTED";
/// As `coordinator/src/wal/format.rs` has it: where groups begin, the size of a group's header, what
/// it begins with, and where in it the size of its body stands.
const GROUPS_OFFSET: usize = 4096;
const GROUP_HEADER_SIZE: usize = 64;
const GROUP_MAGIC: &[u8] = b"SWG\x01";
const BODY_SIZE_OFFSET: usize = 60;
/// More than the sample has.
const CONCEPTS_MAX: usize = 200;

/// Whether the environment plants them.
pub fn is_planted() -> bool {
    std::env::var_os(PLANTED).is_some()
}

/// A time to wait, taken for a place in the frame.
pub(super) fn frame(kind: FrameKind, body: &[u8]) {
    if let Ok(Request::Wait(wait)) = Request::decode(kind, body) {
        let _ = &body[..wait.timeout_ms as usize];
    }
}

/// The groups of a segment by their sizes, without a look at their checksums.
pub(super) fn log(segment: &[u8]) {
    let mut at = GROUPS_OFFSET;
    while segment[at..].starts_with(GROUP_MAGIC) {
        let (header, rest) = segment[at..].split_at(GROUP_HEADER_SIZE);
        let size = std::array::from_fn(|n| header[BODY_SIZE_OFFSET + n]);
        let size = u32::from_le_bytes(size) as usize;
        at += GROUP_HEADER_SIZE + rest[..size].len();
    }
}

/// How many associations lead to each concept, in a table as large as need be.
pub(super) fn file(snapshot: &Snapshot) {
    let mut met = [0; CONCEPTS_MAX];
    for edge in 0..snapshot.association_count().min(100) as u32 {
        if let Ok(association) = snapshot.association(edge) {
            met[association.target() as usize] += 1;
        }
    }
}
