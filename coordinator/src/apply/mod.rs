//! What a log entry does to the file: one path for live writes, recovery and replicas.
//!
//! Deterministic: the same log gives the same truth bytes, for everything a version depends on is
//! in the log or in the file. Idempotent: every store is an assignment at a place that the counts
//! decide, and lists refuse an edge that they already end with; so an entry whose first application
//! was cut off by a kill is simply applied again. Nothing here can refuse an operation: that was
//! decided before the entry was logged, and an operation of an entry that cannot be applied is
//! damage.

mod adjacency;
mod associate;
mod indexes;
mod learn;
mod removal;
mod store;
mod upkeep;
mod vectors;

use std::sync::atomic::Ordering;

use sutra_client::protocol::{Operation, TypeRef};
use sutra_layout::checksum::edge_hash;
use sutra_layout::column::{IN_HEAD, OUT_HEAD};
use sutra_layout::slot::Slot;
use sutra_layout::symbol::SymbolTable;

use crate::ahead::Ahead;
use crate::clients::Clients;
use crate::entry::{Entry, EntryHead};
use crate::error::CoordinatorError;
use crate::image::Image;
use crate::symbols::Symbols;
pub use indexes::Roots;
pub use upkeep::Gathered;

/// The state of the one writer: the file, and what is applied to it so far.
#[derive(Debug)]
pub struct Writer {
    /// The file.
    pub image: Image,
    /// Counts of what is applied; the next publication is a copy.
    pub now: Slot,
    /// Depths and segments of both indexes.
    pub roots: Roots,
    /// Names by table.
    pub symbols: Symbols,
    /// Highest sequence by client.
    pub clients: Clients,
    /// What is applied and waits for its version.
    pub gathered: Gathered,
}

/// What deciding already found out about an operation, so that applying need not look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: look.
    Unknown,
    /// The concept's newest record, if it has one.
    Record(Option<u64>),
    /// The ordinals of both ends.
    Ends(u32, u32),
}

/// What every operation of an entry shares.
#[derive(Clone, Copy, Debug)]
struct Context {
    lsn: u64,
    time: u64,
    author: u32,
}

impl Writer {
    /// Applies log entry `lsn`. `found` has what deciding found, operation by operation, or is empty.
    pub fn apply(
        &mut self,
        lsn: u64,
        entry: &Entry<'_>,
        found: &[Found],
    ) -> Result<(), CoordinatorError> {
        let bad = |what: String| CoordinatorError::BadEntry { lsn, what };
        let begun = self.image.begun_lsn();
        if begun.load(Ordering::Relaxed) < lsn {
            // Ordered before every derived word: those are stored with Release.
            begun.store(lsn, Ordering::Relaxed);
        }
        if let Some(space) = entry.head.made_space().map_err(bad)? {
            self.make_space(&space, lsn)?;
        }
        let author = self.intern(SymbolTable::Author, entry.author)?;
        let context = Context { lsn, time: entry.head.time.get(), author };
        let mut rejected =
            entry.rejected.iter().map(|rejected| rejected.index.get() as usize).peekable();
        let (mut ahead, mut next_index) = (Ahead::new(entry.operations), 0);
        while let Some((operation, _)) =
            ahead.next(|index, operation| self.warm_edge(found.get(index), operation.ok()))
        {
            if let Some(Some([source, target])) = ahead.some_way_on() {
                self.warm_list(*source, OUT_HEAD);
                self.warm_list(*target, IN_HEAD);
            }
            let index = next_index;
            next_index += 1;
            if rejected.next_if_eq(&index).is_some() {
                continue;
            }
            let found = found.get(index).copied().unwrap_or(Found::Unknown);
            match operation.map_err(|fault| bad(format!("operation {index}: {fault}")))? {
                Operation::Learn(learn) => self.learn(context, &learn, found)?,
                Operation::Associate(associate) => self.associate(context, &associate, found)?,
                Operation::Forget(namespace, forget) => self.forget(context, namespace, &forget)?,
                Operation::Disassociate(namespace, disassociate) => {
                    self.disassociate(context, namespace, &disassociate)?;
                }
                Operation::Reinforce(namespace, reinforce) => {
                    self.reinforce(context, namespace, &reinforce)?;
                }
                Operation::Touch(namespace, touch) => self.touch(context, namespace, &touch)?,
                Operation::MakeSpace(space) => self.make_named_space(&space, lsn)?,
                Operation::TimeToLive(time_to_live) => self.set_time_to_live(&time_to_live)?,
                Operation::Unsupported(code) => {
                    return Err(bad(format!(
                        "operation {index} has opcode {code}, which this version does not know"
                    )));
                }
            }
            self.now.operations += 1;
        }
        self.store_touched(lsn)?;
        if entry.head.kind == EntryHead::SETTLING {
            self.settle(lsn, context.time)?;
        } else {
            self.clients.note(entry.head.client_id, lsn, entry.outcome());
        }
        self.now.published_lsn = lsn;
        Ok(())
    }

    /// Asks the processor for where an association's edge is filed and for the columns of its ends,
    /// which are given.
    fn warm_edge(
        &self,
        found: Option<&Found>,
        operation: Option<&Operation<'_>>,
    ) -> Option<[u32; 2]> {
        let (Some(Found::Ends(source, target)), Some(Operation::Associate(associate))) =
            (found, operation)
        else {
            return None;
        };
        let view = self.image.view();
        let edge_type = match associate.kind {
            TypeRef::Number(number) => Some(number),
            TypeRef::Name(name) => {
                self.symbols.number(SymbolTable::Type, name).map(|number| number as u16)
            }
        };
        if let Some(edge_type) = edge_type.filter(|_| self.now.edges > 0) {
            let hash = edge_hash(view.superblock().hash_seed, *source, *target, edge_type);
            view.edge_index().prefetch(self.now.edge_index_depth as u32, hash);
        }
        view.prefetch_columns(*source);
        view.prefetch_columns(*target);
        Some([*source, *target])
    }

    /// LSN of the last entry applied.
    pub fn applied_lsn(&self) -> u64 {
        self.now.published_lsn
    }
}
