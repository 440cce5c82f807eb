//! The publication protocol of `ring.rs` itself, in every way that two threads and the memory model
//! can make it happen; then with one part of it taken away at a time.

mod model;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use sutra_layout::ring::{Ring, RingShape};
use sutra_layout::sync::Fence;

use model::{LoomFences, LoomWord, violation};

/// One writer, one reader.
#[derive(Clone, Copy)]
struct Publication {
    shape: RingShape,
    /// How many slots the writer fills. To come back to the slot that a reader copies it needs one
    /// more than the ring has.
    publications: u64,
    /// How often the reader captures.
    captures: u64,
    missing: Option<Fence>,
    commits_with_release: bool,
}

/// The smallest ring: two slots, so a copy is accepted only if the sequence did not move at all.
const TWO_SLOTS: Publication = Publication {
    shape: RingShape { slots: 2, slot_words: 2, margin: 1 },
    publications: 3,
    captures: 2,
    missing: None,
    commits_with_release: true,
};

/// Three slots, so a copy is accepted although the sequence moved by one.
const THREE_SLOTS: Publication = Publication {
    shape: RingShape { slots: 3, slot_words: 2, margin: 2 },
    publications: 4,
    captures: 1,
    ..TWO_SLOTS
};

/// What is shared: the ring, and the truth that each publication counts one more of.
struct Shared {
    commit_seq: LoomWord,
    words: Vec<LoomWord>,
    /// Accessed as plain memory; loom panics if a store to one may still be under way.
    truth: Vec<UnsafeCell<()>>,
}

impl Publication {
    fn shared(self) -> Shared {
        let words = self.shape.slots * self.shape.slot_words as u64;
        Shared {
            commit_seq: match self.commits_with_release {
                true => LoomWord::new(),
                false => LoomWord::without_release(),
            },
            words: (0..words).map(|_| LoomWord::new()).collect(),
            truth: (0..self.publications).map(|_| UnsafeCell::new(())).collect(),
        }
    }

    fn ring(self, shared: &Shared) -> Ring<'_, LoomWord, LoomFences> {
        let fences = LoomFences { missing: self.missing };
        Ring::new(self.shape, &shared.commit_seq, &shared.words, fences)
    }

    fn publish(self, shared: &Shared, commit_seq: u64) {
        shared.truth[commit_seq as usize - 1].with_mut(|_| ());
        self.ring(shared).publish(commit_seq, &slot_words(commit_seq));
    }

    /// The first publication stands before the reader comes, so it always has one to capture.
    fn run(self) {
        let shared = Arc::new(self.shared());
        self.publish(&shared, 1);
        let writer = loom::thread::spawn({
            let shared = shared.clone();
            move || {
                for commit_seq in 2..=self.publications {
                    self.publish(&shared, commit_seq);
                }
            }
        });
        let mut last = 1;
        for _ in 0..self.captures {
            let mut copy = [0; 2];
            let captured = self.ring(&shared).capture(&mut copy);
            let commit_seq = captured.expect("a writer that stops cannot overtake every attempt");
            assert_eq!(copy, slot_words(commit_seq), "a torn copy was accepted");
            assert!(
                commit_seq >= last,
                "publication {commit_seq} after {last}: the reader went back"
            );
            for truth in &shared.truth[..commit_seq as usize] {
                truth.with(|_| ());
            }
            last = commit_seq;
        }
        writer.join().unwrap();
    }

    fn violation(self) -> Option<String> {
        violation(move || self.run())
    }
}

/// Words that no other publication has.
fn slot_words(commit_seq: u64) -> [u64; 2] {
    [10 * commit_seq, 10 * commit_seq + 1]
}

#[test]
fn no_torn_copy_is_accepted_and_the_sequence_never_goes_back() {
    assert_eq!(TWO_SLOTS.violation(), None);
}

#[test]
fn no_torn_copy_is_accepted_while_the_sequence_moves_within_the_margin() {
    assert_eq!(THREE_SLOTS.violation(), None);
}

/// Asserts that both rings show a bad copy, each for itself, once `plant` has changed them.
fn assert_torn(plant: impl Fn(&mut Publication)) {
    for mut publication in [TWO_SLOTS, THREE_SLOTS] {
        plant(&mut publication);
        let slots = publication.shape.slots;
        let found = publication.violation();
        println!("{slots} slots: {found:?}");
        let found = found.unwrap_or_else(|| panic!("nothing was found with {slots} slots"));
        assert!(found.contains("a torn copy was accepted"), "{found}");
    }
}

#[test]
fn without_the_fence_before_the_fill_a_torn_copy_is_accepted() {
    assert_torn(|publication| publication.missing = Some(Fence::PublishBeforeFill));
}

#[test]
fn without_the_fence_after_the_sequence_a_torn_copy_is_accepted() {
    assert_torn(|publication| publication.missing = Some(Fence::CaptureAfterSequence));
}

#[test]
fn without_the_fence_after_the_copy_a_torn_copy_is_accepted() {
    assert_torn(|publication| publication.missing = Some(Fence::CaptureAfterCopy));
}

#[test]
fn with_a_margin_of_all_slots_a_torn_copy_is_accepted() {
    assert_torn(|publication| publication.shape.margin += 1);
}

#[test]
fn without_release_on_the_commit_store_a_torn_copy_is_accepted() {
    assert_torn(|publication| publication.commits_with_release = false);
}
