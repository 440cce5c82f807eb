//! A connection without the client: whatever bytes a story wants to send.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use sutra_client::protocol::compact::encode_compact;
use sutra_client::protocol::frame::write_frame;
use sutra_client::protocol::{
    ErrorCode, ErrorReply, FrameHeader, FrameKind, HEADER_SIZE, Hello, Horizon, Reply,
};
use sutra_client::{Batch, Learn, Level, socket};

/// Longer than any deadline of a coordinator.
const READ_TIMEOUT: Duration = Duration::from_secs(40);

/// One connection.
#[derive(Debug)]
pub struct Session {
    stream: UnixStream,
}

impl Session {
    /// Connects, and says nothing.
    pub fn connect(store: &Path) -> Session {
        let stream = socket::connect(socket::path_in(store)).expect("somebody listens");
        stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a timeout can be set");
        Session { stream }
    }

    /// Connects over TCP, and says nothing.
    pub fn connect_tcp(address: SocketAddr) -> Session {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a timeout can be set");
        // What is done with it here is done with any stream socket.
        Session { stream: OwnedFd::from(stream).into() }
    }

    /// Connects and says hello.
    pub fn greeted(store: &Path, client_id: [u8; 16]) -> Session {
        Session::connect(store).and_greet(client_id)
    }

    /// Says hello.
    pub fn and_greet(self, client_id: [u8; 16]) -> Session {
        let mut session = self;
        session.send(&hello(client_id));
        match session.reply() {
            Some((_, Reply::Hello(_))) => session,
            other => panic!("hello is answered by {other:?}"),
        }
    }

    /// Likewise, or nothing if nobody listens, or the other end goes away.
    pub fn try_greeted(store: &Path, client_id: [u8; 16]) -> Option<Session> {
        let stream = socket::connect(socket::path_in(store)).ok()?;
        stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a timeout can be set");
        let mut session = Session { stream };
        session.send(&hello(client_id));
        matches!(session.reply(), Some((_, Reply::Hello(_)))).then_some(session)
    }

    /// Sends bytes; the other end may have closed meanwhile.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends the same over and over, until the other end has closed.
    pub fn send_until_closed(&mut self, bytes: &[u8]) {
        while self.stream.write_all(bytes).is_ok() {}
    }

    /// Sends what the socket takes without waiting, and returns how much that was.
    pub fn send_without_waiting(&mut self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).expect("a socket can be made so");
        let sent = self.stream.write(bytes).unwrap_or(0);
        self.stream.set_nonblocking(false).expect("a socket can be made so");
        sent
    }

    /// Says that nothing more will be sent.
    pub fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next reply and its request id; `None` once the other end has closed.
    ///
    /// # Panics
    /// If nothing comes, or what comes is no reply.
    pub fn reply(&mut self) -> Option<(u64, Reply)> {
        let mut header = [0; HEADER_SIZE];
        self.read(&mut header)?;
        let header = FrameHeader::parse(&header, u32::MAX).expect("a reply has a header");
        let mut body = vec![0; header.body_size as usize];
        self.read(&mut body)?;
        let reply = Reply::decode(header.kind, &body).expect("a reply can be decoded");
        Some((header.request_id, reply))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) => match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => None,
                _ => panic!("no reply and no end: {error}"),
            },
        }
    }

    /// Reads up to the error that ends the connection, and sees that it does end.
    ///
    /// # Panics
    /// If it ends otherwise.
    pub fn refusal(&mut self) -> ErrorCode {
        loop {
            match self.reply() {
                Some((_, Reply::Error(ErrorReply { code, message }))) => {
                    assert!(!message.is_empty());
                    assert_eq!(self.reply(), None, "an error is the last that is said");
                    return code;
                }
                Some(_) => {}
                None => panic!("the connection ended without an error"),
            }
        }
    }
}

/// The first frame of a connection.
pub fn hello(client_id: [u8; 16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Hello::new(client_id, "raw").encode(1, &mut bytes);
    bytes
}

/// A frame that learns one concept.
pub fn learn(sequence: u64, id: &str, content: &str, level: Level) -> Vec<u8> {
    let mut batch = Batch::new();
    let learn = Learn { id: id.into(), content: Some(content), ..Learn::default() };
    batch.learn(&learn).expect("it fits");
    let mut bytes = Vec::new();
    batch.encode(100 + sequence, sequence, level, &mut bytes);
    bytes
}

/// A frame without a body.
pub fn bare(kind: FrameKind, request_id: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, kind, request_id, |_| {});
    bytes
}

/// A frame that asks for a compaction, with nothing to purge.
pub fn compact(horizon: Horizon, request_id: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_compact(horizon, &[], request_id, &mut bytes);
    bytes
}

/// The header of a frame, and no frame.
pub fn header(kind: FrameKind, body_size: u32) -> Vec<u8> {
    FrameHeader { body_size, kind, request_id: 7 }.to_bytes().to_vec()
}
