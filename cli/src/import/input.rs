//! Lines of a file or of standard input, read in large pieces.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes of the longest line: content of 1 MiB with every byte escaped, an embedding of 4,096
/// numbers and the keys fit three times.
pub const LINE_SIZE_MAX: usize = 16 << 20;

/// Bytes asked for at once.
const READ_SIZE: usize = 1 << 20;

/// What [`Input::next_line`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line, now in the caller's buffer without its end.
    Line,
    /// A line above [`LINE_SIZE_MAX`], passed over.
    TooLong,
    /// No more lines.
    End,
}

/// One input, and how far it was read.
#[derive(Debug)]
pub struct Input {
    name: String,
    reader: BufReader<File>,
    line_number: u64,
    bytes_read: u64,
    size: Option<u64>,
}

impl Input {
    /// Opens `path`; `-` is standard input.
    pub fn open(path: &Path) -> io::Result<Input> {
        if path == Path::new("-") {
            // Its descriptor, not the standard handle: that one reads 8 KiB at a time.
            let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            return Ok(Input::new("-".into(), file, None));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Input::new(path.display().to_string(), file, size))
    }

    fn new(name: String, file: File, size: Option<u64>) -> Input {
        let reader = BufReader::with_capacity(READ_SIZE, file);
        Input { name, reader, line_number: 0, bytes_read: 0, size }
    }

    /// What messages and the rejects file call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 1-based number of the line read last.
    pub fn line_number(&self) -> u64 {
        self.line_number
    }

    /// Bytes of the lines so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Bytes of the whole, if it is a file.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether the next line is not here yet, so that what was read before should not wait for it.
    pub fn would_wait(&self) -> bool {
        if self.size.is_some() || self.reader.buffer().contains(&b'\n') {
            return false;
        }
        let mut descriptors = [PollFd::new(self.reader.get_ref().as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut descriptors, PollTimeout::ZERO), Ok(0))
    }

    /// Reads the next line into `line`, without its `\n`.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<Next> {
        line.clear();
        let size = (&mut self.reader).take(LINE_SIZE_MAX as u64 + 1).read_until(b'\n', line)?;
        self.bytes_read += size as u64;
        if size == 0 {
            return Ok(Next::End);
        }
        self.line_number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if size > LINE_SIZE_MAX {
            self.bytes_read += self.reader.skip_until(b'\n')? as u64;
            return Ok(Next::TooLong);
        }
        if self.line_number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3); // the byte order mark that some editors put before UTF-8
        }
        Ok(Next::Line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(u64, Result<String, Next>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        let mut input = Input::open(&path).unwrap();
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        loop {
            match input.next_line(&mut line).unwrap() {
                Next::Line => {
                    lines.push((input.line_number(), Ok(String::from_utf8_lossy(&line).into())))
                }
                Next::TooLong => lines.push((input.line_number(), Err(Next::TooLong))),
                Next::End => break,
            }
        }
        assert_eq!(input.bytes_read(), bytes.len() as u64);
        lines
    }

    #[test]
    fn lines_are_numbered_and_the_last_needs_no_end() {
        let expected = [(1, Ok("a".into())), (2, Ok("".into())), (3, Ok("b".into()))];
        assert_eq!(lines(b"\xef\xbb\xbfa\n\nb"), expected);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_line_without_end_is_passed_over_and_the_next_one_read() {
        let mut bytes = vec![b'x'; LINE_SIZE_MAX + 5];
        bytes.extend(b"\nnext\n");
        assert_eq!(lines(&bytes), [(1, Err(Next::TooLong)), (2, Ok("next".into()))]);
        let longest = [vec![b'x'; LINE_SIZE_MAX], b"\n".to_vec()].concat();
        assert!(matches!(&lines(&longest)[..], [(1, Ok(line))] if line.len() == LINE_SIZE_MAX));
    }

    #[test]
    fn a_directory_is_refused_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Input::open(folder.path()).is_err());
    }
}
