//! Bytes as they arrive, taken out as whole frames.

use super::code::ProtocolError;
use super::frame::{FrameHeader, HEADER_SIZE};

/// How much room a read is given at least.
const SPARE_SIZE: usize = 64 << 10;
/// A buffer that grew above this is given back once it is empty.
const KEEP_SIZE: usize = 1 << 20;
/// So many bytes of an unfinished frame are moved out of a buffer that somebody else can use.
const SMALL_SIZE: usize = 4 << 10;

/// Collects what a socket delivers and gives it out frame by frame.
///
/// It grows by what has arrived, never by what a header announces.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Where the first byte not yet taken lies.
    start: usize,
    /// Where the bytes that arrived end; behind it `bytes` is room for more.
    end: usize,
    body_size_max: u32,
}

impl Inbox {
    /// An empty one that refuses bodies above `body_size_max`.
    pub fn new(body_size_max: u32) -> Inbox {
        Inbox { bytes: Vec::new(), start: 0, end: 0, body_size_max }
    }

    /// Room for the next read, at least 64 KiB. Tell [`Inbox::filled`] how much of it was used.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEEP_SIZE {
                self.bytes = Vec::new();
            }
        }
        if self.bytes.len() - self.end < SPARE_SIZE {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.bytes.len() - self.end < SPARE_SIZE {
                // Doubling keeps the moving and zeroing linear in what arrived; no more than what
                // has been announced, for what is behind it can wait.
                let doubled = (2 * self.end).min(self.announced_size() + SPARE_SIZE);
                let size = doubled.max(self.end + SPARE_SIZE);
                self.bytes.reserve_exact(size - self.bytes.len());
                self.bytes.resize(size, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Bytes of the next frame by its header, or of what has arrived if that is more.
    fn announced_size(&self) -> usize {
        let arrived = &self.bytes[self.start..self.end];
        let header = arrived.first_chunk::<HEADER_SIZE>();
        let header = header.and_then(|bytes| FrameHeader::parse(bytes, self.body_size_max).ok());
        let size = header.map_or(0, |header| HEADER_SIZE + header.body_size as usize);
        size.max(arrived.len())
    }

    /// `count` bytes of the room hold what a read delivered.
    ///
    /// # Panics
    ///
    /// If that is more than the room.
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.bytes.len() - self.end, "more bytes than room");
        self.end += count;
    }

    /// The next frame, if all of it has arrived. An error is final for the connection.
    #[expect(clippy::should_implement_trait, reason = "the frame borrows from the inbox")]
    pub fn next(&mut self) -> Result<Option<(FrameHeader, &[u8])>, ProtocolError> {
        let arrived = &self.bytes[self.start..self.end];
        let Some((header, rest)) = arrived.split_first_chunk::<HEADER_SIZE>() else {
            return Ok(None);
        };
        let header = FrameHeader::parse(header, self.body_size_max)?;
        let Some(body) = rest.get(..header.body_size as usize) else {
            return Ok(None);
        };
        self.start += HEADER_SIZE + body.len();
        Ok(Some((header, body)))
    }

    /// Whether [`Inbox::next`] has something to give: a frame, or an error.
    pub fn has_next(&self) -> bool {
        let arrived = &self.bytes[self.start..self.end];
        let Some(header) = arrived.first_chunk::<HEADER_SIZE>() else {
            return false;
        };
        match FrameHeader::parse(header, self.body_size_max) {
            Ok(header) => arrived.len() - HEADER_SIZE >= header.body_size as usize,
            Err(_) => true,
        }
    }

    /// Takes a buffer that nobody uses, if its own is too small for a read.
    pub fn borrow(&mut self, spare: &mut Vec<u8>) {
        if self.bytes.len() < SPARE_SIZE && spare.len() >= SPARE_SIZE {
            let size = self.size();
            spare[..size].copy_from_slice(&self.bytes[self.start..self.end]);
            self.bytes = std::mem::take(spare);
            (self.start, self.end) = (0, size);
        }
    }

    /// Gives its buffer away, and keeps a few bytes of a frame that is not finished; one that has
    /// more than a few keeps all.
    pub fn give_back(&mut self, spare: &mut Vec<u8>) {
        let size = self.size();
        if size > SMALL_SIZE || self.bytes.len() < SPARE_SIZE {
            return;
        }
        let kept = self.bytes[self.start..self.end].to_vec();
        let buffer = std::mem::replace(&mut self.bytes, kept);
        (self.start, self.end) = (0, size);
        if (spare.len()..=KEEP_SIZE).contains(&buffer.len()) {
            *spare = buffer;
        }
    }

    /// Bytes of memory that it has.
    pub fn memory_size(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes that arrived and were not yet taken out. Not 0 when a peer closes: it died inside a
    /// frame.
    pub fn size(&self) -> usize {
        self.end - self.start
    }
}
