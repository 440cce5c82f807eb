//! The board that suites write their figures on: for each figure and contender one value a round.

use serde::Serialize;

/// The name of this project's own column.
pub const OURS: &str = "sutra";

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// More is better.
    PerSecond,
    /// Less is better.
    Nanoseconds,
    /// Less is better.
    Bytes,
    /// One figure over another; more is better.
    Share,
    /// One figure over another; less is better.
    Times,
}

/// One figure: what was measured, by everyone that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The suite that it belongs to.
    pub suite: &'static str,
    /// What was measured.
    pub name: String,
    /// In what.
    pub unit: Unit,
    /// The rounds of each contender, in the order in which they were first seen.
    pub rounds: Vec<(String, Vec<f64>)>,
}

/// All figures of a run, in the order in which they were first seen.
#[derive(Clone, Debug, Default)]
pub struct Board {
    figures: Vec<Figure>,
    left_out: Vec<(&'static str, &'static str, &'static str)>,
}

impl Board {
    /// Adds one round's value of a figure.
    pub fn add(
        &mut self,
        suite: &'static str,
        name: &str,
        unit: Unit,
        contender: &str,
        value: f64,
    ) {
        let known =
            self.figures.iter().position(|figure| figure.suite == suite && figure.name == name);
        let place = known.unwrap_or_else(|| {
            self.figures.push(Figure { suite, name: name.to_owned(), unit, rounds: Vec::new() });
            self.figures.len() - 1
        });
        self.figures[place].add(contender, value);
    }

    /// Says that a contender was not measured in a suite, and why.
    pub fn leave_out(&mut self, suite: &'static str, contender: &'static str, why: &'static str) {
        let note = (suite, contender, why);
        if !self.left_out.contains(&note) {
            self.left_out.push(note);
        }
    }

    /// Suite, contender and reason of all that were left out.
    pub fn left_out(&self) -> &[(&'static str, &'static str, &'static str)] {
        &self.left_out
    }

    /// The figures.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }
}

impl Figure {
    fn add(&mut self, contender: &str, value: f64) {
        match self.rounds.iter_mut().find(|(name, _)| name == contender) {
            Some((_, values)) => values.push(value),
            None => self.rounds.push((contender.to_owned(), vec![value])),
        }
    }

    /// The median of a contender's rounds; `None` if it was not measured.
    pub fn median(&self, contender: &str) -> Option<f64> {
        let (_, values) = self.rounds.iter().find(|(name, _)| name == contender)?;
        median(values)
    }

    /// The median over rounds of ours / theirs: each round compares neighbours in time. Without as
    /// many rounds of both it is the ratio of the medians. `None` where theirs is nothing.
    pub fn ratio(&self, peer: &str) -> Option<f64> {
        let of = |name: &str| self.rounds.iter().find(|(contender, _)| contender == name);
        let ((_, ours), (_, theirs)) = (of(OURS)?, of(peer)?);
        if ours.len() != theirs.len() {
            return Some(median(ours)? / median(theirs)?).filter(|ratio| ratio.is_finite());
        }
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        median(&ratios).filter(|ratio| ratio.is_finite())
    }

    /// Everyone measured but ourselves.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        let names = self.rounds.iter().map(|(name, _)| name.as_str());
        names.filter(|name| *name != OURS)
    }
}

/// The median; of an even number, the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let mut board = Board::default();
        // The machine is ten times slower in the second round, for both.
        for (ours, theirs) in [(300.0, 100.0), (30.0, 10.0), (310.0, 100.0)] {
            board.add("reads", "get", Unit::PerSecond, OURS, ours);
            board.add("reads", "get", Unit::PerSecond, "lmdb", theirs);
        }
        let figure = &board.figures()[0];
        assert_eq!(figure.median(OURS), Some(300.0));
        assert_eq!(figure.ratio("lmdb"), Some(3.0));
        assert_eq!(figure.peers().collect::<Vec<_>>(), ["lmdb"]);
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
