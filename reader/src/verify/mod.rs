//! The checks of a store. [`quick`] looks at its header in full, its counts against its extents, and
//! samples: a bounded number of places, whatever the size of the store. [`deep()`] looks at all of it.
//!
//! Both work on a file that a normal open refuses, so that the damage can be named, beside a
//! coordinator that goes on writing, and change nothing.

mod counts;
mod deep;
mod finding;
mod header;
mod recall;
mod samples;

use std::path::{Path, PathBuf};

use sutra_layout::Damage;
use sutra_layout::error::DamageDetail;
use sutra_layout::slot::Slot;

use crate::error::OpenError;
use crate::file::StoreFile;
use crate::reader::{Reader, STORAGE_FILE};

pub use deep::{DeepOptions, Progress, deep};
pub use finding::Finding;
pub use recall::Recall;

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// What was found, in a few words.
    pub detail: String,
    /// What is wrong with it, if anything is.
    pub problem: Option<String>,
}

/// All that was looked at, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its checks. After a damaged superblock nothing else is looked at.
    pub checks: Vec<Check>,
    /// Of a deep check: what is wrong, place by place, up to the limit asked for.
    pub findings: Vec<Finding>,
    /// Findings beyond the limit.
    pub findings_left_off: u64,
}

impl Report {
    /// Whether no check found a problem.
    pub fn is_sound(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }

    fn push(&mut self, name: &'static str, result: Result<String, String>) {
        let (detail, problem) = match result {
            Ok(detail) => (detail, None),
            Err(problem) => ("damaged".to_owned(), Some(problem)),
        };
        self.checks.push(Check { name, detail, problem });
    }
}

/// Checks the store in directory `store_dir`.
///
/// # Errors
/// If there is no file, or this user may not read it. A file that is no store, or newer, or damaged
/// gives a report that says so.
pub fn quick(store_dir: impl AsRef<Path>) -> Result<Report, OpenError> {
    let (mut report, file) = begin(store_dir.as_ref())?;
    let Some(file) = file else { return Ok(report) };
    let Some(slot) = check_header(&mut report, &file) else { return Ok(report) };
    report.push("index roots", samples::index_roots(&file, &slot));
    report.push("concepts", samples::concepts(&file, &slot));
    report.push("associations", samples::associations(&file, &slot));
    Ok(report)
}

/// The newest version that may be believed, as its checkpoint and its published LSN: what the log
/// beside the file must go on from, and hold. `None` if there is no such version.
///
/// # Errors
/// As [`quick`], and if the superblock does not hold.
pub fn lsns(store_dir: impl AsRef<Path>) -> Result<Option<(u64, u64)>, OpenError> {
    let file = StoreFile::open_unaccepted(store_dir.as_ref().join(STORAGE_FILE))?;
    let (_, slot) = header::newest_slot(&file);
    // A durable slot is itself the checkpoint that it speaks of.
    Ok(slot.map(|slot| (slot.checkpoint_lsn.min(slot.published_lsn), slot.published_lsn)))
}

/// An empty report and the file, unless its superblock ends the check at once.
fn begin(store_dir: &Path) -> Result<(Report, Option<StoreFile>), OpenError> {
    let path = store_dir.join(STORAGE_FILE);
    let mut report =
        Report { path: path.clone(), checks: vec![], findings: vec![], findings_left_off: 0 };
    match StoreFile::open_unaccepted(path) {
        Ok(file) => Ok((report, Some(file))),
        Err(
            error @ (OpenError::NotAStore { .. }
            | OpenError::Newer { .. }
            | OpenError::Damaged { .. }),
        ) => {
            report.push("superblock", Err(error.to_string()));
            Ok((report, None))
        }
        Err(error) => Err(error),
    }
}

impl Reader {
    /// Checks the store's file as it is now; see [`quick`].
    pub fn verify_quick(&self) -> Result<Report, OpenError> {
        quick(self.store())
    }
}

/// Checks the header, and gives the version to look at, if its counts hold.
fn check_header(report: &mut Report, file: &StoreFile) -> Option<Slot> {
    report.push("superblock", Ok(header::superblock(file)));
    report.push("directory", header::directory(file));
    report.push("run mark", header::run_mark(file));
    report.push("durable slots", header::durable_slots(file));
    let (result, slot) = header::newest_slot(file);
    report.push("published slot", result);
    // Without a version to believe, the counts below it mean nothing.
    let slot = slot?;
    let counts = counts::counts(file, &slot);
    let counts_hold = counts.is_ok();
    report.push("counts", counts);
    report.push("vector spaces", counts::spaces(file, &slot));
    report.push("symbols", counts::symbols(file, &slot));
    // What lies below counts that do not hold would only repeat it.
    counts_hold.then_some(slot)
}

/// Damage in the words of a report: the person runs `sutra verify` already.
fn problem_of(damage: Damage) -> String {
    let DamageDetail { offset, what, found, expected } = damage.detail();
    let place = match offset {
        0 => String::new(), // a byte that is known only by what it belongs to
        offset => format!("byte {offset}: "),
    };
    format!("{place}{what} is {found}, expected {expected}")
}
