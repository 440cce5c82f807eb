//! Writing from the command line: conditions, how long to wait, and what a refusal exits with.

use clap::ValueEnum;
use sutra_client::{Batch, BatchError, Level, OperationError};

use crate::exit::Failure;
use crate::store::Writer;

/// How a single write ends.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct WriteArgs {
    /// What to wait for
    #[arg(long, value_enum, default_value = "visible")]
    level: Until,
}

/// What must hold for a write to be done.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct IfLsnArgs {
    /// Only if it was last written by this log entry, as `get` or `tail` gives it; else exit code 5
    #[arg(long, value_name = "LSN")]
    pub if_lsn: Option<u64>,
}

/// What must hold for something to be made.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ConditionArgs {
    #[command(flatten)]
    pub lsn: IfLsnArgs,
    /// Only if it is not there yet; else exit code 5
    #[arg(long, conflicts_with = "if_lsn")]
    pub if_absent: bool,
}

/// An acknowledgement level, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Until {
    /// In the log: survives a kill of the coordinator
    Accepted,
    /// Synced: survives a power cut
    Durable,
    /// Synced, and seen by every reader
    Visible,
}

impl From<Until> for Level {
    fn from(until: Until) -> Level {
        match until {
            Until::Accepted => Level::Accepted,
            Until::Durable => Level::Durable,
            Until::Visible => Level::Visible,
        }
    }
}

/// A batch of one operation in a namespace.
pub fn batch(
    namespace: &str,
    add: impl FnOnce(&mut Batch) -> Result<(), BatchError>,
) -> Result<Batch, Failure> {
    let mut batch = Batch::new();
    batch.namespace(namespace);
    add(&mut batch).map_err(Failure::usage)?;
    Ok(batch)
}

/// Writes a batch of one operation, and gives its LSN or the reason it was refused.
pub fn write(client: &mut Writer, batch: &Batch, args: WriteArgs) -> Result<u64, Failure> {
    let (lsn, errors) = write_many(client, batch, args)?;
    match errors.into_iter().next() {
        Some(error) => Err(error.into()),
        None => Ok(lsn),
    }
}

/// Writes a batch, and gives its LSN and the operations that were refused.
pub fn write_many(
    client: &mut Writer,
    batch: &Batch,
    args: WriteArgs,
) -> Result<(u64, Vec<OperationError>), Failure> {
    let receipt = client.write(batch, args.level.into())?;
    Ok((receipt.last_lsn, receipt.errors))
}
