//! What one store, frame or field may hold at most.

/// Bytes of a text id.
pub const ID_SIZE_MAX: usize = 1024;
/// Bytes of one concept's content.
pub const CONTENT_SIZE_MAX: usize = 1 << 20;
/// Bytes of a concept's metadata or an association's properties.
pub const METADATA_SIZE_MAX: usize = 1 << 16;
/// Bytes of a type, kind, namespace or author name.
pub const SYMBOL_SIZE_MAX: usize = 255;
/// Elements of one vector.
pub const VECTOR_DIMENSION_MAX: usize = 4096;
/// Bytes of one protocol frame, and so of one log entry's operations.
pub const FRAME_SIZE_MAX: usize = 16 << 20;
/// Operations of one frame.
pub const OPERATIONS_PER_FRAME_MAX: usize = 1 << 16;
/// Connections one coordinator serves at a time.
pub const CONNECTIONS_MAX: usize = 1024;
/// Vector spaces of one store.
pub const VECTOR_SPACES_MAX: usize = 4;
/// Clients whose sequence numbers one store remembers.
pub const CLIENTS_MAX: usize = 4096;
/// Record ordinals are 48 bits wide.
pub const RECORD_ORDINAL_MAX: u64 = (1 << 48) - 2;
/// What writers leave of a disk that becomes full: a checkpoint's client table, the names of segments
/// that are recycled, and whatever the file system notes for itself when it writes back what lies in
/// reserved space. So a checkpoint and a clean stop still go through.
pub const DISK_RESERVE_SIZE: u64 = 1 << 20;
