//! The progress of what takes a while, on a terminal.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What is done by then shows no bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// Between two changes of the bar.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// A bar on standard error, if that is a terminal and the work takes long enough for one.
#[derive(Debug)]
pub struct Progress {
    /// What there is to do, if that is known.
    size: Option<u64>,
    is_wanted: bool,
    next_update: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows nothing yet; `size` is what there is to do, if that is known.
    pub fn new(size: Option<u64>, is_wanted: bool) -> Progress {
        let is_wanted = is_wanted && stderr().is_terminal();
        Progress { size, is_wanted, next_update: Instant::now() + PATIENCE, bar: None }
    }

    /// So much is done, and that is what to say of it.
    pub fn update(&mut self, done: u64, message: impl FnOnce() -> String) {
        if !self.is_wanted || Instant::now() < self.next_update {
            return;
        }
        self.next_update = Instant::now() + UPDATE_INTERVAL;
        let bar = self.bar.get_or_insert_with(|| bar(self.size));
        bar.set_position(done);
        bar.set_message(message());
    }

    /// So much is done of a part of the work, which has a size of its own.
    pub fn update_part(&mut self, part: &'static str, done: u64, total: u64) {
        self.size = Some(total);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
        self.update(done, || part.to_owned());
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
