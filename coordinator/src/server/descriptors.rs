//! Descriptors enough for every connection.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside the connections: the store's files, the log's, the loop's own.
const OTHERS: u64 = 64;

/// How many of so many connections there are descriptors for: it is a client that is turned away
/// then, with a reason, and never a file of the store that cannot be opened. `raises` the process's
/// limit where it can be; in a process that only hosts the coordinator it is the program's own.
pub(super) fn make_room_for(connections: usize, raises: bool) -> usize {
    let wanted = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else {
        return connections; // there is no limit
    };
    if current >= wanted {
        return connections;
    }
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised_limit = Rlimit { current: Some(raised), maximum: limit.maximum };
    let current =
        if raises && setrlimit(Resource::Nofile, raised_limit).is_ok() { raised } else { current };
    let room = usize::try_from(current.saturating_sub(OTHERS)).unwrap_or(connections).max(1);
    if room < connections {
        tracing::warn!(
            "the system allows {current} open files, so {room} clients can be connected; raise it \
             with `ulimit -n` or LimitNOFILE= for {connections}"
        );
    }
    room.min(connections)
}
