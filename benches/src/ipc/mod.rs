//! Round trips to another process, in the sizes of one write and its answer, one file a way.

#[cfg(feature = "peers")]
mod channel;
#[cfg(feature = "peers")]
mod event;
mod futex;
mod socket;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
#[cfg(not(feature = "peers"))]
use anyhow::bail;
use clap::{Args, ValueEnum};

pub use socket::Echo;

/// Bytes of a frame with one concept, and of its answer.
pub const REQUEST_SIZE: usize = 240;
pub const REPLY_SIZE: usize = 64;

/// How two processes talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// A Unix stream socket: ours
    Socket,
    /// ipc-channel, its typed channels
    IpcChannel,
    /// Events of raw_sync in memory of shared_memory
    RawSync,
    /// A futex in a mapped file
    Futex,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 4] = [Way::Socket, Way::IpcChannel, Way::RawSync, Way::Futex];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Way::Socket => "socket",
            Way::IpcChannel => "ipc-channel",
            Way::RawSync => "raw-sync",
            Way::Futex => "futex",
        }
    }

    /// Why it cannot be measured, if so.
    pub fn absence(self) -> Option<&'static str> {
        let is_peer = matches!(self, Way::IpcChannel | Way::RawSync);
        let is_absent = is_peer && !cfg!(feature = "peers");
        is_absent.then_some("not built: it needs --features peers")
    }

    /// Starts a process at the other end; `folder` has room for what they meet at.
    pub fn start(self, folder: &Path) -> anyhow::Result<Box<dyn RoundTrip>> {
        let address = folder.join(self.name());
        Ok(match self {
            Way::Socket => Box::new(Echo::start(&address)?),
            #[cfg(feature = "peers")]
            Way::IpcChannel => Box::new(channel::Channel::start()?),
            #[cfg(feature = "peers")]
            Way::RawSync => Box::new(event::Events::start(&address)?),
            Way::Futex => Box::new(futex::Words::start(&address)?),
            #[cfg(not(feature = "peers"))]
            other => bail!("{} is not in this build of the benches", other.name()),
        })
    }
}

/// One end that asks.
pub trait RoundTrip {
    /// There and back.
    fn round_trip(&mut self) -> anyhow::Result<Duration>;
}

/// What the hidden subcommand takes.
#[derive(Args, Clone, Debug)]
pub struct EchoArgs {
    way: Way,
    address: PathBuf,
}

/// Answers until the other end is gone: the child's side.
pub fn run(args: &EchoArgs) -> anyhow::Result<()> {
    match args.way {
        Way::Socket => socket::run(&args.address),
        #[cfg(feature = "peers")]
        Way::IpcChannel => channel::run(&args.address),
        #[cfg(feature = "peers")]
        Way::RawSync => event::run(&args.address),
        Way::Futex => futex::run(&args.address),
        #[cfg(not(feature = "peers"))]
        other => bail!("{} is not in this build of the benches", other.name()),
    }
}

/// The process at the other end. It is killed when this is dropped.
#[derive(Debug)]
struct Peer(Child);

impl Peer {
    fn start(way: Way, address: &Path) -> anyhow::Result<Peer> {
        let name = way.to_possible_value().expect("every way has a name");
        let child = Command::new(std::env::current_exe()?)
            .args(["echo", name.get_name()])
            .arg(address)
            .stdin(Stdio::null())
            .spawn()
            .context("the echo process could not be started")?;
        Ok(Peer(child))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
