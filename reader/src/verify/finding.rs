//! One thing that is wrong, and where.

use std::fmt;

/// A place of the file that does not say what it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check that found it.
    pub check: &'static str,
    /// Byte of `storage.dat`, where one byte can be named.
    pub offset: Option<u64>,
    /// The region, in the words of `docs/FORMAT.md`.
    pub region: &'static str,
    /// The unit of the region: a record, an edge, a row, a concept, a word, 64 bytes of lists.
    pub ordinal: u64,
    /// The last unit of which the same is to be said: those of a lost extent are one finding.
    pub last_ordinal: u64,
    /// What was looked at.
    pub what: String,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { region, ordinal, what, found, expected, .. } = self;
        if let Some(offset) = self.offset {
            write!(f, "byte {offset}, ")?;
        }
        write!(f, "{region} {ordinal}")?;
        if self.last_ordinal != *ordinal {
            write!(f, " to {}", self.last_ordinal)?;
        }
        write!(f, ": {what} is {found}, expected {expected}")
    }
}
