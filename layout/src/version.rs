//! Which version of a concept or an association a snapshot sees.

use crate::error::Damage;

/// Steps that a walk over versions may take before it is taken for damage.
pub const WALK_BUDGET: u64 = 1 << 24;

/// The newest version at or before `ordinal` that lies below `count`; `None` if all lie above.
///
/// An index or column word may name a version that is not published yet. Of such a one only
/// `previous` is loaded (1 + an ordinal, 0 for none), atomically, and it must be smaller.
#[inline]
pub fn newest_below(
    ordinal: u64,
    count: u64,
    previous_of: impl Fn(u64) -> Result<u64, Damage>,
) -> Result<Option<u64>, Damage> {
    let mut at = ordinal;
    for _ in 0..WALK_BUDGET {
        if at < count {
            return Ok(Some(at));
        }
        match previous_of(at)? {
            0 => return Ok(None),
            previous if previous <= at => at = previous - 1,
            previous => {
                return Err(Damage::new(
                    0,
                    "the previous version",
                    previous,
                    format!("at most {at}"),
                ));
            }
        }
    }
    Err(Damage::new(0, "the number of versions above the watermark", WALK_BUDGET, "fewer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_version_stays_visible_while_newer_ones_are_written() {
        let previous = |at: u64| Ok([0, 0, 1, 3, 4][at as usize]);
        assert_eq!(newest_below(4, 5, previous).unwrap(), Some(4));
        assert_eq!(newest_below(4, 4, previous).unwrap(), Some(3));
        assert_eq!(newest_below(4, 2, previous).unwrap(), Some(0));
        assert_eq!(newest_below(1, 1, previous).unwrap(), None);
    }

    #[test]
    fn a_chain_that_does_not_go_back_is_damage() {
        assert!(newest_below(9, 1, |at| Ok(at + 1)).is_err());
        assert!(newest_below(9, 1, |at| Ok(at + 2)).is_err());
    }
}
