//! Curves of recall against speed: ours, and those of the peers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::SUITE;
use crate::board::{Board, Unit};
use crate::nearest::Searched;

/// Recalls that contenders are compared at.
const RECALLS: [f64; 3] = [0.90, 0.95, 0.99];
/// Measures the peers.
const SCRIPT: &str = include_str!("../../../peers/vectors.py");

/// A contender's curve.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct System {
    pub(super) system: String,
    pub(super) inserts_per_cpu_second: Option<f64>,
    pub(super) curve: Vec<Point>,
}

/// One point of it.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Point {
    pub(super) recall: f64,
    pub(super) per_second: f64,
}

impl From<&Searched> for Point {
    fn from(found: &Searched) -> Point {
        Point { recall: found.recall, per_second: found.per_second }
    }
}

/// What the peers' script wrote.
#[derive(Debug, Deserialize)]
struct Peers {
    systems: Vec<System>,
}

/// Adds what a contender's curve says at the recalls that all are compared at, where it reaches
/// them, and how fast it grew.
pub(super) fn add(board: &mut Board, system: &System) {
    for recall in RECALLS {
        if let Some(value) = at_recall(&system.curve, recall) {
            let name = format!("nearest at recall {recall:.2}");
            board.add(SUITE, &name, Unit::PerSecond, &system.system, value);
        }
    }
    if let Some(inserts) = system.inserts_per_cpu_second {
        board.add(SUITE, "inserts a CPU-second", Unit::PerSecond, &system.system, inserts);
    }
}

/// Queries a second at a recall, between the two points around it.
fn at_recall(curve: &[Point], recall: f64) -> Option<f64> {
    let above = curve.iter().position(|point| point.recall >= recall)?;
    let high = curve[above];
    let Some(low) = above.checked_sub(1).map(|below| curve[below]) else {
        return Some(high.per_second);
    };
    let part = (recall - low.recall) / (high.recall - low.recall);
    Some(low.per_second + part * (high.per_second - low.per_second))
}

/// Runs the peers' script over the vectors in a folder, and returns the file that it wrote.
pub(super) fn run_peers(python: &Path, data: &Path, out: PathBuf) -> anyhow::Result<PathBuf> {
    let mut child = Command::new(python)
        .args(["-", "--data"])
        .arg(data)
        .arg("--out")
        .arg(&out)
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} could not be started", python.display()))?;
    let mut input = child.stdin.take().context("the script without a pipe")?;
    input.write_all(SCRIPT.as_bytes())?;
    drop(input);
    let status = child.wait()?;
    if !status.success() {
        bail!(
            "the peers' script ended with {status}; it needs: {} -m pip install numpy hnswlib \
             usearch faiss-cpu",
            python.display()
        );
    }
    Ok(out)
}

/// The peers' curves, from the file that their script wrote.
pub(super) fn peers(path: &Path) -> anyhow::Result<Vec<System>> {
    let text = std::fs::read(path).with_context(|| {
        format!("{} is not there; benches/peers/vectors.py writes it", path.display())
    })?;
    let peers: Peers = serde_json::from_slice(&text)?;
    Ok(peers.systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_read_between_its_points() {
        let curve = [(0.8, 300.0), (0.9, 200.0), (1.0, 100.0)]
            .map(|(recall, per_second)| Point { recall, per_second });
        assert_eq!(at_recall(&curve, 0.7), Some(300.0));
        assert!((at_recall(&curve, 0.95).unwrap() - 150.0).abs() < 1e-9);
        assert_eq!(at_recall(&curve[..2], 0.95), None);
    }
}
