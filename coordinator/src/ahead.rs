//! Operations of a frame, some of them decoded ahead of the one that is done.
//!
//! At a million concepts nearly every look at an index, a column or a list waits for memory, 150 to
//! 300 ns each. Asked for while the operations before are done, several are under way at once.

use sutra_client::protocol::{Fault, Operation, Operations};

/// How many operations are met ahead.
const DISTANCE: usize = 8;
/// How far ahead is asked for what the first answer leads to.
const STEP: usize = 4;

type Item<'a, T> = (Result<Operation<'a>, Fault>, T);

/// Operations in order, each with what was found out about it when it was met.
#[derive(Debug)]
pub struct Ahead<'a, T> {
    operations: Operations<'a>,
    /// By index modulo their number.
    met: [Option<Item<'a, T>>; DISTANCE],
    /// Index of the operation that is given next, and of the one that is met next.
    given: usize,
    end: usize,
}

impl<'a, T> Ahead<'a, T> {
    /// All of `operations`.
    pub fn new(operations: Operations<'a>) -> Ahead<'a, T> {
        Ahead { operations, met: [const { None }; DISTANCE], given: 0, end: 0 }
    }

    /// The next operation. `meet` gets each as soon as it is decoded, with its index.
    #[inline]
    pub fn next(
        &mut self,
        mut meet: impl FnMut(usize, Result<&Operation<'a>, &Fault>) -> T,
    ) -> Option<Item<'a, T>> {
        while self.end < self.given + DISTANCE
            && let Some(operation) = self.operations.next()
        {
            let met = meet(self.end, operation.as_ref());
            self.met[self.end % DISTANCE] = Some((operation, met));
            self.end += 1;
        }
        let item = self.met[self.given % DISTANCE].take()?;
        self.given += 1;
        Some(item)
    }

    /// What was found out about the operation some places behind the one that was given last.
    #[inline]
    pub fn some_way_on(&self) -> Option<&T> {
        self.met[(self.given + STEP - 1) % DISTANCE].as_ref().map(|(_, met)| met)
    }
}

#[cfg(test)]
mod tests {
    use sutra_client::{Batch, Learn};

    use super::*;

    #[test]
    fn every_operation_comes_once_in_order_and_is_met_before() {
        for count in [0, 1, 7, 8, 9, 40] {
            let mut batch = Batch::new();
            for number in 0..count {
                let content = number.to_string();
                batch.learn(&Learn { content: Some(&content), ..Learn::default() }).unwrap();
            }
            let mut ahead = Ahead::new(batch.operations());
            let (mut given, mut last_met) = (0, 0);
            while let Some((operation, met)) = ahead.next(|index, operation| {
                assert!(operation.is_ok());
                last_met = index;
                index
            }) {
                let Ok(Operation::Learn(learn)) = operation else { panic!() };
                assert_eq!((met, learn.content), (given, Some(given.to_string().as_str())));
                let further = ahead.some_way_on().copied();
                assert_eq!(further, Some(given + STEP).filter(|index| *index < count));
                given += 1;
                assert_eq!(last_met, (count - 1).min(given + DISTANCE - 2));
            }
            assert_eq!(given, count);
        }
    }
}
