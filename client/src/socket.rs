//! Unix stream sockets by path, whatever the path's length.
//!
//! A socket address holds 107 bytes of path. A longer one is reached through its directory, opened
//! with `O_PATH`, as `/proc/self/fd/N/name`.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Bytes of path that a socket address holds, without the zero byte behind them.
const ADDRESS_PATH_SIZE_MAX: usize = 107;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A path that fits an address, and the directory that it leads through.
struct ShortPath {
    path: PathBuf,
    /// The path holds while this is open.
    _directory: Option<OwnedFd>,
}

impl ShortPath {
    fn new(path: &Path) -> io::Result<ShortPath> {
        if path.as_os_str().len() <= ADDRESS_PATH_SIZE_MAX {
            return Ok(ShortPath { path: path.to_owned(), _directory: None });
        }
        let name = path.file_name().ok_or_else(|| invalid(path, "names no socket"))?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        let mut short = OsString::from(format!("/proc/self/fd/{}/", directory.as_raw_fd()));
        short.push(name);
        if short.len() > ADDRESS_PATH_SIZE_MAX {
            return Err(invalid(path, "ends in a name that is too long for a socket"));
        }
        Ok(ShortPath { path: short.into(), _directory: Some(directory) })
    }

    fn address(&self) -> io::Result<SocketAddrUnix> {
        Ok(SocketAddrUnix::new(self.path.as_path())?)
    }
}

fn invalid(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} {what}", path.display()))
}

fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Connects to the socket at `path`. While its backlog is full this waits without an end; see
/// [`connect_within`].
pub fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
    connect_or_give_up(path.as_ref(), None)
}

/// Connects to the socket at `path`; gives up with [`io::ErrorKind::TimedOut`] when its backlog
/// stays full for that long, as it does when the listener is stopped.
pub fn connect_within(path: impl AsRef<Path>, timeout: Duration) -> io::Result<UnixStream> {
    connect_or_give_up(path.as_ref(), Some(timeout))
}

fn connect_or_give_up(path: &Path, timeout: Option<Duration>) -> io::Result<UnixStream> {
    let short = ShortPath::new(path)?;
    let address = short.address()?;
    let socket = stream_socket()?;
    if let Some(timeout) = timeout {
        // The kernel bounds the wait for a place in the backlog by the send timeout; 0 would mean
        // no bound.
        let timeout = timeout.max(Duration::from_millis(1));
        set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
    }
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
    if timeout.is_some() {
        set_socket_timeout(&socket, Timeout::Send, None)?;
    }
    Ok(UnixStream::from(socket))
}

/// Binds a socket at `path` and listens. Its permissions are `mode` whatever the umask, before
/// anyone can connect.
///
/// Replaces nothing: if something is at `path` this fails with [`io::ErrorKind::AddrInUse`], and
/// the caller, who knows whether it is stale, unlinks it.
pub fn bind(path: impl AsRef<Path>, mode: u32) -> io::Result<UnixListener> {
    let short = ShortPath::new(path.as_ref())?;
    let address = short.address()?;
    let socket = stream_socket()?;
    rustix::net::bind(&socket, &address)?;
    // Until it listens, connecting is refused, so nobody gets in under the umask's mode.
    let ready = set_mode(&short.path, Mode::from_raw_mode(mode & 0o7777))
        .and_then(|()| rustix::net::listen(&socket, BACKLOG));
    if let Err(error) = ready {
        // What is at the path is what was bound above; left there it would look like a stale one.
        let _ = rustix::fs::unlink(short.path.as_path());
        return Err(error.into());
    }
    Ok(UnixListener::from(socket))
}

/// Sets the mode of the socket at `path`, and of nothing that somebody put there in its place.
fn set_mode(path: &Path, mode: Mode) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = rustix::fs::open(path, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&socket)?.st_mode) != FileType::Socket {
        return Err(rustix::io::Errno::NOTSOCK);
    }
    // A descriptor of this kind has no fchmod; the path of the descriptor leads to its file alone.
    rustix::fs::chmod(format!("/proc/self/fd/{}", socket.as_raw_fd()), mode)
}

/// The name of the socket in a store's directory.
pub const SOCKET_NAME: &str = "coordinator.sock";

/// Where a store's coordinator listens unless told otherwise.
pub fn path_in(store: impl AsRef<Path>) -> PathBuf {
    store.as_ref().join(SOCKET_NAME)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn echo_once(listener: UnixListener) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            peer.write_all(&byte).unwrap();
        })
    }

    fn assert_echo(mut stream: UnixStream) {
        stream.write_all(b"x").unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_path_longer_than_an_address_is_bound_and_reached() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a".repeat(200)).join("b".repeat(200));
        std::fs::create_dir_all(&deep).unwrap();
        let path = path_in(&deep);
        let server = echo_once(bind(&path, 0o660).unwrap());
        assert_echo(connect(&path).unwrap());
        server.join().unwrap();
        assert!(path.exists());
    }

    #[test]
    fn the_mode_is_the_one_asked_for() {
        let root = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o660, 0o666, 0o777] {
            let path = root.path().join(format!("{mode:o}.sock"));
            let _listener = bind(&path, mode).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, mode);
        }
    }

    #[test]
    fn binding_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("taken");
        std::fs::write(&path, b"kept").unwrap();
        assert_eq!(bind(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    }

    #[test]
    fn the_mode_is_set_of_a_socket_alone_and_through_no_link() {
        let root = tempfile::tempdir().unwrap();
        let (file, link) = (root.path().join("file"), root.path().join("link"));
        std::fs::write(&file, b"").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link] {
            assert_eq!(set_mode(path, Mode::from_raw_mode(0o666)), Err(rustix::io::Errno::NOTSOCK));
        }
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_full_backlog_is_given_up_in_time() {
        let root = tempfile::tempdir().unwrap();
        let path = path_in(root.path());
        let address = SocketAddrUnix::new(path.as_path()).unwrap();
        let listener = stream_socket().unwrap();
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let first = connect_within(&path, Duration::from_millis(10)).unwrap();
        let error = connect_within(&path, Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The bound was for connecting alone.
        assert_eq!(first.write_timeout().unwrap(), None);
    }

    #[test]
    fn a_name_that_fits_no_address_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let error = bind(root.path().join("n".repeat(120)), 0o660).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
