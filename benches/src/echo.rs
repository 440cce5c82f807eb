//! A bare round trip: another process that sends back a little of what it gets, over the same kind
//! of socket and in the same sizes as one write and its answer. No write can be faster than that.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

/// Bytes of a frame with one concept, and of its answer.
const REQUEST_SIZE: usize = 240;
const REPLY_SIZE: usize = 64;

/// What the hidden subcommand takes.
#[derive(Args, Clone, Debug)]
pub struct EchoArgs {
    socket: PathBuf,
}

/// Answers one connection until it ends: the child's side.
pub fn run(args: &EchoArgs) -> anyhow::Result<()> {
    let mut stream = UnixStream::connect(&args.socket)?;
    let mut request = [0; REQUEST_SIZE];
    while stream.read_exact(&mut request).is_ok() {
        stream.write_all(&request[..REPLY_SIZE])?;
    }
    Ok(())
}

/// The process, and the connection to it.
#[derive(Debug)]
pub struct Echo {
    child: Child,
    stream: UnixStream,
}

impl Echo {
    /// Starts it, with a socket at that path.
    pub fn start(socket: &Path) -> anyhow::Result<Echo> {
        let listener = UnixListener::bind(socket)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("echo")
            .arg(socket)
            .stdin(Stdio::null())
            .spawn()
            .context("the echo process could not be started")?;
        let (stream, _) = listener.accept()?;
        std::fs::remove_file(socket)?;
        Ok(Echo { child, stream })
    }

    /// There and back.
    pub fn round_trip(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.stream.write_all(&[1; REQUEST_SIZE])?;
        self.stream.read_exact(&mut [0; REPLY_SIZE])?;
        Ok(began.elapsed())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both); // it ends
        let _ = self.child.wait();
    }
}
