//! One module for each command.

pub mod associate;
pub mod backup;
pub mod completions;
pub mod disassociate;
pub mod export;
pub mod forget;
pub mod get;
pub mod history;
pub mod learn;
pub mod list;
pub mod man;
pub mod nearest;
pub mod neighbors;
pub mod path;
pub mod reinforce;
pub mod restore;
pub mod search;
pub mod serve;
pub mod space;
pub mod stats;
pub mod stop;
pub mod tail;
pub mod touch;
pub mod ttl;
pub mod verify;
pub mod watch;
