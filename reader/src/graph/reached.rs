//! Which concepts a traversal has reached: a table as large as what it reached, not as the store.

/// Slots that a traversal begins with; two kilobytes.
const SLOTS_LOG2_MIN: u32 = 8;
/// Slots kept allocated for the next traversal of a thread: a megabyte.
const SLOTS_KEPT: usize = 1 << 17;

/// From a concept's ordinal to a number below `u32::MAX`, by open addressing, at most half full.
///
/// A slot holds the ordinal in its upper half and 1 + the number in its lower; 0 is empty.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// Only the first `1 << slots_log2` are in use; they are cleared when it starts.
    slots: Vec<u64>,
    spare: Vec<u64>,
    slots_log2: u32,
    count: usize,
}

impl Reached {
    /// Makes it empty: in as many steps as a small one has slots, whatever it held before.
    pub(crate) fn start(&mut self) {
        self.count = 0;
        self.make(SLOTS_LOG2_MIN);
    }

    fn make(&mut self, slots_log2: u32) {
        self.slots_log2 = slots_log2;
        self.slots.clear();
        self.slots.resize(1 << slots_log2, 0);
    }

    /// Gives back what a large traversal took.
    pub(crate) fn release(&mut self) {
        for slots in [&mut self.slots, &mut self.spare] {
            slots.clear();
            slots.shrink_to(SLOTS_KEPT);
        }
    }

    #[inline(always)]
    fn first_slot(&self, ordinal: u32) -> usize {
        (ordinal.wrapping_mul(0x9e37_79b9) >> (32 - self.slots_log2)) as usize
    }

    /// The slot that holds the ordinal, or the empty one where it belongs.
    #[inline(always)]
    fn find(&self, ordinal: u32) -> (usize, u64) {
        let mask = self.slots.len() - 1;
        let mut at = self.first_slot(ordinal);
        loop {
            let slot = self.slots[at & mask];
            if slot == 0 || (slot >> 32) as u32 == ordinal {
                return (at & mask, slot);
            }
            at += 1;
        }
    }

    /// The number of a concept, if it was reached.
    #[inline(always)]
    pub(crate) fn get(&self, ordinal: u32) -> Option<u32> {
        (self.find(ordinal).1 as u32).checked_sub(1)
    }

    /// Gives a concept that number, unless it has one already; that one, then.
    #[inline(always)]
    pub(crate) fn insert(&mut self, ordinal: u32, number: u32) -> Option<u32> {
        let (at, slot) = self.find(ordinal);
        if slot != 0 {
            return (slot as u32).checked_sub(1);
        }
        self.slots[at] = u64::from(ordinal) << 32 | (u64::from(number) + 1);
        self.count += 1;
        if self.count * 2 > self.slots.len() {
            self.grow();
        }
        None
    }

    #[cold]
    fn grow(&mut self) {
        std::mem::swap(&mut self.slots, &mut self.spare);
        self.make(self.slots_log2 + 1);
        for at in 0..self.spare.len() {
            let slot = self.spare[at];
            if slot != 0 {
                let (to, _) = self.find((slot >> 32) as u32);
                self.slots[to] = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_found_until_the_next_start() {
        let mut reached = Reached::default();
        for round in 0..3 {
            reached.start();
            for number in 0..5000 {
                assert_eq!(reached.insert(number * 7919 + round, number), None);
                assert_eq!(reached.insert(number * 7919 + round, 1), Some(number));
            }
            for number in 0..5000 {
                assert_eq!(reached.get(number * 7919 + round), Some(number));
            }
            assert_eq!(reached.get(7919 * 5001 + round), None);
            reached.release();
        }
    }

    #[test]
    fn it_is_as_large_as_what_it_holds() {
        let mut reached = Reached::default();
        reached.start();
        for ordinal in 0..100_000 {
            reached.insert(ordinal, ordinal);
        }
        assert_eq!(reached.slots.len(), 1 << 18);
        reached.release();
        assert!(reached.slots.capacity() <= SLOTS_KEPT);
        reached.start();
        assert_eq!(reached.slots.len(), 1 << SLOTS_LOG2_MIN);
    }
}
