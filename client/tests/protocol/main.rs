//! The codec: what is encoded comes back, and what is not ours is an error.

mod allocation;
mod garbage;
mod generate;
mod operations;
mod reads;
mod replies;
