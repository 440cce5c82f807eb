//! The names behind small numbers, as one reader knows them: a private table that is read on from
//! where it was whenever a version brings new names.

use std::collections::HashMap;
use std::sync::Arc;

use sutra_layout::Damage;
use sutra_layout::slot::Slot;
use sutra_layout::symbol::{BUILT_IN_TYPES, SymbolTable, read_symbols};
use sutra_layout::view::View;

/// All names of a version. Snapshots share it; a copy is made only to add names while an older
/// snapshot still holds it, and then only of the table that grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    /// Bytes of the symbols region read so far.
    read_size: u64,
    tables: [Arc<Names>; 5],
}

#[derive(Clone, Debug, Default)]
struct Names {
    by_number: HashMap<u32, Arc<str>>,
    by_name: HashMap<Arc<str>, u32>,
}

impl Symbols {
    /// Whether the names of `slot` are all here.
    pub(crate) fn covers(&self, slot: &Slot) -> bool {
        self.read_size >= slot.symbols_size
    }

    /// Reads the names that `slot` has and this table has not.
    pub(crate) fn extend(&mut self, view: &View, slot: &Slot) -> Result<(), Damage> {
        let mut found = Vec::new();
        let read_size = read_symbols(view, self.read_size, slot, |table, number, name| {
            found.push((table, number, Arc::<str>::from(name)));
        })?;
        for (table, number, name) in found {
            if number > table.number_max() {
                let expected = format!("at most {}", table.number_max());
                return Err(Damage::new(0, "a symbol's number", number.into(), expected));
            }
            let names = Arc::make_mut(&mut self.tables[table as usize]);
            names.by_number.insert(number, Arc::clone(&name));
            names.by_name.insert(name, number);
        }
        self.read_size = read_size;
        Ok(())
    }

    /// The name of `number`.
    pub(crate) fn name(&self, table: SymbolTable, number: u32) -> Option<&str> {
        if table == SymbolTable::Type
            && let Some(name) = BUILT_IN_TYPES.get(number as usize)
        {
            return Some(name);
        }
        self.tables[table as usize].by_number.get(&number).map(AsRef::as_ref)
    }

    /// The number of `name`.
    pub(crate) fn number(&self, table: SymbolTable, name: &str) -> Option<u32> {
        if table == SymbolTable::Type
            && let Some(number) = BUILT_IN_TYPES.iter().position(|own| *own == name)
        {
            return Some(number as u32);
        }
        self.tables[table as usize].by_name.get(name).copied()
    }

    /// Whether a table has a name of the store's own.
    pub(crate) fn has_any(&self, table: SymbolTable) -> bool {
        !self.tables[table as usize].by_number.is_empty()
    }

    /// Every name of a table with its number, ascending, built-in types included.
    pub(crate) fn all(&self, table: SymbolTable) -> Vec<(u32, &str)> {
        let built_in: &[&str] = if table == SymbolTable::Type { &BUILT_IN_TYPES } else { &[] };
        let built_in = built_in.iter().enumerate().map(|(at, name)| (at as u32, *name));
        let own = &self.tables[table as usize].by_number;
        let own = own.iter().map(|(number, name)| (*number, name.as_ref()));
        let mut all: Vec<(u32, &str)> = built_in.chain(own).collect();
        all.sort_unstable();
        all
    }

    /// How many names there are, built-in ones not counted.
    pub(crate) fn count(&self) -> usize {
        self.tables.iter().map(|names| names.by_number.len()).sum()
    }
}
