//! A bare round trip over a Unix stream socket, as one write and its answer go: no write can be faster.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Peer, REPLY_SIZE, REQUEST_SIZE, RoundTrip, Way};

/// Answers one connection until it ends: the child's side.
pub fn run(address: &Path) -> anyhow::Result<()> {
    let mut stream = UnixStream::connect(address)?;
    let mut request = [0; REQUEST_SIZE];
    while stream.read_exact(&mut request).is_ok() {
        stream.write_all(&request[..REPLY_SIZE])?;
    }
    Ok(())
}

/// The connection to another process.
#[derive(Debug)]
pub struct Echo {
    stream: UnixStream,
    _peer: Peer,
}

impl Echo {
    /// Starts the process, with a socket at that path.
    pub fn start(socket: &Path) -> anyhow::Result<Echo> {
        let listener = UnixListener::bind(socket)?;
        let peer = Peer::start(Way::Socket, socket)?;
        let (stream, _) = listener.accept()?;
        std::fs::remove_file(socket)?;
        Ok(Echo { stream, _peer: peer })
    }
}

impl RoundTrip for Echo {
    fn round_trip(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.stream.write_all(&[1; REQUEST_SIZE])?;
        self.stream.read_exact(&mut [0; REPLY_SIZE])?;
        Ok(began.elapsed())
    }
}
