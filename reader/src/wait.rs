//! Waiting for the next version, on the low half of the commit word, in the read-only mapping.

use std::time::{Duration, Instant};

use sutra_layout::geometry::COMMIT_SEQ_OFFSET;
use sutra_layout::sys::wait;

use crate::error::ReadError;
use crate::reader::Reader;
use crate::snapshot::Snapshot;

/// A sleep is cut into pieces of this length, after each of which the reader looks whether the
/// store has another file by now.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// How often a file that is not mapped is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

impl Reader {
    /// Waits until a version after number `after_commit_seq` is published; false if none was in
    /// time. A zero timeout only looks.
    pub fn wait_for_update(
        &self,
        after_commit_seq: u64,
        timeout: Duration,
    ) -> Result<bool, ReadError> {
        let started_at = Instant::now();
        loop {
            let file = self.follow_file()?;
            let commit_seq = file.view.ring().commit_seq();
            if commit_seq > after_commit_seq {
                return Ok(true);
            }
            // Compared by what is left, as `now + Duration::MAX` is no time.
            let left = timeout.saturating_sub(started_at.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            let map = file.view.map();
            match map.half_word(COMMIT_SEQ_OFFSET) {
                Some(word) => wait::wait(word, commit_seq as u32, left.min(SLEEP_MAX)),
                None => std::thread::sleep(left.min(LOOK_INTERVAL)),
            }
        }
    }

    /// Waits until every vector that is visible now is in the graph of its space, and gives the
    /// snapshot that shows it. Searches look at each vector that is not in it yet, so nobody must
    /// wait.
    pub fn wait_indexed(&self, timeout: Duration) -> Result<Snapshot, ReadError> {
        let started_at = Instant::now();
        let mut snapshot = self.snapshot()?;
        let wanted = snapshot.slot().spaces.map(|space| space.count);
        loop {
            let spaces = &snapshot.slot().spaces;
            // A compaction leaves fewer rows.
            let pairs = || {
                spaces.iter().zip(wanted).map(|(space, wanted)| {
                    let wanted = wanted.min(space.count);
                    (wanted, space.indexed_count.min(wanted))
                })
            };
            if pairs().all(|(wanted, indexed)| indexed == wanted) {
                return Ok(snapshot);
            }
            let left = timeout.saturating_sub(started_at.elapsed());
            if !self.wait_for_update(snapshot.commit_seq(), left)? {
                let (wanted, indexed) = pairs().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
                return Err(ReadError::NotIndexed { wanted, indexed });
            }
            snapshot = self.snapshot()?;
        }
    }

    /// Waits until everything up to `lsn` is visible, and gives the snapshot that shows it.
    pub fn wait_for_lsn(&self, lsn: u64, timeout: Duration) -> Result<Snapshot, ReadError> {
        let started_at = Instant::now();
        loop {
            let snapshot = self.snapshot()?;
            let published = snapshot.published_lsn();
            if published >= lsn {
                return Ok(snapshot);
            }
            let left = timeout.saturating_sub(started_at.elapsed());
            if !self.wait_for_update(snapshot.commit_seq(), left)? {
                let wanted = lsn;
                return Err(ReadError::Timeout { wanted, published });
            }
        }
    }
}
