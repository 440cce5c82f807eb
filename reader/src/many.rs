//! Many concepts at once, each fetched from memory while others are looked at.

use sutra_layout::id::Id;
use sutra_layout::lookup;

use crate::concept::Concept;
use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// How many concepts ahead of its turn the first line that a concept needs is fetched, where many
/// are gone through. What that line leads to is fetched at half of it.
pub(crate) const AHEAD: usize = 16;

impl Snapshot {
    /// The concepts with those ids in the default namespace, each at the place of its id.
    ///
    /// Where one look-up waits for memory, this begins the next: of a million concepts, it gives half
    /// as many again a second as one by one.
    pub fn get_many<'i>(
        &self,
        ids: impl IntoIterator<Item = impl Into<Id<'i>>>,
    ) -> Result<Vec<Option<Concept<'_>>>, ReadError> {
        self.get_many_in("", ids)
    }

    /// The concepts with those ids in a namespace, each at the place of its id.
    pub fn get_many_in<'i>(
        &self,
        namespace: &str,
        ids: impl IntoIterator<Item = impl Into<Id<'i>>>,
    ) -> Result<Vec<Option<Concept<'_>>>, ReadError> {
        let mut ids = ids.into_iter().fuse();
        let mut found = Vec::with_capacity(ids.size_hint().0);
        let number = if namespace.is_empty() { Some(0) } else { self.namespace_number(namespace) };
        let Some(number) = number else {
            for id in ids {
                key_of(namespace, id.into())?;
                found.push(None);
            }
            return Ok(found);
        };
        let (view, slot) = (self.view(), self.slot());
        // The key and its hash of each on its way.
        let mut ahead: [Option<([u8; 16], u64)>; AHEAD] = [None; AHEAD];
        let mut count = 0;
        for at in 0.. {
            let next = match ids.next() {
                Some(id) => {
                    let key = key_of(namespace, id.into())?;
                    count += 1;
                    Some((key, lookup::prefetch_concept(view, slot, number, &key)))
                }
                None => None,
            };
            if let Some((key, _)) = std::mem::replace(&mut ahead[at % AHEAD], next) {
                found.push(self.get_keyed(number, &key)?);
            }
            if let Some((_, hash)) = ahead[(at + AHEAD / 2) % AHEAD] {
                lookup::prefetch_found(view, slot, hash);
            }
            if next.is_none() && found.len() == count {
                break;
            }
        }
        Ok(found)
    }
}

/// The key that an id is filed under.
#[inline]
pub(crate) fn key_of(namespace: &str, id: Id<'_>) -> Result<[u8; 16], ReadError> {
    id.check()?;
    match id {
        Id::Content => Err(ReadError::NoId),
        id => Ok(id.key(namespace, "")),
    }
}
