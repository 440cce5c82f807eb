//! What a damaged byte looks like to whoever reads it.

use std::fmt;

/// A byte of the file that does not say what it must.
///
/// One pointer wide, so that a `Result` of a look-up stays in two registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage(Box<DamageDetail>);

/// The parts of a [`Damage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamageDetail {
    /// Byte of `storage.dat`; 0 where it is known only by what it belongs to.
    pub offset: u64,
    /// The field, in the words of `docs/FORMAT.md`.
    pub what: &'static str,
    /// What stands there.
    pub found: u64,
    /// What should.
    pub expected: String,
}

impl Damage {
    /// `what` at byte `offset` is `found`, and should be `expected`.
    #[cold]
    #[inline(never)]
    pub fn new(offset: u64, what: &'static str, found: u64, expected: impl fmt::Display) -> Damage {
        Damage(Box::new(DamageDetail { offset, what, found, expected: expected.to_string() }))
    }

    /// The parts, for a caller that shows them in its own way.
    pub fn detail(&self) -> &DamageDetail {
        &self.0
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DamageDetail { offset, what, found, expected } = &*self.0;
        f.write_str("damaged")?;
        // Some damage is known only by what it belongs to; byte 0, the magic, has errors of its own.
        if *offset != 0 {
            write!(f, " at byte {offset}")?;
        }
        write!(
            f,
            ": {what} is {found}, expected {expected}; \
             stop the coordinator and run `sutra verify` to list the damage"
        )
    }
}

impl std::error::Error for Damage {}
