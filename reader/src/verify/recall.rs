//! How much of what is nearest a search finds: a sample of it, held against every row.

use crate::error::ReadError;
use crate::nearest::NearestQuery;
use crate::snapshot::Snapshot;

/// Neighbours that are looked for.
const K: usize = 10;
/// Scores that differ by less are the same: a search adds in another order.
const SCORE_ERROR: f32 = 1e-5;

/// What a sample of searches found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recall {
    /// Concepts whose vectors were looked for.
    pub samples: u64,
    /// Of the ten nearest to each, the share that was found.
    pub recall: f64,
    /// The share of them that found themselves, or what is as near.
    pub found_themselves: f64,
}

impl Snapshot {
    /// Looks for the nearest to up to `samples` concepts of a space, evenly spread, as the space says
    /// that searches are done, and holds them against every row. `None`: there is no vector.
    pub fn sample_recall(&self, space: usize, samples: u64) -> Result<Option<Recall>, ReadError> {
        let concepts = self.slot().concepts;
        let step = (concepts / samples.max(1)).max(1) as usize;
        let query =
            NearestQuery { k: K, space, namespaces: crate::Namespaces::All, ..Default::default() };
        let exact = NearestQuery { exact: true, ..query };
        let (mut count, mut expected_count, mut found_count, mut selves) = (0, 0, 0, 0);
        for ordinal in (0..concepts as u32).step_by(step) {
            let Some(concept) = self.concept(ordinal)? else { continue };
            let Some(vector) = concept.embedding_in(space)? else { continue };
            let expected = self.nearest(vector, &exact)?;
            let found = self.nearest(vector, &query)?;
            let Some(worst) = expected.last() else { continue };
            let is_near = |hit: &&crate::Hit| hit.score >= worst.score - SCORE_ERROR;
            count += 1;
            expected_count += expected.len();
            found_count += found.iter().filter(is_near).count();
            let best = found.first().map_or(f32::NEG_INFINITY, |hit| hit.score);
            selves += u64::from(best >= expected[0].score - SCORE_ERROR);
        }
        Ok((count > 0).then(|| Recall {
            samples: count,
            recall: found_count as f64 / expected_count as f64,
            found_themselves: selves as f64 / count as f64,
        }))
    }
}
