//! Which version of a concept or an association a snapshot sees.

use crate::error::Damage;

/// Steps that one look-up may take over versions before that is taken for damage.
pub const WALK_BUDGET: u64 = 1 << 22;

/// The newest version at or before `ordinal` that lies below `count`; `None` if all lie above.
///
/// An index or column word may name a version that is not published yet. `older_of` gives 1 + an
/// older version of one that lies at or above `count` (0 for none); it must be smaller. `steps_left`
/// is what is left of the look-up's budget.
#[inline]
pub fn newest_below(
    ordinal: u64,
    count: u64,
    steps_left: &mut u64,
    mut older_of: impl FnMut(u64) -> Result<u64, Damage>,
) -> Result<Option<u64>, Damage> {
    let mut at = ordinal;
    while at >= count {
        *steps_left = steps_left.checked_sub(1).ok_or_else(out_of_budget)?;
        match older_of(at)? {
            0 => return Ok(None),
            older if older <= at => at = older - 1,
            older => {
                let expected = format!("at most {at}");
                return Err(Damage::new(0, "an older version", older, expected));
            }
        }
    }
    Ok(Some(at))
}

#[cold]
fn out_of_budget() -> Damage {
    Damage::new(0, "the number of versions above the watermark", WALK_BUDGET, "fewer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_version_stays_visible_while_newer_ones_are_written() {
        let previous = |at: u64| Ok([0, 0, 1, 3, 4][at as usize]);
        let below = |at, count| newest_below(at, count, &mut 8, previous);
        assert_eq!(below(4, 5).unwrap(), Some(4));
        assert_eq!(below(4, 4).unwrap(), Some(3));
        assert_eq!(below(4, 2).unwrap(), Some(0));
        assert_eq!(below(1, 1).unwrap(), None);
    }

    #[test]
    fn a_chain_that_does_not_go_back_is_damage() {
        assert!(newest_below(9, 1, &mut 8, |at| Ok(at + 1)).is_err());
        assert!(newest_below(9, 1, &mut 8, |at| Ok(at + 2)).is_err());
    }
}
