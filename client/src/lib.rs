//! The write protocol of a Sutra store, and a client for it.
//!
//! [`protocol`] is the codec, used by both ends of the socket; [`Batch`] encodes operations for one
//! frame; [`Client`] sends frames to the coordinator of a store and sends them again after a lost
//! connection, so that each is applied exactly once; [`socket`] connects and binds Unix sockets
//! whatever the length of their path.
//!
//! ```no_run
//! use sutra_client::{Batch, Client, Learn, Level};
//!
//! let mut client = Client::connect("knowledge")?;
//! let mut batch = Batch::new();
//! batch.learn(&Learn { id: "wolf".into(), content: Some("a wild dog"), ..Learn::default() })?;
//! let receipt = client.write(&batch, Level::Durable)?;
//! assert!(receipt.errors.is_empty());
//! # Ok::<(), sutra_client::ClientError>(())
//! ```

pub mod protocol;
pub mod socket;
pub mod tcp;

mod batch;
mod client;
mod error;
mod touches;

pub use batch::{Batch, BatchError};
pub use client::{Client, ClientBuilder, Dial, Receipt};
pub use error::ClientError;
pub use protocol::associate::{Associate, TypeRef};
pub use protocol::code::{ErrorCode, OperationError, Refusal};
pub use protocol::compact::{Compacted, Horizon, PURGES_MAX};
pub use protocol::found::{
    Found, FoundConcept, FoundHit, FoundId, FoundNeighbor, FoundPath, FoundStats,
};
pub use protocol::learn::Learn;
pub use protocol::read::{Query, Way};
pub use protocol::settings::{MakeSpace, TimeToLive};
pub use protocol::stats::WriterStats;
pub use protocol::upkeep::{Disassociate, Forget, Reinforce, Touch};
pub use protocol::write::Level;
pub use sutra_layout::id::Id;
pub use touches::Touches;
