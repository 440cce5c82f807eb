//! Which rows a search has seen: one bit a row, and the rows in the order in which they were seen.
//!
//! At 100,000 rows the bits take 12 KiB and stay in the fastest cache, where a table of marks with
//! epochs would not. What a search saw is cleared row by row before the next one.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    /// Rows below it can be seen. Its own bit is set, and stands for every row that is not there.
    end: u32,
    /// Rows seen, up to `count`.
    rows: Vec<u32>,
    count: usize,
}

impl Visited {
    /// Forgets everything, and has room for so many rows.
    pub(crate) fn reset(&mut self, end: u64) {
        for row in &self.rows[..self.count] {
            self.words[*row as usize / 64] = 0;
        }
        self.count = 0;
        if let Some(word) = self.words.get_mut(self.end as usize / 64) {
            *word = 0;
        }
        self.end = end.min(u32::MAX.into()) as u32;
        let words = self.end as usize / 64 + 1;
        if self.words.len() != words {
            self.words.resize(words, 0);
        }
        self.words[self.end as usize / 64] = 1 << (self.end % 64);
    }

    /// Sees one row.
    pub(crate) fn insert(&mut self, row: u32) {
        self.insert_linked(&[AtomicU32::new(row.wrapping_add(1))]);
    }

    /// Sees the rows that links lead to, and says which of [`Visited::rows`] are seen for the first
    /// time.
    #[inline(always)]
    pub(crate) fn insert_linked(&mut self, links: &[AtomicU32]) -> Range<usize> {
        let first = self.count;
        if self.rows.len() < first + links.len() {
            self.grow(first + links.len());
        }
        let rows = &mut self.rows[first..first + links.len()];
        let mut count = 0;
        // Without a branch on what was seen: that is as good as random.
        for link in links {
            // A link to nothing is 0, which leads to the highest row.
            let row = link.load(Ordering::Relaxed).wrapping_sub(1).min(self.end);
            let word = &mut self.words[row as usize / 64];
            let bit = 1 << (row % 64);
            rows[count] = row;
            count += usize::from(*word & bit == 0);
            *word |= bit;
        }
        self.count = first + count;
        first..self.count
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.rows.resize(needed.max(1024).next_power_of_two(), 0);
    }

    /// The rows seen, in order.
    #[inline(always)]
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows[..self.count]
    }

    /// Bytes that it keeps.
    pub(crate) fn memory(&self) -> usize {
        self.words.capacity() * 8 + self.rows.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_new_once_and_rows_that_are_not_there_never() {
        let mut visited = Visited::default();
        for end in [100, 64, 130] {
            visited.reset(end);
            let links = [5, 0, 6, 5, u32::MAX, 64, end as u32 + 1, end as u32].map(AtomicU32::new);
            let new = visited.insert_linked(&links);
            let expected = if end == 64 { vec![4, 5, 63] } else { vec![4, 5, 63, end as u32 - 1] };
            assert_eq!(visited.rows()[new], expected);
            visited.insert(9);
            let new = visited.insert_linked(&[10, 8].map(AtomicU32::new));
            assert_eq!(visited.rows()[new], [7]);
        }
    }
}
