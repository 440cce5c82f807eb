//! What an open store takes of each process that reads it, and of the disk.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::place::Stores;
use crate::board::{Board, Unit};
use crate::peers::Contender;
use crate::reading::{Mode, Task};

const SUITE: &str = "memory";

/// Whom it measures.
pub const CONTENDERS: [Contender; 8] = [
    Contender::Sutra,
    Contender::Lmdb,
    Contender::Redb,
    Contender::Sqlite,
    Contender::Rocksdb,
    Contender::MmapSync,
    Contender::Redis,
    Contender::Petgraph,
];

/// The kernel counts in blocks of this size.
const BLOCK_SIZE: u64 = 512;

/// Runs the suite.
pub fn run(
    stores: &mut Stores<'_>,
    contenders: &[Contender],
    board: &mut Board,
) -> anyhow::Result<()> {
    let settings = &stores.place.settings;
    let concepts = f64::from(stores.place.workload.concepts);
    for round in 0..settings.rounds {
        eprintln!("memory: round {} of {}", round + 1, settings.rounds);
        for &contender in contenders {
            let mut add = |name: &str, unit, value| {
                board.add(SUITE, name, unit, contender.name(), value);
            };
            let mut process = stores.reader(contender, 0)?;
            let before = process.memory()?;
            let mut told = Vec::new();
            if contender != Contender::Petgraph {
                process.open_and_hold()?;
                told.push(("opened", process.memory()?));
                process.read(Task::Content, Mode::Throughput, settings.millis)?;
            }
            process.read(Task::Neighbors, Mode::Throughput, settings.millis)?;
            told.push(("after many reads", process.memory()?));
            let more = |now: u64, before: u64| now.saturating_sub(before) as f64;
            for (when, now) in told {
                let private = more(now.private_bytes, before.private_bytes);
                add(&format!("private memory, {when}"), Unit::Bytes, private);
                let tables = more(now.page_table_bytes, before.page_table_bytes);
                add(&format!("page tables, {when}"), Unit::Bytes, tables);
            }
            if contender != Contender::Petgraph {
                let size = disk_size(&stores.path(contender))? as f64;
                add("disk a concept with its edges, all files", Unit::Bytes, size / concepts);
            }
        }
    }
    Ok(())
}

/// Bytes on the disk of all files in a folder and those below.
fn disk_size(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += match metadata.is_dir() {
            true => disk_size(&entry.path())?,
            false => metadata.blocks() * BLOCK_SIZE,
        };
    }
    Ok(sum)
}
