//! The first frame of a connection and its answer.
//!
//! Hello:
//!
//! | offset | size | field         | meaning                                             |
//! |-------:|-----:|---------------|-----------------------------------------------------|
//! |      0 |    8 | `magic`       | `SUTRAWP1`                                          |
//! |      8 |    2 | `version_min` | the lowest version the client speaks                |
//! |     10 |    2 | `version_max` | the highest                                         |
//! |     12 |   16 | `client_id`   | a uuid that the client keeps across reconnects      |
//! |     28 |    – | `author`      | a string of at most 64 bytes, e.g. the program name |
//!
//! HelloReply:
//!
//! | offset | size | field                      | meaning                                    |
//! |-------:|-----:|----------------------------|--------------------------------------------|
//! |      0 |    2 | `version`                  | the version spoken from here on            |
//! |      2 |    8 | `writer_epoch`             | raised at each start of a coordinator      |
//! |     10 |    4 | `writer_pid`               | the coordinator's process                  |
//! |     14 |   16 | `store_id`                 | the store's uuid                           |
//! |     30 |    4 | `frame_size_max`           | the largest body it takes                  |
//! |     34 |    4 | `operations_per_frame_max` | the most operations in a frame             |
//! |     38 |    8 | `last_sequence`            | highest applied of this client, 0: unknown |
//! |     46 |    8 | `published_lsn`            | what readers see                           |
//!
//! Bytes behind the last field are ignored in both, so that a later version can say more.

use super::code::ProtocolError;
use super::frame::{FrameKind, write_frame};
use super::wire::{Fields, cut, put_string};

/// What a hello begins with.
pub const MAGIC: [u8; 8] = *b"SUTRAWP1";
/// The version spoken by this crate.
pub const PROTOCOL_VERSION: u16 = 1;
/// Bytes of an author.
pub const AUTHOR_SIZE_MAX: usize = 64;

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The lowest version the client speaks.
    pub version_min: u16,
    /// The highest version the client speaks.
    pub version_max: u16,
    /// A uuid that the client keeps across reconnects; sequence numbers count under it.
    pub client_id: [u8; 16],
    /// At most 64 bytes, e.g. the program's name; recorded with what it writes.
    pub author: &'a str,
}

impl<'a> Hello<'a> {
    /// A hello in this crate's version.
    pub fn new(client_id: [u8; 16], author: &'a str) -> Hello<'a> {
        Hello { version_min: PROTOCOL_VERSION, version_max: PROTOCOL_VERSION, client_id, author }
    }

    /// Reads the body of a hello.
    pub fn decode(body: &'a [u8]) -> Result<Hello<'a>, ProtocolError> {
        let mut fields = Fields::new(body);
        let found = fields.array("hello magic")?;
        if found != MAGIC {
            return Err(ProtocolError::BadMagic { found });
        }
        let hello = Hello {
            version_min: fields.u16("hello version_min")?,
            version_max: fields.u16("hello version_max")?,
            client_id: fields.array("hello client_id")?,
            author: fields.string("hello author")?,
        };
        if hello.author.len() > AUTHOR_SIZE_MAX || hello.author.contains('\0') {
            return Err(ProtocolError::BadValue { field: "hello author" });
        }
        Ok(hello)
    }

    /// The version to speak with this client.
    pub fn negotiate(&self) -> Result<u16, ProtocolError> {
        match (self.version_min..=self.version_max).contains(&PROTOCOL_VERSION) {
            true => Ok(PROTOCOL_VERSION),
            false => Err(ProtocolError::NoCommonVersion {
                min: self.version_min,
                max: self.version_max,
                own: PROTOCOL_VERSION,
            }),
        }
    }

    /// Appends the whole frame; an author above 64 bytes is cut at a character.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::Hello, request_id, |out| {
            out.extend_from_slice(&MAGIC);
            out.extend_from_slice(&self.version_min.to_le_bytes());
            out.extend_from_slice(&self.version_max.to_le_bytes());
            out.extend_from_slice(&self.client_id);
            put_string(out, cut(self.author, AUTHOR_SIZE_MAX));
        });
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// The version spoken from here on.
    pub version: u16,
    /// Raised at each start of a coordinator.
    pub writer_epoch: u64,
    /// The coordinator's process.
    pub writer_pid: u32,
    /// The store's uuid.
    pub store_id: [u8; 16],
    /// The largest body that the coordinator takes.
    pub frame_size_max: u32,
    /// The most operations it takes in a frame.
    pub operations_per_frame_max: u32,
    /// The highest applied sequence of this client; 0 if the client is not known.
    pub last_sequence: u64,
    /// What readers see.
    pub published_lsn: u64,
}

impl HelloReply {
    /// Reads the body of the answer.
    pub fn decode(body: &[u8]) -> Result<HelloReply, ProtocolError> {
        let mut fields = Fields::new(body);
        Ok(HelloReply {
            version: fields.u16("hello reply version")?,
            writer_epoch: fields.u64("hello reply writer_epoch")?,
            writer_pid: fields.u32("hello reply writer_pid")?,
            store_id: fields.array("hello reply store_id")?,
            frame_size_max: fields.u32("hello reply frame_size_max")?,
            operations_per_frame_max: fields.u32("hello reply operations_per_frame_max")?,
            last_sequence: fields.u64("hello reply last_sequence")?,
            published_lsn: fields.u64("hello reply published_lsn")?,
        })
    }

    /// Appends the whole frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::HelloReply, request_id, |out| {
            out.extend_from_slice(&self.version.to_le_bytes());
            out.extend_from_slice(&self.writer_epoch.to_le_bytes());
            out.extend_from_slice(&self.writer_pid.to_le_bytes());
            out.extend_from_slice(&self.store_id);
            out.extend_from_slice(&self.frame_size_max.to_le_bytes());
            out.extend_from_slice(&self.operations_per_frame_max.to_le_bytes());
            out.extend_from_slice(&self.last_sequence.to_le_bytes());
            out.extend_from_slice(&self.published_lsn.to_le_bytes());
        });
    }
}
