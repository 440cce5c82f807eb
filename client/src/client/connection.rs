//! One connection: frames out without ever being stuck, replies in.

use std::io::IoSlice;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use sutra_layout::limits::FRAME_SIZE_MAX;
use sutra_layout::sys::fork::Kept;

use crate::protocol::{Inbox, ProtocolError, Reply};

/// Slices that one call of the system takes.
const SLICE_COUNT_MAX: usize = 1024;
/// A write that waits for no sync is answered within a few microseconds. Being put to sleep and
/// woken up takes 30 to 60 where the processor was idle, so for so long the answer is looked for.
const LOOKING_DURATION: Duration = Duration::from_micros(50);

/// Why a connection cannot be used further.
#[derive(Debug)]
pub(super) enum Broken {
    /// The other end is gone.
    Lost,
    /// The other end is there and nothing moved for too long.
    Silent,
    /// The other end sent what it must not.
    Protocol(ProtocolError),
}

/// How long nothing may move.
struct Patience {
    limit: Duration,
    since: Instant,
}

impl Patience {
    fn new(limit: Duration) -> Patience {
        Patience { limit, since: Instant::now() }
    }

    fn something_moved(&mut self) {
        self.since = Instant::now();
    }

    fn left(&self) -> Result<Duration, Broken> {
        match self.limit.checked_sub(self.since.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(Broken::Silent),
        }
    }
}

/// What the frames go over.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(Kept<UnixStream>),
    Tcp(Kept<TcpStream>),
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    inbox: Inbox,
    /// The other end may have a part of a frame: what were sent now would be read as its rest.
    send_failed: bool,
}

impl Connection {
    pub fn new(stream: Stream) -> Connection {
        let inbox = Inbox::new(FRAME_SIZE_MAX as u32);
        Connection { stream, inbox, send_failed: false }
    }

    /// The process at the other end, as the system says; `None` if it is of another pid namespace,
    /// or at the other end of a TCP connection.
    pub fn peer_pid(&self) -> Option<u32> {
        // By nix: rustix holds a pid in a type that has no 0, which is what the system says then.
        let credentials = getsockopt(&self.stream, PeerCredentials).ok()?;
        u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0)
    }

    /// Sends all of `frames`, many by one call. While the socket takes no more, replies are read
    /// into the inbox: a coordinator that cannot send its replies might not read what we send.
    ///
    /// After an error nothing more is sent; what the other end had said may still be received.
    pub fn send<'a>(
        &mut self,
        frames: impl IntoIterator<Item = &'a [u8]>,
        limit: Duration,
    ) -> Result<(), Broken> {
        if self.send_failed {
            return Err(Broken::Lost);
        }
        let mut slices: Vec<IoSlice<'_>> = frames.into_iter().map(IoSlice::new).collect();
        let sent = self.send_all(&mut slices, limit);
        self.send_failed = sent.is_err();
        sent
    }

    fn send_all(&mut self, mut rest: &mut [IoSlice<'_>], limit: Duration) -> Result<(), Broken> {
        let mut patience = Patience::new(limit);
        while !rest.is_empty() {
            match self.send_some(&rest[..rest.len().min(SLICE_COUNT_MAX)]) {
                Ok(size) => {
                    IoSlice::advance_slices(&mut rest, size);
                    patience.something_moved();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.poll(PollFlags::IN | PollFlags::OUT, &patience)?;
                    if self.fill()? {
                        patience.something_moved();
                    }
                }
                Err(_) => return Err(Broken::Lost),
            }
        }
        Ok(())
    }

    fn send_some(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match slices {
            [one] => send(&self.stream, one, flags),
            many => sendmsg(&self.stream, many, &mut SendAncillaryBuffer::default(), flags),
        }
    }

    /// Whether a reply has come and was not taken yet.
    pub fn has_reply(&self) -> bool {
        self.inbox.has_next()
    }

    /// As [`Connection::receive`], of a reply that is likely to come at once if `soon`.
    pub fn receive_soon(&mut self, limit: Duration, soon: bool) -> Result<(u64, Reply), Broken> {
        if soon {
            let began = Instant::now();
            while !self.inbox.has_next() && !self.fill()? && began.elapsed() < LOOKING_DURATION {
                std::thread::yield_now(); // to the coordinator, if it is on this processor
            }
        }
        self.receive(limit)
    }

    /// The next reply and its request id, waiting while nothing has come for less than `limit`.
    pub fn receive(&mut self, limit: Duration) -> Result<(u64, Reply), Broken> {
        let mut patience = Patience::new(limit);
        loop {
            if let Some((header, body)) = self.inbox.next().map_err(Broken::Protocol)? {
                let reply = Reply::decode(header.kind, body).map_err(Broken::Protocol)?;
                return Ok((header.request_id, reply));
            }
            match self.fill()? {
                true => patience.something_moved(),
                false => self.poll(PollFlags::IN, &patience)?,
            }
        }
    }

    /// Reads once what has come, without waiting; whether anything had.
    fn fill(&mut self) -> Result<bool, Broken> {
        let room = self.inbox.room();
        match recv(&self.stream, room, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(Broken::Lost),
            Ok((size, _)) => {
                self.inbox.filled(size);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(_) => Err(Broken::Lost),
        }
    }

    fn poll(&self, events: PollFlags, patience: &Patience) -> Result<(), Broken> {
        let timeout = Timespec::try_from(patience.left()?).ok();
        match poll(&mut [PollFd::new(&self.stream, events)], timeout.as_ref()) {
            // A timeout is noticed by the next call of `left`.
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(_) => Err(Broken::Lost),
        }
    }
}
