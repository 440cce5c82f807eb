//! What a kill would leave, without the kill: the files as they stand between two instructions,
//! copied and recovered.
//!
//! A kill takes nothing from a file. So a program that dies after some instruction leaves what its
//! files hold then, and two instructions between which no file changed leave the same; each such
//! state is recovered once. A copy gets the run mark of its own inode, for a recovery takes the file
//! of another for one whose machine lost its power.
#![expect(
    unsafe_code,
    reason = "bytes of a file whose writer stands still are compared where they lie"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sutra_coordinator::{Offline, State};
use sutra_layout::sys::map::Map;
use sutra_reader::STORAGE_FILE;

use super::{options, said, shown};
use crate::forge::adopt;

/// The files of a store that somebody writes, as they were when they were looked at last.
#[derive(Debug)]
pub(super) struct Deaths {
    store: PathBuf,
    copy: PathBuf,
    /// `storage.dat`: mapped, because reading all of it after each instruction takes too long.
    map: Map,
    storage: Vec<u8>,
    /// All other files.
    files: BTreeMap<PathBuf, Vec<u8>>,
    buffer: Vec<u8>,
    /// The version that the last recovery gave.
    version: u32,
    /// States that were recovered.
    pub recovered: u64,
}

impl Deaths {
    /// Of the store in `store`; each state is copied to `copy`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(store: &Path, copy: PathBuf) -> io::Result<Deaths> {
        Ok(Deaths {
            store: store.to_owned(),
            copy,
            map: Map::read_only(File::open(store.join(STORAGE_FILE))?)?,
            storage: Vec::new(),
            files: BTreeMap::new(),
            buffer: Vec::new(),
            version: 0,
            recovered: 0,
        })
    }

    /// If a file changed since the last look, recovers what there is now: a version no older than
    /// `seen`, which a reader has seen, no newer than `newest`, and none older than a recovery has
    /// given before.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look(&mut self, seen: u32, newest: u32) -> Result<(), String> {
        if !self.has_changed().map_err(said)? {
            return Ok(());
        }
        self.recovered += 1;
        let version = self.recover()?;
        let least = seen.max(self.version);
        if !(least..=newest).contains(&version) {
            return Err(format!("version {version} is recovered, not one of {least}..={newest}"));
        }
        self.version = version;
        Ok(())
    }

    fn has_changed(&mut self) -> io::Result<bool> {
        // Both; the second is not to be left out for the first.
        Ok(self.has_storage_changed()? | self.have_others_changed()?)
    }

    fn has_storage_changed(&mut self) -> io::Result<bool> {
        let count = self.map.extend()? / 8;
        let words = self.map.words(0, count).expect("they are in the file");
        // SAFETY: the words are initialized, and nobody stores to them as long as the slice lives:
        // the only writer is a child that is stopped between two instructions.
        let bytes: &[u8] =
            unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 8) };
        if self.storage == bytes {
            return Ok(false);
        }
        self.storage.clear();
        self.storage.extend_from_slice(bytes);
        Ok(true)
    }

    fn have_others_changed(&mut self) -> io::Result<bool> {
        let mut is_changed = false;
        let mut names = Vec::new();
        for directory in ["", "wal"] {
            for entry in fs::read_dir(self.store.join(directory))? {
                let entry = entry?;
                if !entry.file_type()?.is_file() || entry.file_name() == STORAGE_FILE {
                    continue;
                }
                let file = File::open(entry.path())?;
                self.buffer.resize(file.metadata()?.len() as usize, 0);
                file.read_exact_at(&mut self.buffer, 0)?;
                let name = Path::new(directory).join(entry.file_name());
                let known = self.files.entry(name.clone()).or_default();
                if *known != self.buffer {
                    std::mem::swap(known, &mut self.buffer);
                    is_changed = true;
                }
                names.push(name);
            }
        }
        let count = self.files.len();
        self.files.retain(|name, _| names.contains(name));
        Ok(is_changed || self.files.len() < count)
    }

    fn recover(&self) -> Result<u32, String> {
        let _ = fs::remove_dir_all(&self.copy);
        fs::create_dir_all(self.copy.join("wal")).map_err(said)?;
        for (name, bytes) in &self.files {
            fs::write(self.copy.join(name), bytes).map_err(said)?;
        }
        fs::write(self.copy.join(STORAGE_FILE), &self.storage).map_err(said)?;
        adopt(&self.copy);
        let store = Offline::open(&options(&self.copy)).map_err(said)?;
        match store.state() {
            State::ProcessDied => shown(&self.copy),
            other => Err(format!("it is taken for {other:?}")),
        }
    }
}
