//! Decisions about associations: associate, disassociate.

use sutra_client::protocol::{AssociateOp, Disassociate, ErrorCode, Operation, TypeRef};
use sutra_layout::id::Id;
use sutra_layout::lookup::find_edge;
use sutra_layout::symbol::SymbolTable;

use super::concepts::Met;
use super::{Decider, Place, Stop, check_conditions, refuse};
use crate::apply::{Found, Writer};

/// An association by namespace, the keys of its ends, and its type by number or new name.
pub(super) type EdgeKey = (String, [[u8; 16]; 2], Result<u16, String>);

impl Decider {
    pub(super) fn associate(
        &mut self,
        place: Place<'_>,
        associate: &AssociateOp<'_>,
    ) -> Result<Found, Stop> {
        let name = associate.namespace;
        let ids = [&associate.source, &associate.target];
        let keys = std::array::from_fn(|end| {
            place.keys[end].map_or_else(|| ids[end].key(name, ""), |known| known.key)
        });
        let [source, target] =
            [self.meet(place, name, &keys[0])?, self.meet(place, name, &keys[1])?];
        for (met, id) in [source, target].iter().zip(ids) {
            if !met.is_there() && !associate.create_missing {
                let message = format!(
                    "there is no concept {id}; learn it first, or ask for missing ends to be made"
                );
                return refuse(ErrorCode::UnknownConcept, 0, message);
            }
        }
        let edge_type = self.check_type(place, associate.kind)?;
        if associate.if_lsn.is_some() || associate.if_absent {
            self.track_edges(place)?;
        }
        if self.tracks_edges {
            let key = edge_key(place.writer, name, keys, associate.kind);
            let current = self.current_edge(place, &key, [&source, &target], edge_type)?;
            let object = Pair(ids);
            check_conditions(object, associate.if_lsn, associate.if_absent, current)?;
            self.edges.insert(key, true);
        }
        self.check_symbol(place, SymbolTable::Namespace, name)?;
        for ((met, key), id) in [source, target].iter().zip(keys).zip(ids) {
            if !met.is_there() {
                self.need.records += 1;
                self.need.blob(0);
                if let Id::Text(text) = id {
                    self.need.blob(text.len());
                }
                self.note_concept(place, name, key, true);
            }
        }
        self.need.edges += 1;
        if let Some(properties) = associate.properties {
            self.need.blob(properties.len());
        }
        Ok(match ends_of(&source, &target) {
            Some([source, target]) => Found::Ends(source, target),
            None => Found::Unknown,
        })
    }

    pub(super) fn disassociate(
        &mut self,
        place: Place<'_>,
        namespace: &str,
        disassociate: &Disassociate<'_>,
    ) -> Result<Found, Stop> {
        self.track_edges(place)?;
        let ids = [&disassociate.source, &disassociate.target];
        let keys = ids.map(|id| id.key(namespace, ""));
        let met = [self.meet(place, namespace, &keys[0])?, self.meet(place, namespace, &keys[1])?];
        let ended: Vec<EdgeKey> = match disassociate.kind {
            Some(kind) => vec![edge_key(place.writer, namespace, keys, kind)],
            None => self.keys_between(place, namespace, keys, [&met[0], &met[1]])?,
        };
        let mut count = 0;
        for key in &ended {
            let edge_type = key.2.clone().ok();
            let current = self.current_edge(place, key, [&met[0], &met[1]], edge_type)?;
            if current != 0 {
                check_conditions(Pair(ids), disassociate.if_lsn, false, current)?;
                count += 1;
            }
        }
        if count == 0 {
            let message = format!("nothing associates {}", Pair(ids));
            return refuse(ErrorCode::UnknownAssociation, 0, message);
        }
        self.need.edges += count;
        for key in ended {
            self.edges.insert(key, false);
        }
        Ok(Found::Unknown)
    }

    /// The LSN of an association as this operation meets it; 0 if it is not there.
    fn current_edge(
        &self,
        place: Place<'_>,
        key: &EdgeKey,
        [source, target]: [&Met<'_>; 2],
        edge_type: Option<u16>,
    ) -> Result<u64, Stop> {
        match self.edges.get(key) {
            Some(true) => return Ok(place.lsn),
            Some(false) => return Ok(0),
            None if source.was_forgotten() || target.was_forgotten() => return Ok(0),
            None => {}
        }
        let (Some([source, target]), Some(edge_type)) = (ends_of(source, target), edge_type) else {
            return Ok(0);
        };
        let writer = place.writer;
        let found = find_edge(writer.image.view(), &writer.now, (source, target, edge_type))?;
        Ok(found.filter(|(_, edge)| !edge.is_tombstone()).map_or(0, |(_, edge)| edge.lsn))
    }

    /// Every association from one end to the other that is applied or made in this frame.
    fn keys_between(
        &self,
        place: Place<'_>,
        namespace: &str,
        keys: [[u8; 16]; 2],
        [source, target]: [&Met<'_>; 2],
    ) -> Result<Vec<EdgeKey>, Stop> {
        let is_between = |key: &&EdgeKey| key.0 == namespace && key.1 == keys;
        let mut all: Vec<EdgeKey> = self.edges.keys().filter(is_between).cloned().collect();
        let were_forgotten = source.was_forgotten() || target.was_forgotten();
        if let Some([source, target]) = ends_of(source, target).filter(|_| !were_forgotten) {
            let writer = place.writer;
            for edge in writer.live_edges_between(source, target)? {
                let edge = writer.image.view().edge(edge.into(), &writer.now)?;
                let key = (namespace.to_owned(), keys, Ok(edge.edge_type));
                if !all.contains(&key) {
                    all.push(key);
                }
            }
        }
        Ok(all)
    }

    /// Notes the associations of the operations before this one, which depends on them.
    fn track_edges(&mut self, place: Place<'_>) -> Result<(), Stop> {
        self.stand_alone()?;
        if std::mem::replace(&mut self.tracks_edges, true) {
            return Ok(());
        }
        for (index, operation) in (0..place.index).zip(place.write.operations) {
            if self.decision.rejected.binary_search(&index).is_ok() {
                continue;
            }
            match operation {
                Ok(Operation::Associate(associate)) => {
                    let name = associate.namespace;
                    let keys = [associate.source.key(name, ""), associate.target.key(name, "")];
                    self.edges.insert(edge_key(place.writer, name, keys, associate.kind), true);
                }
                Ok(Operation::Forget(name, forget)) => {
                    self.note_forgotten(name, &forget.id.key(name, ""));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The associations that this frame made for a concept are over.
    pub(super) fn note_forgotten(&mut self, namespace: &str, concept: &[u8; 16]) {
        for ((name, keys, _), is_there) in &mut self.edges {
            if name == namespace && keys.contains(concept) {
                *is_there = false;
            }
        }
    }
}

/// The ordinals of both ends, if both are applied and untouched by this frame.
fn ends_of(source: &Met<'_>, target: &Met<'_>) -> Option<[u32; 2]> {
    let end = |met: &Met<'_>| {
        let record = met.applied().filter(|_| !met.is_in_frame() || met.is_there())?;
        Some(record.concept_ordinal)
    };
    Some([end(source)?, end(target)?])
}

fn edge_key(writer: &Writer, namespace: &str, keys: [[u8; 16]; 2], kind: TypeRef<'_>) -> EdgeKey {
    let number = |name| writer.symbols.number(SymbolTable::Type, name).map(|number| number as u16);
    let edge_type = match kind {
        TypeRef::Name(name) => number(name).ok_or_else(|| name.to_owned()),
        TypeRef::Number(number) => Ok(number),
    };
    (namespace.to_owned(), keys, edge_type)
}

/// Both ends, for a message.
struct Pair<'a>([&'a Id<'a>; 2]);

impl std::fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {}", self.0[0], self.0[1])
    }
}
