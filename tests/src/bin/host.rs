//! One program for every process that a story needs beside itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    sutra_tests::roles::run(std::env::args().skip(1).collect())
}
