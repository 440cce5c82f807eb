//! What a traced coordinator stores and syncs goes into the model of the disk; around each moment
//! that matters the power is cut.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use nix::libc;
use nix::unistd::Pid;
use sutra_layout::geometry::HEADER_SIZE;

use super::check::Job;
use super::disk::{Disk, Moment, Target};
use super::driver::Driver;
use super::{Ending, Plant};
use crate::Random;
use crate::trace::{Call, Interest, Next, Watcher, descriptor};

/// Images of a moment before or after a sync, a change of names, a publication.
const IMAGES_PER_SYNC: u64 = 4;
/// One other moment in so many gives an image.
const MOMENTS_PER_IMAGE: u64 = 3;

/// Watches one life of a coordinator.
pub(super) struct Recorder<'a> {
    pub disk: &'a mut Disk,
    pub random: &'a mut Random,
    pub driver: &'a Driver,
    pub jobs: &'a SyncSender<Job>,
    pub plant: Option<Plant>,
    pub seed: u64,
    pub pid: Pid,
    /// Moments until the end.
    pub moments_left: u64,
    pub ending: Ending,
    /// Syncs under way: what of, and of which moment.
    pub syncs: HashMap<Pid, (Target, Moment)>,
    pub moments: u64,
}

impl Recorder<'_> {
    fn capture(&mut self) -> Moment {
        self.moments += 1;
        self.disk.capture().expect("the store can be read")
    }

    /// Whether a descriptor is no socket, pipe or the like.
    fn is_file(&self, fd: u64) -> bool {
        descriptor(self.pid, fd).is_ok_and(|(_, metadata)| metadata.is_file())
    }

    fn target(&mut self, call: &Call) -> Option<Target> {
        let [first, size, ..] = call.arguments;
        match call.number {
            libc::SYS_fsync | libc::SYS_fdatasync => {
                let (path, metadata) = descriptor(self.pid, first).ok()?;
                if metadata.is_file() {
                    self.disk.capture_file(&path, &metadata).ok()?;
                }
                Some(Target::Whole(metadata.ino()))
            }
            libc::SYS_msync => {
                let (inode, offset) = mapped(self.pid, first)?;
                Some(Target::Range(inode, offset, offset + size))
            }
            _ => Some(Target::All),
        }
    }

    /// Whether the planted bug is that this sync is forgotten.
    fn is_forgotten(&self, target: &Target) -> bool {
        let is_storage = |inode| self.disk.inode_of(self.disk.root(), "storage.dat") == Some(inode);
        match (self.plant, target) {
            // All but the header, and with it the durable slots.
            (Some(Plant::SlotBeforeTruth), Target::Whole(inode)) => is_storage(*inode),
            (Some(Plant::SlotBeforeTruth), Target::Range(inode, from, _)) => {
                is_storage(*inode) && *from >= HEADER_SIZE
            }
            (Some(Plant::NoDirectorySync), Target::Whole(inode)) => !self.disk.is_file(*inode),
            _ => false,
        }
    }

    fn cut(&mut self, count: u64, origin: &str) {
        if self.disk.inode_of(self.disk.root(), "wal").is_none() {
            return; // nothing is there yet
        }
        let expected = Arc::new(self.driver.expected());
        for _ in 0..count {
            let mut image = self.disk.cut(self.random);
            if self.plant == Some(Plant::EarlyRecycling) {
                let oldest =
                    image.paths().filter(|path| is_segment(path)).min().map(Path::to_owned);
                let count = image.paths().filter(|path| is_segment(path)).count();
                image.remove(|path| count > 1 && Some(path) == oldest.as_deref());
            }
            let job = Job {
                image,
                expected: Arc::clone(&expected),
                origin: format!("moment {} of seed {}, {origin}", self.moments, self.seed),
                seed: self.random.next(),
            };
            // Fails once nobody checks any more.
            let _ = self.jobs.send(job);
        }
    }

    /// Whether a life that a kill is to end ends at this place, where one in four does.
    fn is_killed_here(&mut self) -> bool {
        self.ending == Ending::Killed && self.random.one_in(4)
    }

    fn next(&mut self) -> Next {
        self.moments_left = self.moments_left.saturating_sub(1);
        if self.moments_left > 0 {
            return Next::Go;
        }
        match self.ending {
            Ending::PowerCut | Ending::Killed => Next::Kill,
            Ending::Stopped | Ending::WithClient => {
                self.moments_left = u64::MAX;
                let _ = nix::sys::signal::kill(self.pid, nix::sys::signal::Signal::SIGTERM);
                Next::Go
            }
        }
    }
}

impl Watcher for Recorder<'_> {
    fn interest(&mut self, call: &Call) -> Interest {
        let [first, second, third, ..] = call.arguments;
        match call.number {
            libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync | libc::SYS_syncfs => {
                Interest::Sync(self.random.below(12) as u32)
            }
            libc::SYS_msync if third & libc::MS_SYNC as u64 != 0 => {
                Interest::Sync(self.random.below(12) as u32)
            }
            libc::SYS_write
            | libc::SYS_pwrite64
            | libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_pwritev2 => match self.is_file(first) {
                true => Interest::Change,
                false => Interest::None,
            },
            libc::SYS_openat | libc::SYS_open => {
                let flags = if call.number == libc::SYS_open { second } else { third } as i32;
                assert_eq!(flags & libc::O_DSYNC, 0, "a file that syncs by itself is not modelled");
                match flags & (libc::O_CREAT | libc::O_TRUNC) != 0 {
                    true => Interest::Change,
                    false => Interest::None,
                }
            }
            libc::SYS_rename
            | libc::SYS_renameat
            | libc::SYS_renameat2
            | libc::SYS_unlink
            | libc::SYS_unlinkat
            | libc::SYS_link
            | libc::SYS_linkat
            | libc::SYS_mkdir
            | libc::SYS_mkdirat
            | libc::SYS_ftruncate
            | libc::SYS_truncate
            | libc::SYS_fallocate
            | libc::SYS_copy_file_range
            | libc::SYS_sendfile => Interest::Change,
            // Somebody is woken who waits for a publication.
            libc::SYS_futex if second as i32 == libc::FUTEX_WAKE => Interest::Change,
            libc::SYS_io_uring_setup => panic!("what is stored through a ring is not modelled"),
            _ => Interest::None,
        }
    }

    fn before(&mut self, call: &Call) -> Next {
        let moment = self.capture();
        let is_sync = matches!(
            call.number,
            libc::SYS_fsync
                | libc::SYS_fdatasync
                | libc::SYS_sync
                | libc::SYS_syncfs
                | libc::SYS_msync
        );
        if is_sync {
            let target = self.target(call);
            let is_of_header =
                matches!(target, Some(Target::Range(_, from, _)) if from < HEADER_SIZE);
            if let Some(target) = target {
                self.syncs.insert(call.thread, (target, moment));
            }
            self.cut(IMAGES_PER_SYNC, "before a sync");
            // Stored and not synced: what the next life believes, and no disk has.
            if is_of_header && self.is_killed_here() {
                return Next::Kill;
            }
        } else if self.random.one_in(MOMENTS_PER_IMAGE) {
            self.cut(1, "before a change");
        }
        self.next()
    }

    fn after(&mut self, call: &Call, _result: i64) -> Next {
        self.capture();
        if self.random.one_in(MOMENTS_PER_IMAGE) {
            self.cut(1, "after a change");
        }
        // Renamed and not synced: likewise, what the next life finds and no disk has.
        let renames = [libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2];
        if renames.contains(&call.number) && self.is_killed_here() {
            return Next::Kill;
        }
        self.next()
    }

    fn synced(&mut self, call: &Call, result: i64) -> Next {
        let Some((target, moment)) = self.syncs.remove(&call.thread) else { return Next::Go };
        assert_eq!(result, 0, "a sync in memory does not fail");
        self.cut(IMAGES_PER_SYNC / 2, "at the end of a sync");
        if !self.is_forgotten(&target) {
            self.disk.sync(&target, moment);
        }
        self.cut(IMAGES_PER_SYNC, "after a sync");
        Next::Go
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wal")
}

/// The file, and the byte of it, that is mapped at an address of a process.
fn mapped(pid: Pid, address: u64) -> Option<(u64, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (from, to) = (number(from)?, number(to)?);
        let offset = number(fields.nth(1)?)?;
        let inode = fields.nth(1)?.parse().ok()?;
        (from..to).contains(&address).then(|| (inode, offset + address - from))
    })
}
