//! What the loop is told to do from outside its sockets, and whom it tells how it is.
//!
//! A daemon obeys signals and tells systemd. A coordinator that a process hosts beside its own work
//! obeys that process's [`Host`](crate::Host) and touches neither: signals and the service manager
//! are the program's own.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use sutra_layout::sys::fork::Kept;

use crate::signals::Signals;
use crate::systemd::Systemd;

/// Who orders.
#[derive(Debug)]
pub enum Orders {
    /// The system: a daemon.
    System(Signals, Systemd),
    /// The process that the coordinator runs in.
    Host(HostOrders),
}

/// Orders of a [`Host`](crate::Host).
#[derive(Debug)]
pub struct HostOrders {
    /// A [`STOP`](HostOrders::STOP) or [`CONNECT`](HostOrders::CONNECT) for each order.
    pub bells: Kept<UnixStream>,
    /// The loop's ends of the host's own connections.
    pub connections: Receiver<Kept<UnixStream>>,
    /// Hears that the store is recovered and served.
    pub ready: Sender<()>,
}

impl HostOrders {
    /// Finish and end.
    pub const STOP: u8 = b's';
    /// Take on the connection that was sent.
    pub const CONNECT: u8 = b'c';
}

impl Orders {
    /// Those of a daemon, from now on.
    pub fn of_system() -> io::Result<Orders> {
        Ok(Orders::System(Signals::new()?, Systemd::new()))
    }

    /// Takes what has come; true if it is to stop.
    pub fn drain(&self) -> bool {
        match self {
            Orders::System(signals, _) => signals.drain(),
            Orders::Host(orders) => orders.drain(),
        }
    }

    /// The next connection handed over by the host.
    pub fn connection(&self) -> Option<Kept<UnixStream>> {
        match self {
            Orders::System(..) => None,
            Orders::Host(orders) => orders.connections.try_recv().ok(),
        }
    }

    /// The store is open and takes writes.
    pub fn ready(&self, status: &str) {
        match self {
            Orders::System(_, systemd) => systemd.ready(status),
            // A host that no longer listens is about to say stop.
            Orders::Host(orders) => drop(orders.ready.send(())),
        }
    }

    /// The coordinator ends, in good order.
    pub fn stopping(&self, status: &str) {
        if let Orders::System(_, systemd) = self {
            systemd.stopping(status);
        }
    }

    /// To be called whenever the loop turns, and within [`Orders::until_beat`].
    pub fn beat(&mut self, now: Instant) {
        if let Orders::System(_, systemd) = self {
            systemd.beat(now);
        }
    }

    /// How long the loop may sleep before the next beat; `None` if nobody listens for one.
    pub fn until_beat(&self, now: Instant) -> Option<Duration> {
        match self {
            Orders::System(_, systemd) => systemd.until_beat(now),
            Orders::Host(_) => None,
        }
    }
}

impl HostOrders {
    fn drain(&self) -> bool {
        let mut stops = false;
        let mut bells = [0; 64];
        loop {
            match (&*self.bells).read(&mut bells) {
                Ok(0) => return true, // the host is gone without a word
                Ok(count) => stops |= bells[..count].contains(&HostOrders::STOP),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return stops,
            }
        }
    }
}

impl AsFd for Orders {
    /// Readable once an order has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Orders::System(signals, _) => signals.as_fd(),
            Orders::Host(orders) => orders.bells.as_fd(),
        }
    }
}
