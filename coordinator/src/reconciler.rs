//! One write, from its frame to the file: decided, logged, applied.

use sutra_client::protocol::{ErrorCode, OperationError, Operations, Refusal, Write, WriteReply};
use sutra_layout::sys;
use zerocopy::little_endian::{U16, U32, U64};

use crate::apply::Writer;
use crate::clients::Known;
use crate::decide::Decider;
use crate::entry::{Entry, EntryHead, Rejected};
use crate::error::CoordinatorError;
use crate::publish::Publisher;
use crate::recovery::Opened;
use crate::wal::{self, Wal, WalError, entry_size};

/// Who writes.
#[derive(Clone, Debug)]
pub struct Session {
    /// The client's uuid.
    pub client_id: [u8; 16],
    /// What it calls itself.
    pub author: String,
}

/// What became of a frame.
#[derive(Debug)]
pub struct Answer {
    /// The log entry that must reach the level asked for before the reply goes out.
    pub lsn: u64,
    /// The reply.
    pub reply: WriteReply,
    /// Operations that were accepted just now.
    pub accepted: u64,
    /// The log had no room, so that this frame's number is not in it and no later frame of the
    /// connection may be: the client sends them all again.
    pub must_close: bool,
}

/// The one thread's hold on the store.
#[derive(Debug)]
pub struct Reconciler {
    /// The file and what is applied to it.
    pub writer: Writer,
    /// The log.
    pub wal: Wal,
    /// What readers see.
    pub publisher: Publisher,
    /// The epoch of this start.
    pub writer_epoch: u64,
    decider: Decider,
    entry_head: Vec<u8>,
}

impl Reconciler {
    /// Over a store that was opened; `decider` knows the default metric.
    pub fn new(opened: Opened, decider: Decider) -> (Reconciler, crate::checkpoint::Checkpointer) {
        let Opened { writer, wal, publisher, checkpointer, writer_epoch, state: _ } = opened;
        let entry_head = Vec::new();
        (Reconciler { writer, wal, publisher, writer_epoch, decider, entry_head }, checkpointer)
    }

    /// One write. It is kept from the line that appends it to the log on; durable from the end of
    /// the next sync; visible from the publication after that.
    ///
    /// # Errors
    /// Only what ends the coordinator. A frame or operation that is refused is an answer.
    pub fn write(
        &mut self,
        session: &Session,
        write: &Write<'_>,
    ) -> Result<Answer, CoordinatorError> {
        if let Some((sequence, lsn)) = self.writer.clients.last(&session.client_id)
            && write.sequence <= sequence
        {
            let reply = self.reply_to_retry(session, write.sequence, lsn);
            return Ok(Answer { lsn, reply, accepted: 0, must_close: false });
        }
        let lsn = self.wal.written_lsn() + 1;
        let decision = self.decider.decide(&self.writer, write, lsn)?;
        let refusal = refusal_of(write, &decision.errors);
        let is_refused = refusal.is_some();
        let rejected: Vec<Rejected> = match is_refused {
            true => Vec::new(),
            false => decision.errors.iter().map(rejected_of).collect(),
        };
        let operations = if is_refused { write.operations.emptied() } else { write.operations };
        let head = EntryHead {
            time: U64::new(sys::clock::now_us()),
            client_id: session.client_id,
            sequence: U64::new(write.sequence),
            operation_count: U32::new(operations.len() as u32),
            rejected_count: U32::new(rejected.len() as u32),
            author_size: session.author.len() as u8,
            refusal: U16::new(refusal.as_ref().map_or(0, |refusal| refusal.code.number())),
            ..EntryHead::default()
        };
        let made_space = decision.new_space.as_ref().filter(|_| decision.accepted > 0);
        let head = made_space.map_or(head, |space| head.making(space));
        self.entry_head.clear();
        head.encode(&session.author, &rejected, &mut self.entry_head);
        let logged = wal::Entry { lsn, head: &self.entry_head, body: operations.as_bytes() };
        // Room for a settling too, so that reinforcements can always become visible.
        let settling_size = entry_size(size_of::<EntryHead>());
        match self.wal.reserve(entry_size(logged.payload_size()) + settling_size) {
            Ok(()) => {}
            Err(error @ WalError::StorageFull { .. }) => {
                let reply = WriteReply::refused(ErrorCode::StorageFull, 0, error.to_string());
                return Ok(Answer { lsn: lsn - 1, reply, accepted: 0, must_close: true });
            }
            Err(error) => return Err(error.into()),
        }
        self.publisher.check_epoch()?;
        self.wal.append(self.writer_epoch, &[logged])?; // kept from here on
        let entry = Entry { head, author: &session.author, rejected: &rejected, operations };
        self.writer.apply(lsn, &entry, &decision.found)?;

        let reply = WriteReply {
            refusal,
            writer_epoch: self.writer_epoch,
            first_lsn: lsn,
            last_lsn: lsn,
            errors: decision.errors.clone(),
            ..WriteReply::default()
        };
        let accepted = if is_refused { 0 } else { decision.accepted as u64 };
        Ok(Answer { lsn, reply, accepted, must_close: false })
    }

    /// Gives what was reinforced its versions, by a log entry of its own: nothing may be published
    /// while some wait, for a restart goes on from what is published.
    pub fn settle(&mut self) -> Result<(), CoordinatorError> {
        if self.writer.gathered.is_empty() {
            return Ok(());
        }
        self.publisher.check_epoch()?;
        settle(&mut self.writer, &mut self.wal, self.writer_epoch)
    }

    /// The answer to a frame whose number is in the log: what became of it then.
    fn reply_to_retry(&self, session: &Session, sequence: u64, lsn: u64) -> WriteReply {
        let code_of = |number| ErrorCode::from_number(number).unwrap_or(ErrorCode::Internal);
        let error = |&(index, number): &(u32, u16)| {
            let code = code_of(number);
            OperationError { index, code, detail: 0, message: code.to_string() }
        };
        let (refusal, errors) = match self.writer.clients.known(&session.client_id, sequence) {
            Known::Applied => (None, Vec::new()),
            Known::Outcome(outcome) => {
                let refusal = (outcome.refusal != 0).then(|| {
                    let code = code_of(outcome.refusal);
                    Refusal { code, detail: 0, message: code.to_string() }
                });
                (refusal, outcome.errors.iter().map(error).collect())
            }
            Known::Forgotten => {
                let message = format!(
                    "frame {sequence} was refused before the last checkpoint, wholly or in part, and \
                     why is not known any more; read what it should have changed"
                );
                (Some(Refusal { code: ErrorCode::Internal, detail: 0, message }), Vec::new())
            }
        };
        WriteReply {
            refusal,
            already_applied: true,
            writer_epoch: self.writer_epoch,
            first_lsn: lsn,
            last_lsn: lsn,
            errors,
            ..WriteReply::default()
        }
    }
}

/// Logs and applies a settling; see [`Reconciler::settle`].
pub fn settle(
    writer: &mut Writer,
    wal: &mut Wal,
    writer_epoch: u64,
) -> Result<(), CoordinatorError> {
    let lsn = wal.written_lsn() + 1;
    let head = EntryHead {
        time: U64::new(sys::clock::now_us()),
        kind: EntryHead::SETTLING,
        ..EntryHead::default()
    };
    let mut bytes = Vec::with_capacity(size_of::<EntryHead>());
    head.encode("", &[], &mut bytes);
    wal.reserve(entry_size(bytes.len()))?;
    wal.append(writer_epoch, &[wal::Entry { lsn, head: &bytes, body: &[] }])?;
    let operations = Operations::new(0, &[]).unwrap_or_else(|_| unreachable!("none is framed"));
    writer.apply(lsn, &Entry { head, author: "", rejected: &[], operations }, &[])
}

/// An atomic frame with an operation that cannot be applied is refused whole.
fn refusal_of(write: &Write<'_>, errors: &[OperationError]) -> Option<Refusal> {
    let first = errors.first().filter(|_| write.atomic)?;
    let message =
        format!("operation {} of an atomic frame was refused: {}", first.index, first.message);
    Some(Refusal { code: first.code, detail: first.detail, message })
}

fn rejected_of(error: &OperationError) -> Rejected {
    Rejected {
        index: U32::new(error.index),
        code: U16::new(error.code.number()),
        reserved: U16::new(0),
    }
}
