//! The socket that a killed coordinator leaves behind.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::directory::Directory;

/// How long a full backlog is waited for before it counts as somebody who listens.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);
/// A coordinator that was just killed releases its locks a moment before its listener.
const LOOKS: u32 = 20;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Unlinks the socket at `path`, if there is one that nobody listens on. The caller holds the
/// locks of the store in `directory`.
pub(super) fn remove_stale(directory: &Directory, path: &Path) -> io::Result<()> {
    let stat = match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        let message = format!(
            "{} is there and is no socket; move it away, or listen elsewhere with --socket",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    // In the store's own directory the locks are proof enough. Elsewhere it may be the socket of
    // another store, or of something else altogether.
    if !directory.is_at(path.parent().unwrap_or(path))? && is_listened_on(path) {
        let message = format!(
            "{} is the socket of another process, which listens on it; listen elsewhere with --socket",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_listened_on(path: &Path) -> bool {
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(LOOK_INTERVAL);
        }
        match sutra_client::socket::connect_within(path, CONNECT_TIMEOUT) {
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => return false,
                _ => return true,
            },
        }
    }
    true
}
