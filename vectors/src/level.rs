//! How high a node reaches: a pure function of its row, so that nobody must store or believe it.

/// No node reaches higher.
pub const LEVEL_MAX: u32 = 31;

/// The highest level of a row's node: each level has one in `m` of the nodes of the one below.
#[inline]
pub fn level_of(row: u32, m: usize) -> u32 {
    let m = m.max(2) as u64;
    let mut bound = u64::MAX / m;
    let hash = mixed(row.into());
    let mut level = 0;
    while hash < bound && level < LEVEL_MAX {
        level += 1;
        bound /= m;
    }
    level
}

/// The finalizer of SplitMix64: neighbouring numbers give unrelated ones.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_has_about_one_in_m_of_the_nodes_below() {
        for m in [2, 5, 16, 48] {
            let mut counts = [0u32; LEVEL_MAX as usize + 1];
            for row in 0..200_000 {
                for count in &mut counts[..=level_of(row, m) as usize] {
                    *count += 1;
                }
            }
            for pair in counts.windows(2).take_while(|pair| pair[1] > 500) {
                let share = f64::from(pair[0]) / f64::from(pair[1]) / m as f64;
                assert!((0.85..1.15).contains(&share), "M {m}: {counts:?}");
            }
        }
    }
}
