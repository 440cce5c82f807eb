//! A round trip by ipc-channel's typed channels.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};

use super::{Peer, REPLY_SIZE, REQUEST_SIZE, RoundTrip, Way};

type Bytes = Vec<u8>;
/// What the child sends first: where it is asked, and where it answers.
type Ends = (IpcSender<Bytes>, IpcReceiver<Bytes>);

/// Answers until the other end is gone: the child's side.
pub fn run(name: &Path) -> anyhow::Result<()> {
    let name = name.to_str().context("ipc-channel names its sockets in UTF-8")?;
    let first: IpcSender<Ends> = IpcSender::connect(name.to_owned())?;
    let (ask, asked) = ipc::channel::<Bytes>()?;
    let (answer, answered) = ipc::channel()?;
    first.send((ask, answered))?;
    while let Ok(request) = asked.recv() {
        answer.send(request[..REPLY_SIZE].to_vec())?;
    }
    Ok(())
}

/// Both channels, and the process at the other end.
pub struct Channel {
    ask: IpcSender<Bytes>,
    answered: IpcReceiver<Bytes>,
    _peer: Peer,
}

impl Channel {
    /// Starts the process.
    pub fn start() -> anyhow::Result<Channel> {
        let (server, name) = IpcOneShotServer::<Ends>::new()?;
        let peer = Peer::start(Way::IpcChannel, name.as_ref())?;
        let (_, (ask, answered)) = server.accept()?;
        Ok(Channel { ask, answered, _peer: peer })
    }
}

impl RoundTrip for Channel {
    fn round_trip(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.ask.send(vec![1; REQUEST_SIZE])?;
        self.answered.recv()?;
        Ok(began.elapsed())
    }
}
