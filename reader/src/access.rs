//! How often and when a concept was used, and how strong it still is.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use sutra_layout::Damage;
use sutra_layout::access::{ACCESS_WORDS, LAST_ACCESS, STATE, count_word};
use sutra_layout::directory;
use sutra_layout::geometry::{Region, Shape};

use crate::concept::Concept;
use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// How often and when clients reported that a concept was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Accesses reported.
    pub count: u64,
    /// The last one, in microseconds since the Unix epoch; `None`: none was reported.
    pub last_at: Option<u64>,
}

impl Concept<'_> {
    /// How often and when it was used. Of no version: every snapshot sees the newest figures, and a
    /// concept that was forgotten and learnt again keeps them.
    pub fn access(&self) -> Result<Access, ReadError> {
        let (snapshot, record) = self.parts();
        let access = read_access(snapshot, record.concept_ordinal);
        access.map_err(|damage| snapshot.damaged(damage))
    }

    /// Its strength, halved once for each `half_life` that has passed at `now_us` since it was
    /// written or, if that was later, used. Nothing is stored: decay is a way to look at a concept.
    ///
    /// Accesses after `now_us` are not counted, and a time before the version was written is taken
    /// for that of its writing. A half-life of zero leaves nothing of what is not new.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let snapshot = sutra_reader::Reader::open("knowledge")?.snapshot()?;
    /// let week = std::time::Duration::from_secs(7 * 24 * 3600);
    /// if let Some(wolf) = snapshot.get("wolf.n.01")? {
    ///     println!("{}", wolf.effective_strength(week, snapshot.read_time())?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn effective_strength(&self, half_life: Duration, now_us: u64) -> Result<f32, ReadError> {
        let used_at = self.access()?.last_at.filter(|at| *at <= now_us);
        let since = used_at.map_or(self.updated_at(), |at| at.max(self.updated_at()));
        let age = now_us.saturating_sub(since);
        if age == 0 {
            return Ok(self.strength());
        }
        let half_lives = age as f64 / (half_life.as_secs_f64() * 1e6); // infinite for a zero one
        Ok((f64::from(self.strength()) * (-half_lives).exp2()) as f32)
    }
}

fn read_access(snapshot: &Snapshot, ordinal: u32) -> Result<Access, Damage> {
    let view = snapshot.view();
    let shape = Shape::fixed(Region::ACCESS).expect("access counts have one shape");
    let (ordinal, region) = (u64::from(ordinal), Region::ACCESS);
    // Space for counts is made when something is counted: without it nothing was.
    let Some((extent, within)) = shape.place(ordinal) else { return Ok(Access::default()) };
    let word = view.header_word(directory::word_offset(region, extent)).load(Ordering::Relaxed);
    let Some(start) = directory::decode(region, extent, word)? else {
        return Ok(Access::default());
    };
    let (end, map) = (start + within + shape.stride, view.map());
    if end > map.size() && map.extend().is_ok_and(|size| end > size) {
        return Ok(Access::default());
    }
    let words = view.words(region, ordinal, ACCESS_WORDS)?;
    let state = words[STATE].load(Ordering::Relaxed);
    fence(Ordering::Acquire); // pairs with the release store of the state
    if state == 0 {
        return Ok(Access::default());
    }
    let count = words[count_word(state)].load(Ordering::Relaxed);
    let last_at = Some(words[LAST_ACCESS].load(Ordering::Relaxed)).filter(|at| *at != 0);
    Ok(Access { count, last_at })
}
