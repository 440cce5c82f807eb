//! The mapping of one file, and every pointer into it.
#![expect(unsafe_code, reason = "the room where mapped bytes become references")]

use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::copies::Copies;

/// Windows are tried from the largest: the file grows into what is already mapped.
const WINDOW_SIZES: [u64; 4] = [1 << 40, 1 << 36, 1 << 32, 1 << 28];

/// A shared mapping that reaches beyond the end of its file.
///
/// Growth becomes readable through the same addresses. Under an address-space limit the window may
/// be too small one day; then a larger one is added, and the older ones stay until the map is
/// dropped, so no reference ever dangles. Every access is checked against the file's real size:
/// beyond it is not memory but SIGBUS.
#[derive(Debug)]
pub struct Map {
    /// The newest window's first byte.
    base: AtomicPtr<u8>,
    /// Bytes that are in the file and in the newest window. Only grows; stored after `base`.
    limit: AtomicU64,
    windows: Mutex<Vec<MmapRaw>>,
    file: File,
    writable: bool,
    /// Where nothing is mapped: what was read of the file so far.
    copies: Option<Box<Copies>>,
}

impl Map {
    /// Maps `file` for reading only.
    pub fn read_only(file: File) -> io::Result<Map> {
        Map::new(file, false)
    }

    /// Maps `file` for the coordinator, the only process that may.
    pub fn writable(file: File) -> io::Result<Map> {
        Map::new(file, true)
    }

    /// Maps nothing: whatever is asked for is read from `file`, once, and then stays as it was
    /// read, whoever writes or shortens the file. For a file that others than the coordinator may
    /// change. Words are as old as their first load, so nothing can be waited for.
    pub fn copying(file: File) -> io::Result<Map> {
        let size = file.metadata()?.len();
        Ok(Map {
            base: AtomicPtr::default(),
            limit: AtomicU64::new(size),
            windows: Mutex::new(Vec::new()),
            file,
            writable: false,
            copies: Some(Box::default()),
        })
    }

    /// Whether it copies what is asked for: see [`Map::copying`].
    pub fn is_copying(&self) -> bool {
        self.copies.is_some()
    }

    /// Whether more was asked of a [copying](Map::copying) map than it takes.
    pub fn is_exhausted(&self) -> bool {
        self.copies.as_ref().is_some_and(|copies| copies.is_exhausted())
    }

    fn new(file: File, writable: bool) -> io::Result<Map> {
        let map = Map {
            base: AtomicPtr::default(),
            limit: AtomicU64::new(0),
            windows: Mutex::new(Vec::new()),
            file,
            writable,
            copies: None,
        };
        map.extend()?;
        Ok(map)
    }

    /// The mapped file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Bytes known to be in the file.
    pub fn size(&self) -> u64 {
        self.limit.load(Ordering::Acquire)
    }

    /// Looks how large the file is by now, and adds a window if it outgrew the newest.
    pub fn extend(&self) -> io::Result<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let file_size = self.file.metadata()?.len();
        if self.copies.is_some() {
            self.limit.store(file_size, Ordering::Release);
            return Ok(file_size);
        }
        let window_size = windows.last().map_or(0, MmapRaw::len) as u64;
        if windows.is_empty() || file_size > window_size {
            let window = self.map_window(file_size)?;
            self.base.store(window.as_mut_ptr(), Ordering::Release);
            windows.push(window);
        }
        // The file never shrinks; were it to, bytes that were readable would still be refused here.
        self.limit.fetch_max(file_size, Ordering::Release);
        Ok(file_size)
    }

    fn map_window(&self, file_size: u64) -> io::Result<MmapRaw> {
        let smallest = file_size.saturating_mul(2).max(1 << 20);
        let sizes = WINDOW_SIZES
            .into_iter()
            .filter(|size| *size > smallest)
            .chain([smallest, file_size.max(1)]);
        let mut last = io::Error::from(io::ErrorKind::OutOfMemory);
        for size in sizes {
            let Ok(size) = usize::try_from(size) else {
                continue;
            };
            let mut options = MmapOptions::new();
            options.len(size);
            let mapped = if self.writable {
                options.map_raw(&self.file)
            } else {
                options.map_raw_read_only(&self.file)
            };
            match mapped {
                Ok(window) => {
                    self.keep_from_children(&window);
                    return Ok(window);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A forked child must not be able to write, nor keep the writer's pages.
    fn keep_from_children(&self, window: &MmapRaw) {
        if self.writable {
            // SAFETY: the whole of a window just mapped; no child exists that would miss it.
            let _ = unsafe {
                rustix::mm::madvise(
                    window.as_mut_ptr().cast(),
                    window.len(),
                    rustix::mm::Advice::LinuxDontFork,
                )
            };
        }
    }

    /// The address of `size` bytes at `offset`, if they are all in the file.
    #[inline(always)]
    fn pointer(&self, offset: u64, size: u64) -> Option<*mut u8> {
        debug_assert!(self.copies.is_none(), "where nothing is mapped there is no address");
        let end = offset.checked_add(size)?;
        if end > self.limit.load(Ordering::Acquire) {
            self.extend_to(end)?;
        }
        // SAFETY: offset + size is within the limit, hence within the window that `base` or a
        // newer base, stored before that limit, begins.
        Some(unsafe { self.base.load(Ordering::Acquire).add(offset as usize) })
    }

    /// Asks the processor for the cache line at `offset`, so that a load soon after does not wait.
    /// Nothing is accessed; beyond the file nothing is asked for either.
    #[inline(always)]
    pub fn prefetch(&self, offset: u64) {
        if self.copies.is_some() || offset >= self.limit.load(Ordering::Acquire) {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 processor has SSE, and prefetching an address faults nowhere; this
        // one is in the window, as for `pointer`.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let line = self.base.load(Ordering::Acquire).add(offset as usize);
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
        }
    }

    #[cold]
    fn extend_to(&self, end: u64) -> Option<()> {
        (self.extend().ok()? >= end).then_some(())
    }

    /// The words at `offset`, if they are in the file and aligned.
    #[inline(always)]
    pub fn words(&self, offset: u64, count: u64) -> Option<&[AtomicU64]> {
        if let Some(copies) = &self.copies {
            return copies.words(&self.file, offset, count);
        }
        let pointer = self.pointer(offset, count.checked_mul(8)?)?.cast::<AtomicU64>();
        if !pointer.is_aligned() {
            return None;
        }
        // SAFETY: in the file and aligned, checked above; mapped until `self` is dropped; words that
        // change while shared are only ever accessed as atomics, and readers only load them.
        Some(unsafe { std::slice::from_raw_parts(pointer, count as usize) })
    }

    /// One word.
    #[inline(always)]
    pub fn word(&self, offset: u64) -> Option<&AtomicU64> {
        self.words(offset, 1)?.first()
    }

    /// The low half of the word at `offset`, for the futex; `None` where nothing is mapped.
    pub fn half_word(&self, offset: u64) -> Option<&AtomicU32> {
        if self.copies.is_some() {
            return None;
        }
        let pointer = self.pointer(offset, 4)?.cast::<AtomicU32>();
        if !pointer.is_aligned() {
            return None;
        }
        // SAFETY: as in `words`; the kernel and this process load it, the coordinator stores the
        // whole word.
        Some(unsafe { &*pointer })
    }

    /// `size` bytes at `offset`, if they are in the file.
    ///
    /// # Safety
    /// Nobody may store to them while the reference lives: they lie below a captured watermark, or
    /// in a page that is written before it is named.
    #[inline(always)]
    pub unsafe fn bytes(&self, offset: u64, size: u64) -> Option<&[u8]> {
        if let Some(copies) = &self.copies {
            return copies.bytes(&self.file, offset, size);
        }
        let pointer = self.pointer(offset, size)?;
        // SAFETY: in the file, checked by `pointer`; final, promised by the caller.
        Some(unsafe { std::slice::from_raw_parts(pointer, size as usize) })
    }

    /// Stores `bytes` at `offset`. Coordinator only.
    ///
    /// # Errors
    /// None of it is stored if the range is not in the file, or the map is read-only.
    ///
    /// # Safety
    /// The range lies above every watermark, or in a header page that this protocol step owns.
    pub unsafe fn store(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        if !self.writable {
            return None;
        }
        let pointer = self.pointer(offset, bytes.len() as u64)?;
        // SAFETY: in the file and writable, checked above; no reference to these bytes exists,
        // promised by the caller; `bytes` is the caller's own memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer, bytes.len()) };
        Some(())
    }

    /// Whether words may be stored through this map.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Writes the dirty pages of a range to disk, and waits. `offset` is a multiple of the page size.
    /// Whoever maps the file may ask for it, a reader too: a backup rests on what is on the disk.
    pub fn sync_range(&self, offset: u64, size: u64) -> io::Result<()> {
        let beyond = || io::Error::from(io::ErrorKind::UnexpectedEof);
        if self.copies.is_some() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let pointer = self.pointer(offset, size).ok_or_else(beyond)?;
        // SAFETY: the range is mapped and in the file; syncing changes no contents.
        unsafe { rustix::mm::msync(pointer.cast(), size as usize, rustix::mm::MsyncFlags::SYNC)? };
        Ok(())
    }

    /// Asks the kernel to make the pages of a range present and writable, so that the first store
    /// costs no fault. A failure costs only that.
    pub fn populate(&self, offset: u64, size: u64) {
        if !self.writable {
            return;
        }
        let Some(pointer) = self.pointer(offset, size) else {
            return;
        };
        // SAFETY: the range is mapped; populating changes no contents.
        let _ = unsafe {
            rustix::mm::madvise(
                pointer.cast(),
                size as usize,
                rustix::mm::Advice::LinuxPopulateWrite,
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_readable_through_the_old_mapping_and_beyond_the_end_is_refused() {
        let named = tempfile::NamedTempFile::new().unwrap();
        named.as_file().set_len(4096).unwrap();
        let writer = Map::writable(named.reopen().unwrap()).unwrap();
        let reader = Map::read_only(File::open(named.path()).unwrap()).unwrap();
        assert!(reader.word(4096).is_none());
        assert!(reader.word(4092).is_none());
        assert!(reader.words(u64::MAX - 7, 1).is_none());

        crate::sys::reserve(writer.file(), 4096, 8192).unwrap();
        writer.word(8192).unwrap().store(7, Ordering::Release);
        assert_eq!(reader.word(8192).unwrap().load(Ordering::Relaxed), 7);
        assert!(reader.word(12288).is_none());
    }
}
