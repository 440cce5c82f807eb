//! The bytes of a log segment: one header page, then groups of entries.
//!
//! | bytes of the file | what                                                        |
//! |-------------------|-------------------------------------------------------------|
//! | 0 .. 64           | [`SegmentHeader`]                                           |
//! | 64 .. 4096        | zeros: a torn write of the first group cannot touch the header |
//! | 4096 ..           | groups back to back: [`GroupHeader`], then its entries      |
//! | after the last    | zeros, or in a recycled file old bytes under another salt   |
//!
//! A reader takes a group only when its header's checksum, salt, segment number and
//! own offset all agree, and an entry only when its checksum and its LSN do. The salt
//! is drawn anew each time a file becomes a segment and seeds the checksum of every
//! entry, so bytes of an earlier use never count.
//!
//! The segment header is written and synced by the preparer before the file gets its
//! segment name, and never again; groups are written by the one log writer only.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where the first group starts; the segment header has this page to itself.
pub(crate) const GROUPS_OFFSET: u64 = 4096;
/// Groups and entries start at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;
pub(crate) const SEGMENT_HEADER_SIZE: usize = size_of::<SegmentHeader>();
pub(crate) const GROUP_HEADER_SIZE: usize = size_of::<GroupHeader>();
pub(crate) const ENTRY_HEADER_SIZE: usize = size_of::<EntryHeader>();

/// Largest payload of one entry: the largest frame and 1 MiB for what is put before it.
pub const PAYLOAD_SIZE_MAX: usize = (16 << 20) + (1 << 20);

pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"SUTRAWAL";
pub(crate) const SEGMENT_VERSION: u32 = 1;
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"SWG\x01";

/// The first 64 bytes of a segment, as they lie in the file.
///
/// | offset | size | field         | meaning                                            |
/// |-------:|-----:|---------------|----------------------------------------------------|
/// |      0 |    8 | `magic`       | `SUTRAWAL`                                         |
/// |      8 |    4 | `version`     | 1; a higher one is refused                         |
/// |     12 |    4 | `header_crc`  | CRC32C of the 64 bytes with this field zero        |
/// |     16 |   16 | `store_id`    | the store whose log this is                        |
/// |     32 |    8 | `salt`        | random, new for each use of the file               |
/// |     40 |    8 | `sequence`    | number of the segment, the same as in its name     |
/// |     48 |   16 | `reserved`    | zeros                                              |
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct SegmentHeader {
    magic: [u8; 8],
    version: U32,
    header_crc: U32,
    store_id: [u8; 16],
    salt: U64,
    sequence: U64,
    reserved: [u8; 16],
}

const _: () = assert!(size_of::<SegmentHeader>() == 64);

/// The 64 bytes before the entries that one append wrote.
///
/// | offset | size | field          | meaning                                           |
/// |-------:|-----:|----------------|---------------------------------------------------|
/// |      0 |    4 | `magic`        | `SWG` and the version byte 1                      |
/// |      4 |    4 | `header_crc`   | CRC32C of the 64 bytes with this field zero       |
/// |      8 |    8 | `salt`         | the segment's salt                                |
/// |     16 |    8 | `segment`      | the segment's sequence number                     |
/// |     24 |    8 | `offset`       | bytes from the start of the file to this header   |
/// |     32 |    8 | `first_lsn`    | LSN of the first entry, +1 for each that follows  |
/// |     40 |    8 | `synced_lsn`   | every entry up to it was synced before this write |
/// |     48 |    8 | `writer_epoch` | the coordinator start that wrote it               |
/// |     56 |    4 | `entry_count`  | at least 1                                        |
/// |     60 |    4 | `body_size`    | bytes after this header, entries with padding     |
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct GroupHeader {
    magic: [u8; 4],
    header_crc: U32,
    salt: U64,
    segment: U64,
    offset: U64,
    first_lsn: U64,
    synced_lsn: U64,
    writer_epoch: U64,
    entry_count: U32,
    body_size: U32,
}

const _: () = assert!(size_of::<GroupHeader>() == 64);

impl GroupHeader {
    pub(crate) const SALT_OFFSET: usize = std::mem::offset_of!(GroupHeader, salt);
}

/// The 16 bytes before each payload; payloads are padded with zeros to 8 bytes.
///
/// | offset | size | field          | meaning                                           |
/// |-------:|-----:|----------------|---------------------------------------------------|
/// |      0 |    4 | `entry_crc`    | CRC32C of salt, then all from `payload_size` to the end of the payload |
/// |      4 |    4 | `payload_size` | bytes of the payload, without padding             |
/// |      8 |    8 | `lsn`          | number of the entry                               |
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct EntryHeader {
    pub(crate) entry_crc: U32,
    pub(crate) payload_size: U32,
    pub(crate) lsn: U64,
}

const _: () = assert!(size_of::<EntryHeader>() == 16);

/// What a segment's header says, once checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub(crate) store_id: [u8; 16],
    pub(crate) salt: u64,
    pub(crate) sequence: u64,
}

/// Why a segment header is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    /// Fewer bytes than a header, a wrong magic or a wrong checksum.
    Invalid,
    /// A whole header of a later version.
    Newer(u32),
    /// A whole header, but of another place in the log than the name says.
    Misnamed(u64),
}

impl SegmentId {
    pub(crate) fn to_header(self) -> SegmentHeader {
        let mut header = SegmentHeader {
            magic: SEGMENT_MAGIC,
            version: SEGMENT_VERSION.into(),
            header_crc: 0.into(),
            store_id: self.store_id,
            salt: self.salt.into(),
            sequence: self.sequence.into(),
            reserved: [0; 16],
        };
        header.header_crc = crc32c::crc32c(header.as_bytes()).into();
        header
    }

    /// The one way from bytes to a [`SegmentId`]; `sequence` is from the file's name.
    pub(crate) fn check(bytes: &[u8], sequence: u64) -> Result<SegmentId, HeaderProblem> {
        let (header, _) =
            SegmentHeader::read_from_prefix(bytes).map_err(|_| HeaderProblem::Invalid)?;
        let unsummed = SegmentHeader { header_crc: 0.into(), ..header };
        if header.magic != SEGMENT_MAGIC
            || header.header_crc.get() != crc32c::crc32c(unsummed.as_bytes())
        {
            return Err(HeaderProblem::Invalid);
        }
        if header.version.get() != SEGMENT_VERSION {
            return Err(HeaderProblem::Newer(header.version.get()));
        }
        if header.sequence.get() != sequence {
            return Err(HeaderProblem::Misnamed(header.sequence.get()));
        }
        Ok(SegmentId { store_id: header.store_id, salt: header.salt.get(), sequence })
    }

    /// Start value of the checksum of each entry in this segment.
    pub(crate) fn seed(&self) -> u32 {
        entry_seed(self.salt)
    }
}

/// What a group's header says, once checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) salt: u64,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) first_lsn: u64,
    pub(crate) synced_lsn: u64,
    pub(crate) writer_epoch: u64,
    pub(crate) entry_count: u32,
    pub(crate) body_size: u32,
}

impl Group {
    pub(crate) fn to_header(self) -> GroupHeader {
        let mut header = GroupHeader {
            magic: GROUP_MAGIC,
            header_crc: 0.into(),
            salt: self.salt.into(),
            segment: self.segment.into(),
            offset: self.offset.into(),
            first_lsn: self.first_lsn.into(),
            synced_lsn: self.synced_lsn.into(),
            writer_epoch: self.writer_epoch.into(),
            entry_count: self.entry_count.into(),
            body_size: self.body_size.into(),
        };
        header.header_crc = crc32c::crc32c(header.as_bytes()).into();
        header
    }

    /// The group whose header lies at `offset` of segment number `segment`, if a whole
    /// one does. Without a salt (the segment's own header is lost) any is taken.
    pub(crate) fn check(
        file: &[u8],
        offset: u64,
        segment: u64,
        salt: Option<u64>,
    ) -> Option<Group> {
        Group::check_header(file.get(usize::try_from(offset).ok()?..)?, offset, segment, salt)
    }

    /// The same, of the bytes from there on.
    pub(crate) fn check_header(
        bytes: &[u8],
        offset: u64,
        segment: u64,
        salt: Option<u64>,
    ) -> Option<Group> {
        if !bytes.starts_with(&GROUP_MAGIC) {
            return None; // nearly always, in a scan: before the checksum is computed
        }
        let (header, _) = GroupHeader::read_from_prefix(bytes).ok()?;
        let unsummed = GroupHeader { header_crc: 0.into(), ..header };
        let group = Group {
            salt: header.salt.get(),
            segment: header.segment.get(),
            offset: header.offset.get(),
            first_lsn: header.first_lsn.get(),
            synced_lsn: header.synced_lsn.get(),
            writer_epoch: header.writer_epoch.get(),
            entry_count: header.entry_count.get(),
            body_size: header.body_size.get(),
        };
        let sound = header.header_crc.get() == crc32c::crc32c(unsummed.as_bytes())
            && group.offset == offset
            && group.segment == segment
            && salt.is_none_or(|salt| salt == group.salt)
            && group.entry_count >= 1
            && group.synced_lsn < group.first_lsn
            && group.first_lsn.checked_add(group.entry_count.into()).is_some()
            && u64::from(group.body_size)
                >= u64::from(group.entry_count) * ENTRY_HEADER_SIZE as u64;
        sound.then_some(group)
    }

    pub(crate) fn last_lsn(&self) -> u64 {
        self.first_lsn + u64::from(self.entry_count) - 1
    }

    pub(crate) fn body_offset(&self) -> u64 {
        self.offset + GROUP_HEADER_SIZE as u64
    }

    pub(crate) fn end_offset(&self) -> u64 {
        self.body_offset() + u64::from(self.body_size)
    }
}

/// Start value of the checksum of each entry in a segment with this salt.
pub(crate) fn entry_seed(salt: u64) -> u32 {
    crc32c::crc32c(&salt.to_le_bytes())
}

impl EntryHeader {
    /// Where the summed part begins: behind `entry_crc`.
    pub(crate) const SUMMED_OFFSET: usize = std::mem::offset_of!(EntryHeader, payload_size);

    /// A header whose checksum is still to be put in.
    pub(crate) fn unsummed(payload_size: usize, lsn: u64) -> EntryHeader {
        let payload_size =
            u32::try_from(payload_size).expect("the caller holds payloads to PAYLOAD_SIZE_MAX");
        EntryHeader { entry_crc: 0.into(), payload_size: payload_size.into(), lsn: lsn.into() }
    }

    /// The payload of the entry `lsn` at the start of `bytes`, if it is whole.
    pub(crate) fn check(bytes: &[u8], seed: u32, lsn: u64) -> Option<&[u8]> {
        let (header, rest) = EntryHeader::read_from_prefix(bytes).ok()?;
        let payload = rest.get(..header.payload_size.get() as usize)?;
        let summed = &bytes[EntryHeader::SUMMED_OFFSET..ENTRY_HEADER_SIZE + payload.len()];
        (header.lsn.get() == lsn && header.entry_crc.get() == crc32c::crc32c_append(seed, summed))
            .then_some(payload)
    }
}

/// Bytes that an entry with a payload of this size takes in a segment.
#[must_use]
pub const fn entry_size(payload_size: usize) -> u64 {
    (ENTRY_HEADER_SIZE as u64 + payload_size as u64).next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows (offset, size, field) of the table above `struct name` in this file.
    fn table(name: &str) -> Vec<(usize, usize, String)> {
        let source = include_str!("format.rs");
        let end = source.find(&format!("struct {name} {{")).unwrap();
        let start = source[..end].rfind("/// | offset | size |").unwrap();
        source[start..end]
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("/// |")?.split('|').map(str::trim);
                let offset = cells.next()?.parse().ok()?;
                let size = cells.next()?.parse().ok()?;
                Some((offset, size, cells.next()?.trim_matches('`').to_owned()))
            })
            .collect()
    }

    macro_rules! rows {
        ($record:ident: $($field:ident),*) => {{
            fn size_of_field<T>(_: fn($record) -> T) -> usize { size_of::<T>() }
            vec![$((
                std::mem::offset_of!($record, $field),
                size_of_field(|record: $record| record.$field),
                stringify!($field).to_owned(),
            )),*]
        }};
    }

    #[test]
    fn the_tables_in_the_docs_are_the_structs() {
        assert_eq!(
            table("SegmentHeader"),
            rows!(SegmentHeader: magic, version, header_crc, store_id, salt, sequence, reserved)
        );
        assert_eq!(
            table("GroupHeader"),
            rows!(GroupHeader: magic, header_crc, salt, segment, offset, first_lsn, synced_lsn,
                writer_epoch, entry_count, body_size)
        );
        assert_eq!(table("EntryHeader"), rows!(EntryHeader: entry_crc, payload_size, lsn));
    }

    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let id = SegmentId { store_id: [7; 16], salt: 0x0123_4567_89ab_cdef, sequence: 3 };
        let bytes = id.to_header();
        assert_eq!(&bytes.as_bytes()[..12], b"SUTRAWAL\x01\0\0\0");
        assert_eq!(crc32c::crc32c(bytes.as_bytes()), SEGMENT_DIGEST);
        assert_eq!(SegmentId::check(bytes.as_bytes(), 3), Ok(id));
        assert_eq!(SegmentId::check(bytes.as_bytes(), 4), Err(HeaderProblem::Misnamed(3)));

        let mut entry = EntryHeader::unsummed(4, 9);
        let mut bytes = [entry.as_bytes(), b"body"].concat();
        entry.entry_crc = crc32c::crc32c_append(id.seed(), &bytes[4..]).into();
        bytes[..4].copy_from_slice(entry.entry_crc.as_bytes());
        assert_eq!(crc32c::crc32c(&bytes), ENTRY_DIGEST);
        assert_eq!(EntryHeader::check(&bytes, id.seed(), 9), Some(&b"body"[..]));
        assert_eq!(EntryHeader::check(&bytes, id.seed(), 8), None);
        let group = Group {
            salt: id.salt,
            segment: 3,
            offset: 8,
            first_lsn: 9,
            synced_lsn: 8,
            writer_epoch: 2,
            entry_count: 1,
            body_size: 24,
        };
        assert_eq!(crc32c::crc32c(group.to_header().as_bytes()), GROUP_DIGEST);
    }

    // Changing one of these means a new format version.
    const SEGMENT_DIGEST: u32 = 1_992_421_092;
    const GROUP_DIGEST: u32 = 58_415_290;
    const ENTRY_DIGEST: u32 = 3_430_307_459;

    #[test]
    fn a_later_version_is_told_from_damage() {
        let id = SegmentId { store_id: [7; 16], salt: 1, sequence: 3 };
        let mut header = id.to_header();
        header.version = 2.into();
        assert_eq!(SegmentId::check(header.as_bytes(), 3), Err(HeaderProblem::Invalid));
        header.header_crc = 0.into();
        header.header_crc = crc32c::crc32c(header.as_bytes()).into();
        assert_eq!(SegmentId::check(header.as_bytes(), 3), Err(HeaderProblem::Newer(2)));
    }
}
