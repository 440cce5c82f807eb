//! A coordinator of a few lines: each connection is given to the next part of a script.

use std::io::{Read, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use sutra_client::protocol::frame::{FrameKind, HEADER_SIZE};
use sutra_client::protocol::{FrameHeader, Hello, HelloReply, Request, WriteReply};
use sutra_client::{Batch, Client, ClientBuilder, Learn, Level, socket};
use sutra_layout::id::Id;
use sutra_layout::limits::{FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};
use tempfile::TempDir;

pub const STORE_ID: [u8; 16] = [7; 16];

/// A store's directory, where a coordinator may listen.
pub struct Store {
    directory: TempDir,
}

impl Store {
    pub fn new() -> Store {
        Store { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `script` with one connection after the other, until it has run `count` times.
    pub fn serve(
        &self,
        count: usize,
        script: impl Fn(usize, Peer) + Send + 'static,
    ) -> JoinHandle<()> {
        let path = socket::path_in(self.path());
        let _ = std::fs::remove_file(&path);
        let listener = socket::bind(&path, 0o660).unwrap();
        std::thread::spawn(move || {
            for turn in 0..count {
                script(turn, Peer::accept(&listener));
            }
        })
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder(self.path()).client_id([1; 16]).deadline(Duration::from_secs(20))
    }

    pub fn client(&self) -> Client {
        self.builder().connect().unwrap()
    }
}

/// A write as the coordinator saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub request_id: u64,
    pub sequence: u64,
    pub level: Level,
    pub operation_count: usize,
}

/// The coordinator's end of one connection.
pub struct Peer {
    stream: UnixStream,
}

impl Peer {
    fn accept(listener: &UnixListener) -> Peer {
        Peer { stream: listener.accept().unwrap().0 }
    }

    /// The next frame, unless the client is gone.
    pub fn frame(&mut self) -> Option<(FrameHeader, Vec<u8>)> {
        let mut header = [0; HEADER_SIZE];
        self.stream.read_exact(&mut header).ok()?;
        let header = FrameHeader::parse(&header, FRAME_SIZE_MAX as u32).unwrap();
        let mut body = vec![0; header.body_size as usize];
        self.stream.read_exact(&mut body).ok()?;
        Some((header, body))
    }

    /// Reads the greeting and answers it; gives the author.
    pub fn greet(&mut self, last_sequence: u64) -> String {
        let (header, body) = self.frame().unwrap();
        assert_eq!(header.kind, FrameKind::Hello);
        let author = Hello::decode(&body).unwrap().author.to_owned();
        self.send(|out| hello_reply(last_sequence).encode(header.request_id, out));
        author
    }

    pub fn write(&mut self) -> Seen {
        let (header, body) = self.frame().unwrap();
        let Ok(Request::Write(write)) = Request::decode(header.kind, &body) else {
            panic!("{:?} instead of a write", header.kind);
        };
        Seen {
            request_id: header.request_id,
            sequence: write.sequence,
            level: write.level,
            operation_count: write.operations.len(),
        }
    }

    pub fn writes(&mut self, count: usize) -> Vec<Seen> {
        (0..count).map(|_| self.write()).collect()
    }

    /// The header of a request without a body that matters.
    pub fn request(&mut self, kind: FrameKind) -> u64 {
        let (header, _) = self.frame().unwrap();
        assert_eq!(header.kind, kind);
        header.request_id
    }

    pub fn send(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        encode(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// Answers that the write was applied under an LSN of 100 and its sequence.
    pub fn applied(&mut self, seen: &Seen) {
        self.send(|out| applied(seen).encode(seen.request_id, out));
    }

    /// Answers that it had been applied earlier.
    pub fn applied_earlier(&mut self, seen: &Seen) {
        let reply = WriteReply { already_applied: true, ..applied(seen) };
        self.send(|out| reply.encode(seen.request_id, out));
    }

    /// Waits until the client has closed.
    pub fn wait_for_end(mut self) {
        assert!(self.frame().is_none());
    }
}

pub fn hello_reply(last_sequence: u64) -> HelloReply {
    HelloReply {
        version: 1,
        writer_epoch: 3,
        writer_pid: 4121,
        store_id: STORE_ID,
        frame_size_max: FRAME_SIZE_MAX as u32,
        operations_per_frame_max: OPERATIONS_PER_FRAME_MAX as u32,
        last_sequence,
        published_lsn: 0,
    }
}

pub fn applied(seen: &Seen) -> WriteReply {
    let lsn = 100 + seen.sequence;
    let level_reached = seen.level;
    WriteReply {
        writer_epoch: 3,
        first_lsn: lsn,
        last_lsn: lsn,
        level_reached,
        ..WriteReply::default()
    }
}

/// A batch with one concept of that name.
pub fn batch(name: &str) -> Batch {
    let mut batch = Batch::new();
    batch.learn(&Learn { id: Id::Text(name), ..Learn::default() }).unwrap();
    batch
}
