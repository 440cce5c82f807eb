//! Words and fences of loom, so that its models run the code that ships.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::sync::atomic::{AtomicU64, Ordering};
use sutra_layout::sync::{Fence, Fences, Word};

/// A word whose every load may give any value that the memory model allows.
#[derive(Debug)]
pub struct LoomWord {
    cell: AtomicU64,
    publish_ordering: Ordering,
}

impl LoomWord {
    /// A word of zero, as in a file that was just reserved.
    pub fn new() -> LoomWord {
        LoomWord { cell: AtomicU64::new(0), publish_ordering: Ordering::Release }
    }

    /// A word of zero whose publish is a mere store: a planted bug.
    pub fn without_release() -> LoomWord {
        LoomWord { publish_ordering: Ordering::Relaxed, ..LoomWord::new() }
    }
}

impl Word for LoomWord {
    fn load(&self) -> u64 {
        self.cell.load(Ordering::Relaxed)
    }
    fn store(&self, value: u64) {
        self.cell.store(value, Ordering::Relaxed);
    }
    fn publish(&self, value: u64) {
        self.cell.store(value, self.publish_ordering);
    }
}

/// All fences, or all but one.
#[derive(Clone, Copy, Debug)]
pub struct LoomFences {
    /// The one that is left out: a planted bug.
    pub missing: Option<Fence>,
}

impl Fences for LoomFences {
    fn fence(self, place: Fence) {
        if self.missing != Some(place) {
            loom::sync::atomic::fence(place.ordering());
        }
    }
}

/// Runs `model` in every way it can happen; what the first bad one shows, or `None` if all are good.
///
/// Preemptions are not bounded: all models together take seconds. No word of theirs is stored to
/// more often than five times, and loom remembers seven stores.
pub fn violation(model: impl Fn() + Send + Sync + 'static) -> Option<String> {
    let checked = catch_unwind(AssertUnwindSafe(|| loom::model(model)));
    checked.err().map(message)
}

fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or_else(|_| "a panic without words".to_owned(), |m| (*m).to_owned()),
    }
}
