//! How much a traversal may do, and whether it had to stop before it was done.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sutra_layout::Damage;

use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// Associations looked at between two looks at the clock: some microseconds of work.
const STEPS_PER_LOOK: u32 = 1024;

/// How much a traversal may do. What stops early says so: an answer is never silently a part.
#[derive(Clone, Copy, Debug)]
pub struct Budget<'q> {
    /// Concepts reached, at most; memory grows with them, by up to about 100 bytes for each.
    pub concepts: u64,
    /// When to stop; `None`: whenever it is done. Looked at every thousand associations.
    pub deadline: Option<Instant>,
    /// Stop once this is true; looked at likewise. Another thread may store it.
    pub cancelled: Option<&'q AtomicBool>,
}

impl Budget<'_> {
    /// The concepts of a budget that was not given: four million.
    pub const CONCEPTS: u64 = 1 << 22;
}

impl Default for Budget<'_> {
    fn default() -> Self {
        Budget { concepts: Budget::CONCEPTS, deadline: None, cancelled: None }
    }
}

/// Why a traversal stopped before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It had reached as many concepts as its budget has.
    Concepts,
    /// Its deadline passed.
    Deadline,
    /// It was cancelled.
    Cancelled,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Concepts => "as many concepts were reached as its budget has",
            Stopped::Deadline => "its deadline passed",
            Stopped::Cancelled => "it was cancelled",
        })
    }
}

/// What ends a traversal before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    Damage(Damage),
    Stopped(Stopped),
    /// A weight that no sum may have.
    Weight {
        edge: u32,
        weight: f32,
    },
    Read(ReadError),
}

impl From<Damage> for Halt {
    fn from(damage: Damage) -> Halt {
        Halt::Damage(damage)
    }
}

impl Halt {
    /// As an error to whoever asked.
    #[cold]
    pub(crate) fn into_error(self, snapshot: &Snapshot, reached: u64) -> ReadError {
        match self {
            Halt::Damage(damage) => snapshot.damaged(damage),
            Halt::Weight { edge, weight } => ReadError::NoLength { edge, weight },
            Halt::Read(error) => error,
            Halt::Stopped(why) => ReadError::StoppedEarly { why, reached },
        }
    }
}

/// A budget being spent.
#[derive(Debug)]
pub(crate) struct Meter<'q> {
    budget: Budget<'q>,
    reached: u64,
    steps_left: u32,
    /// Looks until there were more associations than a sound store has for one traversal.
    looks_left: u64,
    looks_max: u64,
}

/// How often one traversal looks at each association at most: from either of its ends, on either of
/// the two sides of a search, and as much again.
const STEPS_PER_EDGE: u64 = 8;
/// Looks that are always granted.
const LOOKS_MIN: u64 = 64;

impl<'q> Meter<'q> {
    /// A full one. It looks at the clock once before anything is done.
    pub(crate) fn new(budget: Budget<'q>, snapshot: &Snapshot) -> Meter<'q> {
        let looks = budget.deadline.is_some() || budget.cancelled.is_some();
        let looks_max =
            LOOKS_MIN + snapshot.slot().edges * STEPS_PER_EDGE / u64::from(STEPS_PER_LOOK);
        let steps_left = if looks { 1 } else { STEPS_PER_LOOK };
        Meter { budget, reached: 0, steps_left, looks_left: looks_max, looks_max }
    }

    /// For a traversal that may go over the store so many times.
    pub(crate) fn times(mut self, count: u64) -> Meter<'q> {
        self.looks_max = self.looks_max.saturating_mul(count);
        self.looks_left = self.looks_max;
        self
    }

    /// Another traversal out of the same budget: it may look at each association once more.
    pub(crate) fn start_again(&mut self) {
        self.looks_left = self.looks_max;
    }

    /// One association more was looked at.
    #[inline(always)]
    pub(crate) fn step(&mut self) -> Result<(), Halt> {
        self.steps_left -= 1;
        if self.steps_left == 0 { self.look() } else { Ok(()) }
    }

    /// One concept more was reached.
    #[inline(always)]
    pub(crate) fn reach(&mut self) -> Result<(), Halt> {
        if self.reached >= self.budget.concepts {
            return Err(Halt::Stopped(Stopped::Concepts));
        }
        self.reached += 1;
        Ok(())
    }

    /// Concepts reached.
    pub(crate) fn reached(&self) -> u64 {
        self.reached
    }

    #[cold]
    fn look(&mut self) -> Result<(), Halt> {
        self.steps_left = STEPS_PER_LOOK;
        // Many concepts whose columns name one long list, as only damage makes them.
        let Some(looks_left) = self.looks_left.checked_sub(1) else {
            self.steps_left = 1;
            let expected = "no more than the store has for one traversal";
            let found = self.looks_max * u64::from(STEPS_PER_LOOK);
            return Err(Halt::Damage(Damage::new(0, "associations met", found, expected)));
        };
        self.looks_left = looks_left;
        if self.budget.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            self.steps_left = 1; // and so it stays
            return Err(Halt::Stopped(Stopped::Cancelled));
        }
        if self.budget.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.steps_left = 1;
            return Err(Halt::Stopped(Stopped::Deadline));
        }
        Ok(())
    }
}
