//! Breadth-first search over what a store's users see, for stores that have none of their own.

use super::View;

/// Marks and frontiers, kept between searches.
#[derive(Debug)]
pub struct Scratch {
    sides: [Side; 2],
}

#[derive(Debug)]
struct Side {
    /// The search in which a concept was met last.
    met_in: Vec<u32>,
    search: u32,
    frontier: Vec<u32>,
    next: Vec<u32>,
}

impl Scratch {
    /// For a store of so many concepts.
    pub fn new(concepts: u32) -> Scratch {
        let side = || Side {
            met_in: vec![0; concepts as usize],
            search: 0,
            frontier: Vec::new(),
            next: Vec::new(),
        };
        Scratch { sides: [side(), side()] }
    }
}

impl Side {
    fn start(&mut self, at: u32) {
        self.search += 1;
        self.frontier.clear();
        self.frontier.push(at);
        self.met_in[at as usize] = self.search;
    }

    fn has_met(&self, at: u32) -> bool {
        self.met_in[at as usize] == self.search
    }

    /// Goes one level on; whether something was met that `is_goal`.
    fn advance(&mut self, view: &impl View, is_out: bool, is_goal: impl Fn(u32) -> bool) -> bool {
        let mut is_met = false;
        let (met_in, search, next) = (&mut self.met_in, self.search, &mut self.next);
        next.clear();
        for &from in &self.frontier {
            view.visit(from, is_out, |at| {
                if met_in[at as usize] != search {
                    met_in[at as usize] = search;
                    is_met |= is_goal(at);
                    next.push(at);
                }
            });
            if is_met {
                break;
            }
        }
        std::mem::swap(&mut self.frontier, &mut self.next);
        is_met
    }
}

/// The length of a shortest path of at most `depth` edges, searched forward alone.
pub fn forward(
    view: &impl View,
    (from, to): (u32, u32),
    depth: u64,
    scratch: &mut Scratch,
) -> Option<u64> {
    if from == to {
        return Some(0);
    }
    let [side, _] = &mut scratch.sides;
    side.start(from);
    (1..=depth).find(|_| side.advance(view, true, |at| at == to))
}

/// The same, each level from the end that has fewer concepts to go on from.
pub fn both(
    view: &impl View,
    (from, to): (u32, u32),
    depth: u64,
    scratch: &mut Scratch,
) -> Option<u64> {
    if from == to {
        return Some(0);
    }
    let [fore, back] = &mut scratch.sides;
    fore.start(from);
    back.start(to);
    (1..=depth).find(|_| {
        if fore.frontier.len() <= back.frontier.len() {
            fore.advance(view, true, |at| back.has_met(at))
        } else {
            back.advance(view, false, |at| fore.has_met(at))
        }
    })
}
