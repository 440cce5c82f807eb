//! The coordinator as a guest of a process that has other things to do.
//!
//! It runs on threads of its own, which leave every signal to the process, tells no service
//! manager anything, and gives its errors to whoever stops it. What it holds is [kept] from forked
//! children, so its death ends it, whatever they do.
//!
//! [kept]: sutra_layout::sys::fork

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::sys::signal::SigSet;
use rustix::net::SendFlags;
use sutra_layout::sys::fork::{self, Kept};

use crate::error::CoordinatorError;
use crate::options::Options;
use crate::server::{self, HostOrders, Orders};
use crate::store_dir::StoreDir;

/// A coordinator that this process hosts, until it is stopped or dropped.
#[derive(Debug)]
pub struct Host {
    bell: Kept<UnixStream>,
    connections: Sender<Kept<UnixStream>>,
    /// There until it has been joined.
    thread: Option<JoinHandle<Result<(), CoordinatorError>>>,
    generation: u32,
}

impl Host {
    /// Takes the locks without waiting, listens, recovers, and serves on threads of its own. Others
    /// may connect while it recovers; they are served when this returns.
    ///
    /// # Errors
    /// Whatever keeps the store from being opened; [`StoreDirError::Held`] if somebody else writes
    /// it.
    ///
    /// [`StoreDirError::Held`]: crate::store_dir::StoreDirError::Held
    pub fn start(options: Options) -> Result<Host, CoordinatorError> {
        let failed = || CoordinatorError::io("the coordinator could not be hosted");
        let socket = options.listened_at();
        let dir = StoreDir::try_acquire(&options.store, &options.program, socket.as_deref())?;
        let (bell, bells) = pair().map_err(failed())?;
        bells.set_nonblocking(true).map_err(failed())?;
        let (connections, handed_over) = channel();
        let (ready, is_ready) = channel();
        let orders = HostOrders { bells, connections: handed_over, ready };
        let serve = move || {
            // Signals are for the threads of the process that hosts us, and of the ones started here.
            let _ = SigSet::all().thread_block();
            server::serve(&options, &dir, || Ok(Orders::Host(orders)))
        };
        let thread = std::thread::Builder::new().name("sutra-host".into()).spawn(serve);
        let thread = Some(thread.map_err(failed())?);
        let mut host = Host { bell, connections, thread, generation: fork::generation() };
        if is_ready.recv().is_err() {
            host.join()?; // it ended before it served, and says why
        }
        Ok(host)
    }

    /// Whether it serves. It ends by itself when a client asks it to, or when its disk fails.
    pub fn is_serving(&self) -> bool {
        self.generation == fork::generation()
            && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// A connection to it that needs no socket in the file system.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::ConnectionRefused`] if it has ended.
    pub fn connect(&self) -> io::Result<Kept<UnixStream>> {
        if !self.is_serving() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = pair()?;
        let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.connections.send(theirs).map_err(gone)?;
        self.ring(HostOrders::CONNECT)?;
        Ok(ours)
    }

    /// Makes everything durable and the store clean, and ends; or says why it had ended.
    ///
    /// # Errors
    /// What kept it from a clean end. Nothing that was acknowledged is lost by it.
    pub fn stop(mut self) -> Result<(), CoordinatorError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), CoordinatorError> {
        // If nobody hears it any more, it has ended already.
        let _ = self.ring(HostOrders::STOP);
        self.join()
    }

    fn ring(&self, order: u8) -> io::Result<()> {
        // Without the signal that a write to a closed socket would send to the process.
        rustix::net::send(&self.bell, &[order], SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn join(&mut self) -> Result<(), CoordinatorError> {
        let panicked = |_| {
            let what = "the thread that served the store panicked";
            Err(CoordinatorError::io(what)(io::Error::other("see the program's error output")))
        };
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(panicked))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // A forked child has not got the thread, and must not even let go of it.
            std::mem::forget(self.thread.take());
        } else if let Err(error) = self.end() {
            tracing::error!(%error, "the hosted coordinator did not end cleanly");
        }
    }
}

fn pair() -> io::Result<(Kept<UnixStream>, Kept<UnixStream>)> {
    // A child born between the two lines keeps no more alive than this process does.
    let (ours, theirs) = UnixStream::pair()?;
    Ok((Kept::new(ours), Kept::new(theirs)))
}
