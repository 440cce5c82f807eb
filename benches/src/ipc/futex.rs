//! A round trip through a mapped file: both ends copy the bytes and wake each other by futexes.
#![expect(unsafe_code, reason = "the room where two processes share a mapped file's words")]

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use memmap2::MmapRaw;
use sutra_layout::sys::wait;

use super::{Peer, REPLY_SIZE, REQUEST_SIZE, RoundTrip, Way};

/// One page: the words, a line each, then the request and the reply.
const FILE_SIZE: u64 = 4096;
const ASKED_OFFSET: usize = 0;
const ANSWERED_OFFSET: usize = 64;
const REQUEST_OFFSET: usize = 128;
const REPLY_OFFSET: usize = 1024;
/// How long one end sleeps before it looks again.
const WAIT: Duration = Duration::from_secs(1);

/// The mapping, and the process at the other end.
pub struct Words {
    map: MmapRaw,
    count: u32,
    _peer: Option<Peer>,
}

impl Words {
    fn map(path: &Path) -> anyhow::Result<Words> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Words { map: MmapRaw::map_raw(&file)?, count: 0, _peer: None })
    }

    /// Makes the file and starts the process.
    pub fn start(path: &Path) -> anyhow::Result<Words> {
        File::create(path)?.set_len(FILE_SIZE)?;
        let mut words = Words::map(path)?;
        words._peer = Some(Peer::start(Way::Futex, path)?);
        Ok(words)
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the offset is aligned and within the page, and both ends use it as an atomic.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(offset).cast()) }
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: it fits the page, and the other end looks only after the word was stored.
        unsafe { self.map.as_mut_ptr().add(offset).copy_from(bytes.as_ptr(), bytes.len()) }
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        // SAFETY: it lies in the page, and the other end stores only before the word was loaded.
        unsafe { self.map.as_ptr().add(offset).copy_to(bytes.as_mut_ptr(), bytes.len()) }
    }

    fn wait_for(&self, offset: usize, count: u32) {
        let word = self.word(offset);
        loop {
            let seen = word.load(Ordering::Acquire);
            if seen == count {
                return;
            }
            wait::wait(word, seen, WAIT);
        }
    }

    fn set(&self, offset: usize, count: u32) {
        self.word(offset).store(count, Ordering::Release);
        wait::wake_all(self.word(offset));
    }
}

/// Answers until it is killed: the child's side.
pub fn run(path: &Path) -> anyhow::Result<()> {
    let words = Words::map(path)?;
    let mut request = [0; REQUEST_SIZE];
    for count in 1.. {
        words.wait_for(ASKED_OFFSET, count);
        words.copy_out(REQUEST_OFFSET, &mut request);
        words.copy_in(REPLY_OFFSET, &request[..REPLY_SIZE]);
        words.set(ANSWERED_OFFSET, count);
    }
    Ok(())
}

impl RoundTrip for Words {
    fn round_trip(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.count += 1;
        self.copy_in(REQUEST_OFFSET, &[1; REQUEST_SIZE]);
        self.set(ASKED_OFFSET, self.count);
        self.wait_for(ANSWERED_OFFSET, self.count);
        self.copy_out(REPLY_OFFSET, &mut [0; REPLY_SIZE]);
        Ok(began.elapsed())
    }
}
