//! The thread: links rows in order; with nothing to link it sees that every row can be reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_layout::geometry::Region;
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_vectors::{Inserter, Mended};

use super::{Progress, Shared, Spaces};
use crate::error::CoordinatorError;
use crate::image::Image;

/// The loop hears of progress that often, and when all rows are linked.
const RING_INTERVAL: Duration = Duration::from_millis(20);
/// Without a row to link for so long, the thread looks for rows that cannot be reached.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// A full disk is asked again that often.
const FULL_INTERVAL: Duration = Duration::from_secs(1);
/// Links are turned after one in so many rows more is over.
const REPAIR_SHARE: u64 = 50;
/// Rows between two looks for other work.
const REPAIR_ROWS: u64 = 64;
/// The thread gives way to whatever else wants the processor, writes and searches first.
const NICENESS: i32 = 10;

/// What the thread holds.
pub(super) struct Grower {
    image: Image,
    writer_epoch: u64,
    shared: Arc<Shared>,
    inserters: [Option<Inserter>; VECTOR_SPACES_MAX],
    /// Spaces whose graph was found damaged, and is not grown any more.
    given_up: [bool; VECTOR_SPACES_MAX],
    repairs: [Repair; VECTOR_SPACES_MAX],
    rung_at: Instant,
}

/// How far links to rows that are over were turned to others.
#[derive(Clone, Copy, Debug, Default)]
struct Repair {
    /// Rows that were over when the last pass over all rows began.
    dead: u64,
    /// The row to go on from; `None`: no pass is under way.
    next: Option<u64>,
}

/// What growing led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// All rows are linked.
    Done,
    /// It was told to stop, or another coordinator has taken over.
    Stopped,
    /// There is no space on the disk.
    Full,
}

impl Grower {
    pub(super) fn new(image: Image, writer_epoch: u64, shared: Arc<Shared>) -> Grower {
        let inserters = [const { None }; VECTOR_SPACES_MAX];
        let given_up = [false; VECTOR_SPACES_MAX];
        let repairs = [Repair::default(); VECTOR_SPACES_MAX];
        let rung_at = Instant::now();
        Grower { image, writer_epoch, shared, inserters, given_up, repairs, rung_at }
    }

    pub(super) fn run(mut self) {
        // Of this thread only; where it is refused, the thread runs like any other.
        let thread = rustix::thread::gettid();
        let _ = rustix::process::setpriority_process(Some(thread), NICENESS);
        while !self.shared.is_stopping() {
            match self.grow_all() {
                Turn::Stopped => return,
                Turn::Full => {
                    self.sleep(Some(FULL_INTERVAL), |_| false);
                }
                Turn::Done => {
                    let is_idle_for = self.wants_idle_work().then_some(IDLE_INTERVAL);
                    let given_up = self.given_up;
                    let is_woken =
                        self.sleep(is_idle_for, |spaces| behind(spaces, &given_up).is_some());
                    if self.is_deposed() {
                        return;
                    }
                    if !is_woken {
                        self.take_census();
                        self.repair();
                    }
                }
            }
        }
    }

    /// Whether another coordinator writes the file by now.
    fn is_deposed(&self) -> bool {
        self.image.marked_epoch() != self.writer_epoch
    }

    /// Links every row that is published.
    fn grow_all(&mut self) -> Turn {
        loop {
            let spaces = *self.shared.lock();
            let Some(at) = behind(&spaces, &self.given_up) else { return Turn::Done };
            match self.grow(at, spaces[at]) {
                Ok(Turn::Done) => {}
                Ok(turn) => return turn,
                Err(CoordinatorError::StorageFull { region, source }) => {
                    tracing::warn!(region, %source, "no space for the graph of vectors");
                    return Turn::Full;
                }
                Err(error) => self.give_up(at, &error),
            }
        }
    }

    /// Links the rows of one space that were published by now.
    fn grow(&mut self, at: usize, progress: Progress) -> Result<Turn, CoordinatorError> {
        let view = self.image.view();
        let inserter = match &mut self.inserters[at] {
            Some(inserter) => inserter,
            none => none.insert(Inserter::open(view, at, progress.state, progress.published)?),
        };
        let mut reserve = |count| self.image.take_units(Region::graph_levels(at), count);
        let turn = loop {
            if self.shared.is_stopping() || self.image.marked_epoch() != self.writer_epoch {
                break Ok(Turn::Stopped);
            }
            match inserter.insert_next(view, progress.published, &mut reserve) {
                // The scheduler lets a thread finish its slice of 3 ms, however nice it is, before
                // whoever wakes meanwhile: the log's sync, above all.
                Ok(true) => rustix::thread::sched_yield(),
                Ok(false) => break Ok(Turn::Done),
                Err(error) => break Err(error),
            }
            if self.rung_at.elapsed() >= RING_INTERVAL {
                self.rung_at = Instant::now();
                self.shared.report(at, inserter.state());
            }
        };
        self.shared.report(at, inserter.state());
        turn
    }

    /// Sees that every row can be reached, where rows were linked since that was last so.
    fn take_census(&mut self) {
        for at in 0..self.inserters.len() {
            let Some(inserter) = self.inserters[at].as_mut().filter(|one| wants_census(one)) else {
                continue;
            };
            match inserter.mend(self.image.view()) {
                Ok(mended) if mended != Mended::default() => {
                    tracing::info!(space = at, ?mended, "vectors that no link led to");
                    self.shared.report(at, inserter.state());
                }
                Ok(_) => {}
                Err(damage) => self.give_up(at, &damage.into()),
            }
        }
    }

    /// Turns links that lead to rows that are over, where many became so since that was last done:
    /// until there is a row to link.
    fn repair(&mut self) {
        for at in 0..self.inserters.len() {
            let Some(inserter) = self.inserters[at].as_mut() else { continue };
            let progress = self.shared.lock()[at];
            let repair = &mut self.repairs[at];
            if repair.next.is_none() {
                if !repair.is_due(&progress) {
                    continue;
                }
                *repair = Repair { dead: progress.dead, next: Some(0) };
            }
            while let Some(next) = repair.next {
                let has_other_work = behind(&self.shared.lock(), &self.given_up).is_some();
                if self.shared.is_stopping() || has_other_work {
                    return; // gone on with when idle again
                }
                match inserter.repair(self.image.view(), next, REPAIR_ROWS) {
                    Ok(end) => {
                        let is_over = end >= inserter.state().indexed_count;
                        repair.next = Some(end).filter(|_| !is_over);
                    }
                    Err(damage) => {
                        repair.next = None;
                        return self.give_up(at, &damage.into());
                    }
                }
            }
        }
    }

    /// Whether there is something to do where no row is to be linked.
    fn wants_idle_work(&self) -> bool {
        let spaces = *self.shared.lock();
        let mut all = self.inserters.iter().zip(&self.repairs).zip(&spaces);
        all.any(|((inserter, repair), progress)| {
            inserter.as_ref().is_some_and(|inserter| {
                wants_census(inserter) || repair.next.is_some() || repair.is_due(progress)
            })
        })
    }

    fn give_up(&mut self, at: usize, error: &CoordinatorError) {
        self.given_up[at] = true;
        self.inserters[at] = None;
        tracing::error!(
            space = at,
            %error,
            "the graph of vectors does not grow any more; searches look at each vector that is not \
             in it, until `sutra repair` has made it anew"
        );
    }

    /// Sleeps until `wakes` says that there is work, true, or for that long, false.
    fn sleep(&self, timeout: Option<Duration>, wakes: impl Fn(&Spaces) -> bool) -> bool {
        let mut is_woken = false;
        let mut sleeps = |spaces: &mut Spaces| {
            is_woken = self.shared.is_stopping() || wakes(spaces);
            !is_woken
        };
        let (spaces, wake) = (self.shared.lock(), &self.shared.wake);
        match timeout {
            Some(timeout) => drop(wake.wait_timeout_while(spaces, timeout, &mut sleeps)),
            None => drop(wake.wait_while(spaces, &mut sleeps)),
        }
        is_woken
    }
}

impl Repair {
    /// Whether so many rows became over since the last pass that another is worth its while.
    fn is_due(&self, progress: &Progress) -> bool {
        progress.dead > self.dead + progress.published / REPAIR_SHARE
    }
}

fn wants_census(inserter: &Inserter) -> bool {
    inserter.inserted_since_census() > 0
}

/// A space with rows to link.
fn behind(spaces: &Spaces, given_up: &[bool; VECTOR_SPACES_MAX]) -> Option<usize> {
    let mut all = spaces.iter().zip(given_up);
    all.position(|(space, given_up)| !given_up && space.state.indexed_count < space.published)
}
