//! A store as it was: the newest version's file, cut where a log entry ended.
//!
//! Records and edges stand in the order of their log entries, so an LSN is a place in both. Below
//! the cut nothing ever changes, and whatever finds the newest version below a count finds the one
//! of then.

use std::sync::{Arc, OnceLock};

use sutra_layout::Damage;
use sutra_layout::lookup;
use sutra_layout::slot::Slot;

use crate::error::ReadError;
use crate::snapshot::{Snapshot, Version};

/// Clocks that are set back by no more than this mislead no look-up by time.
const CLOCK_STEP_US: u64 = 10_000_000;

/// What an as-of version knows besides its slot.
#[derive(Debug)]
pub(crate) struct AsOf {
    /// The slot that was cut.
    pub(crate) newest: Slot,
    /// Live concepts and associations, once they were asked for.
    live: OnceLock<(u64, u64)>,
}

impl Snapshot {
    /// The store as log entry `lsn` left it: every read works on it, and gives what it gave then.
    ///
    /// Its time is that of the last version of a concept at or before `lsn`: what had not expired by
    /// then is there, whatever the clock says now. An atomic batch has one LSN, so no as-of snapshot
    /// is inside it. Names of types and kinds, vector spaces and access counts have no versions: they are
    /// those of this snapshot. Costs a few binary searches.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let snapshot = sutra_reader::Reader::open("knowledge")?.snapshot()?;
    /// let before = snapshot.as_of(snapshot.published_lsn() - 1)?;
    /// assert_eq!(before.published_lsn() + 1, snapshot.published_lsn());
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_of(&self, lsn: u64) -> Result<Snapshot, ReadError> {
        let cut = self.cut(lsn)?;
        let record = cut.records.checked_sub(1).map(|last| self.view().record(last, self.slot()));
        let record = record.transpose().map_err(|damage| self.damaged(damage))?;
        let time = record.map_or(0, |record| record.updated_at);
        Ok(self.cut_at(cut, time))
    }

    /// The store as it was at a time, in microseconds since the Unix epoch; see
    /// [`Snapshot::lsn_at`]. What had expired by then is not in it.
    pub fn as_of_time(&self, time_us: u64) -> Result<Snapshot, ReadError> {
        let cut = self.cut(self.lsn_at(time_us)?)?;
        Ok(self.cut_at(cut, time_us))
    }

    /// The last log entry that is known to have been written at or before a time, in microseconds
    /// since the Unix epoch; 0 if all came later.
    ///
    /// Versions of concepts have the time of their writing. An association has the time it was made
    /// or was given, which counts if it lies between those of the concepts written before and after
    /// it; without that, it is taken to be as late as the next version of a concept. So in a store
    /// where associations are updated or ended and no concept is written, the answer may be an
    /// earlier entry than the true one, never a later one. A clock that was set back by up to ten
    /// seconds misleads it by no more than that.
    pub fn lsn_at(&self, time_us: u64) -> Result<u64, ReadError> {
        self.find_lsn_at(time_us).map_err(|damage| self.damaged(damage))
    }

    fn find_lsn_at(&self, time_us: u64) -> Result<u64, Damage> {
        let (view, slot) = (self.view(), self.slot());
        if time_us >= slot.published_at {
            return Ok(slot.published_lsn);
        }
        let time_of = |at| Ok(view.record(at, slot)?.updated_at);
        let mut end = partition_point(slot.records, |at| Ok(time_of(at)? <= time_us))?;
        let mut next = end;
        while next < slot.records {
            let time = time_of(next)?;
            next += 1;
            if time <= time_us {
                end = next;
            } else if time > time_us.saturating_add(CLOCK_STEP_US) {
                break;
            }
        }
        let (mut lsn, mut since) = (0, 0);
        if let Some(last) = end.checked_sub(1) {
            let record = view.record(last, slot)?;
            (lsn, since) = (record.lsn, record.updated_at);
        }
        // Associations written between that version of a concept and the next.
        let next_lsn = if end < slot.records { view.record(end, slot)?.lsn } else { u64::MAX };
        let edge_lsn = |at| Ok(view.edge(at, slot)?.lsn);
        let edges_start = partition_point(slot.edges, |at| Ok(edge_lsn(at)? <= lsn))?;
        let edges_end = partition_point(slot.edges, |at| Ok(edge_lsn(at)? < next_lsn))?;
        for edge in (edges_start..edges_end).rev() {
            let edge = view.edge(edge, slot)?;
            if (since..=time_us).contains(&edge.created_at) {
                lsn = edge.lsn;
                break;
            }
        }
        Ok(lsn)
    }

    /// Whether this is the store as it was, made by [`Snapshot::as_of`].
    pub fn is_as_of(&self) -> bool {
        self.as_of_state().is_some()
    }

    /// As-of reads before this log entry are refused: a compaction dropped the versions of then.
    pub fn history_floor_lsn(&self) -> u64 {
        self.slot().history_floor_lsn
    }

    /// This version's slot, cut after log entry `lsn`.
    fn cut(&self, lsn: u64) -> Result<Slot, ReadError> {
        let newest = self.slot();
        self.check_history(lsn)?;
        if lsn > newest.published_lsn {
            return Err(ReadError::NotYet { wanted: lsn, published: newest.published_lsn });
        }
        let cut = || {
            let (records, edges) = (self.records_end(lsn)?, self.edges_end(lsn)?);
            let mut slot = Slot { published_lsn: lsn, records, edges, ..*newest };
            // Concepts got their ordinals in the order of their first versions.
            slot.concepts = partition_point(newest.concepts, |ordinal| {
                Ok(lookup::newest_record(self.view(), &slot, ordinal as u32)?.is_some())
            })?;
            Ok(slot)
        };
        cut().map_err(|damage| self.damaged(damage))
    }

    fn cut_at(&self, slot: Slot, time_us: u64) -> Snapshot {
        let newest = self.as_of_state().map_or(*self.slot(), |as_of| as_of.newest);
        let as_of = AsOf { newest, live: OnceLock::new() };
        let version = Version {
            file: Arc::clone(&self.version().file),
            slot: Slot { published_at: time_us, ..slot },
            symbols: Arc::clone(&self.version().symbols),
            as_of: Some(Box::new(as_of)),
        };
        Snapshot::new(Arc::new(version), time_us)
    }

    /// Fails for what happened before a compaction's horizon.
    pub(crate) fn check_history(&self, wanted: u64) -> Result<(), ReadError> {
        let floor = self.slot().history_floor_lsn;
        if wanted < floor {
            return Err(ReadError::HistoryDropped { wanted, floor });
        }
        Ok(())
    }

    /// The first record that was written after log entry `lsn`.
    pub(crate) fn records_end(&self, lsn: u64) -> Result<u64, Damage> {
        let (view, slot) = (self.view(), self.slot());
        partition_point(slot.records, |at| Ok(view.record(at, slot)?.lsn <= lsn))
    }

    /// The first edge that was written after log entry `lsn`.
    pub(crate) fn edges_end(&self, lsn: u64) -> Result<u64, Damage> {
        let (view, slot) = (self.view(), self.slot());
        partition_point(slot.edges, |at| Ok(view.edge(at, slot)?.lsn <= lsn))
    }

    /// Concepts and associations that live.
    pub(crate) fn live_counts(&self) -> (u64, u64) {
        let slot = self.slot();
        match self.as_of_state() {
            Some(as_of) => *as_of.live.get_or_init(|| self.count_live(&as_of.newest)),
            None => (slot.concepts_live, slot.edges_live),
        }
    }

    /// What lives in the newest version, less what was added and plus what was taken away since the
    /// cut. Versions that are damaged are counted as if they were not there.
    fn count_live(&self, newest: &Slot) -> (u64, u64) {
        let view = self.view();
        let was_live = |previous: u64, is_live: &dyn Fn(u64) -> bool| {
            previous.checked_sub(1).is_some_and(is_live)
        };
        let record_is_live =
            |at| view.record(at, newest).is_ok_and(|record| !record.is_tombstone());
        let records = (self.slot().records..newest.records).filter_map(|at| {
            let record = view.record(at, newest).ok()?;
            let was_live = was_live(record.previous, &record_is_live);
            Some(i64::from(!record.is_tombstone()) - i64::from(was_live))
        });
        let edge_is_live = |at| view.edge(at, newest).is_ok_and(|edge| !edge.is_tombstone());
        let edges = (self.slot().edges..newest.edges).filter_map(|at| {
            let edge = view.edge(at, newest).ok()?;
            let was_live = was_live(edge.previous.into(), &edge_is_live);
            Some(i64::from(!edge.is_tombstone()) - i64::from(was_live))
        });
        (
            newest.concepts_live.saturating_add_signed(-records.sum::<i64>()),
            newest.edges_live.saturating_add_signed(-edges.sum::<i64>()),
        )
    }
}

/// How many of `count` ordinals are `below`, which holds up to one of them and not from there on.
fn partition_point(
    count: u64,
    mut below: impl FnMut(u64) -> Result<bool, Damage>,
) -> Result<u64, Damage> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if below(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
