//! Reads a store from another program: a concept, its neighbours, and what is nearest to it.
//!
//! `cargo run --release -p sutra-reader --example read -- STORE ID`

use std::error::Error;

use sutra_reader::{NearestQuery, NeighborQuery, Reader};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(store), Some(id)) = (args.next(), args.next()) else {
        return Err("give a store and the id of a concept: read STORE ID".into());
    };

    let reader = Reader::open(store)?; // maps the file; share it by Arc between threads
    let snapshot = reader.snapshot()?; // one published version, for as long as it is held
    let Some(concept) = snapshot.get(&id)? else {
        return Err(format!("there is no concept {id}").into());
    };
    println!("{}: {}", concept.id()?, concept.content()?); // borrowed from the file, not copied

    for neighbor in snapshot.neighbors(&concept, &NeighborQuery::default())? {
        if let Some(other) = snapshot.concept(neighbor.ordinal)? {
            let kind = snapshot.type_name(neighbor.edge_type).unwrap_or("?");
            println!("  -{kind}-> {}", other.id()?);
        }
    }

    if let Some(vector) = concept.embedding()? {
        let exclude = Some(concept.ordinal());
        let query = NearestQuery { k: 5, exclude, ..NearestQuery::default() };
        for hit in snapshot.nearest(vector, &query)? {
            if let Some(other) = snapshot.concept(hit.ordinal)? {
                println!("  {:.3} {}", hit.score, other.id()?);
            }
        }
    }
    Ok(())
}
