//! One image of a disk, mixed from what was synced and what was stored since.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, FileNode, Inode, Names, PAGE_SIZE, Page, Rename, Versions, apply};
use crate::Random;

/// The smaller of the two sizes in which a disk writes.
const BLOCK_SIZE: usize = 512;

/// Directories and files as a disk shows them after a cut.
#[derive(Clone, Debug, Default)]
pub struct Image {
    directories: Vec<PathBuf>,
    files: Vec<(PathBuf, ImageFile)>,
}

#[derive(Clone, Debug)]
struct ImageFile {
    size: u64,
    pages: Vec<(usize, Arc<[u8; PAGE_SIZE]>)>,
}

impl Image {
    /// One of those that a cut at this moment may leave.
    pub(super) fn of(disk: &Disk, random: &mut Random) -> Image {
        let names = names_after(disk, random);
        let mut image = Image::default();
        image.add(disk, disk.root, Path::new(""), &names, random);
        image
    }

    fn add(
        &mut self,
        disk: &Disk,
        directory: Inode,
        path: &Path,
        names: &Names,
        random: &mut Random,
    ) {
        let start = (directory, String::new());
        let within = names.range(start..).take_while(|((parent, _), _)| *parent == directory);
        for ((_, name), inode) in within {
            let path = path.join(name);
            if disk.directories.contains(inode) {
                self.directories.push(path.clone());
                self.add(disk, *inode, &path, names, random);
            } else if let Some(node) = disk.files.get(inode) {
                self.files.push((path, cut_file(node, random)));
            }
        }
    }

    /// Writes it into directory `path`, which is made anew.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(path)?,
        }
        for directory in &self.directories {
            std::fs::create_dir(path.join(directory))?;
        }
        let mut run = Vec::new();
        for (name, ImageFile { size, pages }) in &self.files {
            let file = File::create(path.join(name))?;
            file.set_len(*size)?;
            let mut rest = &pages[..];
            while let [(first, _), ..] = rest {
                let is_next = |(at, (page, _)): &(usize, &(usize, _))| *page == first + at;
                let count = rest.iter().enumerate().take_while(is_next).count();
                run.clear();
                rest[..count].iter().for_each(|(_, page)| run.extend_from_slice(&page[..]));
                let offset = (first * PAGE_SIZE) as u64;
                run.truncate(size.saturating_sub(offset) as usize);
                file.write_all_at(&run, offset)?;
                rest = &rest[count..];
            }
        }
        Ok(())
    }

    /// Takes files away, as a program that forgot to sync their names, or removed them too soon.
    pub fn remove(&mut self, is_meant: impl Fn(&Path) -> bool) {
        self.files.retain(|(path, _)| !is_meant(path));
    }

    /// The paths of its files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }
}

/// How the blocks of one file are chosen.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Durable,
    Newest,
    /// Any version of each block.
    Any,
    /// The newest, but for one block in so many.
    MostlyNewest(u64),
    /// As synced, but for one block in so many.
    MostlyDurable(u64),
    /// New up to that page, as synced behind it.
    NewBelow(usize),
    /// As synced up to that page, new behind it.
    NewFrom(usize),
}

/// Some of the changes of names that were not synced: all, none, the first ones, or any that do not
/// overtake another change of the same name or file.
fn names_after(disk: &Disk, random: &mut Random) -> Names {
    let mut names = disk.durable_names.clone();
    let pending = &disk.pending;
    match random.below(4) {
        0 => apply(&mut names, pending),
        1 => {}
        2 => apply(&mut names, &pending[..random.index(pending.len() + 1)]),
        _ => {
            let mut lost = HashSet::new();
            let mut kept: Vec<Rename> = Vec::new();
            for rename in pending {
                let touched: Vec<(Inode, String)> = touched(rename);
                if random.one_in(2) || touched.iter().any(|key| lost.contains(key)) {
                    lost.extend(touched);
                } else {
                    kept.push(rename.clone());
                }
            }
            apply(&mut names, &kept);
        }
    }
    names
}

/// The names and files of a change; a file is a name in no directory.
fn touched(rename: &Rename) -> Vec<(Inode, String)> {
    let names = rename.changes.iter().map(|(directory, name, _)| (*directory, name.clone()));
    let files =
        rename.changes.iter().filter_map(|(_, _, inode)| Some((*inode.as_ref()?, String::new())));
    names.chain(files).collect()
}

fn cut_file(node: &FileNode, random: &mut Random) -> ImageFile {
    let size = pick(&node.size, Choice::Any, 0, random);
    let choice = match random.below(8) {
        0 => Choice::Durable,
        1 => Choice::Newest,
        2 => Choice::MostlyNewest(1 + random.below(16)),
        3 => Choice::MostlyDurable(1 + random.below(16)),
        4 => Choice::NewBelow(random.index(node.pages.len() + 1)),
        5 => Choice::NewFrom(random.index(node.pages.len() + 1)),
        _ => Choice::Any,
    };
    let is_torn = random.one_in(2);
    let mut pages = Vec::new();
    for (at, versions) in node.pages.iter().enumerate().take((size as usize).div_ceil(PAGE_SIZE)) {
        let page = match is_torn && !versions.later.is_empty() {
            true => torn(versions, choice, at, random),
            false => pick(versions, choice, at, random),
        };
        pages.extend(page.map(|page| (at, page)));
    }
    ImageFile { size, pages }
}

/// Each block of a page as it was in one of its versions.
fn torn(versions: &Versions<Page>, choice: Choice, at: usize, random: &mut Random) -> Page {
    let mut bytes = [0; PAGE_SIZE];
    for start in (0..PAGE_SIZE).step_by(BLOCK_SIZE) {
        if let Some(page) = pick(versions, choice, at, random) {
            let block = start..start + BLOCK_SIZE;
            bytes[block.clone()].copy_from_slice(&page[block]);
        }
    }
    Some(Arc::new(bytes))
}

fn pick<T: Clone + PartialEq>(
    versions: &Versions<T>,
    choice: Choice,
    at: usize,
    random: &mut Random,
) -> T {
    let count = versions.later.len();
    if count == 0 {
        return versions.durable.clone();
    }
    let any = |random: &mut Random| match random.index(count + 1) {
        0 => versions.durable.clone(),
        at => versions.later[at - 1].1.clone(),
    };
    let is_new = match choice {
        Choice::Any => return any(random),
        Choice::MostlyNewest(times) if random.one_in(times) => return any(random),
        Choice::MostlyDurable(times) if random.one_in(times) => return any(random),
        Choice::Durable | Choice::MostlyDurable(_) => false,
        Choice::Newest | Choice::MostlyNewest(_) => true,
        Choice::NewBelow(end) => at < end,
        Choice::NewFrom(start) => at >= start,
    };
    if is_new { versions.newest().clone() } else { versions.durable.clone() }
}
