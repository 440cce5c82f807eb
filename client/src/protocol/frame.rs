//! The header that every frame begins with.
//!
//! | offset | size | field        | meaning                                          |
//! |-------:|-----:|--------------|--------------------------------------------------|
//! |      0 |    4 | `body_size`  | bytes that follow the header                     |
//! |      4 |    1 | `kind`       | see [`FrameKind`]                                |
//! |      5 |    1 | `flags`      | 0                                                |
//! |      6 |    2 | `reserved`   | 0                                                |
//! |      8 |    8 | `request_id` | the requester's number for it; replies repeat it |

use super::code::ProtocolError;

/// Bytes of a frame's header.
pub const HEADER_SIZE: usize = 16;

/// What a frame is. Requests are below 128, replies above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// The first frame of a connection.
    Hello = 1,
    /// Operations to apply.
    Write = 2,
    /// Make everything before it durable, visible and checkpointed.
    Flush = 3,
    /// Answer when an LSN has reached a level.
    Wait = 4,
    /// Answer with the coordinator's figures.
    Stats = 5,
    /// Finish, checkpoint and exit.
    Stop = 6,
    /// Make the next generation of the file.
    Compact = 7,
    /// Answer a question about what is stored.
    Read = 9,
    /// Answers [`FrameKind::Hello`].
    HelloReply = 129,
    /// Answers [`FrameKind::Write`].
    WriteReply = 130,
    /// Answers [`FrameKind::Flush`].
    FlushReply = 131,
    /// Answers [`FrameKind::Wait`].
    WaitReply = 132,
    /// Answers [`FrameKind::Stats`].
    StatsReply = 133,
    /// Answers [`FrameKind::Stop`].
    StopReply = 134,
    /// Answers [`FrameKind::Compact`].
    CompactReply = 135,
    /// Answers [`FrameKind::Read`].
    FoundReply = 137,
    /// Says why the connection ends.
    Error = 255,
}

impl FrameKind {
    /// Every kind.
    pub const ALL: [FrameKind; 17] = [
        FrameKind::Hello,
        FrameKind::Write,
        FrameKind::Flush,
        FrameKind::Wait,
        FrameKind::Stats,
        FrameKind::Stop,
        FrameKind::Compact,
        FrameKind::Read,
        FrameKind::HelloReply,
        FrameKind::WriteReply,
        FrameKind::FlushReply,
        FrameKind::WaitReply,
        FrameKind::StatsReply,
        FrameKind::StopReply,
        FrameKind::CompactReply,
        FrameKind::FoundReply,
        FrameKind::Error,
    ];

    /// The kind with that number.
    pub fn from_number(number: u8) -> Option<FrameKind> {
        FrameKind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Whether a client sends it.
    pub fn is_request(self) -> bool {
        (self as u8) < 128
    }
}

/// A header that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes that follow the header; at most the limit it was parsed with.
    pub body_size: u32,
    /// What the frame is.
    pub kind: FrameKind,
    /// The requester's number for it.
    pub request_id: u64,
}

impl FrameHeader {
    /// Reads and checks a header; a body above `body_size_max` is refused before any is read.
    pub fn parse(
        bytes: &[u8; HEADER_SIZE],
        body_size_max: u32,
    ) -> Result<FrameHeader, ProtocolError> {
        let [s0, s1, s2, s3, kind, flags, r0, r1, id @ ..] = *bytes;
        let body_size = u32::from_le_bytes([s0, s1, s2, s3]);
        let reserved = u16::from_le_bytes([r0, r1]);
        // The kind first: bytes that are no frame at all are best told by it.
        let kind = FrameKind::from_number(kind).ok_or(ProtocolError::UnexpectedKind { kind })?;
        if flags != 0 {
            return Err(ProtocolError::Reserved { field: "frame flags", found: flags.into() });
        }
        if reserved != 0 {
            return Err(ProtocolError::Reserved {
                field: "frame reserved",
                found: reserved.into(),
            });
        }
        if body_size > body_size_max {
            return Err(ProtocolError::FrameTooLarge { found: body_size, limit: body_size_max });
        }
        Ok(FrameHeader { body_size, kind, request_id: u64::from_le_bytes(id) })
    }

    /// The request id that 16 header bytes carry, whether or not the rest of them is right: what a
    /// connection-level error should name.
    pub fn request_id_of(bytes: &[u8; HEADER_SIZE]) -> u64 {
        let [_, _, _, _, _, _, _, _, id @ ..] = *bytes;
        u64::from_le_bytes(id)
    }

    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..4].copy_from_slice(&self.body_size.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[8..].copy_from_slice(&self.request_id.to_le_bytes());
        bytes
    }
}

/// Appends one frame to `out`: header, then whatever `body` appends, contiguous, so that one
/// write sends it. Several frames may be appended one after the other and sent together.
///
/// # Panics
///
/// If the body is above 4 GiB; every encoder here stays below
/// [`FRAME_SIZE_MAX`](sutra_layout::limits::FRAME_SIZE_MAX).
pub fn write_frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    request_id: u64,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&FrameHeader { body_size: 0, kind, request_id }.to_bytes());
    body(out);
    let body_size = u32::try_from(out.len() - start - HEADER_SIZE).expect("a body below 4 GiB");
    out[start..start + 4].copy_from_slice(&body_size.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::code::ErrorCode;

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        for kind in FrameKind::ALL {
            let header = FrameHeader { body_size: 7, kind, request_id: 0x0102_0304_0506_0708 };
            assert_eq!(FrameHeader::parse(&header.to_bytes(), 7), Ok(header));
            assert_eq!(FrameHeader::request_id_of(&header.to_bytes()), header.request_id);
            assert_eq!(kind.is_request(), (kind as u8) < 128);
        }
    }

    #[test]
    fn the_table_in_the_docs_is_the_header() {
        let header =
            FrameHeader { body_size: 0x0403_0201, kind: FrameKind::Write, request_id: 0x77 };
        assert_eq!(header.to_bytes(), [1, 2, 3, 4, 2, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_header_that_is_not_ours_is_refused_with_the_reason() {
        let good = FrameHeader { body_size: 8, kind: FrameKind::Write, request_id: 1 }.to_bytes();
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            FrameHeader::parse(&bytes, 8).unwrap_err()
        };
        assert_eq!(with(0, 9), ProtocolError::FrameTooLarge { found: 9, limit: 8 });
        assert_eq!(with(4, 77), ProtocolError::UnexpectedKind { kind: 77 });
        assert_eq!(with(5, 1), ProtocolError::Reserved { field: "frame flags", found: 1 });
        assert_eq!(with(7, 1), ProtocolError::Reserved { field: "frame reserved", found: 256 });
        assert_eq!(with(0, 9).code(), ErrorCode::TooLarge);
    }
}
