//! Opens a Sutra store from any process, with nothing to install or start before.
//!
//! A [`Store`] reads by mapping the file. Its first write connects to the store's coordinator; where
//! none answers, this process becomes its host, on threads of its own, and serves the others too.
//! When the host goes away, cleanly or not, the next process that writes takes its place: whoever
//! was writing waits for that, and nothing acknowledged is lost or applied twice. A forked child's
//! handle opens for itself.
//!
//! ```no_run
//! use sutra_store::{Learn, Options, Store};
//!
//! let store = Store::open("knowledge", Options::default())?;
//! store.learn(&Learn { id: "wolf".into(), content: Some("a wild dog"), ..Learn::default() })?;
//! let wolf = store.get("wolf")?.expect("a handle reads its own writes");
//! assert_eq!(wolf.concept()?.content()?, "a wild dog");
//! # Ok::<(), sutra_store::StoreError>(())
//! ```
//!
//! What is absent here: a vocabulary of its own. Reads speak `sutra_reader`'s types and writes
//! `sutra_client`'s; a program that only reads needs `sutra_reader` alone.

mod bulk;
mod error;
mod listen;
mod options;
mod read;
mod site;
mod store;
mod write;

pub use bulk::{BatchReceipt, Bulk};
pub use error::StoreError;
pub use listen::{ListenOptions, Listening};
pub use options::{Mode, Options};
pub use read::{Held, Seen, StoreStats};
pub use store::Store;

pub use sutra_client::{
    Associate, Batch, BatchError, Client, ClientError, Disassociate, ErrorCode, Forget, Learn,
    Level, OperationError, Receipt, Reinforce, Touch, TypeRef, WriterStats,
};
pub use sutra_coordinator::{CoordinatorError, SyncMode};
pub use sutra_layout::id::Id;
pub use sutra_layout::space::Metric;
pub use sutra_reader as reader;
