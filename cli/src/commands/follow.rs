//! Which associations a command follows, and how long it may take: what traversals have in common.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use sutra_reader::{Budget, Direction, Snapshot, Stopped};

use crate::args::{self, Moment};
use crate::exit::Failure;

/// Which associations to follow.
#[derive(Clone, Debug, clap::Args)]
pub struct FollowArgs {
    /// Only associations of this type, by name or number; may be given several times
    #[arg(long = "type", value_name = "T")]
    types: Vec<String>,
    /// Only associations that are at least this confident
    #[arg(long, value_name = "C", default_value_t = 0.0, hide_default_value = true)]
    min_confidence: f32,
    /// Only what was made by then and not over then: a time such as 2026-11-20T11:05:17Z, or how long
    /// ago, such as 10m
    #[arg(long, value_name = "TIME|AGO")]
    valid_at: Option<Moment>,
    /// Stop after so long, such as 200ms
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    timeout: Option<Duration>,
    /// Stop after reaching so many concepts
    #[arg(long, value_name = "N", default_value_t = Budget::CONCEPTS)]
    max_reached: u64,
}

/// The same, as a query takes it.
pub struct Follow {
    types: Vec<u16>,
    /// See [`sutra_reader::NeighborQuery::min_confidence`].
    pub min_confidence: f32,
    /// See [`sutra_reader::NeighborQuery::valid_at`].
    pub valid_at: Option<u64>,
    /// How much may be done.
    pub budget: Budget<'static>,
}

impl FollowArgs {
    /// Looks the types up. The time begins to run.
    pub fn of(&self, snapshot: &Snapshot) -> Result<Follow, Failure> {
        let types = self.types.iter().map(|name| type_number(snapshot, name));
        let valid_at = match self.valid_at {
            None => None,
            Some(Moment::Time(time_us)) => Some(time_us),
            Some(Moment::Lsn(_)) => {
                let message = "--valid-at takes a time, or how long ago; for a log sequence number \
                               there is --as-of";
                return Err(Failure::usage(message));
            }
        };
        Ok(Follow {
            types: types.collect::<Result<_, _>>()?,
            min_confidence: self.min_confidence,
            valid_at,
            budget: Budget {
                concepts: self.max_reached,
                deadline: self.timeout.map(|timeout| Instant::now() + timeout),
                cancelled: None,
            },
        })
    }
}

impl Follow {
    /// The types to keep; `None`: all.
    pub fn types(&self) -> Option<&[u16]> {
        (!self.types.is_empty()).then_some(self.types.as_slice())
    }
}

/// A direction, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Way {
    /// From the concept
    Out,
    /// To the concept
    In,
    /// Either
    Both,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Direction {
        match way {
            Way::Out => Direction::Out,
            Way::In => Direction::In,
            Way::Both => Direction::Both,
        }
    }
}

/// Why a traversal stopped early, as `--json` gives it.
pub fn stopped_name(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Concepts => "concepts",
        Stopped::Deadline => "deadline",
        Stopped::Cancelled => "cancelled",
    }
}

/// A type's name, or its number where it has none.
pub fn type_text(snapshot: &Snapshot, number: u16) -> String {
    snapshot.type_name(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// A type's number, by its name or as it is.
pub fn type_number(snapshot: &Snapshot, text: &str) -> Result<u16, Failure> {
    snapshot.type_number(text).or_else(|| text.parse().ok()).ok_or_else(|| {
        let known: Vec<&str> = snapshot.types().into_iter().map(|(_, name)| name).collect();
        Failure::not_found(format!(
            "no association of this store has the type {text:?}; it has {}",
            known.join(", ")
        ))
    })
}
