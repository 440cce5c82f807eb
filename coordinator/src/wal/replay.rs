//! Reading the log: which entries count, where it ends, and whether it may end there.
//!
//! The walk goes through the segments in order and takes every entry that continues the
//! LSNs. Where that stops is a *break*: the place, and the first LSN that is missing. The
//! end of a healthy log is a break too, with zeros behind it.
//!
//! | case | what stands at the break                                   | what it is          |
//! |------|------------------------------------------------------------|---------------------|
//! | A    | the next segment begins with the missing LSN               | no break: the writer went on there |
//! | B    | nothing later proves the missing LSN to have been synced   | the tail: cut       |
//! | C    | the store holds the missing LSN (`proof_lsn`)              | damage              |
//! | D    | a later group header says it was synced (`synced_lsn`)     | damage              |
//! | E    | a segment's header is bad and entries stand behind it      | damage: headers are synced first |
//! | F    | the missing LSN is not needed (at or below `start_after_lsn`) and a later group goes on at or below the first needed one | told, not refused |
//!
//! B is why a valid group behind a bad one is no damage by itself: a power cut may keep
//! block 2 of what was not synced and lose block 1. A group header alone is proof enough
//! for D: it is written only after the sync it speaks of.

use std::io::ErrorKind;

use super::directory::{Directory, segment_name};
use super::error::{Proof, VisitError, WalError};
use super::format::{
    ALIGNMENT, ENTRY_HEADER_SIZE, EntryHeader, GROUP_HEADER_SIZE, GROUPS_OFFSET, Group,
    GroupHeader, HeaderProblem, SEGMENT_VERSION, SegmentId, entry_seed, entry_size,
};
use super::segment::{Content, Window};

/// What is done with each entry of a replay: its LSN and its payload.
pub type Visit<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), VisitError>;

/// What the walk saw of one segment.
#[derive(Clone, Debug)]
pub(crate) struct SeenSegment {
    pub(crate) sequence: u64,
    pub(crate) size: u64,
    pub(crate) header: Result<SegmentId, HeaderProblem>,
    pub(crate) group_count: u64,
    pub(crate) entry_count: u64,
    /// Of the entries that count; 0 if none does.
    pub(crate) first_lsn: u64,
    pub(crate) last_lsn: u64,
    /// Bytes from the start of the file to the end of the last entry that counts.
    pub(crate) end_offset: u64,
    /// End of the last group that has a valid header but does not count; 0 if none.
    pub(crate) stale_end_offset: u64,
}

/// Where the log stops being readable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    /// The last segment that holds something to keep (an index into
    /// [`Walk::segments`]) and where its part ends; none if not one is to be kept.
    pub(crate) keep: Option<(usize, u64)>,
    /// The part to keep ends within a group.
    pub(crate) within_group: bool,
    /// Where the missing entry should have been, for the message: index and offset.
    pub(crate) place: (usize, u64),
}

/// A place in the log, and the first entry that could not be read there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) sequence: u64,
    pub(crate) offset: u64,
    pub(crate) lsn: u64,
}

/// The outcome of a walk.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) segments: Vec<SeenSegment>,
    /// How the log ends; none if it has no segment at all.
    pub(crate) end: Option<Break>,
    /// The first entry that cannot be read, and is needed.
    pub(crate) missing_lsn: u64,
    /// Why `missing_lsn` cannot just be the end, if the log itself says so.
    pub(crate) proof: Option<Proof>,
    /// Entries that are gone but not needed (case F): the first such place.
    pub(crate) unneeded: Option<Missing>,
    /// Something other than zeros stands at the end: a torn group or what came after it.
    pub(crate) torn: bool,
    /// Entries given to the visitor.
    pub(crate) visited_count: u64,
    /// Bytes that they take.
    pub(crate) visited_size: u64,
    /// Of the last group that counts; 0 if none does.
    pub(crate) writer_epoch: u64,
}

/// Which entries the walk is after.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// Those above this LSN; all below it may be missing.
    Above(u64),
    /// Whatever there is: for inspection.
    First,
}

/// How a log is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// Past the system's cache, which is not trusted.
    pub(crate) past_cache: bool,
    /// All that was ever acknowledged is at or below this LSN, and was written to the system's cache
    /// in one piece after the other. So whoever has read up to it need not look behind.
    pub(crate) acknowledged_lsn: Option<u64>,
}

/// Reads all segments; calls `visit` for every entry that counts and is asked for.
pub(crate) fn walk(
    directory: &Directory,
    store_id: Option<[u8; 16]>,
    start: Start,
    reading: Reading,
    visit: Visit<'_>,
) -> Result<Walk, WalError> {
    let mut walker = Walker {
        directory,
        start,
        acknowledged_lsn: reading.acknowledged_lsn,
        expected_lsn: None,
        visit,
        walk: Walk {
            segments: Vec::new(),
            end: None,
            missing_lsn: 0,
            proof: None,
            unneeded: None,
            torn: false,
            visited_count: 0,
            visited_size: 0,
            writer_epoch: 0,
        },
    };
    let mut window = Window::default();
    for sequence in directory.list()?.segments {
        let name = segment_name(sequence);
        let file = match directory.open_file(&name, false) {
            // Retired by the writer meanwhile. If it is needed, the LSNs tell.
            Err(WalError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
            file => file?,
        };
        let content = Content::of(directory, (&name, &file), &mut window, reading.past_cache)?;
        walker.segment(sequence, store_id, content)?;
    }
    walker.walk.missing_lsn = walker.missing_lsn();
    Ok(walker.walk)
}

struct Walker<'a> {
    directory: &'a Directory,
    start: Start,
    /// As of [`Reading`].
    acknowledged_lsn: Option<u64>,
    /// The LSN after the last entry that counts; none before the first.
    expected_lsn: Option<u64>,
    visit: Visit<'a>,
    walk: Walk,
}

impl Walker<'_> {
    /// LSNs up to this one are not needed.
    fn floor_lsn(&self) -> u64 {
        match self.start {
            Start::Above(lsn) => lsn,
            Start::First => 0,
        }
    }

    /// The first needed LSN not yet seen.
    fn missing_lsn(&self) -> u64 {
        (self.floor_lsn() + 1).max(self.expected_lsn.unwrap_or(0))
    }

    /// True if a group that begins with `lsn` continues what was read, all but entries
    /// that are not needed.
    fn continues(&self, lsn: u64) -> bool {
        match (self.expected_lsn, self.start) {
            (None, Start::First) => true,
            (None, Start::Above(floor_lsn)) => lsn <= floor_lsn + 1,
            (Some(expected_lsn), _) => {
                lsn == expected_lsn || (lsn > expected_lsn && lsn <= self.floor_lsn() + 1)
            }
        }
    }

    fn segment(
        &mut self,
        sequence: u64,
        store_id: Option<[u8; 16]>,
        mut content: Content<'_>,
    ) -> Result<(), WalError> {
        let index = self.walk.segments.len();
        let header = SegmentId::check(content.range(0, GROUPS_OFFSET)?, sequence);
        let path = || self.directory.path_of(&segment_name(sequence));
        match header {
            Err(HeaderProblem::Newer(found)) => {
                return Err(WalError::Newer { path: path(), found, known: SEGMENT_VERSION });
            }
            Ok(SegmentId { store_id: found, .. }) if store_id.is_some_and(|id| id != found) => {
                return Err(WalError::Foreign {
                    path: path(),
                    found: u128::from_be_bytes(found),
                    expected: u128::from_be_bytes(store_id.unwrap_or_default()),
                });
            }
            _ => {}
        }
        self.walk.segments.push(SeenSegment {
            sequence,
            size: content.size(),
            header,
            group_count: 0,
            entry_count: 0,
            first_lsn: 0,
            last_lsn: 0,
            end_offset: GROUPS_OFFSET,
            stale_end_offset: 0,
        });
        match header {
            Ok(id) => self.groups(index, id, &mut content)?,
            Err(_) => self.headless(index, content.whole()?),
        }
        self.walk.segments[index].size = content.size();
        Ok(())
    }

    /// A segment with a sound header: takes its groups as long as they go on.
    fn groups(
        &mut self,
        index: usize,
        id: SegmentId,
        content: &mut Content<'_>,
    ) -> Result<(), WalError> {
        let mut offset = GROUPS_OFFSET;
        loop {
            let bytes = content.range(offset, offset + GROUP_HEADER_SIZE as u64)?;
            let here = Group::check_header(bytes, offset, id.sequence, Some(id.salt));
            let has_salt = bytes
                .get(GroupHeader::SALT_OFFSET..)
                .is_some_and(|bytes| bytes.starts_with(&id.salt.to_le_bytes()));
            if let Some(group) = here.filter(|group| self.continues(group.first_lsn)) {
                self.resume(index, &group);
                let bytes = content.range(group.body_offset(), group.end_offset())?;
                match self.entries(index, &group, bytes)? {
                    Ok(()) => {
                        offset = group.end_offset();
                        continue;
                    }
                    Err((bad_offset, within_group)) => {
                        // Without one good entry the header goes too, so that the log can
                        // continue in its place.
                        let keep_offset = if within_group { bad_offset } else { offset };
                        self.stop(index, keep_offset, bad_offset, within_group);
                        self.walk.torn = true;
                        self.stale(index, group.end_offset().min(content.size()));
                        offset = bad_offset;
                    }
                }
            } else {
                self.stop(index, offset, offset, false);
                self.walk.torn |= has_salt;
            }
            if self.acknowledged_lsn.is_some_and(|lsn| lsn < self.missing_lsn()) {
                return Ok(()); // nothing that is missing can have been promised
            }
            match self.look_behind(index, offset, id, content.whole()?) {
                Some(resume_offset) => offset = resume_offset,
                None => return Ok(()),
            }
        }
    }

    /// Looks at all headers from a break on for proof that the missing entry was synced.
    /// Returns the first group that goes on behind entries that are not needed.
    fn look_behind(
        &mut self,
        index: usize,
        offset: u64,
        id: SegmentId,
        bytes: &[u8],
    ) -> Option<u64> {
        let unneeded = match self.start {
            Start::Above(lsn) => self.expected_lsn.is_none_or(|expected_lsn| expected_lsn <= lsn),
            Start::First => false,
        };
        for group in headers(bytes, offset, id.sequence, Some(id.salt)) {
            if unneeded && self.continues(group.first_lsn) {
                return Some(group.offset);
            }
            if self.walk.segments[index].entry_count == 0
                && let Some(end) = &mut self.walk.end
                && end.place.0 < index
                && self.walk.segments[end.place.0].stale_end_offset == 0
            {
                // The segment before ends cleanly: it is the start of this one that is lost.
                end.place = (index, GROUPS_OFFSET);
            }
            self.walk.torn = true;
            self.stale(index, group.end_offset().min(bytes.len() as u64));
            if group.synced_lsn >= self.missing_lsn() && self.walk.proof.is_none() {
                self.walk.proof = Some(Proof::Group {
                    path: self.directory.path_of(&segment_name(id.sequence)),
                    offset: group.offset,
                    synced_lsn: group.synced_lsn,
                });
            }
        }
        None
    }

    /// A segment without a sound header, and so without a salt: nothing in it counts.
    fn headless(&mut self, index: usize, bytes: &[u8]) {
        let sequence = self.walk.segments[index].sequence;
        let missing_lsn = self.missing_lsn();
        let lost = headers(bytes, 0, sequence, None).any(|group| group.last_lsn() >= missing_lsn);
        match &mut self.walk.end {
            None => {
                self.walk.end = Some(Break { keep: None, within_group: false, place: (index, 0) });
            }
            Some(end) if lost => end.place = (index, 0),
            Some(_) => {}
        }
        if lost {
            self.walk.torn = true;
            let path = self.directory.path_of(&segment_name(sequence));
            self.walk.proof.get_or_insert(Proof::Header { path });
        }
    }

    /// Takes the entries of a group that continues the log, of which `body` is there. The inner error
    /// is where the first bad one stands, and whether good ones stand before it.
    fn entries(
        &mut self,
        index: usize,
        group: &Group,
        body: &[u8],
    ) -> Result<Result<(), (u64, bool)>, WalError> {
        let seed = entry_seed(group.salt);
        let mut at = 0;
        for lsn in group.first_lsn..=group.last_lsn() {
            let Some(payload) = EntryHeader::check(&body[at..], seed, lsn) else {
                return Ok(Err((group.body_offset() + at as u64, lsn > group.first_lsn)));
            };
            if lsn > self.floor_lsn() {
                (self.visit)(lsn, payload).map_err(|source| WalError::Visit { lsn, source })?;
                self.walk.visited_count += 1;
                self.walk.visited_size += entry_size(payload.len());
            }
            // The padding of the very last entry may be cut off with the file.
            at = (at + entry_size(payload.len()) as usize).min(body.len());
            self.expected_lsn = Some(lsn + 1);
            self.walk.writer_epoch = group.writer_epoch;
            let segment = &mut self.walk.segments[index];
            if segment.entry_count == 0 {
                segment.first_lsn = lsn;
            }
            segment.last_lsn = lsn;
            segment.entry_count += 1;
            segment.end_offset = group.body_offset() + at as u64;
        }
        self.walk.segments[index].group_count += 1;
        let offset = group.body_offset() + at as u64;
        if offset == group.end_offset() {
            Ok(Ok(()))
        } else {
            Ok(Err((offset, true))) // all entries are there, but not all the bytes
        }
    }

    /// The log goes on with this group: what looked like its end was none (case A), or
    /// has lost only what is not needed (case F).
    fn resume(&mut self, index: usize, group: &Group) {
        let lost = match self.expected_lsn {
            Some(expected_lsn) => group.first_lsn > expected_lsn,
            None => self.walk.torn, // not just the start of a log whose head was recycled
        };
        if lost && self.walk.unneeded.is_none() {
            let (place, offset) = self.walk.end.map_or((index, GROUPS_OFFSET), |end| end.place);
            self.walk.unneeded = Some(Missing {
                sequence: self.walk.segments[place].sequence,
                offset,
                lsn: self.expected_lsn.unwrap_or(group.first_lsn - 1),
            });
        }
        self.walk.end = None;
        self.walk.proof = None;
        self.walk.torn = false;
    }

    /// The log breaks here, unless it is broken already.
    fn stop(&mut self, index: usize, keep_offset: u64, bad_offset: u64, within_group: bool) {
        self.walk.end.get_or_insert(Break {
            keep: Some((index, keep_offset)),
            within_group,
            place: (index, bad_offset),
        });
    }

    fn stale(&mut self, index: usize, end_offset: u64) {
        let segment = &mut self.walk.segments[index];
        segment.stale_end_offset = segment.stale_end_offset.max(end_offset);
    }
}

/// All valid group headers at `offset` and behind it.
fn headers(
    bytes: &[u8],
    offset: u64,
    sequence: u64,
    salt: Option<u64>,
) -> impl Iterator<Item = Group> + '_ {
    (offset.next_multiple_of(ALIGNMENT)..bytes.len() as u64)
        .step_by(ALIGNMENT as usize)
        .filter_map(move |offset| Group::check(bytes, offset, sequence, salt))
}

const _: () = assert!((ENTRY_HEADER_SIZE as u64).is_multiple_of(ALIGNMENT));
