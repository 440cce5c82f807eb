//! Parts of a file that may change at any moment, each copied once when it is first asked for.
//!
//! What was copied stays where it is and as it is until the whole is dropped: so it may be borrowed,
//! checked, and used after the check, whatever is written to the file, and a file that shrinks is a
//! short read and no SIGBUS. Nothing of the file is mapped.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use zerocopy::IntoBytes;

use crate::geometry::HEADER_SIZE;

/// Bytes that are copied at most, bookkeeping not counted.
const SIZE_MAX: u64 = 1 << 30;
/// What one copy costs beside its bytes, at least.
const COPY_SIZE_MIN: u64 = 256;
/// Copies are found by number in chunks, each twice as large as the one before.
const CHUNKS: usize = 28;

/// One part.
#[derive(Debug)]
enum Part {
    Words(Box<[AtomicU64]>),
    Bytes(Box<[u64]>, usize),
}

/// Whether a part is asked for as words or as bytes, where it begins, and its size in bytes.
type Key = (bool, u64, u64);

/// The parts of one file that were asked for.
#[derive(Debug)]
pub struct Copies {
    /// The header as it was at once, for what is in it belongs together.
    header: OnceLock<Option<Box<[AtomicU64]>>>,
    /// By number, in chunks of 1, 2, 4 and so on.
    parts: [OnceLock<Box<[OnceLock<Part>]>>; CHUNKS],
    numbers: Mutex<HashMap<Key, usize>>,
    size: AtomicU64,
    is_exhausted: AtomicBool,
}

impl Default for Copies {
    fn default() -> Copies {
        Copies {
            header: OnceLock::new(),
            parts: [const { OnceLock::new() }; CHUNKS],
            numbers: Mutex::new(HashMap::new()),
            size: AtomicU64::new(0),
            is_exhausted: AtomicBool::new(false),
        }
    }
}

impl Copies {
    /// `count` words at `offset` of `file`; `None` if they are not all in it, not aligned, or more
    /// than is copied.
    pub fn words(&self, file: &File, offset: u64, count: u64) -> Option<&[AtomicU64]> {
        let size = count.checked_mul(8)?;
        let end = offset.checked_add(size)?;
        if !offset.is_multiple_of(8) {
            return None;
        }
        if end <= HEADER_SIZE {
            let header = self.header.get_or_init(|| self.copy_words(file, 0, HEADER_SIZE));
            return header.as_ref()?.get(offset as usize / 8..end as usize / 8);
        }
        match self.part((true, offset, size), || {
            Some(Part::Words(self.copy_words(file, offset, size)?))
        })? {
            Part::Words(words) => Some(words),
            Part::Bytes(..) => None,
        }
    }

    /// `size` bytes at `offset` of `file`, likewise, aligned for every type that a file holds.
    pub fn bytes(&self, file: &File, offset: u64, size: u64) -> Option<&[u8]> {
        let copy = || Some(Part::Bytes(self.copy(file, offset, size)?, size as usize));
        match self.part((false, offset, size), copy)? {
            Part::Bytes(words, size) => words.as_bytes().get(..*size),
            Part::Words(_) => None,
        }
    }

    /// Whether something was not given because too much had been copied.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted.load(Ordering::Relaxed)
    }

    fn part(&self, key: Key, make: impl FnOnce() -> Option<Part>) -> Option<&Part> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let next = numbers.len() + 1;
        let number = numbers.get(&key).copied();
        // Chunk k has the numbers from 2^k on.
        let place = |number: usize| (number.ilog2() as usize, number - (1 << number.ilog2()));
        let (chunk, at) = place(number.unwrap_or(next));
        let slots = self.parts.get(chunk)?;
        let slots = slots.get_or_init(|| (0..1usize << chunk).map(|_| OnceLock::new()).collect());
        if number.is_none() {
            let part = make()?;
            slots.get(at)?.set(part).ok()?;
            numbers.insert(key, next);
        }
        slots.get(at)?.get()
    }

    fn copy_words(&self, file: &File, offset: u64, size: u64) -> Option<Box<[AtomicU64]>> {
        let words = self.copy(file, offset, size)?;
        Some(words.iter().map(|word| AtomicU64::new(*word)).collect())
    }

    fn copy(&self, file: &File, offset: u64, size: u64) -> Option<Box<[u64]>> {
        let cost = size.max(COPY_SIZE_MIN);
        let copied = self.size.load(Ordering::Relaxed).checked_add(cost)?;
        if copied > SIZE_MAX {
            self.is_exhausted.store(true, Ordering::Relaxed);
            return None;
        }
        // Before anything is reserved for it: a size that the file only claims costs nothing.
        let end = offset.checked_add(size)?;
        if end > file.metadata().ok()?.len() {
            return None;
        }
        let mut words = vec![0u64; usize::try_from(size).ok()?.div_ceil(8)];
        let bytes = &mut words.as_mut_bytes()[..size as usize];
        file.read_exact_at(bytes, offset).ok()?;
        self.size.fetch_add(cost, Ordering::Relaxed);
        Some(words.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: usize) -> File {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        file
    }

    #[test]
    fn what_was_copied_stays_as_it_was() {
        let (file, copies) = (file(HEADER_SIZE as usize + 100), Copies::default());
        let offset = HEADER_SIZE + 3;
        let seen = copies.bytes(&file, offset, 10).unwrap();
        let words = copies.words(&file, HEADER_SIZE, 2).unwrap();
        let before = (seen.to_vec(), words[1].load(Ordering::Relaxed));
        file.write_all_at(&[0xff; 64], HEADER_SIZE).unwrap();
        file.set_len(HEADER_SIZE + 5).unwrap();
        assert_eq!((seen.to_vec(), words[1].load(Ordering::Relaxed)), before);
        assert_eq!(copies.bytes(&file, offset, 10).unwrap(), seen);
        assert!(copies.bytes(&file, offset, 9).is_none(), "the file has shrunk meanwhile");
    }

    #[test]
    fn what_is_not_in_the_file_or_too_much_is_not_copied() {
        let (file, copies) = (file(HEADER_SIZE as usize + 16), Copies::default());
        assert!(copies.words(&file, HEADER_SIZE + 8, 2).is_none());
        assert!(copies.words(&file, HEADER_SIZE + 4, 1).is_none());
        assert!(copies.words(&file, u64::MAX - 7, 1).is_none());
        assert!(copies.words(&file, 8, u64::MAX / 8 + 1).is_none());
        assert!(copies.bytes(&file, u64::MAX, 1).is_none());
        assert!(!copies.is_exhausted());
        file.set_len(HEADER_SIZE + (3 << 29)).unwrap();
        assert!(copies.bytes(&file, HEADER_SIZE, 1 << 20).is_some());
        assert!(copies.bytes(&file, HEADER_SIZE, 1 << 30).is_none());
        assert!(copies.is_exhausted());
    }

    #[test]
    fn many_parts_are_found_again() {
        let (file, copies) = (file(HEADER_SIZE as usize + 5000), Copies::default());
        let parts: Vec<&[u8]> =
            (0..4000).map(|at| copies.bytes(&file, HEADER_SIZE + at, 9).unwrap()).collect();
        for (at, part) in parts.iter().enumerate() {
            assert_eq!(part[0], (HEADER_SIZE as usize + at) as u8);
            assert_eq!(
                copies.bytes(&file, HEADER_SIZE + at as u64, 9).unwrap().as_ptr(),
                part.as_ptr()
            );
        }
    }
}
