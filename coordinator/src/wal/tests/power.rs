//! Power cuts: the image of the last sync, with any of the blocks written since.

use std::collections::BTreeMap;

use super::support::{Image, SMALL, TestLog, goes_on, open};
use crate::wal::WalError;

const BLOCK_SIZE: usize = 512;

/// A small generator with the seed in the message: the same cuts each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

/// Files as on disk after the cut: each block is the synced or the written one. Names
/// and headers of segments are synced when they are made, so the written ones are there.
fn cut(synced: &Image, written: &Image, random: &mut Random) -> Image {
    let of = |image: &Image| image.files.iter().cloned().collect::<BTreeMap<_, _>>();
    let (before, after) = (of(synced), of(written));
    // A spare that is gone is what a new segment was made of.
    let mut spares: Vec<_> = before.iter().filter(|(name, _)| !after.contains_key(*name)).collect();
    let mut image = written.clone();
    for (name, bytes) in &mut image.files {
        let old = before.get(name).cloned().unwrap_or_else(|| {
            let spare = spares.iter().position(|(_, spare)| spare.len() == bytes.len());
            let mut old =
                spare.map_or(vec![0; bytes.len()], |place| spares.remove(place).1.clone());
            old[..4096].copy_from_slice(&bytes[..4096]);
            old
        });
        for (block, old) in bytes.chunks_mut(BLOCK_SIZE).zip(old.chunks(BLOCK_SIZE)) {
            if random.below(2) == 0 {
                block[..old.len()].copy_from_slice(old);
            }
        }
    }
    image
}

/// Cuts the power `round_count` times at random points of a random workload; returns how
/// often something worse than a torn tail was found.
fn cuts(seed: u64, round_count: usize, spoil: impl Fn(&mut Image, &mut Random)) -> usize {
    let mut random = Random(seed);
    let mut failed_count = 0;
    for round in 0..round_count {
        let mut log = TestLog::new(SMALL);
        let (mut durable_lsn, mut checkpoint_lsn) = (0, 0);
        let mut synced = log.image();
        for _ in 0..random.below(24) {
            let sizes: Vec<usize> = (0..random.below(4) + 1).map(|_| random.below(1500)).collect();
            log.append(&sizes);
            if random.below(3) == 0 {
                durable_lsn = log.sync();
                checkpoint_lsn += random.below((durable_lsn - checkpoint_lsn) as usize + 1) as u64;
                log.wal().recycle(checkpoint_lsn).unwrap();
                log.wal().preparer.settle();
                synced = log.image();
            }
        }
        log.wal().preparer.settle();
        let written = log.image();
        log.close();
        for _ in 0..20 {
            let mut image = cut(&synced, &written, &mut random);
            spoil(&mut image, &mut random);
            image.restore(&log.path());
            // Nobody but the log knows what was synced: it must neither lose it nor
            // take an ordinary cut for damage.
            match open(&log.path(), SMALL, checkpoint_lsn, 0) {
                Ok((wal, entries)) => {
                    let behind = &log.written[checkpoint_lsn as usize..];
                    let kept = behind.starts_with(&entries) && wal.written_lsn() >= durable_lsn;
                    failed_count += usize::from(!kept);
                    if kept {
                        goes_on(&log.path(), SMALL, wal, checkpoint_lsn, &entries);
                    }
                }
                Err(WalError::Damaged { .. }) => failed_count += 1,
                Err(error) => panic!("seed {seed}, round {round}: {error}"),
            }
        }
    }
    failed_count
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_is_never_damage() {
    for seed in [1, 2, 3] {
        assert_eq!(cuts(seed, 40, |_, _| {}), 0, "seed {seed}");
    }
}

#[test]
fn a_disk_that_loses_synced_blocks_is_caught() {
    // The planted bug: one of the used blocks goes back to zeros whatever was synced.
    let failed_count = cuts(4, 20, |image, random| {
        let block = 4096 + random.below(8) * BLOCK_SIZE;
        image.files[0].1[block..block + BLOCK_SIZE].fill(0);
    });
    assert!(failed_count > 50, "only {failed_count} of 400 were noticed");
}
