//! See `sutra_tests::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sutra_tests::fuzz::Target::Frames.run(input));
