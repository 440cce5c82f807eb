//! The frames that cross a coordinator's socket, as bytes and as types.
//!
//! Both ends use this one codec. Every frame is a 16-byte [`frame::FrameHeader`] and a body of at
//! most [`FRAME_SIZE_MAX`](sutra_layout::limits::FRAME_SIZE_MAX) bytes; all numbers are
//! little-endian; a *string* is a `u16` size and that many bytes of UTF-8.
//!
//! | kind | request         | kind | reply                    |
//! |-----:|-----------------|-----:|--------------------------|
//! |    1 | [`hello::Hello`] |  129 | [`hello::HelloReply`]    |
//! |    2 | [`write::Write`] |  130 | [`reply::WriteReply`]    |
//! |    3 | flush, no body  |  131 | [`reply::WriteReply`], without errors |
//! |    4 | [`write::Wait`] |  132 | [`reply::WaitReply`]     |
//! |    5 | stats, no body  |  133 | [`stats::WriterStats`]   |
//! |    6 | stop, no body   |  134 | stop, no body            |
//! |    7 | [`compact::Compact`] |  135 | [`compact::CompactReply`] |
//! |    9 | [`read::Read`], over `sutra serve --listen` | 137 | [`found::FoundReply`] |
//! |      |                 |  255 | [`reply::ErrorReply`], after which the coordinator closes |
//!
//! Decoding is total and borrowed: it never panics, never reserves memory by a size it has not
//! compared with the bytes that are there, and copies nothing out of a request.

pub mod associate;
pub mod code;
pub mod compact;
pub mod found;
pub mod frame;
pub mod hello;
pub mod inbox;
pub mod learn;
pub mod operation;
pub mod read;
pub mod reply;
pub mod settings;
pub mod stats;
pub mod upkeep;
pub mod wire;
pub mod write;

pub use associate::{Associate, AssociateOp, TypeRef};
pub use code::{ErrorCode, Fault, OperationError, ProtocolError, Refusal};
pub use compact::{Compact, CompactReply, Compacted, Horizon};
pub use found::{Found, FoundReply};
pub use frame::{FrameHeader, FrameKind, HEADER_SIZE};
pub use hello::{Hello, HelloReply, PROTOCOL_VERSION};
pub use inbox::Inbox;
pub use learn::{Learn, LearnOp};
pub use operation::{Operation, Operations};
pub use read::{Query, Read, Way};
pub use reply::{ErrorReply, Reply, WaitReply, WriteReply, encode_stop_reply};
pub use settings::{MakeSpace, TimeToLive};
pub use stats::WriterStats;
pub use upkeep::{Disassociate, Forget, Reinforce, Touch};
pub use wire::F32s;
pub use write::{Level, Request, Wait, Write};
