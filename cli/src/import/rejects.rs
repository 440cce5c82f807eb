//! The lines that could not be imported, each with its place and the reason, as NDJSON.
//!
//! `jq -r .text FILE` gives the lines back, to be corrected and imported again.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One line of the rejects file.
#[derive(Debug, Serialize)]
struct Reject<'a> {
    file: &'a str,
    line: u64,
    reason: &'a str,
    text: Cow<'a, str>,
}

/// The rejects file, made when the first line needs it.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Rejects {
    /// Nothing is created yet.
    pub fn new(path: PathBuf) -> Rejects {
        Rejects { path, file: None, count: 0 }
    }

    /// Where the file is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines rejected so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds one line.
    pub fn add(&mut self, file: &str, line: u64, reason: &str, text: &[u8]) -> std::io::Result<()> {
        let output = match &mut self.file {
            Some(output) => output,
            none => none.insert(BufWriter::new(File::create(&self.path)?)),
        };
        self.count += 1;
        serde_json::to_writer(
            &mut *output,
            &Reject { file, line, reason, text: String::from_utf8_lossy(text) },
        )?;
        output.write_all(b"\n")
    }

    /// Hands everything to the file.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reject_keeps_its_place_its_reason_and_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let mut rejects = Rejects::new(folder.path().join("rejects.ndjson"));
        rejects.add("a.ndjson", 7, "no \"content\"", b"{\"id\": \"x\xff\"}").unwrap();
        rejects.flush().unwrap();
        let text = std::fs::read_to_string(rejects.path()).unwrap();
        let expected = "{\"file\":\"a.ndjson\",\"line\":7,\"reason\":\"no \\\"content\\\"\",\
                        \"text\":\"{\\\"id\\\": \\\"x\u{fffd}\\\"}\"}\n";
        assert_eq!(text, expected);
        assert_eq!(rejects.count(), 1);
    }

    #[test]
    fn no_reject_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut rejects = Rejects::new(folder.path().join("rejects.ndjson"));
        rejects.flush().unwrap();
        assert!(!rejects.path().exists());
    }
}
