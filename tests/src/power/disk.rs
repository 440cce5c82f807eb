//! What a disk may hold when the power goes: a model, fed with what a program stored and synced.
//!
//! | what                     | what a cut may leave of it                                         |
//! |--------------------------|--------------------------------------------------------------------|
//! | a block of a file        | as of the last sync of its range, or any version stored since      |
//! | the size of a file       | likewise                                                           |
//! | a name in a directory    | as of the directory's last sync, or as changed since; changes of the same name or file come in order, others in any |
//!
//! A block is 512 bytes or a page of 4 KiB. A version is what the file held when the program was
//! about to make a system call that touches files: the moments between two of those are not seen.
//! A sync counts from its end, with what was stored before its beginning.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::image::Image;
use crate::Random;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
/// The contents of a page; none is zeros.
pub type Page = Option<Arc<[u8; PAGE_SIZE]>>;
/// The number of a file.
pub type Inode = u64;
/// Counts captures: versions and syncs are ordered by it.
pub type Moment = u64;

/// Something that changed since it was synced: the versions, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions<T> {
    /// As of the last sync.
    pub durable: T,
    /// Stored since.
    pub later: Vec<(Moment, T)>,
}

impl<T: Clone + PartialEq> Versions<T> {
    pub fn newest(&self) -> &T {
        self.later.last().map_or(&self.durable, |(_, version)| version)
    }

    fn store(&mut self, at: Moment, version: T) {
        if *self.newest() != version {
            self.later.push((at, version));
        }
    }

    /// What was stored up to `at` is on disk.
    fn sync(&mut self, at: Moment) {
        let count = self.later.iter().take_while(|(moment, _)| *moment <= at).count();
        if let Some((_, version)) = self.later.drain(..count).next_back() {
            self.durable = version;
        }
    }
}

/// A regular file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub size: Versions<u64>,
    pub pages: Vec<Versions<Page>>,
}

/// A change of names that is not yet synced: each a directory, a name, and the file it names now.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    pub at: Moment,
    pub changes: Vec<(Inode, String, Option<Inode>)>,
}

pub(super) type Names = BTreeMap<(Inode, String), Inode>;

/// What a sync makes durable.
#[derive(Clone, Debug)]
pub enum Target {
    /// All of a file, or a directory's names.
    Whole(Inode),
    /// Bytes of a file: from, to.
    Range(Inode, u64, u64),
    /// Everything.
    All,
}

/// The disk under one directory.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    pub(super) root: Inode,
    pub(super) files: HashMap<Inode, FileNode>,
    pub(super) durable_names: Names,
    pub(super) current_names: Names,
    pub(super) directories: Vec<Inode>,
    pub(super) pending: Vec<Rename>,
    now: Moment,
    buffer: Vec<u8>,
}

impl Disk {
    /// A disk that holds what is in directory `path`, all of it synced.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn holding(path: &Path) -> io::Result<Disk> {
        let mut disk = Disk {
            path: path.to_owned(),
            root: std::fs::metadata(path)?.ino(),
            files: HashMap::new(),
            durable_names: Names::new(),
            current_names: Names::new(),
            directories: Vec::new(),
            pending: Vec::new(),
            now: 0,
            buffer: Vec::new(),
        };
        disk.capture()?;
        disk.sync(&Target::All, disk.now);
        Ok(disk)
    }

    /// Looks what is stored by now. Nobody may store meanwhile.
    ///
    /// # Errors
    /// Those of reading the directory.
    pub fn capture(&mut self) -> io::Result<Moment> {
        self.now += 1;
        let mut names = Names::new();
        self.directories = vec![self.root];
        let path = self.path.clone();
        self.capture_directory(&path, self.root, &mut names)?;
        let mut changes = Vec::new();
        for ((directory, name), inode) in &names {
            if self.current_names.get(&(*directory, name.clone())) != Some(inode) {
                changes.push((*directory, name.clone(), Some(*inode)));
            }
        }
        for (directory, name) in self.current_names.keys() {
            if !names.contains_key(&(*directory, name.clone())) {
                changes.push((*directory, name.clone(), None));
            }
        }
        if !changes.is_empty() {
            self.pending.push(Rename { at: self.now, changes });
            self.current_names = names;
            self.forget_unnamed();
        }
        Ok(self.now)
    }

    fn capture_directory(
        &mut self,
        path: &Path,
        directory: Inode,
        names: &mut Names,
    ) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else { continue };
            let name = entry.file_name().into_string().expect("a store's names are UTF-8");
            let inode = metadata.ino();
            if metadata.is_dir() {
                names.insert((directory, name), inode);
                self.directories.push(inode);
                self.capture_directory(&entry.path(), inode, names)?;
            } else if metadata.is_file() {
                names.insert((directory, name), inode);
                self.capture_file(&entry.path(), &metadata)?;
            }
        }
        Ok(())
    }

    /// Looks at one file, be it one without a name.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn capture_file(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let now = self.now;
        let size = metadata.len() as usize;
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.resize(size.next_multiple_of(PAGE_SIZE), 0);
        File::open(path)?.read_exact_at(&mut buffer[..size], 0)?;
        let node = self.files.entry(metadata.ino()).or_default();
        node.size.store(now, size as u64);
        let (pages, _) = buffer.as_chunks::<PAGE_SIZE>();
        if node.pages.len() < pages.len() {
            node.pages.resize_with(pages.len(), Versions::default);
        }
        for (page, known) in pages.iter().zip(&mut node.pages) {
            let is_known = match known.newest() {
                Some(newest) => **newest == *page,
                None => *page == [0; PAGE_SIZE],
            };
            if !is_known {
                let is_zero = *page == [0; PAGE_SIZE];
                known.store(now, (!is_zero).then(|| Arc::new(*page)));
            }
        }
        for cut in &mut node.pages[pages.len()..] {
            cut.store(now, None);
        }
        Ok(())
    }

    /// What was stored up to `at` is on disk from now on.
    pub fn sync(&mut self, target: &Target, at: Moment) {
        match target {
            Target::Whole(inode) => {
                if let Some(node) = self.files.get_mut(inode) {
                    node.size.sync(at);
                    node.pages.iter_mut().for_each(|page| page.sync(at));
                } else {
                    self.sync_names(at, |directory| directory == *inode);
                }
            }
            Target::Range(inode, from, to) => {
                let Some(node) = self.files.get_mut(inode) else { return };
                let pages = *from as usize / PAGE_SIZE..(*to as usize).div_ceil(PAGE_SIZE);
                for page in pages {
                    if let Some(page) = node.pages.get_mut(page) {
                        page.sync(at);
                    }
                }
                // To find the range again its end must be in the file.
                let size = *node.size.newest().min(to);
                node.size.durable = node.size.durable.max(size);
                node.size.later.retain(|(moment, later)| *moment > at || *later > size);
            }
            Target::All => {
                for node in self.files.values_mut() {
                    node.size.sync(at);
                    node.pages.iter_mut().for_each(|page| page.sync(at));
                }
                self.sync_names(at, |_| true);
            }
        }
    }

    fn sync_names(&mut self, at: Moment, is_meant: impl Fn(Inode) -> bool) {
        let is_synced = |rename: &Rename| {
            rename.at <= at && rename.changes.iter().any(|(directory, ..)| is_meant(*directory))
        };
        let (synced, pending) = std::mem::take(&mut self.pending).into_iter().partition(is_synced);
        let synced: Vec<Rename> = synced;
        apply(&mut self.durable_names, &synced);
        self.pending = pending;
        self.forget_unnamed();
    }

    /// Drops files that no cut can show any more.
    fn forget_unnamed(&mut self) {
        let changes = self.pending.iter().flat_map(|rename| &rename.changes);
        let named: std::collections::HashSet<Inode> = changes
            .filter_map(|(_, _, inode)| *inode)
            .chain(self.durable_names.values().copied())
            .chain(self.current_names.values().copied())
            .collect();
        let now = self.now;
        // One that has no name yet may get one.
        let is_new = |node: &FileNode| node.size.later.iter().any(|(at, _)| at + 50 > now);
        self.files.retain(|inode, node| named.contains(inode) || is_new(node));
    }

    /// Whether it is a regular file.
    pub fn is_file(&self, inode: Inode) -> bool {
        self.files.contains_key(&inode)
    }

    /// The file that has the name now.
    pub fn inode_of(&self, directory: Inode, name: &str) -> Option<Inode> {
        self.current_names.get(&(directory, name.to_owned())).copied()
    }

    /// The directory that the disk is under.
    pub fn root(&self) -> Inode {
        self.root
    }

    /// One of the images that a cut at this moment may leave.
    pub fn cut(&self, random: &mut Random) -> Image {
        Image::of(self, random)
    }
}

pub(super) fn apply(names: &mut Names, renames: &[Rename]) {
    for (directory, name, inode) in renames.iter().flat_map(|rename| &rename.changes) {
        let key = (*directory, name.clone());
        match inode {
            Some(inode) => names.insert(key, *inode),
            None => names.remove(&key),
        };
    }
}
