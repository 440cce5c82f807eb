//! What can be wrong with a frame, an operation or a connection.

use std::fmt;

/// Why an operation, a whole frame or a connection was refused.
///
/// One numbering serves all three. A number that this version does not know is read as
/// [`ErrorCode::Internal`]; the message beside it still says what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[repr(u16)]
pub enum ErrorCode {
    /// An association's end does not exist.
    #[error("no such concept; learn it first, or ask for missing ends to be created")]
    UnknownConcept = 1,
    /// A vector of another dimension than its space; `detail` is the dimension expected.
    #[error("the vector has another dimension than its space")]
    DimensionMismatch = 2,
    /// A vector with NaN or infinity, without elements, or zero under the cosine metric.
    #[error("the vector is unusable; give finite numbers, and not all zeros under cosine")]
    InvalidVector = 3,
    /// A field above its limit; `detail` is the size found.
    #[error("a field is above its limit")]
    TooLarge = 4,
    /// An id that is empty, too long, or missing.
    #[error("the id is not usable; give 1 to 1024 bytes of text or 16 raw bytes")]
    InvalidId = 5,
    /// An association type that is missing, empty or not known by that number.
    #[error("the association type is not usable; give a name or the number of a known type")]
    InvalidType = 6,
    /// Text that is not UTF-8, or a name that holds a zero byte.
    #[error("the text is not usable; give UTF-8, and names without zero bytes")]
    InvalidText = 7,
    /// A vector space that the store does not have; `detail` is its number.
    #[error("the store has no such vector space")]
    UnknownVectorSpace = 8,
    /// No space could be reserved.
    #[error("the disk or its quota is full; free space and send again")]
    StorageFull = 9,
    /// `if_lsn` or `if_absent` did not hold; `detail` is the LSN that the store has now.
    #[error("the precondition does not hold; read again and decide anew")]
    Conflict = 10,
    /// An operation or option that this coordinator does not know.
    #[error("this coordinator does not know that operation or option")]
    Unsupported = 11,
    /// A limit of the store or the coordinator is reached; `detail` is the limit.
    #[error("a limit is reached")]
    LimitReached = 12,
    /// Bytes that are not what the protocol says.
    #[error("the bytes do not follow the protocol")]
    Malformed = 13,
    /// The coordinator is stopping; the frame was not applied.
    #[error("the coordinator is stopping; connect again when it is back")]
    Stopping = 14,
    /// A sync failed, so that nothing more is acknowledged.
    #[error("the coordinator could not sync its log and acknowledges nothing more; restart it")]
    Poisoned = 15,
    /// The store may be read only.
    #[error("the store is read-only")]
    ReadOnly = 16,
    /// A concept of another namespace.
    #[error("the concept belongs to another namespace")]
    NamespaceMismatch = 17,
    /// A fault of the coordinator itself.
    #[error("the coordinator failed inside; its log says more")]
    Internal = 18,
    /// A strength or confidence outside 0 to 1, or a weight that is not finite.
    #[error("the number is out of range; strength and confidence are 0 to 1, a weight is finite")]
    InvalidNumber = 19,
    /// No association that was to be ended is there.
    #[error("no such association")]
    UnknownAssociation = 20,
    /// What was to be made exists and is another; `detail` is its number.
    #[error("it exists already, and is another")]
    Exists = 21,
    /// The coordinator serves other users and groups.
    #[error("this user may not write here; ask whoever serves the store to allow it")]
    NotAllowed = 22,
    /// A hello, a frame or the taking of answers that took too long.
    #[error("the connection was too slow; connect again")]
    TooSlow = 23,
    /// A question whose answer was not known in time, or needs a look at too much.
    #[error("the search stopped early; give it more time, or ask for less")]
    StoppedEarly = 24,
}

impl ErrorCode {
    /// Every code, by number from 1.
    pub const ALL: [ErrorCode; 24] = [
        ErrorCode::UnknownConcept,
        ErrorCode::DimensionMismatch,
        ErrorCode::InvalidVector,
        ErrorCode::TooLarge,
        ErrorCode::InvalidId,
        ErrorCode::InvalidType,
        ErrorCode::InvalidText,
        ErrorCode::UnknownVectorSpace,
        ErrorCode::StorageFull,
        ErrorCode::Conflict,
        ErrorCode::Unsupported,
        ErrorCode::LimitReached,
        ErrorCode::Malformed,
        ErrorCode::Stopping,
        ErrorCode::Poisoned,
        ErrorCode::ReadOnly,
        ErrorCode::NamespaceMismatch,
        ErrorCode::Internal,
        ErrorCode::InvalidNumber,
        ErrorCode::UnknownAssociation,
        ErrorCode::Exists,
        ErrorCode::NotAllowed,
        ErrorCode::TooSlow,
        ErrorCode::StoppedEarly,
    ];

    /// The number that crosses the socket.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The code with that number; an unknown one is [`ErrorCode::Internal`], and 0 is no error.
    pub fn from_number(number: u16) -> Option<ErrorCode> {
        let index = usize::from(number.checked_sub(1)?);
        Some(ErrorCode::ALL.get(index).copied().unwrap_or(ErrorCode::Internal))
    }
}

/// One operation of a frame that was not applied, as the client receives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {index}: {message} ({code:?})")]
pub struct OperationError {
    /// Which operation of the frame, from 0.
    pub index: u32,
    /// Why.
    pub code: ErrorCode,
    /// A number that goes with the code; see [`ErrorCode`].
    pub detail: u64,
    /// What was found and what to do.
    pub message: String,
}

/// A whole frame that was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code:?})")]
pub struct Refusal {
    /// Why.
    pub code: ErrorCode,
    /// A number that goes with the code; see [`ErrorCode`].
    pub detail: u64,
    /// What was found and what to do.
    pub message: String,
}

/// What the decoder found wrong with one operation; the operations around it stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub code: ErrorCode,
    /// A number that goes with the code; see [`ErrorCode`].
    pub detail: u64,
    /// The field at fault.
    pub field: &'static str,
}

impl Fault {
    pub(crate) fn new(code: ErrorCode, detail: u64, field: &'static str) -> Fault {
        Fault { code, detail, field }
    }

    /// The error to report for the operation at `index`.
    pub fn at(&self, index: u32) -> OperationError {
        OperationError { index, code: self.code, detail: self.detail, message: self.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.code)?;
        match self.code {
            ErrorCode::TooLarge => write!(f, " (found {} bytes or elements)", self.detail),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// What is wrong with a frame as a whole. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A body size above the limit.
    #[error("a frame announces {found} bytes, above {limit}; send smaller frames")]
    FrameTooLarge {
        /// The size in the header.
        found: u32,
        /// The most this end takes.
        limit: u32,
    },
    /// A kind that this version does not know, or that does not go in this direction.
    #[error("a frame of kind {kind} is not expected here; is the other end of the same version?")]
    UnexpectedKind {
        /// The kind in the header.
        kind: u8,
    },
    /// Flags or reserved bytes that this version does not know.
    #[error("{field} is {found}, not 0; is the other end of the same version?")]
    Reserved {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u32,
    },
    /// The hello does not begin with the protocol's magic.
    #[error("the peer does not speak the write protocol: its hello begins with {found:02x?}")]
    BadMagic {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// No common version.
    #[error("the peer speaks versions {min} to {max}, this end {own}; update the older of them")]
    NoCommonVersion {
        /// The lowest that the peer offers.
        min: u16,
        /// The highest that the peer offers.
        max: u16,
        /// The one spoken here.
        own: u16,
    },
    /// More operations than a frame may hold.
    #[error("a frame announces {found} operations, above {limit}; send smaller frames")]
    TooManyOperations {
        /// The count in the frame.
        found: u32,
        /// The most a frame may hold.
        limit: u32,
    },
    /// A body that ends inside a field.
    #[error("a frame ends inside {field}")]
    Truncated {
        /// Which field.
        field: &'static str,
    },
    /// Bytes behind the last field.
    #[error("a frame has {count} bytes behind its last field")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A field whose value the protocol does not allow.
    #[error("{field} has a value that the protocol does not allow")]
    BadValue {
        /// Which field.
        field: &'static str,
    },
}

impl ProtocolError {
    /// The code to put into the [`ErrorReply`](super::ErrorReply) that ends the connection.
    pub fn code(&self) -> ErrorCode {
        match self {
            ProtocolError::FrameTooLarge { .. } | ProtocolError::TooManyOperations { .. } => {
                ErrorCode::TooLarge
            }
            ProtocolError::UnexpectedKind { .. }
            | ProtocolError::Reserved { .. }
            | ProtocolError::NoCommonVersion { .. } => ErrorCode::Unsupported,
            _ => ErrorCode::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number() {
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
        }
    }

    #[test]
    fn zero_is_no_error_and_an_unknown_number_still_is_one() {
        assert_eq!(ErrorCode::from_number(0), None);
        assert_eq!(ErrorCode::from_number(u16::MAX), Some(ErrorCode::Internal));
    }
}
