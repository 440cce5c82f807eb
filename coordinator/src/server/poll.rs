//! Which descriptors are ready: a thin room around epoll.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::error::CoordinatorError;

/// Who a descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

impl Token {
    /// The listening socket.
    pub const LISTENER: Token = Token(u64::MAX);
    /// What the coordinator is told to do.
    pub const ORDERS: Token = Token(u64::MAX - 1);
    /// The workers' results.
    pub const WORKERS: Token = Token(u64::MAX - 2);
}

/// An epoll instance.
pub struct Poll {
    epoll: OwnedFd,
    ready: Vec<epoll::Event>,
}

impl Poll {
    /// An empty one.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll { epoll: epoll::create(CreateFlags::CLOEXEC)?, ready: Vec::with_capacity(256) })
    }

    /// Watches a descriptor for input.
    pub fn watch(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token.0), EventFlags::IN)?)
    }

    /// Watches a descriptor for input, output, both or, with neither, for its end alone.
    pub fn watch_for(&mut self, fd: impl AsFd, token: Token, what: (bool, bool)) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token.0), flags_of(what))?)
    }

    /// Changes what a descriptor is watched for.
    pub fn change(&mut self, fd: impl AsFd, token: Token, what: (bool, bool)) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token.0), flags_of(what))?)
    }

    /// Watches a descriptor no more.
    pub fn forget(&mut self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// The tokens that are ready, after at most `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<Vec<Token>, CoordinatorError> {
        let timeout = rustix::fs::Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        self.ready.clear();
        let waited = epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.ready),
            Some(&timeout),
        );
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(CoordinatorError::io("the event loop failed")(errno.into())),
        }
        Ok(self.ready.iter().map(|event| Token(event.data.u64())).collect())
    }
}

fn flags_of((input, output): (bool, bool)) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, input);
    flags.set(EventFlags::OUT, output);
    flags
}
