//! Writes to a store from another program: two concepts and the association between them.
//!
//! `cargo run --release -p sutra-client --example write -- STORE`, while `sutra serve STORE` runs.

use std::error::Error;

use sutra_client::{Associate, Batch, Client, Learn, Level};

fn main() -> Result<(), Box<dyn Error>> {
    let store = std::env::args().nth(1).ok_or("give a store: write STORE")?;
    let mut client = Client::connect(store)?;

    let mut batch = Batch::new();
    for (id, content) in [("wolf", "a wild dog"), ("canine", "a member of the dog family")] {
        batch.learn(&Learn { id: id.into(), content: Some(content), ..Learn::default() })?;
    }
    batch.associate(&Associate {
        source: "wolf".into(),
        target: "canine".into(),
        kind: "hypernym".into(),
        confidence: Some(0.9),
        ..Associate::default()
    })?;

    // Returns when every reader can see it. Level::Durable returns once it is on disk.
    let receipt = client.write(&batch, Level::Visible)?;
    for error in &receipt.errors {
        eprintln!("operation {} was refused: {}", error.index, error.message);
    }
    println!("written as log entry {}", receipt.last_lsn);
    Ok(())
}
