//! Operations, encoded one behind the other as they are added.

use sutra_layout::id::{Id, IdError};
use sutra_layout::limits::{
    CONTENT_SIZE_MAX, FRAME_SIZE_MAX, METADATA_SIZE_MAX, OPERATIONS_PER_FRAME_MAX, SYMBOL_SIZE_MAX,
    VECTOR_DIMENSION_MAX,
};
use sutra_layout::space::{MODEL_SIZE_MAX, NAME_SIZE_MAX};

use crate::protocol::associate::{Associate, TypeRef};
use crate::protocol::learn::Learn;
use crate::protocol::operation::{OPERATION_SIZE_SIZE, Operations};
use crate::protocol::settings::{MakeSpace, TimeToLive};
use crate::protocol::upkeep::{Disassociate, Forget, Reinforce, Touch};
use crate::protocol::write::{Level, WRITE_PREFIX_SIZE, write_head};

/// The most bytes of operations that one frame can carry.
const OPERATIONS_SIZE_MAX: usize = FRAME_SIZE_MAX - WRITE_PREFIX_SIZE;

/// Why an operation was not added. The batch is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// One frame cannot hold more.
    #[error(
        "the batch is full with {operation_count} operations in {size} bytes; \
         write it, clear it and add this one again"
    )]
    Full {
        /// How many operations it holds.
        operation_count: u32,
        /// How many bytes they have.
        size: usize,
    },
    /// A field above its limit.
    #[error("{field} has {found} bytes or elements, above {limit}; give less")]
    TooLarge {
        /// Which field.
        field: &'static str,
        /// What it has.
        found: usize,
        /// What it may have.
        limit: usize,
    },
    /// An id that no store accepts.
    #[error(transparent)]
    InvalidId(#[from] IdError),
    /// No id where one is needed.
    #[error("{field} is missing; name a concept")]
    MissingId {
        /// Which field.
        field: &'static str,
    },
}

/// Operations for one frame, and so for one log entry and one LSN.
///
/// They are encoded as they are added, into one buffer that [`Batch::clear`] keeps. Only what
/// cannot be framed is refused here; whether an operation can be applied, the coordinator says for
/// each.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    operation_count: u32,
    namespace: String,
    is_atomic: bool,
}

impl Batch {
    /// An empty one, in the namespace `""`.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// The namespace of what is added from here on; kept by [`Batch::clear`].
    pub fn namespace(&mut self, namespace: &str) -> &mut Batch {
        self.namespace.clear();
        self.namespace.push_str(namespace);
        self
    }

    /// Whether all operations or none are applied, in one publication. Without it, a bad operation
    /// does not spoil the others. Kept by [`Batch::clear`].
    pub fn atomic(&mut self, atomic: bool) -> &mut Batch {
        self.is_atomic = atomic;
        self
    }

    /// Adds a concept, or a new version of one.
    #[inline]
    pub fn learn(&mut self, learn: &Learn<'_>) -> Result<(), BatchError> {
        learn.id.check()?;
        if learn.id == Id::Content && learn.content.is_none() {
            return Err(BatchError::MissingId { field: "id, or the content to hash," });
        }
        let size_of = |text: Option<&str>| text.map_or(0, str::len);
        check("content", size_of(learn.content), CONTENT_SIZE_MAX)?;
        check("metadata", size_of(learn.metadata), METADATA_SIZE_MAX)?;
        check("kind", size_of(learn.kind), SYMBOL_SIZE_MAX)?;
        check("embedding", learn.embedding.map_or(0, <[f32]>::len), VECTOR_DIMENSION_MAX)?;
        self.add(|namespace, out| learn.encode(namespace, out))
    }

    /// Adds an association, or a new version of one.
    #[inline]
    pub fn associate(&mut self, associate: &Associate<'_>) -> Result<(), BatchError> {
        named(&associate.source, "source")?;
        named(&associate.target, "target")?;
        if let TypeRef::Name(name) = associate.kind {
            check("type", name.len(), SYMBOL_SIZE_MAX)?;
        }
        check("properties", associate.properties.map_or(0, str::len), METADATA_SIZE_MAX)?;
        self.add(|namespace, out| associate.encode(namespace, out))
    }

    /// Adds the forgetting of a concept.
    pub fn forget(&mut self, forget: &Forget<'_>) -> Result<(), BatchError> {
        named(&forget.id, "id")?;
        self.add(|namespace, out| forget.encode(namespace, out))
    }

    /// Adds the end of associations.
    pub fn disassociate(&mut self, disassociate: &Disassociate<'_>) -> Result<(), BatchError> {
        named(&disassociate.source, "source")?;
        named(&disassociate.target, "target")?;
        if let Some(TypeRef::Name(name)) = disassociate.kind {
            check("type", name.len(), SYMBOL_SIZE_MAX)?;
        }
        self.add(|namespace, out| disassociate.encode(namespace, out))
    }

    /// Adds a change of a concept's strength or confidence.
    pub fn reinforce(&mut self, reinforce: &Reinforce<'_>) -> Result<(), BatchError> {
        named(&reinforce.id, "id")?;
        self.add(|namespace, out| reinforce.encode(namespace, out))
    }

    /// Adds accesses to a concept.
    pub fn touch(&mut self, touch: &Touch<'_>) -> Result<(), BatchError> {
        named(&touch.id, "id")?;
        self.add(|namespace, out| touch.encode(namespace, out))
    }

    /// Adds the making of a vector space.
    pub fn make_space(&mut self, space: &MakeSpace<'_>) -> Result<(), BatchError> {
        check("name", space.name.len(), NAME_SIZE_MAX)?;
        check("model", space.model.len(), MODEL_SIZE_MAX)?;
        self.add(|_, out| space.encode(out))
    }

    /// Adds a namespace's time to live.
    pub fn time_to_live(&mut self, time_to_live: &TimeToLive<'_>) -> Result<(), BatchError> {
        check("namespace", time_to_live.namespace.len(), SYMBOL_SIZE_MAX)?;
        self.add(|_, out| time_to_live.encode(out))
    }

    /// How many operations it holds.
    pub fn len(&self) -> usize {
        self.operation_count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.operation_count == 0
    }

    /// How many bytes its operations have. A frame takes just under 16 MiB.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the operations out and keeps the buffer, the namespace and whether it is atomic.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.operation_count = 0;
    }

    /// The operations as the coordinator will read them.
    pub fn operations(&self) -> Operations<'_> {
        Operations::new(self.operation_count, &self.bytes).expect("what a batch encoded is framed")
    }

    /// Appends the whole write frame to `out`.
    pub fn encode(&self, request_id: u64, sequence: u64, level: Level, out: &mut Vec<u8>) {
        let count = self.operation_count;
        let head = write_head(request_id, sequence, level, self.is_atomic, count, self.bytes.len());
        out.reserve(head.len() + self.bytes.len());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.bytes);
    }

    #[inline]
    fn add(&mut self, encode: impl FnOnce(&str, &mut Vec<u8>)) -> Result<(), BatchError> {
        check("namespace", self.namespace.len(), SYMBOL_SIZE_MAX)?;
        let start = self.bytes.len();
        let full = BatchError::Full { operation_count: self.operation_count, size: start };
        if self.len() == OPERATIONS_PER_FRAME_MAX {
            return Err(full);
        }
        self.bytes.extend_from_slice(&[0; OPERATION_SIZE_SIZE]);
        encode(&self.namespace, &mut self.bytes);
        if self.bytes.len() > OPERATIONS_SIZE_MAX {
            self.bytes.truncate(start);
            return Err(full);
        }
        let size = (self.bytes.len() - start - OPERATION_SIZE_SIZE) as u32;
        self.bytes[start..start + OPERATION_SIZE_SIZE].copy_from_slice(&size.to_le_bytes());
        self.operation_count += 1;
        Ok(())
    }
}

#[inline]
/// An id that names a concept which exists.
fn named(id: &Id<'_>, field: &'static str) -> Result<(), BatchError> {
    id.check()?;
    if *id == Id::Content { Err(BatchError::MissingId { field }) } else { Ok(()) }
}

fn check(field: &'static str, found: usize, limit: usize) -> Result<(), BatchError> {
    match found <= limit {
        true => Ok(()),
        false => Err(BatchError::TooLarge { field, found, limit }),
    }
}
