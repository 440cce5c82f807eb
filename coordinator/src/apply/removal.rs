//! Forgetting and disassociating: tombstone versions, all in one publication.

use std::sync::atomic::Ordering;

use sutra_client::protocol::{Disassociate, Forget, TypeRef};
use sutra_layout::U48;
use sutra_layout::adjacency::Entries;
use sutra_layout::column::{IN_HEAD, OUT_HEAD};
use sutra_layout::edge::EdgeRecord;
use sutra_layout::lookup::{find_concept, find_edge};
use sutra_layout::record::ConceptRecord;
use sutra_layout::symbol::SymbolTable;

use super::{Context, Writer};
use crate::error::CoordinatorError;

impl Writer {
    /// A tombstone for the concept, and one for each of its associations: learnt again, it starts
    /// without them.
    pub(super) fn forget(
        &mut self,
        context: Context,
        namespace: &str,
        forget: &Forget<'_>,
    ) -> Result<(), CoordinatorError> {
        let namespace_number = self.intern(SymbolTable::Namespace, namespace)?;
        let key = forget.id.key(namespace, "");
        let found = find_concept(self.image.view(), &self.now, namespace_number, &key)?;
        let Some((ordinal, old)) = found.filter(|(_, record)| !record.is_tombstone()) else {
            return Ok(()); // an operation before it in the same frame forgot it
        };
        let old = *old;
        let concept = old.concept_ordinal;
        for edge in self.live_edges(concept, OUT_HEAD)? {
            self.end_edge(context, edge)?;
        }
        for edge in self.live_edges(concept, IN_HEAD)? {
            self.end_edge(context, edge)?;
        }
        let mut record = self.next_version(context, ordinal, &old)?;
        record.flags |= ConceptRecord::TOMBSTONE;
        record.metadata = U48::new(0);
        self.supersede_rows(&record)?;
        record.vector = 0;
        record.space = 0;
        self.append_record(record)?;
        self.now.concepts_live -= 1;
        Ok(())
    }

    /// Tombstones for the associations between two concepts, of one type or of all.
    pub(super) fn disassociate(
        &mut self,
        context: Context,
        namespace: &str,
        disassociate: &Disassociate<'_>,
    ) -> Result<(), CoordinatorError> {
        let namespace_number = self.intern(SymbolTable::Namespace, namespace)?;
        let view = self.image.view();
        let mut ends = [0; 2];
        for (end, id) in ends.iter_mut().zip([&disassociate.source, &disassociate.target]) {
            let found = find_concept(view, &self.now, namespace_number, &id.key(namespace, ""))?;
            let Some((_, record)) = found else { return Ok(()) };
            *end = record.concept_ordinal;
        }
        let [source, target] = ends;
        let edges = match disassociate.kind {
            Some(kind) => {
                let number = match kind {
                    TypeRef::Name(name) => self.symbols.number(SymbolTable::Type, name),
                    TypeRef::Number(number) => Some(number.into()),
                };
                let Some(number) = number else { return Ok(()) };
                let found = find_edge(view, &self.now, (source, target, number as u16))?;
                let live = found.filter(|(_, edge)| !edge.is_tombstone());
                live.map(|(ordinal, _)| ordinal).into_iter().collect()
            }
            None => self.live_edges_between(source, target)?,
        };
        for edge in edges {
            self.end_edge(context, edge)?;
        }
        Ok(())
    }

    /// The live edges of one of a concept's lists, newest first.
    fn live_edges(&self, concept: u32, head: usize) -> Result<Vec<u32>, CoordinatorError> {
        let view = self.image.view();
        let list = view.columns(concept)?[head].load(Ordering::Relaxed);
        let mut edges = Vec::new();
        for entry in Entries::new(view, list) {
            let entry = entry?;
            if entry.lives_in(self.now.edges) {
                edges.push(entry.edge);
            }
        }
        Ok(edges)
    }

    /// The live edges from one concept to another, of whatever type, newest first.
    pub(crate) fn live_edges_between(
        &self,
        source: u32,
        target: u32,
    ) -> Result<Vec<u32>, CoordinatorError> {
        let view = self.image.view();
        let list = view.columns(source)?[OUT_HEAD].load(Ordering::Relaxed);
        let mut edges = Vec::new();
        for entry in Entries::new(view, list) {
            let entry = entry?;
            if entry.neighbor == target && entry.lives_in(self.now.edges) {
                edges.push(entry.edge);
            }
        }
        Ok(edges)
    }

    /// How many live associations a concept has, in both directions.
    pub(crate) fn live_edge_count(&self, concept: u32) -> Result<u64, CoordinatorError> {
        let counts = [OUT_HEAD, IN_HEAD].map(|head| self.live_edges(concept, head));
        counts.into_iter().try_fold(0, |sum, edges| Ok(sum + edges?.len() as u64))
    }

    /// A tombstone that ends `edge`.
    fn end_edge(&mut self, context: Context, edge: u32) -> Result<(), CoordinatorError> {
        let old = *self.image.view().edge(edge.into(), &self.now)?;
        let tombstone = EdgeRecord {
            lsn: context.lsn,
            author: context.author,
            previous: edge + 1,
            properties: U48::new(0),
            flags: old.flags | EdgeRecord::TOMBSTONE,
            ..old
        };
        let ordinal = self.append_edge(tombstone)?;
        self.end_entry(old.source, OUT_HEAD, edge, ordinal)?;
        self.end_entry(old.target, IN_HEAD, edge, ordinal)?;
        self.now.edges = u64::from(ordinal) + 1;
        self.now.edges_live -= 1;
        Ok(())
    }
}
