//! The best candidates of a search, in order of their distance, in one short sorted array.
//!
//! Of at most a few hundred candidates, moving those behind a new one is cheaper than keeping two
//! heaps. A candidate is one number, so that order is one comparison: distance, row, and two marks.
//! Candidates that no search may return (they are bridges) stand among the others and do not count.

/// A candidate: from the highest bit on the distance, less its two lowest bits; the row; whether it
/// is a bridge; whether its links were followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u64);

const FOLLOWED: u64 = 1;
const BRIDGE: u64 = 2;

impl Candidate {
    #[inline(always)]
    pub(crate) fn new(distance: f32, row: u32) -> Candidate {
        // Numbers of one sign are in order as bits, negative ones in the opposite one.
        let bits = distance.to_bits();
        let ordered = bits ^ ((bits as i32 >> 31) as u32 | 1 << 31);
        Candidate(u64::from(ordered >> 2) << 34 | u64::from(row) << 2)
    }

    #[inline(always)]
    pub(crate) fn row(self) -> u32 {
        (self.0 >> 2) as u32
    }

    #[inline(always)]
    pub(crate) fn distance(self) -> f32 {
        let ordered = ((self.0 >> 34) as u32) << 2;
        f32::from_bits(ordered ^ ((!ordered as i32 >> 31) as u32 | 1 << 31))
    }

    #[inline(always)]
    pub(crate) fn is_bridge(self) -> bool {
        self.0 & BRIDGE != 0
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// The candidates, up to `count`.
    candidates: Vec<Candidate>,
    count: usize,
    /// Candidates that are no bridges.
    counted: usize,
    /// How many of those are kept.
    capacity: usize,
    /// Links of all candidates before it were followed.
    next: usize,
    /// Only what is less may enter.
    bound: u64,
}

/// Bridges kept beside the candidates that count, for each of them: a search among rows that hardly
/// ever count ends all the same.
const BRIDGES_PER_CANDIDATE: usize = 8;

impl Pool {
    /// Empties it, and keeps so many candidates from now on.
    pub(crate) fn reset(&mut self, capacity: usize) {
        self.count = 0;
        self.counted = 0;
        self.capacity = capacity.max(1);
        self.next = 0;
        self.bound = u64::MAX;
        if self.candidates.len() < self.capacity + 1 {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let room = (self.count + 1).max(self.capacity + 1).max(128).next_power_of_two();
        self.candidates.resize(room, Candidate(0));
    }

    /// Whether a candidate is good enough.
    #[inline(always)]
    pub(crate) fn takes(&self, candidate: Candidate) -> bool {
        candidate.0 < self.bound
    }

    /// Takes a candidate that is good enough, and says whether its links are followed next, as far
    /// as is known.
    #[inline(always)]
    pub(crate) fn insert(&mut self, candidate: Candidate, is_bridge: bool) -> bool {
        if self.count == self.candidates.len() {
            self.grow();
        }
        let mark = if is_bridge { BRIDGE } else { 0 };
        let candidate = Candidate(candidate.0 & !(BRIDGE | FOLLOWED) | mark);
        // Counting all is done by vectors, and faster than searching.
        let kept = &self.candidates[..self.count];
        let at = kept.iter().map(|other| usize::from(other.0 < candidate.0)).sum::<usize>();
        self.candidates.copy_within(at..self.count, at + 1);
        self.candidates[at] = candidate;
        self.count += 1;
        self.counted += usize::from(!is_bridge);
        let is_next = at <= self.next;
        self.next = self.next.min(at);
        if self.counted >= self.capacity
            || self.count - self.counted > BRIDGES_PER_CANDIDATE * self.capacity
        {
            self.trim();
        }
        is_next
    }

    #[inline(always)]
    fn trim(&mut self) {
        let is_full = |pool: &Pool| {
            pool.counted > pool.capacity
                || pool.count - pool.counted > BRIDGES_PER_CANDIDATE * pool.capacity
        };
        while is_full(self) {
            self.drop_last();
        }
        // Bridges behind the last one that counts lead nowhere better.
        while self.counted == self.capacity && self.candidates[self.count - 1].is_bridge() {
            self.drop_last();
        }
        self.bound = self.candidates[self.count - 1].0;
    }

    #[inline(always)]
    fn drop_last(&mut self) {
        self.count -= 1;
        self.counted -= usize::from(!self.candidates[self.count].is_bridge());
    }

    /// The nearest candidate whose links were not followed yet; they count as followed from now on.
    #[inline(always)]
    pub(crate) fn follow_next(&mut self) -> Option<Candidate> {
        let candidate = self.peek_next()?;
        self.candidates[self.next].0 |= FOLLOWED;
        self.next += 1;
        Some(candidate)
    }

    /// The candidate that [`Pool::follow_next`] gives next, unless a nearer one comes.
    #[inline(always)]
    pub(crate) fn peek_next(&mut self) -> Option<Candidate> {
        while self.next < self.count {
            let candidate = self.candidates[self.next];
            if candidate.0 & FOLLOWED == 0 {
                return Some(candidate);
            }
            self.next += 1;
        }
        None
    }

    /// The candidates that count, nearest first.
    #[inline(always)]
    pub(crate) fn counted(&self) -> impl Iterator<Item = Candidate> + '_ {
        self.all().filter(|candidate| !candidate.is_bridge())
    }

    /// All candidates, nearest first.
    #[inline(always)]
    pub(crate) fn all(&self) -> impl Iterator<Item = Candidate> + '_ {
        self.candidates[..self.count].iter().copied()
    }

    /// Bytes that it keeps.
    pub(crate) fn memory(&self) -> usize {
        self.candidates.capacity() * size_of::<Candidate>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_in_order_of_their_distance_whatever_its_sign() {
        let distances = [f32::NEG_INFINITY, -3.5, -1e-20, 0.0, 1e-20, 0.25, 7.0, f32::INFINITY];
        for pair in distances.windows(2) {
            assert!(Candidate::new(pair[0], u32::MAX - 1) < Candidate::new(pair[1], 0));
        }
        for distance in distances.into_iter().filter(|distance| distance.is_finite()) {
            let candidate = Candidate::new(distance, 12345);
            assert_eq!(candidate.row(), 12345);
            let found = candidate.distance();
            assert!(found == distance || (found - distance).abs() <= distance.abs() * 1e-6);
        }
    }

    #[test]
    fn a_candidate_of_one_pool_is_followed_again_in_the_next() {
        let mut pool = Pool::default();
        pool.reset(4);
        pool.insert(Candidate::new(1.0, 7), false);
        let followed = pool.follow_next().unwrap();
        assert_eq!(pool.follow_next(), None);
        let of_before = pool.all().next().unwrap();
        for candidate in [followed, of_before] {
            pool.reset(4);
            pool.insert(candidate, false);
            assert_eq!(pool.follow_next().map(Candidate::row), Some(7));
        }
    }

    #[test]
    fn the_nearest_are_kept_and_bridges_take_nobodys_place() {
        let mut pool = Pool::default();
        pool.reset(2);
        for (row, distance) in [(1, 5.0), (2, 3.0), (3, 4.0), (4, 1.0), (5, 9.0), (6, 2.0)] {
            let candidate = Candidate::new(distance, row);
            if pool.takes(candidate) {
                pool.insert(candidate, matches!(row, 2 | 4));
            }
        }
        let counted: Vec<u32> = pool.counted().map(Candidate::row).collect();
        assert_eq!(counted, [6, 3]);
        let followed: Vec<u32> =
            std::iter::from_fn(|| pool.follow_next()).map(Candidate::row).collect();
        assert_eq!(followed, [4, 6, 2, 3]);
    }
}
