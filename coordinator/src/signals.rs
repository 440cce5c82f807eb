//! SIGINT and SIGTERM as bytes to read, for an event loop to wait on beside its sockets.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level;

/// Catches SIGINT and SIGTERM from its creation on.
///
/// After it is dropped the signals do nothing in this process: what they did before is not
/// restored.
#[derive(Debug)]
pub(crate) struct Signals {
    received: UnixStream,
    actions: Vec<SigId>,
}

impl Signals {
    /// Begins to catch them.
    pub(crate) fn new() -> io::Result<Signals> {
        // Both ends are O_CLOEXEC. A handler never waits: what does not fit is a signal more than
        // the one already told.
        let (received, sender) = UnixStream::pair()?;
        received.set_nonblocking(true)?;
        let mut signals = Signals { received, actions: Vec::new() };
        for signal in [SIGINT, SIGTERM] {
            let action = low_level::pipe::register(signal, sender.try_clone()?)?;
            signals.actions.push(action);
        }
        Ok(signals)
    }

    /// Takes what has come; true if it was any signal.
    pub(crate) fn drain(&self) -> bool {
        let mut any = false;
        let mut bytes = [0; 64];
        loop {
            match (&self.received).read(&mut bytes) {
                Ok(0) => return any,
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for Signals {
    /// Readable once a signal has come; non-blocking.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.received.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for action in &self.actions {
            low_level::unregister(*action);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    /// A signal comes to the whole process, and these tests share one.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn is_readable(signals: &Signals, timeout_s: i64) -> bool {
        let timeout = Timespec { tv_sec: timeout_s, tv_nsec: 0 };
        let mut fds = [PollFd::new(signals, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout))).unwrap() == 1
    }

    #[test]
    fn a_signal_wakes_the_loop_and_is_taken_once() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let signals = Signals::new().unwrap();
        assert!(!is_readable(&signals, 0));
        assert!(!signals.drain());

        // The same signal twice before anybody looks is one request to stop.
        for signal in [SIGTERM, SIGINT, SIGINT] {
            low_level::raise(signal).unwrap();
        }
        assert!(is_readable(&signals, 10));
        assert!(signals.drain());
        assert!(!signals.drain());
        assert!(!is_readable(&signals, 0));

        low_level::raise(SIGINT).unwrap();
        assert!(is_readable(&signals, 10));
        assert!(signals.drain());
    }

    #[test]
    fn a_flood_of_signals_neither_blocks_nor_kills() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let signals = Signals::new().unwrap();
        for _ in 0..2_000 {
            low_level::raise(SIGTERM).unwrap();
        }
        assert!(signals.drain());
    }
}
