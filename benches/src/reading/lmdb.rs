//! LMDB, read as its users read it.

use heed::{RoTxn, WithTls};

use super::search::{self, Scratch};
use super::{Source, View, neighbor_digest, touched};
use crate::lmdb::Lmdb;

/// A read transaction.
pub struct Transaction<'e> {
    lmdb: &'e Lmdb,
    txn: RoTxn<'e, WithTls>,
}

impl Source for Lmdb {
    type View<'s> = Transaction<'s>;

    fn view(&self) -> Transaction<'_> {
        Transaction { lmdb: self, txn: whole(self.read()) }
    }
}

impl View for Transaction<'_> {
    type Held<'s>
        = u32
    where
        Self: 's;

    #[inline]
    fn record(&self, id: &[u8; 16]) -> Option<u64> {
        let (ordinal, _) = whole(self.lmdb.get(&self.txn, id))?;
        Some(ordinal.into())
    }

    #[inline]
    fn content(&self, id: &[u8; 16]) -> Option<u64> {
        let (ordinal, content) = whole(self.lmdb.get(&self.txn, id))?;
        Some(u64::from(ordinal).wrapping_add(touched(content)))
    }

    fn hold(&self, ordinal: u32) -> u32 {
        ordinal
    }

    #[inline]
    fn neighbors(&self, held: u32) -> u64 {
        let mut sum = 0u64;
        whole(self.lmdb.links(&self.txn, held, true, |link| {
            let digest = neighbor_digest(link.neighbor, link.edge_type, link.confidence);
            sum = sum.wrapping_add(digest);
        }));
        sum
    }

    fn visit(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(u32)) {
        let visit = |link: crate::lmdb::Link| visit(link.neighbor);
        whole(self.lmdb.links(&self.txn, ordinal, is_out, visit));
    }

    fn path_forward(&self, from: u32, to: u32, scratch: &mut Scratch) -> Option<u64> {
        search::forward(self, (from, to), 3, scratch)
    }

    fn path(&self, from: u32, to: u32, scratch: &mut Scratch) -> Option<u64> {
        search::both(self, (from, to), 3, scratch)
    }

    fn best_path(&self, _: u32, _: u32) -> Option<f64> {
        unreachable!("a store that knows no paths is not asked for the best")
    }
}

#[inline]
fn whole<T>(read: anyhow::Result<T>) -> T {
    read.expect("the store under test can be read")
}
