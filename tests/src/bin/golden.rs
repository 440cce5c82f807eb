//! Writes the golden store: see `sutra_tests::golden`.

use std::process::ExitCode;

use anyhow::Context;
use sutra_tests::{TestStore, golden, roles};

fn main() -> ExitCode {
    // It is its own coordinator too.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        return roles::run(arguments);
    }
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> anyhow::Result<()> {
    let mut store = TestStore::started();
    golden::write(&mut store);
    let directory = golden::directory();
    std::fs::create_dir_all(&directory)?;
    let contents = golden::contents(&store.reader().snapshot()?)?;
    let packed = golden::pack(&std::fs::read(store.storage_path())?);
    std::fs::write(directory.join("storage.packed"), packed)
        .and_then(|()| std::fs::write(directory.join("contents.txt"), contents))
        .with_context(|| format!("{} cannot be written", directory.display()))?;
    println!("wrote {}", directory.display());
    Ok(())
}
