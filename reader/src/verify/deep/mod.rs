//! The deep check: every checksum of the file, and all that is derived held against truth.
//!
//! It looks at one version, which stays as it is while a coordinator writes on; what was stored
//! since is passed over. Each damaged unit is told once: what rests on a record or an edge that is
//! itself damaged is not held against it. Of a file that needs recovery only truth is looked at, up
//! to its checkpoint, because recovery makes everything derived anew. Access counts have no
//! checksum and nothing to be held against.
//!
//! Memory: four bits for each record, edge and concept, and one for each 64 bytes of lists.

mod bits;
mod columns;
mod edges;
mod graph;
mod index;
mod lists;
mod records;
mod slots;
mod vectors;

use std::path::Path;
use std::sync::atomic::Ordering;

use sutra_layout::Damage;
use sutra_layout::geometry::{LIVE_ENDS_OFFSET, Region};
use sutra_layout::slot::Slot;
use sutra_layout::symbol::SymbolTable;
use sutra_layout::view::View;

use super::{Finding, Report, begin, check_header};
use crate::error::OpenError;
use crate::file::StoreFile;
use crate::symbols::Symbols;
use bits::Bits;

/// Between two reports of progress.
const UNITS_PER_PROGRESS: u64 = 4096;

/// What to do with what is found.
#[derive(Clone, Copy, Debug)]
pub struct DeepOptions {
    /// Findings to list; the rest is counted.
    pub findings_max: usize,
}

impl Default for DeepOptions {
    fn default() -> Self {
        DeepOptions { findings_max: 100 }
    }
}

/// How far a deep check has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The check under way.
    pub check: &'static str,
    /// Units of it that were looked at.
    pub done: u64,
    /// Units that it has.
    pub total: u64,
}

/// Which units of a chain of versions are damaged, and which have a newer version.
#[derive(Debug, Default)]
struct Chains {
    broken: Bits,
    superseded: Bits,
}

impl Chains {
    fn new(count: u64) -> Chains {
        Chains { broken: Bits::new(count), superseded: Bits::new(count) }
    }

    fn is_newest(&self, ordinal: u64) -> bool {
        !self.superseded.get(ordinal) && !self.broken.get(ordinal)
    }

    /// Whether every unit holds, so that counts of them can be compared.
    fn are_whole(&self) -> bool {
        self.broken.count() == 0
    }
}

/// A deep check under way.
struct Deep<'a> {
    file: &'a StoreFile,
    slot: Slot,
    /// None if they are damaged, which was told before: names are then not held against them.
    symbols: Option<Symbols>,
    options: DeepOptions,
    progress: &'a mut dyn FnMut(Progress),
    check: &'static str,
    findings: Vec<Finding>,
    /// The newest finding, not among them yet.
    last: Option<Finding>,
    found_count: u64,
    records: Chains,
    edges: Chains,
    /// Concepts whose newest record is no tombstone.
    live_concepts: Bits,
}

/// Checks all of the store in directory `store_dir`; `progress` hears of it now and then.
///
/// # Errors
/// If there is no file, or this user may not read it. A file that is no store, or newer, or damaged
/// gives a report that says so.
pub fn deep(
    store_dir: impl AsRef<Path>,
    options: DeepOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    let (mut report, file) = begin(store_dir.as_ref())?;
    let Some(file) = file else { return Ok(report) };
    let Some(slot) = check_header(&mut report, &file) else { return Ok(report) };
    let mut symbols = Symbols::default();
    let symbols = symbols.extend(&file.view, &slot).is_ok().then_some(symbols);
    let mut deep = Deep {
        file: &file,
        slot,
        symbols,
        options,
        progress,
        check: "",
        findings: Vec::new(),
        last: None,
        found_count: 0,
        records: Chains::new(slot.records),
        edges: Chains::new(slot.edges),
        live_concepts: Bits::new(slot.concepts),
    };
    deep.run(&mut report, "slots", Deep::slots);
    deep.run(&mut report, "records", Deep::records);
    deep.run(&mut report, "vectors", Deep::vectors);
    deep.run(&mut report, "edges", Deep::edges);
    if file.is_accepted() {
        deep.run(&mut report, "id index", Deep::id_index);
        deep.run(&mut report, "concept columns", Deep::columns);
        deep.run(&mut report, "edge index", Deep::edge_index);
        deep.run(&mut report, "lists of associations", Deep::lists);
        deep.run(&mut report, "graphs of vectors", Deep::graphs);
    } else {
        let detail = "not looked at: recovery makes everything derived anew";
        report.push("derived regions", Ok(detail.to_owned()));
    }
    deep.keep_last();
    report.findings_left_off = deep.found_count - deep.findings.len() as u64;
    report.findings = deep.findings;
    Ok(report)
}

fn live_end_offset(region: Region) -> u64 {
    LIVE_ENDS_OFFSET + region.index() as u64 * 8
}

impl<'a> Deep<'a> {
    /// Runs one check, which gives what it looked at in a few words.
    fn run(&mut self, report: &mut Report, name: &'static str, check: fn(&mut Self) -> String) {
        self.check = name;
        let before = self.found_count;
        let detail = check(self);
        let problem = match self.found_count - before {
            0 => None,
            1 => Some("1 place is damaged".to_owned()),
            count => Some(format!("{count} places are damaged")),
        };
        report.checks.push(super::Check { name, detail, problem });
    }

    fn view(&self) -> &'a View {
        &self.file.view
    }

    /// Whether a number has a name.
    fn is_named(&self, table: SymbolTable, number: u32) -> bool {
        self.symbols.as_ref().is_none_or(|symbols| symbols.name(table, number).is_some())
    }

    /// Tells how far the check has come, every so many units.
    fn advance(&mut self, done: u64, total: u64) {
        if done.is_multiple_of(UNITS_PER_PROGRESS) {
            (self.progress)(Progress { check: self.check, done, total });
        }
    }

    /// `what` of a unit is `found`, and should be `expected`.
    #[cold]
    fn found(
        &mut self,
        (region, ordinal): (Region, u64),
        what: impl Into<String>,
        found: impl ToString,
        expected: impl ToString,
    ) {
        let shape = self.view().shape(region);
        let offset = shape.and_then(|shape| self.view().locate(region, shape, ordinal).ok());
        self.push(Finding {
            check: self.check,
            offset,
            region: region.name(),
            ordinal,
            last_ordinal: ordinal,
            what: what.into(),
            found: found.to_string(),
            expected: expected.to_string(),
        });
    }

    /// Damage that was met while a unit was looked at.
    #[cold]
    fn damaged(&mut self, (region, ordinal): (Region, u64), damage: &Damage) {
        let detail = damage.detail();
        let place = self.view().shape(region);
        let place = place.and_then(|shape| self.view().locate(region, shape, ordinal).ok());
        let offset = Some(detail.offset).filter(|offset| *offset != 0).or(place);
        if let Some(last) = &mut self.last
            && (last.check, last.region, last.offset) == (self.check, region.name(), offset)
            && last.what == detail.what
            && last.last_ordinal + 1 == ordinal
        {
            last.last_ordinal = ordinal;
            return;
        }
        self.push(Finding {
            check: self.check,
            offset,
            region: region.name(),
            ordinal,
            last_ordinal: ordinal,
            what: detail.what.to_owned(),
            found: detail.found.to_string(),
            expected: detail.expected.clone(),
        });
    }

    fn push(&mut self, finding: Finding) {
        self.found_count += 1;
        self.keep_last();
        self.last = Some(finding);
    }

    /// The last finding may not grow any more.
    fn keep_last(&mut self) {
        if self.findings.len() < self.options.findings_max {
            self.findings.extend(self.last.take());
        }
    }

    /// How far a derived region was given out.
    fn live_end(&self, region: Region) -> u64 {
        self.view().header_word(live_end_offset(region)).load(Ordering::Relaxed)
    }

    /// What is in use ends at `end`, and was given out before.
    fn given_out(&mut self, region: Region, end: u64) {
        let given = self.live_end(region);
        if end > given {
            self.push(Finding {
                check: self.check,
                offset: Some(live_end_offset(region)),
                region: region.name(),
                ordinal: end,
                last_ordinal: end,
                what: "how far the region was given out".to_owned(),
                found: given.to_string(),
                expected: format!("at least {end}"),
            });
        }
    }

    /// Holds a count of the slot against what was counted.
    fn compare_count(&mut self, what: &'static str, found: u64, counted: u64) {
        if found != counted {
            let finding = Finding {
                check: self.check,
                offset: None,
                region: "slot",
                ordinal: self.slot.commit_seq,
                last_ordinal: self.slot.commit_seq,
                what: what.to_owned(),
                found: found.to_string(),
                expected: counted.to_string(),
            };
            self.push(finding);
        }
    }
}
