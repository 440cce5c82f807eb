//! Accesses, gathered where the reading is done and sent by the batch.

use std::collections::HashMap;

use sutra_layout::id::Id;
use sutra_layout::sys::clock::now_us;

use crate::batch::{Batch, BatchError};
use crate::protocol::upkeep::Touch;

/// An id that outlives the query it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum OwnedId {
    Text(String),
    Key([u8; 16]),
}

/// Accesses that wait to be written: noting one costs a look into a map, and nothing waits.
///
/// A process that reads notes each access here, and every so often adds them all to a batch, in
/// which each concept then stands once.
///
/// ```
/// use sutra_client::{Batch, Touches};
///
/// let mut touches = Touches::new();
/// touches.note("", "wolf".into())?;
/// touches.note("", "wolf".into())?;
/// let mut batch = Batch::new();
/// touches.add_to(&mut batch)?;
/// assert_eq!((batch.len(), touches.len()), (1, 0));
/// # Ok::<(), sutra_client::BatchError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Touches {
    /// Count and last access, µs since the Unix epoch, by namespace and id.
    noted: HashMap<String, HashMap<OwnedId, (u32, u64)>>,
}

impl Touches {
    /// None yet.
    pub fn new() -> Touches {
        Touches::default()
    }

    /// Notes one access, now, to a concept of a namespace.
    ///
    /// # Errors
    /// [`BatchError::InvalidId`], and [`BatchError::MissingId`] for [`Id::Content`], which names no
    /// concept by itself.
    pub fn note(&mut self, namespace: &str, id: Id<'_>) -> Result<(), BatchError> {
        id.check()?;
        let id = match id {
            Id::Text(text) => OwnedId::Text(text.to_owned()),
            Id::Hex(key) | Id::Raw(key) => OwnedId::Key(key),
            Id::Content => return Err(BatchError::MissingId { field: "id" }),
        };
        let noted = match self.noted.get_mut(namespace) {
            Some(noted) => noted,
            None => self.noted.entry(namespace.to_owned()).or_default(),
        };
        let (count, last) = noted.entry(id).or_default();
        *count = count.saturating_add(1);
        *last = now_us();
        Ok(())
    }

    /// Concepts that accesses wait for.
    pub fn len(&self) -> usize {
        self.noted.values().map(HashMap::len).sum()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what was noted to a batch, and forgets it. The batch's own namespace changes.
    ///
    /// # Errors
    /// [`BatchError::Full`]: what did not fit is still noted.
    pub fn add_to(&mut self, batch: &mut Batch) -> Result<(), BatchError> {
        for (namespace, noted) in &mut self.noted {
            batch.namespace(namespace);
            let mut added = Ok(());
            noted.retain(|id, (count, at)| {
                let id = match id {
                    OwnedId::Text(text) => Id::Text(text),
                    OwnedId::Key(key) => Id::Raw(*key),
                };
                if added.is_ok() {
                    added = batch.touch(&Touch { id, count: *count, at: Some(*at) });
                }
                added.is_err()
            });
            added?;
        }
        self.noted.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Operation;

    #[test]
    fn many_accesses_to_one_concept_become_one_operation() {
        let mut touches = Touches::new();
        for _ in 0..5 {
            touches.note("n", Id::Text("wolf")).unwrap();
            touches.note("n", Id::Raw([7; 16])).unwrap();
        }
        touches.note("m", Id::Text("wolf")).unwrap();
        assert!(touches.note("m", Id::Text("")).is_err());
        assert!(touches.note("m", Id::Content).is_err());
        assert_eq!(touches.len(), 3);

        let mut batch = Batch::new();
        touches.add_to(&mut batch).unwrap();
        assert!(touches.is_empty());
        let mut counts: Vec<(&str, u32)> = batch
            .operations()
            .map(|operation| match operation.unwrap() {
                Operation::Touch(namespace, touch) => (namespace, touch.count),
                other => panic!("{other:?}"),
            })
            .collect();
        counts.sort_unstable();
        assert_eq!(counts, [("m", 1), ("n", 5), ("n", 5)]);
    }
}
