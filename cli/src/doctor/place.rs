//! Where a store lies: its file system, the space there, and who may do what.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Access, access, statfs, statvfs};
use sutra_coordinator::store_dir::{self, FileSystem};
use sutra_reader::{OpenError, Reader, STORAGE_FILE};

use super::Finding;
use crate::output;

/// Others than the owner and the group may replace files, and not only their own.
const OTHERS_WRITE: u32 = 0o0002;
const STICKY: u32 = 0o1000;

/// The next extents of a small store, and a segment of the log at its largest.
const FREE_SIZE_MIN: u64 = 256 << 20;

pub(super) fn examine(store: &Path) -> Vec<Finding> {
    let mut findings = vec![open(store), file_system(store)];
    findings.extend(space(store));
    findings.push(directory(store));
    findings
}

/// Whether a reader gets in.
fn open(store: &Path) -> Finding {
    const NAME: &str = "reading";
    let error = match Reader::open(store).map(|reader| reader.snapshot()) {
        Ok(Ok(snapshot)) => {
            let stats = snapshot.stats();
            let size = output::size(stats.file_size);
            let concepts = output::count(stats.concepts);
            return Finding::ok(NAME, format!("{concepts} concepts in {size}"));
        }
        Ok(Err(error)) => {
            let fix = "run `sutra verify` on it to list the damage";
            return Finding::fix(NAME, error.to_string(), fix);
        }
        Err(error) => error,
    };
    let place = store.display();
    let fix = match &error {
        OpenError::Newer { .. } => "update this program to the version that wrote it".to_owned(),
        OpenError::NeedsRecovery { .. } => {
            format!("start its coordinator once: sutra serve {place}")
        }
        OpenError::NotReadable { .. } => {
            format!(
                "ask its owner: chmod g+rx {place} && chmod g+r {place}/{STORAGE_FILE}, and to add you to its group"
            )
        }
        OpenError::Damaged { .. } => format!("list the damage: sutra verify {place}"),
        _ => "give the directory of a store, or restore it from a copy".to_owned(),
    };
    Finding::fix(NAME, error.to_string(), fix)
}

fn file_system(store: &Path) -> Finding {
    const NAME: &str = "file system";
    let magic = match statfs(store) {
        Ok(stat) => stat.f_type as u32, // the field's type differs between systems
        Err(errno) => {
            return Finding::fix(NAME, errno.to_string(), "give a directory that can be read");
        }
    };
    match store_dir::file_system(magic) {
        FileSystem::Local("tmpfs") => {
            Finding::note(NAME, "tmpfs: gone with the machine's next start; never synced to a disk")
        }
        FileSystem::Local(kind) => Finding::ok(NAME, kind),
        FileSystem::Overlay => Finding::fix(
            NAME,
            "overlayfs: a store from a lower layer is copied when it is first written, and is gone \
             with its container",
            "put the store on a volume",
        ),
        FileSystem::Remote(kind) => Finding::fix(
            NAME,
            format!("{kind}: a map shared by many processes, or a lock, does not hold there"),
            "put the store on a local disk or on /dev/shm",
        ),
    }
}

fn space(store: &Path) -> Option<Finding> {
    const NAME: &str = "space";
    let stat = statvfs(store).ok()?;
    let free = stat.f_bavail * stat.f_frsize;
    let detail = format!("{} free", output::size(free));
    Some(match free {
        0..FREE_SIZE_MIN => Finding::fix(
            NAME,
            detail,
            format!(
                "free at least {}: writes are refused once the next step of the file does not fit",
                output::size(FREE_SIZE_MIN)
            ),
        ),
        _ => Finding::ok(NAME, detail),
    })
}

fn directory(store: &Path) -> Finding {
    const NAME: &str = "permissions";
    let place = store.display();
    let mode = match store.metadata() {
        Ok(metadata) => metadata.permissions().mode() & 0o7777,
        Err(error) => {
            return Finding::fix(NAME, error.to_string(), "give a directory that can be read");
        }
    };
    if mode & (OTHERS_WRITE | STICKY) == OTHERS_WRITE {
        return Finding::fix(
            NAME,
            format!("the directory has mode {mode:04o}: everybody may replace its files"),
            format!("chmod 0750 {place}"),
        );
    }
    let storage = store.join(STORAGE_FILE);
    let storage_mode = storage.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if storage_mode & OTHERS_WRITE != 0 {
        return Finding::fix(
            NAME,
            format!("{} is writable by everybody", storage.display()),
            format!("chmod 0640 {}", storage.display()),
        );
    }
    let may_serve = access(store, Access::WRITE_OK).is_ok()
        && access(&storage, Access::READ_OK | Access::WRITE_OK).is_ok();
    match may_serve {
        true => Finding::ok(NAME, format!("mode {mode:04o}; this user may read and serve it")),
        false => Finding::note(NAME, format!("mode {mode:04o}; this user may not serve it")),
    }
}
