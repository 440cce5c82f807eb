//! Reading, in processes of its own: what they are asked, how they do it, and what they answer.

mod child;
mod measure;
mod message;
mod process;
pub mod search;

pub use child::{ReaderArgs, run};
pub use message::{Measured, Memory, Mode, Task};
pub use process::ReaderProcess;

use crate::peers::Lists;

/// Bytes that come from memory together.
const LINE_SIZE: usize = 64;

/// A fixed view of a store, and what is asked of it. Each answer is a number that depends on all
/// that had to be read, so that nothing is left out and contenders can be compared.
pub trait View {
    /// A concept that was found before.
    type Held<'s>: Copy
    where
        Self: 's;

    /// The concept's ordinal, and so its record.
    fn record(&self, id: &[u8; 16]) -> Option<u64>;

    /// The sum of [`View::record`] over several ids; none counts as nothing.
    fn records_of(&self, ids: &[[u8; 16]]) -> u64 {
        ids.iter().fold(0, |sum: u64, id| sum.wrapping_add(self.record(id).unwrap_or_default()))
    }

    /// The same, and its content brought to the processor.
    fn content(&self, id: &[u8; 16]) -> Option<u64>;

    /// Finds the concept with that ordinal, which must be there.
    fn hold(&self, ordinal: u32) -> Self::Held<'_>;

    /// Ordinal, type and confidence of each neighbor.
    fn neighbors(&self, held: Self::Held<'_>) -> u64;

    /// The sum of [`View::neighbors`] over several concepts.
    fn neighbors_of(&self, held: &[Self::Held<'_>]) -> u64 {
        held.iter().fold(0, |sum: u64, held| sum.wrapping_add(self.neighbors(*held)))
    }

    /// Gives the ordinals of a concept's neighbors to `visit`.
    fn visit(&self, ordinal: u32, is_out: bool, visit: impl FnMut(u32));

    /// The number of edges of a shortest path of at most three, searched from the beginning alone.
    fn path_forward(&self, from: u32, to: u32, scratch: &mut search::Scratch) -> Option<u64>;

    /// The number of edges of a shortest path of at most three, searched from both ends.
    fn path(&self, from: u32, to: u32, scratch: &mut search::Scratch) -> Option<u64>;

    /// The largest product of confidences along a path.
    fn best_path(&self, from: u32, to: u32) -> Option<f64>;
}

/// An open store.
pub trait Source {
    /// Its views.
    type View<'s>: View
    where
        Self: 's;

    /// The newest view.
    fn view(&self) -> Self::View<'_>;
}

/// A number for the ordinal, type and confidence of a neighbor; to be added up, as contenders give
/// them in different orders.
#[inline]
pub fn neighbor_digest(ordinal: u32, edge_type: u16, confidence: f32) -> u64 {
    // The workload's confidences are multiples of 1/256; a store may round them to less than that.
    let confidence = (confidence * 256.0 + 0.5) as u64;
    u64::from(ordinal) + (u64::from(edge_type) << 32) + (confidence << 48)
}

/// A number that depends on a byte of each cache line of a content, and on its last.
#[inline]
pub fn touched(bytes: &[u8]) -> u64 {
    let first_of_lines = bytes.iter().step_by(LINE_SIZE).map(|byte| u64::from(*byte));
    first_of_lines.sum::<u64>() + bytes.last().map_or(0, |byte| u64::from(*byte))
}

impl<L: Lists> View for L {
    type Held<'s>
        = u32
    where
        Self: 's;

    #[inline]
    fn record(&self, id: &[u8; 16]) -> Option<u64> {
        self.ordinal(id).map(u64::from)
    }

    #[inline]
    fn content(&self, id: &[u8; 16]) -> Option<u64> {
        let (ordinal, touched) = Lists::content(self, id, touched)?;
        Some(u64::from(ordinal).wrapping_add(touched))
    }

    fn hold(&self, ordinal: u32) -> u32 {
        ordinal
    }

    #[inline]
    fn neighbors(&self, held: u32) -> u64 {
        let mut sum = 0u64;
        self.links(held, true, |link| {
            let digest = neighbor_digest(link.neighbor, link.edge_type, link.confidence);
            sum = sum.wrapping_add(digest);
        });
        sum
    }

    #[inline]
    fn visit(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(u32)) {
        self.links(ordinal, is_out, |link| visit(link.neighbor));
    }

    fn path_forward(&self, from: u32, to: u32, scratch: &mut search::Scratch) -> Option<u64> {
        search::forward(self, (from, to), 3, scratch)
    }

    fn path(&self, from: u32, to: u32, scratch: &mut search::Scratch) -> Option<u64> {
        search::both(self, (from, to), 3, scratch)
    }

    fn best_path(&self, _: u32, _: u32) -> Option<f64> {
        unreachable!("a store that knows no paths is not asked for the best")
    }
}
