//! Who may connect.
//!
//! The mode of the socket decides first: whoever cannot write to it does not get here. Where users
//! or groups are named in the options, only they are served, and the coordinator's own user, who
//! could replace the store anyway.

use std::collections::HashSet;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::{Gid, Group, User};

use crate::error::CoordinatorError;
use crate::options::Options;

/// Time between two lines of log about the same thing.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The process at the other end, as the system knew it when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
    /// As this process sees it; 0 for one of another namespace.
    pub pid: i32,
}

impl Peer {
    /// Who is at the other end of a socket.
    pub fn of(stream: &UnixStream) -> std::io::Result<Peer> {
        let credentials = getsockopt(stream, PeerCredentials)?;
        Ok(Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() })
    }
}

/// The users and groups that are served.
#[derive(Debug)]
pub struct Allowed {
    uids: HashSet<u32>,
    gids: HashSet<u32>,
    is_everybody: bool,
}

impl Allowed {
    /// As the options say. The members of a group are those of the system's database, now, and
    /// whoever has it as their own group.
    pub fn new(options: &Options) -> Result<Allowed, CoordinatorError> {
        let mut uids: HashSet<u32> = options.allow_uids.iter().copied().collect();
        for gid in &options.allow_gids {
            uids.extend(members(*gid).map_err(|errno| CoordinatorError::Io {
                what: format!("the members of group {gid} could not be looked up"),
                source: errno.into(),
            })?);
        }
        uids.insert(nix::unistd::geteuid().as_raw());
        Ok(Allowed {
            uids,
            gids: options.allow_gids.iter().copied().collect(),
            is_everybody: options.allow_uids.is_empty() && options.allow_gids.is_empty(),
        })
    }

    /// Whether a user is among those named, or the coordinator's own.
    pub fn names(&self, uid: u32) -> bool {
        self.uids.contains(&uid)
    }

    /// Whether a peer is served.
    pub(super) fn has(&self, peer: Peer) -> bool {
        self.is_everybody || self.uids.contains(&peer.uid) || self.gids.contains(&peer.gid)
    }
}

/// The users that are listed as members of a group.
fn members(gid: u32) -> nix::Result<Vec<u32>> {
    let Some(group) = Group::from_gid(Gid::from_raw(gid))? else {
        return Ok(Vec::new()); // a number without a name can still be somebody's own group
    };
    let mut uids = Vec::new();
    for name in &group.mem {
        uids.extend(User::from_name(name)?.map(|user| user.uid.as_raw()));
    }
    Ok(uids)
}

/// Lets one line of log through a second, and counts the others: whoever can connect could
/// otherwise fill a disk.
#[derive(Debug, Default)]
pub struct Ration {
    last: Option<Instant>,
    held_back: u64,
}

impl Ration {
    /// How many were held back before this one; `None` if this one is, too.
    pub fn next(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now - last < LOG_INTERVAL) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(uids: &[u32], gids: &[u32]) -> Allowed {
        let mut options = Options::new("store");
        options.allow_uids = uids.to_vec();
        options.allow_gids = gids.to_vec();
        Allowed::new(&options).unwrap()
    }

    #[test]
    fn the_mode_of_the_socket_decides_where_nobody_is_named() {
        assert!(allowed(&[], &[]).has(Peer { uid: 40_001, gid: 40_001, pid: 1 }));
    }

    #[test]
    fn where_somebody_is_named_nobody_else_is_served_but_the_owner() {
        let allowed = allowed(&[40_001], &[40_002]);
        let own = nix::unistd::geteuid().as_raw();
        let others =
            [(40_001, 5, true), (5, 40_002, true), (own, 5, true), (40_002, 40_001, false)];
        for (uid, gid, is_served) in others {
            assert_eq!(allowed.has(Peer { uid, gid, pid: 1 }), is_served, "{uid} {gid}");
        }
    }

    #[test]
    fn a_line_a_second_goes_to_the_log() {
        let (mut ration, start) = (Ration::default(), Instant::now());
        assert_eq!(ration.next(start), Some(0));
        for _ in 0..7 {
            assert_eq!(ration.next(start + LOG_INTERVAL / 2), None);
        }
        assert_eq!(ration.next(start + LOG_INTERVAL), Some(7));
        assert_eq!(ration.next(start + LOG_INTERVAL * 2), Some(0));
    }
}
