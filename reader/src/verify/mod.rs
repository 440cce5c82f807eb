//! The quick check of a store: its header in full, its counts against its extents, and samples.
//!
//! It works on a file that a normal open refuses, so that the damage can be named. It looks at a
//! bounded number of places, whatever the size of the store.

mod counts;
mod header;
mod samples;

use std::path::{Path, PathBuf};

use sutra_layout::Damage;
use sutra_layout::error::DamageDetail;

use crate::error::OpenError;
use crate::file::StoreFile;
use crate::reader::{Reader, STORAGE_FILE};

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
    let path = store_dir.as_ref().join(STORAGE_FILE);
    let mut report = Report { path: path.clone(), checks: Vec::new() };
    let file = match StoreFile::open_unaccepted(path) {
        Ok(file) => file,
        Err(
            error @ (OpenError::NotAStore { .. }
            | OpenError::Newer { .. }
            | OpenError::Damaged { .. }),
        ) => {
            report.push("superblock", Err(error.to_string()));
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    check_file(&mut report, &file);
    Ok(report)
}

impl Reader {
    /// Checks the store's file as it is now; see [`quick`].
    pub fn verify_quick(&self) -> Result<Report, OpenError> {
        quick(self.store())
    }
}

fn check_file(report: &mut Report, file: &StoreFile) {
    report.push("superblock", Ok(header::superblock(file)));
    report.push("directory", header::directory(file));
    report.push("run mark", header::run_mark(file));
    report.push("durable slots", header::durable_slots(file));
    let (result, slot) = header::newest_slot(file);
    report.push("published slot", result);
    // Without a version to believe, the counts below it mean nothing.
    let Some(slot) = slot else { return };
    let counts = counts::counts(file, &slot);
    let counts_hold = counts.is_ok();
    report.push("counts", counts);
    report.push("vector spaces", counts::spaces(file, &slot));
    report.push("symbols", counts::symbols(file, &slot));
    // Samples below counts that do not hold would only repeat it.
    if !counts_hold {
        return;
    }
    report.push("index roots", samples::index_roots(file, &slot));
    report.push("concepts", samples::concepts(file, &slot));
    report.push("associations", samples::associations(file, &slot));
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
