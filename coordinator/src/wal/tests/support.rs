//! A log in a directory of its own, and what is known to be in it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::wal::directory::segment_name;
use crate::wal::{Entry, Options, Wal, WalError};

pub(super) const STORE_ID: [u8; 16] = [0x5a; 16];

/// Segments of two and more pages, so that a few entries fill them.
pub(super) const SMALL: Options = Options {
    segment_size_first: 8 << 10,
    segment_size_max: 64 << 10,
    distrust_page_cache: false,
    acknowledged_lsn: None,
};

pub(super) type Entries = Vec<(u64, Vec<u8>)>;

/// A payload that no other LSN has, of the given size.
pub(super) fn payload(lsn: u64, size: usize) -> Vec<u8> {
    let start = lsn.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..size).map(|place| start[place % 8] ^ (place / 8) as u8).collect()
}

/// In memory where the machine offers it: the sync of a disk is not what these test.
pub(super) fn home() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) struct TestLog {
    home: TempDir,
    pub(super) options: Options,
    pub(super) wal: Option<Wal>,
    /// Everything appended, in order.
    pub(super) written: Entries,
}

impl TestLog {
    pub(super) fn new(options: Options) -> TestLog {
        let home = home();
        let wal = Wal::create(&home.path().join("wal"), STORE_ID, options).unwrap();
        TestLog { home, options, wal: Some(wal), written: Vec::new() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.home.path().join("wal")
    }

    pub(super) fn segment(&self, sequence: u64) -> PathBuf {
        self.path().join(segment_name(sequence))
    }

    pub(super) fn wal(&mut self) -> &mut Wal {
        self.wal.as_mut().unwrap()
    }

    /// Appends one group of entries of these sizes.
    pub(super) fn append(&mut self, sizes: &[usize]) {
        let first_lsn = self.wal().written_lsn() + 1;
        let payloads: Entries =
            (first_lsn..).zip(sizes).map(|(lsn, &size)| (lsn, payload(lsn, size))).collect();
        let entries: Vec<Entry<'_>> = payloads
            .iter()
            .map(|(lsn, payload)| {
                let (head, body) = payload.split_at(payload.len().min(5));
                Entry { lsn: *lsn, head, body }
            })
            .collect();
        self.wal().append(1, &entries).unwrap();
        // What the preparer does in the meantime would depend on its luck.
        self.wal().preparer.settle();
        self.written.extend(payloads);
    }

    pub(super) fn sync(&mut self) -> u64 {
        self.wal().syncer().sync().unwrap()
    }

    /// The process is gone; what it wrote is in the files.
    pub(super) fn close(&mut self) {
        self.wal = None;
    }

    /// Opens the log again and returns what replay gives.
    pub(super) fn open(
        &mut self,
        start_after_lsn: u64,
        proof_lsn: u64,
    ) -> Result<Entries, WalError> {
        self.close();
        let (wal, entries) = open(&self.path(), self.options, start_after_lsn, proof_lsn)?;
        wal.preparer.settle();
        self.wal = Some(wal);
        Ok(entries)
    }

    /// Bytes up to which a segment holds something, found by looking from its end.
    pub(super) fn used_size(&self, sequence: u64) -> usize {
        let bytes = fs::read(self.segment(sequence)).unwrap();
        bytes.iter().rposition(|&byte| byte != 0).map_or(0, |place| place + 1)
    }

    pub(super) fn image(&self) -> Image {
        Image::of(&self.path())
    }
}

pub(super) fn open(
    path: &Path,
    options: Options,
    start_after_lsn: u64,
    proof_lsn: u64,
) -> Result<(Wal, Entries), WalError> {
    let mut entries = Entries::new();
    let wal = Wal::open(path, STORE_ID, options, start_after_lsn, proof_lsn, |lsn, payload| {
        entries.push((lsn, payload.to_vec()));
        Ok(())
    })?;
    Ok((wal, entries))
}

/// All files of a log, to put back as they were.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl Image {
    pub(super) fn of(path: &Path) -> Image {
        let mut files: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        Image { files }
    }

    pub(super) fn restore(&self, path: &Path) {
        for entry in fs::read_dir(path).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in &self.files {
            fs::write(path.join(name), bytes).unwrap();
        }
    }
}

/// True if `entries` are the first ones of `written`, byte for byte.
pub(super) fn is_prefix(entries: &Entries, written: &Entries) -> bool {
    written.starts_with(entries)
}

/// Appends one entry to an opened log and reads everything back: what was kept, and the
/// new one, and nothing that was cut.
pub(super) fn goes_on(
    path: &Path,
    options: Options,
    mut wal: Wal,
    start_after_lsn: u64,
    kept: &Entries,
) {
    let lsn = wal.written_lsn() + 1;
    let body = b"after the cut";
    wal.append(2, &[Entry { lsn, head: b"", body }]).unwrap();
    drop(wal);
    let mut expected = kept.clone();
    expected.push((lsn, body.to_vec()));
    let (_, entries) = open(path, options, start_after_lsn, lsn).unwrap();
    assert_eq!(entries, expected);
}
