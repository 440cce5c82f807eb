//! On which file systems a store may be written.

use super::directory::Directory;
use super::error::StoreDirError;

/// What a file system means for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// Maps and locks hold, as far as is known.
    Local(&'static str),
    /// A file is copied when it is first written: a reader that mapped it before sees the old one.
    Overlay,
    /// Maps on two machines, or through a server process, do not show the same bytes.
    Remote(&'static str),
}

/// The file system with that number, as statfs(2) gives it.
pub fn file_system(magic: u32) -> FileSystem {
    match magic {
        0x6969 => FileSystem::Remote("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => FileSystem::Remote("SMB"),
        0x0102_1997 => FileSystem::Remote("9p"),
        0x6573_5546 => FileSystem::Remote("FUSE or virtiofs"),
        0x00c3_6400 => FileSystem::Remote("Ceph"),
        0x5346_414f | 0x6b41_4653 => FileSystem::Remote("AFS"),
        0x0bd0_0bd0 => FileSystem::Remote("Lustre"),
        0x786f_4256 => FileSystem::Remote("a folder shared by VirtualBox"),
        0x794c_7630 => FileSystem::Overlay,
        0xef53 => FileSystem::Local("ext4"),
        0x5846_5342 => FileSystem::Local("XFS"),
        0x9123_683e => FileSystem::Local("Btrfs"),
        0x2fc1_2fc1 => FileSystem::Local("ZFS"),
        0xf2f5_2010 => FileSystem::Local("F2FS"),
        0x0102_1994 => FileSystem::Local("tmpfs"),
        _ => FileSystem::Local("a local file system"),
    }
}

/// Refuses a store where its promises cannot be kept, and warns where they might not be.
pub(super) fn check(directory: &Directory) -> Result<(), StoreDirError> {
    let store = directory.path();
    let stat = rustix::fs::fstatfs(directory.file())
        .map_err(|errno| StoreDirError::io(store, "look at the file system of", errno))?;
    // The field's type differs between systems; the number has 32 bits on all of them.
    match file_system(stat.f_type as u32) {
        FileSystem::Local(_) => Ok(()),
        FileSystem::Overlay => {
            tracing::warn!(
                "{} is on overlayfs: a store from a lower layer is copied when it is first written, \
                 and is gone with its container; a volume is safer",
                store.display()
            );
            Ok(())
        }
        FileSystem::Remote(kind) => {
            Err(StoreDirError::FileSystem { store: store.to_owned(), kind })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_told_from_local_ones() {
        const EXT4: u32 = 0xef53;
        const TMPFS: u32 = 0x0102_1994;
        const XFS: u32 = 0x5846_5342;
        for magic in [EXT4, TMPFS, XFS] {
            assert!(matches!(file_system(magic), FileSystem::Local(_)));
        }
        assert_eq!(file_system(0x6969), FileSystem::Remote("NFS"));
        assert_eq!(file_system(0xfe53_4d42), FileSystem::Remote("SMB"));
        assert_eq!(file_system(0x0102_1997), FileSystem::Remote("9p"));
        assert_eq!(file_system(0x6573_5546), FileSystem::Remote("FUSE or virtiofs"));
        assert_eq!(file_system(0x794c_7630), FileSystem::Overlay);
    }

    #[test]
    fn a_remote_store_is_refused_by_the_name_of_its_file_system() {
        let error = StoreDirError::FileSystem { store: "knowledge".into(), kind: "NFS" };
        assert_eq!(
            error.to_string(),
            "knowledge is on NFS, where a map shared by many processes, or a lock, does not hold; \
             put the store on a local disk or on /dev/shm"
        );
    }
}
