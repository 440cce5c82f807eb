//! The concepts whose vectors are nearest to a query.
//!
//! | rows | how they are looked at |
//! |------|------------------------|
//! | below the graph's watermark | the graph is walked, best first |
//! | from there to the snapshot's count | each one's code, and exactly the best of them |
//! | of a small store, or where it is asked for | each one exactly |
//! | of a store where few pass the filter | each one's code, and exactly the best that pass |
//!
//! The graph that is walked is the newest; what it finds is held against the snapshot. A row counts
//! iff the newest version of its owner in the snapshot is there to be seen and has this row: the
//! graph says since which record a row is over, so that most rows need no more than that.

mod accept;
mod exact;

use std::cell::Cell;

use sutra_layout::Damage;
use sutra_layout::slot::SpaceCounts;
use sutra_layout::space::{Metric, Space};
use sutra_vectors::{Graph, Request, Scratch, Sweep, inverse_norm_of};

use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::names::Namespaces;
use crate::snapshot::Snapshot;
use accept::Accept;

/// Up to so many rows are all compared exactly, which takes no longer than a walk.
const EXACT_ROWS_MAX: u64 = 1024;
/// A filter is tried on so many rows, to know how many pass.
const SAMPLE_ROWS: u64 = 256;
/// Where fewer rows pass than so many times `ef`, each is looked at: to compare a code takes a tenth
/// of what it takes to meet a row that does not pass on a walk.
const SCAN_BELOW_EF: u64 = 12;

/// Which concepts are asked for.
#[derive(Clone, Copy, Debug)]
pub struct NearestQuery<'q> {
    /// How many, at most.
    pub k: usize,
    /// The vector space that is searched.
    pub space: usize,
    /// Candidates that the walk keeps: more find more of the nearest, and take longer. `None`: as the
    /// space says. Never fewer than `k`.
    pub ef: Option<usize>,
    /// Whether every row is compared in 32-bit floating point, and none is missed.
    pub exact: bool,
    /// Only concepts at least so near; `None`: all.
    pub min_score: Option<f32>,
    /// A concept to leave out, as its own nearest neighbour is no answer.
    pub exclude: Option<u32>,
    /// Concepts to keep; `None`: all. As many as `k` are found if there are so many.
    pub filter: Option<&'q Filter>,
    /// Ordinals of the concepts to look among; `None`: all. Likewise.
    pub among: Option<&'q [u32]>,
    /// A condition of the caller's own. Likewise.
    pub predicate: Option<Predicate<'q>>,
    /// The namespaces that are searched; by default the one without a name.
    pub namespaces: Namespaces<'q>,
}

impl Default for NearestQuery<'_> {
    fn default() -> Self {
        NearestQuery {
            k: 10,
            space: 0,
            ef: None,
            exact: false,
            min_score: None,
            exclude: None,
            filter: None,
            among: None,
            predicate: None,
            namespaces: Namespaces::default(),
        }
    }
}

/// A condition on concepts that a program has. It is asked about concepts that come near enough.
#[derive(Clone, Copy)]
pub struct Predicate<'q>(pub &'q (dyn Fn(&Concept<'_>) -> bool + Sync));

impl std::fmt::Debug for Predicate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Predicate")
    }
}

/// A concept, and how near it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The concept's ordinal; see [`Snapshot::concept`].
    pub ordinal: u32,
    /// Cosine similarity, dot product, or minus the Euclidean distance: larger is nearer.
    pub score: f32,
}

thread_local! {
    /// Taken by a search and put back: a search within a predicate gets another.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Snapshot {
    /// The nearest concepts, nearest first, equally near ones by ordinal.
    ///
    /// A search walks the space's graph and looks at each vector that is not in it yet, so a vector
    /// is found as soon as its concept is visible. Scores are exact; of the nearest, a walk may miss
    /// a few, the fewer the higher `ef`. `exact` misses none, and so does a store of up to 1,024
    /// vectors. Space 0 of a store that has no vectors yet gives nothing.
    pub fn nearest(&self, vector: &[f32], query: &NearestQuery<'_>) -> Result<Vec<Hit>, ReadError> {
        let mut hits = Vec::new();
        self.nearest_into(vector, query, &mut hits)?;
        Ok(hits)
    }

    /// The nearest concepts to each of many vectors.
    pub fn nearest_batch<'v>(
        &self,
        vectors: impl IntoIterator<Item = &'v [f32]>,
        query: &NearestQuery<'_>,
    ) -> Result<Vec<Vec<Hit>>, ReadError> {
        let Some(searched) = self.searched(query)? else {
            return Ok(vectors.into_iter().map(|_| Vec::new()).collect());
        };
        let search = |vector| {
            let mut hits = Vec::new();
            searched.search(vector, &mut hits).map(|()| hits)
        };
        vectors.into_iter().map(search).collect()
    }

    /// As [`Snapshot::nearest`], in memory that is there already: what `hits` held is gone.
    pub fn nearest_into(
        &self,
        vector: &[f32],
        query: &NearestQuery<'_>,
        hits: &mut Vec<Hit>,
    ) -> Result<(), ReadError> {
        hits.clear();
        match self.searched(query)? {
            Some(searched) => searched.search(vector, hits),
            None => Ok(()),
        }
    }

    fn searched<'s>(
        &'s self,
        query: &'s NearestQuery<'s>,
    ) -> Result<Option<Searched<'s>>, ReadError> {
        if query.space == 0 && self.space_count() == 0 {
            return Ok(None);
        }
        let space = self.space(query.space)?;
        let searched = Searched::new(self, space, query);
        searched.map(Some).map_err(|damage| self.damaged(damage))
    }

    /// What the newest publication says of a space's graph, with this snapshot's rows.
    fn newest_graph(&self, space: usize) -> Result<SpaceCounts, Damage> {
        let newest = self.as_of_state().map_or(self.slot(), |as_of| &as_of.newest);
        let own = newest.spaces[space];
        let view = self.view();
        if view.ring().commit_seq() == newest.commit_seq {
            return Ok(own);
        }
        let captured = view.capture()?.filter(|slot| slot.commit_seq > newest.commit_seq);
        Ok(captured.map_or(own, |slot| SpaceCounts { count: own.count, ..slot.spaces[space] }))
    }
}

/// How rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Each exactly.
    Exact,
    /// The graph, and what is not in it yet.
    Walk(Sweep),
    /// Each one's code.
    Scan,
    /// Those of the concepts that are asked for.
    Among,
}

/// A query, with all that does not depend on its vector.
struct Searched<'s> {
    snapshot: &'s Snapshot,
    space: &'s Space,
    query: &'s NearestQuery<'s>,
    accept: Accept<'s>,
    counts: SpaceCounts,
    plan: Plan,
}

impl<'s> Searched<'s> {
    fn new(
        snapshot: &'s Snapshot,
        space: &'s Space,
        query: &'s NearestQuery<'s>,
    ) -> Result<Searched<'s>, Damage> {
        let counts = snapshot.newest_graph(query.space)?;
        let accept = Accept::new(snapshot, query);
        let mut searched = Searched { snapshot, space, query, accept, counts, plan: Plan::Exact };
        searched.plan = searched.planned()?;
        Ok(searched)
    }

    fn planned(&self) -> Result<Plan, Damage> {
        let count = self.counts.count;
        let few = |among: &[u32]| (among.len() as u64) < count / 8;
        Ok(match self.query.among {
            _ if self.query.exact => Plan::Exact,
            // Of a file that anybody may write, rows are copied, and a walk would copy the graph too.
            _ if self.snapshot.view().map().is_copying() => Plan::Exact,
            Some(among) if few(among) => Plan::Among,
            _ if count <= EXACT_ROWS_MAX => Plan::Exact,
            _ if !self.accept.looks_at_records() => Plan::Walk(Sweep::Plain),
            _ => {
                let taken = self.sample_taken()?;
                if taken * count / SAMPLE_ROWS < SCAN_BELOW_EF * self.ef() as u64 {
                    Plan::Scan
                } else if taken * 2 >= SAMPLE_ROWS {
                    Plan::Walk(Sweep::Plain)
                } else {
                    Plan::Walk(Sweep::TwoHop)
                }
            }
        })
    }

    /// Of [`SAMPLE_ROWS`] rows, how many count.
    fn sample_taken(&self) -> Result<u64, Damage> {
        let graph = self.graph()?;
        let mut taken = 0;
        for n in 0..SAMPLE_ROWS {
            let row = (n * self.counts.count / SAMPLE_ROWS) as u32; // more rows than samples
            let superseded_at = graph.node(row).map_or(0, |node| node.superseded_at());
            taken += u64::from(self.accept.takes(row, superseded_at)?);
        }
        Ok(taken)
    }

    fn graph(&self) -> Result<Graph<'s>, Damage> {
        Graph::capture(self.snapshot.view(), self.query.space, self.counts.count)
    }

    fn ef(&self) -> usize {
        self.query.ef.unwrap_or(self.space.graph.ef_search.into())
    }

    fn search(&self, vector: &[f32], hits: &mut Vec<Hit>) -> Result<(), ReadError> {
        check_vector(vector, self.query.space, self.space)?;
        if self.query.k == 0 || self.accept.is_nothing() {
            return Ok(());
        }
        let found = match self.plan {
            Plan::Exact => self.exact(vector, hits),
            _ => self.in_graph(vector, hits),
        };
        found.map_err(|damage| self.snapshot.damaged(damage))
    }

    fn in_graph(&self, vector: &[f32], hits: &mut Vec<Hit>) -> Result<(), Damage> {
        let (graph, query) = (self.graph()?, self.query);
        // One more, where one is left out.
        let k = query.k.saturating_add(usize::from(query.exclude.is_some()));
        let request = Request {
            vector,
            k: k.min(self.counts.count as usize),
            ef: self.ef(),
            min_score: query.min_score.unwrap_or(f32::NEG_INFINITY),
            sweep: match self.plan {
                Plan::Walk(sweep) => sweep,
                _ => Sweep::Plain,
            },
        };
        let accept = |row, superseded_at| self.accept.takes(row, superseded_at);
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let found = match self.plan {
            Plan::Among => {
                let rows = self.rows_among()?;
                sutra_vectors::nearest_of(&graph, rows.into_iter(), &request, &mut scratch, accept)?
            }
            Plan::Scan => {
                let all = 0..self.counts.count as u32;
                sutra_vectors::nearest_of(&graph, all, &request, &mut scratch, accept)?
            }
            _ => sutra_vectors::nearest(&graph, &self.counts, &request, &mut scratch, accept)?,
        };
        for hit in found {
            let ordinal = self.owner_of(hit.row)?;
            if query.exclude != Some(ordinal) && hits.len() < query.k {
                hits.push(Hit { ordinal, score: hit.score });
            }
        }
        SCRATCH.set(Some(scratch));
        hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.ordinal.cmp(&b.ordinal)));
        Ok(())
    }

    /// The rows of the concepts that are asked for.
    fn rows_among(&self) -> Result<Vec<u32>, Damage> {
        let (snapshot, mut rows) = (self.snapshot, Vec::new());
        for &ordinal in self.query.among.unwrap_or_default() {
            if u64::from(ordinal) >= snapshot.slot().concepts {
                continue;
            }
            let Some(record) = snapshot.present_record(ordinal)? else { continue };
            rows.extend(snapshot.view().row_of(record, self.query.space, snapshot.slot())?);
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    fn owner_of(&self, row: u32) -> Result<u32, Damage> {
        let (view, slot) = (self.snapshot.view(), self.snapshot.slot());
        Ok(view.vector_column(self.query.space, row.into(), slot)?.owner)
    }
}

/// Whether a vector can be compared with those of a space.
fn check_vector(vector: &[f32], number: usize, space: &Space) -> Result<(), ReadError> {
    if vector.len() != space.dimension {
        return Err(ReadError::WrongDimension {
            space: number,
            found: vector.len(),
            expected: space.dimension,
        });
    }
    if let Some(at) = vector.iter().position(|element| !element.is_finite()) {
        let found = vector[at];
        return Err(ReadError::NotFinite { at, found });
    }
    if space.metric == Metric::Cosine && inverse_norm_of(vector) == 0.0 {
        return Err(ReadError::ZeroVector);
    }
    Ok(())
}
