//! The coordinator's frames over TCP, on the loopback interface, and answers to reads.
//!
//! For programs that cannot map the store's file or reach its socket. Each client has a thread: what
//! it writes goes on to the coordinator's own socket as it comes, and the coordinator holds it to its
//! limits there; what it asks is answered here, by a reader. So no read ever takes time of the one
//! who writes, and at most as many as there are processors are answered at a time.
//!
//! A TCP port has no owner and no mode. Whoever connects is looked up in the system's table of
//! connections, and only those users get further who could reach the socket: the one who serves,
//! root, and whoever is named.

mod answer;
mod peer;
mod relay;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use sutra_client::protocol::{ErrorCode, ErrorReply};
use sutra_client::{ClientError, Dial, socket, tcp};
use sutra_coordinator::Allowed;
use sutra_layout::sys::fork::{Kept, keep};
use sutra_reader::{OpenError, Reader};

use crate::error::StoreError;
use crate::site::Site;

/// Clients at a time; each has a thread.
const CLIENTS_MAX: usize = 128;
/// Answers that all clients together have not taken yet, in bytes; above it the next ones wait.
const ANSWERS_SIZE_MAX: usize = 64 << 20;
/// How long the coordinator's queue may have no place.
const DIAL_PATIENCE: Duration = Duration::from_secs(2);
/// After an error of the listener, most likely that descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is to be listened on, and for whom.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The store's directory.
    pub store: PathBuf,
    /// Its coordinator's socket.
    pub socket: PathBuf,
    /// An address of the loopback interface; port 0: any that is free.
    pub address: String,
    /// Users that may connect, besides this process's own and root.
    pub allow_uids: Vec<u32>,
    /// Groups whose listed members may connect.
    pub allow_gids: Vec<u32>,
}

/// A port that is listened on, until this is dropped.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    /// Closed with this, which ends every thread that looks at the other end.
    _bell: Kept<UnixStream>,
}

impl Listening {
    /// Listens, and serves on threads of its own. The store may be made or recovered later:
    /// clients wait until its coordinator greets them.
    ///
    /// # Errors
    /// An address that is not of the loopback interface, or cannot be had.
    pub fn start(options: &ListenOptions) -> Result<Listening, StoreError> {
        Listening::start_at(options, None)
    }

    /// Likewise, for a process that hosts the coordinator itself if nobody else does.
    pub(crate) fn start_at(
        options: &ListenOptions,
        site: Option<Weak<Site>>,
    ) -> Result<Listening, StoreError> {
        let address = tcp::loopback(&options.address)?;
        let failed = |source| ClientError::Io {
            action: "listen on",
            path: options.address.clone().into(),
            source,
        };
        let listener = keep(|| TcpListener::bind(address)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (bell, bells) = UnixStream::pair().map_err(failed)?;
        let (bell, bells) = (Kept::new(bell), Kept::new(bells));
        let mut named = sutra_coordinator::Options::new(&options.store);
        named.allow_uids = options.allow_uids.clone();
        named.allow_gids = options.allow_gids.clone();
        named.allow_uids.push(0);
        let shared = Arc::new(Shared {
            store: options.store.clone(),
            socket: options.socket.clone(),
            site,
            allowed: Allowed::new(&named).map_err(StoreError::Host)?,
            bells,
            reader: OnceLock::new(),
            clients: AtomicUsize::new(0),
            answers_size: AtomicUsize::new(0),
            gate: Gate::new(),
        });
        let accept = move || shared.accept(&listener);
        std::thread::Builder::new().name("sutra-listen".into()).spawn(accept).map_err(failed)?;
        tracing::info!(%address, "listening over TCP");
        Ok(Listening { address, _bell: bell })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What all clients' threads share.
#[derive(Debug)]
struct Shared {
    store: PathBuf,
    socket: PathBuf,
    /// Of a process that may host. Not kept alive from here: a host ends with its last handle.
    site: Option<Weak<Site>>,
    allowed: Allowed,
    /// Readable once nobody listens any more.
    bells: Kept<UnixStream>,
    /// Opened at the first read: before that the store may need recovery.
    reader: OnceLock<Reader>,
    clients: AtomicUsize,
    answers_size: AtomicUsize,
    gate: Gate,
}

impl Shared {
    fn accept(self: &Arc<Shared>, listener: &Kept<TcpListener>) {
        loop {
            let mut watched =
                [PollFd::new(&**listener, PollFlags::IN), PollFd::new(&*self.bells, PollFlags::IN)];
            let _ = poll(&mut watched, None);
            if !watched[1].revents().is_empty() {
                return;
            }
            match keep(|| listener.accept().map(|(stream, _)| stream)) {
                Ok(stream) => self.welcome(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "no client could be accepted over TCP");
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Gives a client a thread, or tells it why not.
    fn welcome(self: &Arc<Shared>, stream: Kept<TcpStream>) {
        let refused = |refusal: ErrorReply| {
            let mut frame = Vec::new();
            refusal.encode(0, &mut frame);
            // A new connection's buffer takes that at once.
            let _ = stream.set_nonblocking(true);
            let _ = io::Write::write(&mut &*stream, &frame);
        };
        if let Some(refusal) = self.refusal(&stream) {
            return refused(refusal);
        }
        let Some(place) = Place::take(self) else {
            let message =
                format!("{CLIENTS_MAX} clients are connected already; close some or wait");
            return refused(ErrorReply { code: ErrorCode::LimitReached, message });
        };
        let serve = move || {
            if let Err(error) = relay::serve(&place.0, stream) {
                tracing::debug!(%error, "a client over TCP was left");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("sutra-tcp".into()).spawn(serve) {
            tracing::warn!(%error, "a client over TCP could not be given a thread");
        }
    }

    /// Why a client is not served.
    fn refusal(&self, stream: &TcpStream) -> Option<ErrorReply> {
        let refused = |message| Some(ErrorReply { code: ErrorCode::NotAllowed, message });
        match peer::uid_of(stream) {
            Ok(Some(uid)) if self.allowed.names(uid) => None,
            Ok(Some(uid)) => {
                tracing::warn!(uid, "a user who is not allowed connected over TCP");
                refused(format!(
                    "uid {uid} is not among those that may connect here; ask whoever serves the \
                     store for --allow-uid {uid}, or read it, which needs no coordinator"
                ))
            }
            Ok(None) => refused("the connection was closed, or is not of this machine".to_owned()),
            Err(error) => {
                tracing::warn!(%error, "who connects over TCP could not be looked up");
                refused(format!(
                    "who connects could not be looked up: {error}; the server needs /proc/net"
                ))
            }
        }
    }

    /// A connection to the coordinator.
    fn dial(&self) -> io::Result<Kept<UnixStream>> {
        match &self.site {
            None => socket::connect_within(&self.socket, DIAL_PATIENCE).map(Kept::new),
            Some(site) => {
                let site = site.upgrade().ok_or(io::ErrorKind::ConnectionRefused)?;
                site.dial(DIAL_PATIENCE)
            }
        }
    }

    fn reader(&self) -> Result<&Reader, OpenError> {
        match self.reader.get() {
            Some(reader) => Ok(reader),
            None => {
                let reader = Reader::open(&self.store)?;
                Ok(self.reader.get_or_init(|| reader))
            }
        }
    }
}

/// One of the places for clients, given back when it is dropped.
#[derive(Debug)]
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Place> {
        let taken = shared.clients.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(shared));
        (taken < CLIENTS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets as many pass as there are processors.
#[derive(Debug)]
struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Gate {
    fn new() -> Gate {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        Gate { free: Mutex::new(count), freed: Condvar::new() }
    }

    fn through<T>(&self, act: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |free: &mut usize| *free == 0;
        let free = self.freed.wait_while(free, is_full);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        let _pass = Pass(self);
        act()
    }
}

struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
