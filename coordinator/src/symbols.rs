//! The writer's table of names: types, kinds, namespaces, authors.

use std::collections::HashMap;

use sutra_layout::Damage;
use sutra_layout::slot::Slot;
use sutra_layout::symbol::{BUILT_IN_TYPES, SymbolTable, read_symbols};
use sutra_layout::view::View;

/// Every name of the store, and the next number of each table.
#[derive(Debug)]
pub struct Symbols {
    numbers: [HashMap<String, u32>; 5],
    next: [u32; 5],
    times_to_live: HashMap<u32, u64>,
}

impl Symbols {
    /// The names in the slot's part of the symbols region.
    pub fn load(view: &View, slot: &Slot) -> Result<Symbols, Damage> {
        let mut symbols = Symbols {
            numbers: Default::default(),
            next: SymbolTable::ALL.map(SymbolTable::first_number),
            times_to_live: HashMap::new(),
        };
        for (number, name) in BUILT_IN_TYPES.iter().enumerate() {
            symbols.numbers[SymbolTable::Type as usize].insert((*name).to_owned(), number as u32);
        }
        read_symbols(view, 0, slot, |table, number, name| symbols.add(table, number, name))?;
        Ok(symbols)
    }

    /// The number of a name, if it has one.
    #[inline]
    pub fn number(&self, table: SymbolTable, name: &str) -> Option<u32> {
        if name.is_empty() && table != SymbolTable::Type {
            return Some(0);
        }
        self.numbers[table as usize].get(name).copied()
    }

    /// The number that a new name of that table would get; `None` at the limit.
    pub fn next(&self, table: SymbolTable) -> Option<u32> {
        Some(self.next[table as usize]).filter(|next| *next <= table.number_max())
    }

    /// The names of a table by number.
    pub fn names(&self, table: SymbolTable) -> HashMap<u32, &str> {
        self.numbers[table as usize].iter().map(|(name, number)| (*number, &**name)).collect()
    }

    /// How many more names a table can have.
    pub fn room(&self, table: SymbolTable) -> u32 {
        table.number_max().saturating_sub(self.next[table as usize]).saturating_add(1)
    }

    /// Whether a type has that number.
    pub fn has_type(&self, number: u16) -> bool {
        let own = self.next[SymbolTable::Type as usize];
        usize::from(number) < BUILT_IN_TYPES.len()
            || (u32::from(number) >= SymbolTable::Type.first_number() && u32::from(number) < own)
    }

    /// Whether some name has that number.
    pub fn has_number(&self, table: SymbolTable, number: u32) -> bool {
        self.numbers[table as usize].values().any(|known| *known == number)
    }

    /// How long the concepts of a namespace live unless told otherwise, in microseconds.
    pub fn time_to_live(&self, namespace: u32) -> Option<u64> {
        self.times_to_live.get(&namespace).copied().filter(|time| *time > 0)
    }

    /// Notes a name that is in the file now.
    pub fn add(&mut self, table: SymbolTable, number: u32, name: &str) {
        if table == SymbolTable::TimeToLive {
            self.times_to_live.insert(number, name.parse().unwrap_or(0));
            return;
        }
        self.numbers[table as usize].insert(name.to_owned(), number);
        let next = &mut self.next[table as usize];
        *next = (*next).max(number.saturating_add(1));
    }
}
