//! One client over TCP: its frames go on to the coordinator and answers come back, in both
//! directions as they come, but for reads, which end here.
//!
//! Nothing of a frame that goes on is kept but what the other side does not take at the moment, so a
//! client costs a few hundred KiB at most, and an answer until it is taken.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sutra_client::protocol::read::READ_SIZE_MAX;
use sutra_client::protocol::{
    ErrorCode, ErrorReply, FrameHeader, FrameKind, HEADER_SIZE, ProtocolError,
};
use sutra_layout::limits::FRAME_SIZE_MAX;
use sutra_layout::sys::fork::Kept;

use super::{ANSWERS_SIZE_MAX, Shared, answer};

/// What is read at a time, and what may wait for the other side before no more is read.
const PIECE_SIZE: usize = 64 << 10;
/// A read that has begun must be complete, and an answer be taken, within that time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often time is looked at while something is begun, or memory is short.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Serves one client until either side closes or a protocol is broken.
pub(super) fn serve(shared: &Shared, tcp: Kept<TcpStream>) -> io::Result<()> {
    tcp.set_nonblocking(true)?;
    tcp.set_nodelay(true)?;
    let unix = match shared.dial() {
        Ok(unix) => unix,
        Err(error) => {
            // The client asks again: whoever hosts the store may be about to change.
            let message = format!("the store's coordinator is not there: {error}");
            farewell(&tcp, 0, ErrorCode::Stopping, message);
            return Err(error);
        }
    };
    unix.set_nonblocking(true)?;
    let mut relay = Relay {
        shared,
        tcp,
        unix,
        up: Flow::default(),
        down: Flow::default(),
        is_greeted: false,
        read: None,
        answered_size: 0,
        moved_at: Instant::now(),
    };
    let ended = relay.run();
    relay.pay();
    ended
}

/// The bytes of one direction, cut at frames.
#[derive(Debug, Default)]
struct Flow {
    /// What came and is not sorted yet.
    arrived: Vec<u8>,
    /// What goes on.
    out: Vec<u8>,
    /// Bytes of the frame begun that are still to go on.
    passing: usize,
}

impl Flow {
    /// Lets go on what is of the frame begun; whether all of that has.
    fn pass(&mut self) -> bool {
        let size = self.passing.min(self.arrived.len());
        self.out.extend(self.arrived.drain(..size));
        self.passing -= size;
        self.passing == 0
    }

    fn has_room(&self) -> bool {
        self.out.len() < PIECE_SIZE && self.arrived.len() < PIECE_SIZE + READ_SIZE_MAX
    }

    fn header(&self) -> Result<Option<FrameHeader>, ProtocolError> {
        let bytes = self.arrived.first_chunk::<HEADER_SIZE>();
        bytes.map(|bytes| FrameHeader::parse(bytes, FRAME_SIZE_MAX as u32)).transpose()
    }

    /// The frame begun goes on as it comes.
    fn let_pass(&mut self, header: &FrameHeader) {
        self.passing = HEADER_SIZE + header.body_size as usize;
    }
}

struct Relay<'a> {
    shared: &'a Shared,
    tcp: Kept<TcpStream>,
    unix: Kept<UnixStream>,
    /// From the client to the coordinator.
    up: Flow,
    /// From the coordinator, and from here, to the client.
    down: Flow,
    /// The coordinator has answered a hello.
    is_greeted: bool,
    /// A read that waits for its answer.
    read: Option<(u64, Vec<u8>)>,
    /// Bytes of answers of ours that may not be taken yet.
    answered_size: usize,
    /// When anything last moved to or from the client.
    moved_at: Instant,
}

impl Relay<'_> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            if let Err(error) = self.sort() {
                self.flush_and_say(&error);
                return Err(io::Error::other(error));
            }
            self.send()?;
            if self.wait()? {
                return Ok(());
            }
            if self.moved_at.elapsed() > PATIENCE && self.is_begun() {
                farewell(
                    &self.tcp,
                    0,
                    ErrorCode::TooSlow,
                    "a frame was begun, or an answer offered, and nothing moved; connect again"
                        .to_owned(),
                );
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Sorts what came into what goes on and what is answered here.
    fn sort(&mut self) -> Result<(), ProtocolError> {
        // What the coordinator says is of whole frames; ours come between them.
        while self.down.pass() {
            let Some(header) = self.down.header()? else { break };
            self.is_greeted |= header.kind == FrameKind::HelloReply;
            self.down.let_pass(&header);
        }
        while self.up.pass() {
            if self.read.is_some() {
                break;
            }
            let Some(header) = self.up.header()? else { break };
            if header.kind != FrameKind::Read {
                self.up.let_pass(&header);
                continue;
            }
            if !self.is_greeted {
                return Err(ProtocolError::UnexpectedKind { kind: header.kind as u8 });
            }
            let size = header.body_size as usize;
            if size > READ_SIZE_MAX {
                let (found, limit) = (header.body_size, READ_SIZE_MAX as u32);
                return Err(ProtocolError::FrameTooLarge { found, limit });
            }
            if self.up.arrived.len() < HEADER_SIZE + size {
                break;
            }
            let frame: Vec<u8> = self.up.arrived.drain(..HEADER_SIZE + size).collect();
            self.read = Some((header.request_id, frame[HEADER_SIZE..].to_vec()));
            self.answer();
        }
        self.answer();
        Ok(())
    }

    /// Answers the read that waits, if its answer may go between what the coordinator says, and
    /// there is memory for it.
    fn answer(&mut self) {
        if self.down.passing > 0
            || self.shared.answers_size.load(Ordering::Relaxed) >= ANSWERS_SIZE_MAX
        {
            return;
        }
        let Some((request_id, body)) = self.read.take() else { return };
        let before = self.down.out.len();
        answer::answer(self.shared, &body).encode(request_id, &mut self.down.out);
        let size = self.down.out.len() - before;
        self.answered_size += size;
        self.shared.answers_size.fetch_add(size, Ordering::Relaxed);
        self.moved_at = Instant::now();
    }

    fn send(&mut self) -> io::Result<()> {
        send_some(&self.unix, &mut self.up.out)?;
        if send_some(&self.tcp, &mut self.down.out)? {
            self.moved_at = Instant::now();
        }
        if self.down.out.is_empty() {
            self.pay();
        }
        Ok(())
    }

    /// Our answers have been taken.
    fn pay(&mut self) {
        let size = std::mem::take(&mut self.answered_size);
        self.shared.answers_size.fetch_sub(size, Ordering::Relaxed);
    }

    /// The client has begun something that it must finish.
    fn is_begun(&self) -> bool {
        let is_slow = !self.up.arrived.is_empty() && self.up.out.is_empty() && self.read.is_none();
        is_slow || !self.down.out.is_empty()
    }

    /// Waits until something can move, and reads what came; true once either side has closed and
    /// the client has what was said.
    fn wait(&mut self) -> io::Result<bool> {
        let interest = |reads: bool, writes: bool| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads);
            flags.set(PollFlags::OUT, writes);
            flags
        };
        let (reads_tcp, reads_unix) = (self.up.has_room(), self.down.has_room());
        let mut watched = [
            PollFd::new(&*self.tcp, interest(reads_tcp, !self.down.out.is_empty())),
            PollFd::new(&*self.unix, interest(reads_unix, !self.up.out.is_empty())),
            PollFd::new(&*self.shared.bells, PollFlags::IN),
        ];
        let looks = self.is_begun() || self.read.is_some();
        let timeout = looks.then(|| Timespec::try_from(LOOK_INTERVAL)).transpose();
        match poll(&mut watched, timeout.ok().flatten().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !watched[2].revents().is_empty() {
            return Ok(true);
        }
        // A peer that is gone is told of without being asked for.
        let gone = PollFlags::HUP | PollFlags::ERR;
        let came = watched.each_ref().map(|fd| fd.revents().intersects(PollFlags::IN | gone));
        if came[0] {
            match recv_some(&self.tcp, &mut self.up.arrived, reads_tcp)? {
                Came::Nothing => {}
                Came::Bytes => self.moved_at = Instant::now(),
                Came::End => return Ok(true),
            }
        }
        if came[1]
            && let Came::End = recv_some(&self.unix, &mut self.down.arrived, reads_unix)?
        {
            // What it said last matters: why it closes.
            let _ = self.sort();
            self.send()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The client broke the protocol: it is told after what was to be sent already.
    fn flush_and_say(&mut self, error: &ProtocolError) {
        if self.send().is_ok() && self.down.out.is_empty() && self.down.passing == 0 {
            let request_id = self.up.arrived.first_chunk().map_or(0, FrameHeader::request_id_of);
            farewell(&self.tcp, request_id, error.code(), error.to_string());
        }
    }
}

/// Says why the connection ends; a client that takes nothing is not waited for.
fn farewell(tcp: &TcpStream, request_id: u64, code: ErrorCode, message: String) {
    let mut frame = Vec::new();
    ErrorReply { code, message }.encode(request_id, &mut frame);
    let _ = send_some(tcp, &mut frame);
}

/// Sends what the other side takes at once; whether anything was.
fn send_some(to: impl AsFd, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut sent = 0;
    while sent < bytes.len() {
        match send(&to, &bytes[sent..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(size) => sent += size,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.drain(..sent);
    if bytes.is_empty() && bytes.capacity() > 4 * PIECE_SIZE {
        *bytes = Vec::new();
    }
    Ok(sent > 0)
}

enum Came {
    Nothing,
    Bytes,
    End,
}

/// Reads once what has come, if there is room for it.
fn recv_some(from: impl AsFd, bytes: &mut Vec<u8>, has_room: bool) -> io::Result<Came> {
    if !has_room {
        // Gone while it is not read: what it left cannot be told from more that comes.
        return Ok(Came::End);
    }
    let before = bytes.len();
    bytes.resize(before + PIECE_SIZE, 0);
    let received = recv(&from, &mut bytes[before..], RecvFlags::DONTWAIT);
    let size = received.as_ref().map_or(0, |(size, _)| *size);
    bytes.truncate(before + size);
    match received {
        Ok((0, _)) => Ok(Came::End),
        Ok(_) => Ok(Came::Bytes),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Came::Nothing),
        Err(errno) => Err(errno.into()),
    }
}
