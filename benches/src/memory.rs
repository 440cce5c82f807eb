//! What a process takes, as the kernel counts it.

use anyhow::Context;

use crate::reading::Memory;

/// Memory of this process.
pub fn of_this_process() -> anyhow::Result<Memory> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(Memory {
        private_bytes: kb_of(&rollup, "Anonymous:")? * 1024,
        page_table_bytes: kb_of(&status, "VmPTE:")? * 1024,
    })
}

fn kb_of(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("the kernel tells no {name}"))
}
