//! A bit for each ordinal.

/// So many bits, all clear at first.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// `count` clear bits.
    pub(super) fn new(count: u64) -> Bits {
        Bits { words: vec![0; count.div_ceil(64) as usize] }
    }

    /// Whether bit `at` is set; one beyond the end is not.
    pub(super) fn get(&self, at: u64) -> bool {
        self.words.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Sets bit `at`, and says whether it was set before. One beyond the end stays clear.
    pub(super) fn set(&mut self, at: u64) -> bool {
        let Some(word) = self.words.get_mut((at / 64) as usize) else { return false };
        let bit = 1 << (at % 64);
        let was = *word & bit != 0;
        *word |= bit;
        was
    }

    /// How many are set.
    pub(super) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_once_and_none_lies_beyond_the_end() {
        let mut bits = Bits::new(65);
        assert!(!bits.set(64) && bits.set(64) && bits.get(64) && !bits.get(63));
        assert!(!bits.set(1000) && !bits.get(1000));
        assert_eq!(bits.count(), 1);
    }
}
