//! One module for each command.

pub mod associate;
pub mod get;
pub mod learn;
pub mod nearest;
pub mod neighbors;
pub mod path;
pub mod serve;
pub mod stats;
pub mod stop;
pub mod verify;
