//! What could not be saved.

use std::collections::BTreeSet;

use sutra_layout::Damage;
use sutra_layout::symbol::{SymbolTable, lost_name};

use super::{RepairReport, said};
use crate::apply::Writer;
use crate::error::CoordinatorError;

/// Ranges that are listed; more are counted.
const RANGES_MAX: usize = 10_000;

/// Things of one kind, one behind the other, that could not be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What they are.
    pub what: String,
    /// The first, by its ordinal in the damaged file, or by its LSN in the log.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// What is wrong with the first.
    pub why: String,
}

/// All of it, so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    lost: Vec<Lost>,
    left_off: u64,
    notes: Vec<String>,
}

impl Losses {
    /// One thing.
    pub(super) fn add(&mut self, what: &str, ordinal: u64, damage: &Damage) {
        self.add_range(what, ordinal, ordinal, said(damage));
    }

    /// Several in a row.
    pub(super) fn add_range(&mut self, what: &str, first: u64, last: u64, why: String) {
        if let Some(before) = self.lost.last_mut()
            && before.what == what
            && before.last.checked_add(1) == Some(first)
        {
            before.last = last;
            return;
        }
        if self.lost.len() == RANGES_MAX {
            self.left_off += 1;
            return;
        }
        self.lost.push(Lost { what: what.to_owned(), first, last, why });
    }

    /// A sentence for the person.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Gives each number that is used and has no name any more one that says so: a new name must
    /// not get a number that old records have.
    pub(super) fn name_lost_symbols(
        &mut self,
        writer: &mut Writer,
    ) -> Result<(), CoordinatorError> {
        let mut used: BTreeSet<(u8, u32)> = BTreeSet::new();
        let view = writer.image.view();
        for ordinal in 0..writer.now.records {
            let record = view.record(ordinal, &writer.now)?;
            used.insert((SymbolTable::Namespace as u8, record.namespace));
            used.insert((SymbolTable::Author as u8, record.author));
            used.insert((SymbolTable::Kind as u8, record.kind.into()));
        }
        for ordinal in 0..writer.now.edges {
            let edge = view.edge(ordinal, &writer.now)?;
            used.insert((SymbolTable::Author as u8, edge.author));
            used.insert((SymbolTable::Type as u8, edge.edge_type.into()));
        }
        for (table, number) in used {
            let table = SymbolTable::ALL[usize::from(table)];
            let is_nothing = number == 0 && table != SymbolTable::Type;
            if is_nothing || writer.symbols.has_number(table, number) {
                continue;
            }
            writer.append_symbol(table, number, &lost_name(number))?;
            let what = format!("the name of a number of {table:?}s");
            self.add_range(&what, number.into(), number.into(), "it cannot be read".to_owned());
        }
        Ok(())
    }

    /// What the person is told.
    pub(super) fn report(self) -> RepairReport {
        let mut notes = self.notes;
        if self.left_off > 0 {
            notes.push(format!("{} more ranges were lost and are not listed", self.left_off));
        }
        RepairReport { lost: self.lost, notes, ..RepairReport::default() }
    }
}
