//! See `sutra_tests::fuzz`.
#![no_main]

use std::sync::LazyLock;

use sutra_tests::fuzz::{Target, is_planted};

static HAS_BUG: LazyLock<bool> = LazyLock::new(is_planted);

libfuzzer_sys::fuzz_target!(|input: &[u8]| Target::Log.run(input, *HAS_BUG));
