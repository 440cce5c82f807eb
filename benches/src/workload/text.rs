//! Contents: words, so that they are UTF-8 of the usual kind and differ early.

use super::random::Random;

const SIZE_MIN: u64 = 100;
const SIZE_MAX: u64 = 192;

const WORDS: [&str; 32] = [
    "animal", "being", "canal", "device", "east", "figure", "grain", "hollow", "island", "joint",
    "kernel", "ladder", "mineral", "number", "organ", "plant", "quarter", "river", "stone",
    "thread", "union", "valley", "winter", "year", "of", "in", "with", "from", "under", "the",
    "and", "or",
];

/// Appends a content of 100 to 192 bytes.
pub fn write(random: &mut Random, out: &mut String) {
    let size = SIZE_MIN + random.below(SIZE_MAX - SIZE_MIN + 1);
    let end = out.len() + size as usize;
    while out.len() < end {
        let mut choice = random.next();
        for _ in 0..12 {
            out.push_str(WORDS[(choice % 32) as usize]);
            out.push(' ');
            choice >>= 5;
        }
    }
    out.truncate(end);
}
