//! How a command ends: one of six exit codes, and a message that says what to do.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, as the help of every command gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for was done.
    Done = 0,
    /// The id, path or type is not there, or damage was found.
    NotFound = 1,
    /// The arguments, or a file they name, cannot be used. The argument parser exits with it too.
    Usage = 2,
    /// The store cannot be opened, or its coordinator not be reached.
    Store = 3,
    /// An import is done, and some of its lines were rejected.
    Rejects = 4,
    /// A condition of the write did not hold, so that nothing was written.
    Conflict = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what was asked for: the exit code and the message for standard error.
#[derive(Debug)]
pub struct Failure {
    /// What to exit with; never [`Exit::Done`].
    pub exit: Exit,
    /// What was found, what was expected, what to do.
    pub error: anyhow::Error,
}

/// What every command returns.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// Something that was asked for by name is not there.
    pub fn not_found(message: impl fmt::Display) -> Failure {
        Failure { exit: Exit::NotFound, error: anyhow::anyhow!("{message}") }
    }

    /// An argument, or a file that an argument names, cannot be used.
    pub fn usage(message: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Usage, error: anyhow::anyhow!("{message}") }
    }

    /// The store, or the way to it, failed.
    pub fn store(message: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Store, error: anyhow::anyhow!("{message}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}
