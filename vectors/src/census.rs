//! Which rows can be reached on level 0, and what a graph looks like.

use std::sync::atomic::{Ordering, fence};

use crate::graph::{Graph, Node};

/// The rows that links on level 0 lead to, from the entry on.
#[derive(Debug)]
pub struct Reached {
    words: Vec<u64>,
    count: u64,
    waiting: Vec<u32>,
}

impl Reached {
    /// Follows all links among the first `count` rows from `entry` on.
    pub fn from(graph: &Graph<'_>, entry: u32, count: u64) -> Reached {
        let count = count.min(graph.end());
        let words = vec![0; count.div_ceil(64) as usize];
        let mut reached = Reached { words, count, waiting: Vec::new() };
        reached.extend(graph, entry);
        reached
    }

    /// Follows all links from one more row on.
    pub fn extend(&mut self, graph: &Graph<'_>, row: u32) {
        self.add(row);
        while let Some(row) = self.waiting.pop() {
            for link in graph.node(row).map(Node::links).unwrap_or_default() {
                if let Some(row) = link.load(Ordering::Relaxed).checked_sub(1) {
                    self.add(row);
                }
            }
            fence(Ordering::Acquire);
        }
    }

    fn add(&mut self, row: u32) {
        if u64::from(row) < self.count && !self.contains(row) {
            self.words[row as usize / 64] |= 1 << (row % 64);
            self.waiting.push(row);
        }
    }

    /// Whether a row was reached.
    pub fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word & 1 << (row % 64) != 0)
    }

    /// The rows that were not.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.count as u32).filter(|row| !self.contains(*row))
    }
}
