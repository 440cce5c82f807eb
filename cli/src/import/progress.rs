//! The progress of an import, on a terminal.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::send::Tally;
use crate::output;

/// An import that is done by then shows no bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// Between two changes of the bar.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// A bar on standard error, if that is a terminal and the import takes long enough for one.
#[derive(Debug)]
pub struct Progress {
    size: Option<u64>,
    is_wanted: bool,
    next_update: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows nothing yet; `size` is what there is to read, if that is known.
    pub fn new(size: Option<u64>, is_wanted: bool) -> Progress {
        let is_wanted = is_wanted && stderr().is_terminal();
        Progress { size, is_wanted, next_update: Instant::now() + PATIENCE, bar: None }
    }

    /// So many bytes were read, and so much was applied.
    pub fn update(&mut self, bytes_read: u64, tally: Tally) {
        if !self.is_wanted || Instant::now() < self.next_update {
            return;
        }
        self.next_update = Instant::now() + UPDATE_INTERVAL;
        let bar = self.bar.get_or_insert_with(|| bar(self.size));
        bar.set_position(bytes_read);
        bar.set_message(format!(
            "{} concepts, {} associations",
            output::count(tally.concepts),
            output::count(tally.associations)
        ));
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:30} {percent:>3} %, {eta} left, {wide_msg}"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} in {elapsed}, {wide_msg}"),
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template above is valid"));
    bar.enable_steady_tick(UPDATE_INTERVAL);
    bar
}
