//! Reading the log behind its writer, entry by entry, from any thread.
//!
//! A walk reads a log whole, to find out where it ends. A follower is told how far it goes: up to
//! what was written, every entry must be there. So it reads each byte once, and remembers where it
//! was. Whoever lets one follow keeps the entries that it still needs from being recycled.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sutra_layout::sys::fork::Kept;

use super::directory::{Directory, segment_name};
use super::error::{Proof, WalError};
use super::format::{
    EntryHeader, GROUP_HEADER_SIZE, GROUPS_OFFSET, Group, SEGMENT_HEADER_SIZE, SegmentId,
    entry_seed, entry_size,
};
use super::replay::Visit;
use super::sync::Shared;

/// Goes along a log that is being written.
#[derive(Debug)]
pub struct Follower {
    directory: Arc<Directory>,
    shared: Arc<Shared>,
    store_id: [u8; 16],
    /// The first entry not yet given to anybody.
    next_lsn: u64,
    place: Option<Place>,
    body: Vec<u8>,
    read_size: u64,
}

/// The group that comes next.
#[derive(Debug)]
struct Place {
    file: Kept<std::fs::File>,
    id: SegmentId,
    offset: u64,
}

impl Follower {
    pub(super) fn new(
        directory: Arc<Directory>,
        shared: Arc<Shared>,
        store_id: [u8; 16],
        after_lsn: u64,
    ) -> Follower {
        let next_lsn = after_lsn + 1;
        let (place, body) = (None, Vec::new());
        Follower { directory, shared, store_id, next_lsn, place, body, read_size: 0 }
    }

    /// The last entry that was followed.
    #[must_use]
    pub fn followed_lsn(&self) -> u64 {
        self.next_lsn - 1
    }

    /// The last entry that is there to be followed.
    #[must_use]
    pub fn written_lsn(&self) -> u64 {
        self.shared.written_lsn()
    }

    /// Bytes of entries followed so far.
    #[must_use]
    pub fn read_size(&self) -> u64 {
        self.read_size
    }

    /// Calls `visit` for each entry behind the last one, up to `up_to_lsn`, which is written.
    ///
    /// # Errors
    /// [`WalError::Damaged`] if one of them cannot be read, [`WalError::Visit`] if the visitor
    /// refuses one, after which it comes again; [`WalError::Io`].
    pub fn follow(&mut self, up_to_lsn: u64, visit: Visit<'_>) -> Result<(), WalError> {
        while self.next_lsn <= up_to_lsn {
            let group = match self.group_here()? {
                Some(group) => group,
                None => self.move_on()?,
            };
            if group.last_lsn() < self.next_lsn {
                self.step_over(&group);
                continue;
            }
            self.read_body(&group)?;
            let seed = entry_seed(group.salt);
            let mut offset = 0;
            for lsn in group.first_lsn..=group.last_lsn().min(up_to_lsn) {
                let bytes = self.body.get(offset..).unwrap_or_default();
                let Some(payload) = EntryHeader::check(bytes, seed, lsn) else {
                    // A torn group that was cut within: the log went on in the segment behind it.
                    let at = group.body_offset() + offset as u64;
                    self.move_on().map_err(|_| self.damage(at))?;
                    break;
                };
                offset += entry_size(payload.len()) as usize;
                if lsn >= self.next_lsn {
                    visit(lsn, payload).map_err(|source| WalError::Visit { lsn, source })?;
                    self.next_lsn = lsn + 1;
                    self.read_size += entry_size(payload.len());
                }
            }
            if self.next_lsn > group.last_lsn() {
                self.step_over(&group);
            }
        }
        Ok(())
    }

    /// The group at the place, if one stands there that goes on.
    fn group_here(&self) -> Result<Option<Group>, WalError> {
        let Some(Place { file, id, offset }) = &self.place else { return Ok(None) };
        // Groups are checked at their own place in the file: here it is the start of a buffer.
        let mut header = [0; GROUP_HEADER_SIZE];
        match file.read_exact_at(&mut header, *offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(self.failed(id.sequence, error)),
        }
        let group = Group::check_header(&header, *offset, id.sequence, Some(id.salt));
        Ok(group.filter(|group| group.first_lsn <= self.next_lsn))
    }

    fn step_over(&mut self, group: &Group) {
        if let Some(place) = &mut self.place {
            place.offset = group.end_offset();
        }
    }

    /// To the group of the next entry: in the segment behind, or in whichever has it.
    fn move_on(&mut self) -> Result<Group, WalError> {
        let sequences = match &self.place {
            Some(place) => vec![place.id.sequence + 1],
            // The newest one that begins at or before it.
            None => self.directory.list()?.segments.into_iter().rev().collect(),
        };
        for sequence in sequences {
            let Some(place) = self.open(sequence)? else { continue };
            let before = self.place.replace(place);
            if let Some(group) = self.group_here()? {
                return Ok(group);
            }
            self.place = before;
        }
        Err(self.damage(self.place.as_ref().map_or(0, |place| place.offset)))
    }

    fn open(&self, sequence: u64) -> Result<Option<Place>, WalError> {
        let file = match self.directory.open_file(&segment_name(sequence), false) {
            Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            file => file?,
        };
        let mut header = [0; SEGMENT_HEADER_SIZE];
        let read = file.read_exact_at(&mut header, 0);
        read.map_err(|error| self.failed(sequence, error))?;
        let id = SegmentId::check(&header, sequence).ok();
        let id = id.filter(|id| id.store_id == self.store_id);
        Ok(id.map(|id| Place { file, id, offset: GROUPS_OFFSET }))
    }

    fn read_body(&mut self, group: &Group) -> Result<(), WalError> {
        let Some(place) = &self.place else { return Ok(()) };
        self.body.resize(group.body_size as usize, 0);
        let read = place.file.read_exact_at(&mut self.body, group.body_offset());
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damage(group.body_offset()))
            }
            read => read.map_err(|error| self.failed(group.segment, error)),
        }
    }

    fn failed(&self, sequence: u64, error: io::Error) -> WalError {
        WalError::io(&self.directory.path_of(&segment_name(sequence)), "read", error)
    }

    fn damage(&self, offset: u64) -> WalError {
        let sequence = self.place.as_ref().map_or(1, |place| place.id.sequence);
        WalError::Damaged {
            path: self.directory.path_of(&segment_name(sequence)),
            offset,
            lsn: self.next_lsn,
            proof: Proof::Store { lsn: self.written_lsn() },
        }
    }
}
