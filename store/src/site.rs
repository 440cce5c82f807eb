//! One store as one process has it: who is its coordinator, and becoming that.
//!
//! All handles of a process share one site for each store, since the locks are the process's. Asked
//! for a connection, it gives one to the host in this process, else to whoever listens on the
//! socket; if nobody does, this process tries to become the host, and if another was faster, the
//! client asks again in a moment. So of any number of processes that miss the host at once, one
//! takes over, and the others find it.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sutra_client::{Dial, socket};
use sutra_coordinator::store_dir::StoreDirError;
use sutra_coordinator::{CoordinatorError, Host};
use sutra_layout::sys::fork::{Kept, PerProcess};

use crate::error::StoreError;

/// The sites of this process. A forked child begins with none.
static SITES: PerProcess<Mutex<HashMap<PathBuf, Weak<Site>>>> = PerProcess::new();

/// A store, and this process's part in writing it. The host ends with the last handle.
#[derive(Debug)]
pub(crate) struct Site {
    options: sutra_coordinator::Options,
    host: Mutex<Option<Host>>,
}

impl Site {
    /// This process's site of the store; the options count if it is the first handle of it.
    pub(crate) fn of(options: sutra_coordinator::Options) -> Arc<Site> {
        let Ok(sites) = SITES.get_or_init(|| Ok::<_, std::convert::Infallible>(Mutex::default()));
        let mut sites = lock(sites);
        let key = canonical(&options.store);
        if let Some(site) = sites.get(&key).and_then(Weak::upgrade) {
            return site;
        }
        sites.retain(|_, site| site.strong_count() > 0);
        let site = Arc::new(Site { options, host: Mutex::new(None) });
        sites.insert(key, Arc::downgrade(&site));
        site
    }

    fn store(&self) -> &Path {
        &self.options.store
    }

    /// Whether this process hosts the coordinator.
    pub(crate) fn is_host(&self) -> bool {
        lock(&self.host).as_ref().is_some_and(Host::is_serving)
    }

    /// Ends a host whose directory is not at the store's path any more.
    pub(crate) fn leave_if_moved(&self) {
        let mut host = lock(&self.host);
        if !self.store().join(sutra_reader::STORAGE_FILE).exists() {
            *host = None;
        }
    }

    /// A connection to the host in this process; becomes it if nobody is.
    fn host(&self) -> io::Result<Kept<UnixStream>> {
        let mut host = lock(&self.host);
        if let Some(serving) = host.as_ref().filter(|host| host.is_serving()) {
            return serving.connect();
        }
        if let Some(ended) = host.take()
            && let Err(error) = ended.stop()
        {
            tracing::warn!(%error, "the coordinator hosted here had ended; starting it again");
        }
        check_owner(self.store())?;
        match Host::start(self.options.clone()) {
            Ok(started) => host.insert(started).connect(),
            Err(CoordinatorError::StoreDir(held @ StoreDirError::Held { .. })) => {
                drop(host);
                self.connect_to_holder(held)
            }
            Err(error) => Err(StoreError::of_host(self.store(), error).into()),
        }
    }

    /// Somebody else has the locks: about to listen, or to leave, or listening elsewhere.
    fn connect_to_holder(&self, held: StoreDirError) -> io::Result<Kept<UnixStream>> {
        let StoreDirError::Held { store, pid, program, socket } = held else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let lives = pid.is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists());
        match socket {
            Some(socket) if socket != std::path::absolute(self.options.socket_path())? => {
                socket::connect_within(socket, Duration::from_secs(1)).map(Kept::new)
            }
            // Lines of a process that has died are of the past: its successor will write its own.
            None if lives && pid != Some(std::process::id()) => {
                Err(StoreError::WrittenElsewhere { store, program, pid }.into())
            }
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl Dial for Site {
    fn dial(&self, timeout: Duration) -> io::Result<Kept<UnixStream>> {
        if !self.options.listens || self.is_host() {
            return self.host();
        }
        match socket::connect_within(self.options.socket_path(), timeout) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                self.host()
            }
            connected => connected.map(Kept::new),
        }
    }
}

/// Only the user to whom the store belongs may host: what another made in it, even root, would lock
/// its owner out.
fn check_owner(store: &Path) -> Result<(), StoreError> {
    let metadata = std::fs::metadata(store.join(sutra_reader::STORAGE_FILE));
    let Ok(metadata) = metadata.or_else(|_| std::fs::metadata(store)) else {
        return Ok(()); // to be made
    };
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    match owner == own {
        true => Ok(()),
        false => Err(StoreError::NoWriter { store: store.to_owned(), owner, own }),
    }
}

/// The same for every path of one directory, also before it is made.
fn canonical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = absolute.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some(real.join(absolute.strip_prefix(above).ok()?))
    });
    found.unwrap_or(absolute)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
