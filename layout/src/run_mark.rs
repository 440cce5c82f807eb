//! Who writes this file in which boot of the machine: a page of its own.
//!
//! | offset | size | field          | meaning |
//! |-------:|-----:|----------------|---------|
//! |      0 |   16 | `boot_id`      | of the kernel that runs, from /proc/sys/kernel/random/boot_id |
//! |     16 |    8 | `device`       | st_dev of the file |
//! |     24 |    8 | `inode`        | st_ino of the file |
//! |     32 |    8 | `writer_epoch` | raised at each start of a coordinator |
//! |     40 |    8 | `started_at`   | microseconds since the Unix epoch |
//! |     48 |    4 | `flags`        | bit 0: poisoned, a sync of this store failed |
//! |     52 |    4 | `checksum`     | CRC32C of the bytes before it |
//!
//! Written and synced when recovery is complete, and again when a sync failed. If it names this boot and this very inode,
//! the page cache holds all that the last coordinator stored, and the ring may be believed. A copy
//! of the file, or a file after a power cut, has another mark.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum_of;

/// See the table above.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct RunMark {
    pub boot_id: [u8; 16],
    pub device: u64,
    pub inode: u64,
    pub writer_epoch: u64,
    pub started_at: u64,
    pub flags: u32,
    pub checksum: u32,
}

impl RunMark {
    /// A sync failed: neither the page cache nor the file may be trusted.
    pub const POISONED: u32 = 1;

    /// With the checksum of its other bytes.
    #[must_use]
    pub fn sealed(mut self) -> RunMark {
        self.checksum = checksum_of(&self);
        self
    }

    /// Whether the checksum is that of its other bytes.
    pub fn is_whole(&self) -> bool {
        self.checksum == checksum_of(self)
    }

    /// Whether the page cache holds what the coordinator of this mark stored last.
    pub fn is_of(&self, boot_id: [u8; 16], device: u64, inode: u64) -> bool {
        self.is_whole() && (self.boot_id, self.device, self.inode) == (boot_id, device, inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            RunMark,
            boot_id,
            device,
            inode,
            writer_epoch,
            started_at,
            flags,
            checksum
        );
    }

    #[test]
    fn a_copied_file_is_not_of_this_boot_and_inode() {
        let mark = RunMark { boot_id: [5; 16], device: 1, inode: 2, ..Default::default() }.sealed();
        assert!(mark.is_of([5; 16], 1, 2));
        assert!(!mark.is_of([5; 16], 1, 3));
        assert!(!mark.is_of([6; 16], 1, 2));
        assert!(
            !RunMark { inode: 3, ..mark }.is_of([5; 16], 1, 3),
            "the checksum is of another inode"
        );
    }
}
