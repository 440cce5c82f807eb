//! Holding a snapshot against the model.

use std::collections::BTreeMap;

use sutra_reader::{Direction, NeighborQuery, Snapshot};

use super::{ConceptKey, Model, ModelConcept, ModelEdge, is_over};
use crate::store::all_concepts;

impl Model {
    /// Compares all that a snapshot shows with the model.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, snapshot: &Snapshot) -> Result<(), String> {
        same("the LSN", snapshot.published_lsn(), self.lsn)?;
        same("the concepts", snapshot.concept_count(), self.concepts.len() as u64)?;
        same("the associations", snapshot.association_count(), self.edges.len() as u64)?;
        let mut ordinals = BTreeMap::new();
        for (key, expected) in &self.concepts {
            if is_over(expected.expires_at) {
                let found = snapshot.get_in(&key.0, key.1).map_err(said)?;
                same("a concept that is over", found.map(|found| found.lsn()), None)?;
                continue;
            }
            let ordinal = compare_concept(snapshot, key, expected)?;
            if ordinals.insert(ordinal, key).is_some() {
                return Err(format!("two concepts have ordinal {ordinal}"));
            }
        }
        let mut iterated = 0;
        for concept in all_concepts(snapshot) {
            iterated += 1;
            if !ordinals.contains_key(&concept.ordinal()) {
                return Err(format!("{concept:?} was never learnt"));
            }
        }
        same("the concepts iterated", iterated, ordinals.len())?;
        for (ordinal, key) in &ordinals {
            for direction in [Direction::Out, Direction::In] {
                self.compare_neighbors(snapshot, *ordinal, key, direction, &ordinals)?;
            }
        }
        Ok(())
    }

    fn compare_neighbors(
        &self,
        snapshot: &Snapshot,
        ordinal: u32,
        key: &ConceptKey,
        direction: Direction,
        ordinals: &BTreeMap<u32, &ConceptKey>,
    ) -> Result<(), String> {
        let is_out = direction == Direction::Out;
        let mut expected: Vec<_> = self
            .edges
            .iter()
            .filter(|((source, target, _), edge)| {
                let (own, other) = if is_out { (source, target) } else { (target, source) };
                let is_other_over = is_over(self.concepts[other].expires_at);
                own == key && !is_other_over && !is_over(edge.valid_until)
            })
            .collect();
        expected.sort_by_key(|(_, edge)| std::cmp::Reverse(edge.age));
        let concept = snapshot.concept(ordinal).map_err(said)?;
        let concept = concept.ok_or("a concept that was found has no ordinal")?;
        let query = NeighborQuery { direction, ..NeighborQuery::default() };
        let found = snapshot.neighbors(&concept, &query).map_err(said)?;
        same("the number of neighbors", found.len(), expected.len())?;
        for (found, ((source, target, kind), edge)) in found.iter().zip(expected) {
            let other = if is_out { target } else { source };
            same("a neighbor", ordinals.get(&found.ordinal), Some(&other))?;
            same("a type", snapshot.type_name(found.edge_type), Some(kind.as_str()))?;
            let association = snapshot.association(found.edge).map_err(said)?;
            let properties = association.properties().map_err(said)?;
            let stored = ModelEdge {
                confidence: association.confidence(),
                weight: association.weight(),
                properties: properties.map(str::to_owned),
                valid_until: association.valid_until(),
                lsn: association.lsn(),
                age: edge.age,
            };
            same("an association", &stored, edge)?;
            let difference = (found.confidence - edge.confidence).abs();
            same("a neighbor's confidence", difference <= 1.0 / 65_535.0, true)?;
        }
        Ok(())
    }
}

fn compare_concept(
    snapshot: &Snapshot,
    (namespace, key): &ConceptKey,
    expected: &ModelConcept,
) -> Result<u32, String> {
    let found = snapshot.get_in(namespace, *key).map_err(said)?;
    let found = found.ok_or_else(|| format!("there is no {key:?} in {namespace:?}"))?;
    let stored = ModelConcept {
        content: found.content().map_err(said)?.to_owned(),
        metadata: found.metadata().map_err(said)?.map(str::to_owned),
        embedding: found.embedding().map_err(said)?.map(<[f32]>::to_vec),
        kind: found.kind().map(str::to_owned),
        strength: found.strength(),
        confidence: found.confidence(),
        created_at: expected.created_at.map(|_| found.created_at()),
        expires_at: found.expires_at(),
        version: found.version(),
        lsn: found.lsn(),
        born_lsn: found.born_lsn(),
        is_placeholder: found.is_placeholder(),
    };
    same("a concept", &stored, expected)?;
    same("a namespace", found.namespace(), namespace.as_str())?;
    Ok(found.ordinal())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: the store has {found:?}, and the model {expected:?}")),
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
