//! How much of each limit a store uses.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use sutra_client::Client;
use sutra_layout::limits::{CLIENTS_MAX, CONNECTIONS_MAX, VECTOR_SPACES_MAX};
use sutra_layout::slot::Slot;
use sutra_layout::view::View;
use sutra_reader::STORAGE_FILE;

use super::Finding;
use crate::output::count;

/// Ordinals of concepts, edges and vectors are 32 bits wide.
const ORDINALS_MAX: u64 = u32::MAX as u64;

/// What a coordinator needs besides its connections: the store, the log, and what its threads wait on.
const OWN_FILES: u64 = 64;

/// From here on a limit is to be thought of.
const WORRY_PERCENT: u64 = 80;

pub(super) fn examine(store: &Path, client: Option<Client>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(slot) = newest_slot(store) {
        let spaces = &slot.spaces[..VECTOR_SPACES_MAX.min(slot.spaces_count as usize)];
        let rows = spaces.iter().map(|space| space.count).max().unwrap_or(0);
        let compact = "forgotten ones count until a compaction: export what is needed, and import \
                       it into a new store";
        findings.extend([
            limit("concepts ever", slot.concepts, ORDINALS_MAX, compact),
            limit("associations ever", slot.edges, ORDINALS_MAX, compact),
            limit("rows of a vector space", rows, ORDINALS_MAX, compact),
            full("vector spaces", slot.spaces_count, VECTOR_SPACES_MAX as u64),
            full("clients remembered", slot.clients_count, CLIENTS_MAX as u64),
        ]);
    }
    if let Some(mut client) = client {
        let pid = client.writer_pid();
        if let Ok(stats) = client.stats() {
            let fix = "end clients that do nothing, or let several share one connection";
            let connections = stats.connections;
            findings.push(limit("connections", connections, CONNECTIONS_MAX as u64, fix));
        }
        findings.extend(open_files(pid));
    }
    findings
}

/// The newest version as the file tells it, sound or not: only its counts are of interest.
fn newest_slot(store: &Path) -> Option<Slot> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(store.join(STORAGE_FILE), flags, Mode::empty()).ok()?;
    let view = View::read_only(File::from(file)).ok()?;
    let durable = view.durable_slots();
    let durable = Slot::newest(&durable).map(|(_, slot)| *slot);
    view.capture().ok().flatten().into_iter().chain(durable).max_by_key(|slot| slot.commit_seq)
}

fn limit(name: &'static str, used: u64, most: u64, fix: &str) -> Finding {
    let detail = format!("{} of {}", count(used), count(most));
    match used * 100 >= most * WORRY_PERCENT {
        true => Finding::fix(name, detail, fix),
        false => Finding::ok(name, detail),
    }
}

/// A limit that may well be reached.
fn full(name: &'static str, used: u64, most: u64) -> Finding {
    let detail = format!("{} of {}", count(used), count(most));
    match used >= most {
        true => Finding::note(name, detail + ": no more can be added"),
        false => Finding::ok(name, detail),
    }
}

/// What the coordinator may open: connections beyond it are not accepted.
fn open_files(pid: u32) -> Option<Finding> {
    const NAME: &str = "open files";
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let limit = open_files_limit(&text)?;
    let needed = CONNECTIONS_MAX as u64 + OWN_FILES;
    let detail = format!("the coordinator may open {}", count(limit));
    Some(match limit < needed {
        true => Finding::note(
            NAME,
            format!(
                "{detail}, {} are needed for {CONNECTIONS_MAX} connections; `ulimit -n {needed}` \
                 before it is started, or LimitNOFILE={needed} in its unit, allows all",
                count(needed)
            ),
        ),
        false => Finding::ok(NAME, detail),
    })
}

/// The soft limit in what `/proc/PID/limits` says.
fn open_files_limit(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_limit_is_worth_a_fix_before_it_is_reached() {
        let state = |used| limit("x", used, 1000, "less").state;
        assert_eq!([0, 799, 800, 1000].map(state), [State::Ok, State::Ok, State::Fix, State::Fix]);
    }

    #[test]
    fn the_limit_of_open_files_is_the_soft_one() {
        let text = "Limit   Soft Limit   Hard Limit   Units\n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(open_files_limit(text), Some(1024));
        assert_eq!(open_files_limit("Max processes 1 2"), None);
    }
}
