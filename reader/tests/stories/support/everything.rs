//! A store that has some of everything, and everything there is to ask of one.

use std::time::Duration;

use sutra_layout::slot::Slot;
use sutra_layout::symbol::SymbolTable;
use sutra_reader::{
    Best, BestQuery, ConceptQuery, Direction, ExpandQuery, Filter, Metric, Namespaces,
    NearestQuery, NeighborQuery, PathQuery, ReadError, SearchQuery, Seed, Snapshot,
};

use super::{Associate, Learn, Writer};

/// The store.
pub fn store() -> Writer {
    let mut store = Writer::create();
    store.name_symbol(SymbolTable::Namespace, 1, "zoo");
    store.name_symbol(SymbolTable::Type, 16, "hypernym");
    store.make_space(8, Metric::Cosine);
    for n in 0..60u32 {
        let vector: Vec<f32> = (0..8).map(|x| (n * x % 7) as f32 + 0.5).collect();
        let learn = Learn {
            namespace: if n % 5 == 0 { ("zoo", 1) } else { ("", 0) },
            content: "some content of a concept",
            metadata: Some("{}"),
            vector: Some(&vector),
            ..Learn::default()
        };
        store.learn_as(format!("{n}").as_str().into(), learn);
    }
    for n in 0..60 {
        for step in [1, 2, 7] {
            let associate = Associate {
                edge_type: if step == 7 { 16 } else { 1 },
                properties: Some("{}"),
                ..Associate::default()
            };
            store.associate(n, (n + step) % 60, associate);
        }
    }
    store.associate(0, 1, Associate::default());
    store.forget("7");
    store.publish();
    store.checkpoint(Slot::CLEAN);
    // Written and not published: what a reader must step over.
    for n in 0..10 {
        store.learn(&format!("{n}"), "unpublished");
        store.associate(n, n + 1, Associate { edge_type: 1, ..Associate::default() });
    }
    store
}

/// Asks a snapshot everything about its version.
pub fn ask_snapshot(snapshot: &Snapshot, errors: &mut Vec<String>) {
    let mut note = |error: Option<ReadError>| errors.extend(error.map(|error| error.to_string()));
    let _ = snapshot.stats();
    let _ = snapshot.types();
    for n in 0..62 {
        let id = format!("{n}");
        note(snapshot.get(&id).err());
        note(snapshot.get_in("zoo", &id).err());
    }
    let concepts: Vec<_> = snapshot.concepts().collect();
    let mut found = Vec::new();
    for concept in concepts {
        match concept {
            Err(error) => note(Some(error)),
            Ok(concept) => found.push(concept),
        }
    }
    for concept in &found {
        note(concept.id().err());
        note(concept.content().err());
        note(concept.metadata().err());
        note(concept.embedding().err());
        let _ = (concept.namespace(), concept.kind(), concept.author());
        for direction in [Direction::Out, Direction::In, Direction::Both] {
            let query = NeighborQuery { direction, ..NeighborQuery::default() };
            note(snapshot.neighbors(concept, &query).err());
            let valid_at = Some(snapshot.read_time());
            let page = NeighborQuery { after: Some(70), min_confidence: 1.0, valid_at, ..query };
            note(snapshot.neighbors(concept, &page).err());
        }
    }
    for edge in 0..snapshot.association_count().min(200) as u32 {
        if let Ok(association) = snapshot.association(edge) {
            note(association.properties().err());
        }
    }
    for pair in found.chunks_exact(2).take(10) {
        for direction in [Direction::Out, Direction::Both] {
            let query = PathQuery { max_depth: 20, direction, ..PathQuery::default() };
            note(snapshot.find_path(&pair[0], &pair[1], &query).err());
            let query = PathQuery { is_one_sided: true, ..query };
            note(snapshot.find_path(&pair[0], &pair[1], &query).err());
            for by in [Best::Confidence, Best::Strength { half_life: Duration::from_secs(1) }] {
                let query = BestQuery { k: 3, by, direction, ..BestQuery::default() };
                note(snapshot.best_paths(&pair[0], &pair[1], &query).err());
            }
        }
        note(snapshot.associations_between(&pair[0], &pair[1]).err());
        let seeds = [pair[0].ordinal(), u32::MAX].map(|ordinal| Seed { ordinal, score: 1.0 });
        note(snapshot.expand(&seeds, &ExpandQuery::default()).err());
    }
    for k in [1, 100] {
        let query = NearestQuery { k, ..NearestQuery::default() };
        if let Err(error @ ReadError::Damaged { .. }) = snapshot.nearest(&[1.0; 8], &query) {
            note(Some(error));
        }
    }
}

/// Everything about how the store came to be, and every query under a filter.
pub fn ask_history(snapshot: &Snapshot, errors: &mut Vec<String>) {
    let lsns = [0, snapshot.published_lsn() / 2, snapshot.published_lsn()];
    for lsn in lsns {
        match snapshot.as_of(lsn) {
            Ok(then) => ask_snapshot(&then, errors),
            Err(error) => errors.extend(damage_of(error)),
        }
    }
    let mut note = |error: Option<ReadError>| errors.extend(error.and_then(damage_of));
    note(snapshot.lsn_at(1_700_000_000_000_050).err());
    note(snapshot.as_of_time(snapshot.published_at().saturating_sub(40)).err());
    note(snapshot.namespaces().err());
    note(snapshot.spaces().err());
    match snapshot.changes(lsns[1]) {
        Err(error) => note(Some(error)),
        Ok(changes) => changes.for_each(|change| note(change.err())),
    }
    for ordinal in 0..62 {
        match snapshot.last_version_of(ordinal) {
            Err(error) => note(Some(error)),
            Ok(None) => {}
            Ok(Some(last)) => {
                note(last.access().err());
                snapshot.history(&last).for_each(|version| note(version.err()));
            }
        }
        match snapshot.association_history(ordinal) {
            Err(error) => note(Some(error)),
            Ok(history) => history.for_each(|version| note(version.err())),
        }
    }
    let text = "exists meta.a or kind = x or author = y or id < z or meta.b[1] = 2";
    let filter = Filter::parse(text).unwrap();
    let query = ConceptQuery { filter: Some(&filter), namespaces: Namespaces::All };
    snapshot.concepts_where(&query).for_each(|concept| note(concept.err()));
    for text in ["a", "é content"] {
        let query = SearchQuery { filter: Some(&filter), ..SearchQuery::default() };
        note(snapshot.search(text, &query).err());
    }
}

/// What an error says, if it is about the file and not about the question.
pub fn damage_of(error: ReadError) -> Option<String> {
    matches!(error, ReadError::Damaged { .. }).then(|| error.to_string())
}
