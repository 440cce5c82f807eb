//! Associating: a new version of an association, or its first.

use sutra_client::protocol::{AssociateOp, TypeRef};
use sutra_layout::U48;
use sutra_layout::adjacency::{Entry, quantize};
use sutra_layout::column::{IN_HEAD, OUT_HEAD};
use sutra_layout::edge::EdgeRecord;
use sutra_layout::id::Id;
use sutra_layout::lookup::{find_concept, find_edge};
use sutra_layout::symbol::SymbolTable;

use super::{Context, Found, Writer};
use crate::error::CoordinatorError;

impl Writer {
    pub(super) fn associate(
        &mut self,
        context: Context,
        associate: &AssociateOp<'_>,
        found: Found,
    ) -> Result<(), CoordinatorError> {
        let (source, target) = match found {
            Found::Ends(source, target) => (source, target),
            _ => {
                let namespace = self.intern(SymbolTable::Namespace, associate.namespace)?;
                let space = (namespace, associate.namespace);
                let source =
                    self.end_of(context, space, &associate.source, associate.create_missing)?;
                let target =
                    self.end_of(context, space, &associate.target, associate.create_missing)?;
                (source, target)
            }
        };
        let edge_type = match associate.kind {
            TypeRef::Name(name) => self.intern(SymbolTable::Type, name)? as u16,
            TypeRef::Number(number) => number,
        };
        let older = find_edge(self.image.view(), &self.now, (source, target, edge_type))?;
        let older = older.map(|(ordinal, edge)| (ordinal, *edge));
        let live = older.filter(|(_, edge)| !edge.is_tombstone());
        let mut edge = match live {
            Some((_, old)) => old,
            None => EdgeRecord {
                source,
                target,
                edge_type,
                confidence: 1.0,
                weight: 1.0,
                created_at: context.time,
                ..EdgeRecord::default()
            },
        };
        edge.lsn = context.lsn;
        edge.author = context.author;
        edge.previous = older.map_or(0, |(ordinal, _)| ordinal + 1);
        edge.created_at = associate.created_at.unwrap_or(edge.created_at);
        edge.valid_until = associate.valid_until.unwrap_or(edge.valid_until);
        edge.confidence = associate.confidence.unwrap_or(edge.confidence);
        edge.weight = associate.weight.unwrap_or(edge.weight);
        if let Some(properties) = associate.properties {
            edge.properties = U48::new(self.append_blob(properties.as_bytes())? + 1);
        }
        let ordinal = self.append_edge(edge)?;
        self.link(ordinal, &edge)?;
        if let Some((old, _)) = live {
            self.end_entry(source, OUT_HEAD, old, ordinal)?;
            self.end_entry(target, IN_HEAD, old, ordinal)?;
        }
        self.now.edges = u64::from(ordinal) + 1;
        self.now.edges_live += u64::from(live.is_none());
        Ok(())
    }

    /// Appends an edge to the lists of both its ends.
    pub(crate) fn link(&mut self, ordinal: u32, edge: &EdgeRecord) -> Result<(), CoordinatorError> {
        let entry = |neighbor| Entry {
            neighbor,
            edge: ordinal,
            ended: 0,
            edge_type: edge.edge_type,
            confidence: quantize(edge.confidence),
        };
        self.append_entry(edge.source, OUT_HEAD, entry(edge.target))?;
        self.append_entry(edge.target, IN_HEAD, entry(edge.source))
    }

    /// The ordinal of an association's end, made if it is missing and may be.
    fn end_of(
        &mut self,
        context: Context,
        (namespace, name): (u32, &str),
        id: &Id<'_>,
        create: bool,
    ) -> Result<u32, CoordinatorError> {
        let key = id.key(name, "");
        let found = find_concept(self.image.view(), &self.now, namespace, &key)?;
        match found.filter(|(_, record)| !record.is_tombstone()) {
            Some((_, record)) => Ok(record.concept_ordinal),
            None if create => self.create_placeholder(context, id, namespace, key),
            None => {
                let what = format!("it associates {id}, which does not exist");
                Err(CoordinatorError::BadEntry { lsn: context.lsn, what })
            }
        }
    }
}
