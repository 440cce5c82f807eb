//! One write, from its frame to the file: decided, logged, applied.
//!
//! Small frames that arrive together are logged together: a call of the system for each would take
//! longer than all the rest. One waits only for others that have arrived, never for time to pass.

use sutra_client::protocol::{ErrorCode, OperationError, Operations, Refusal, Write, WriteReply};
use sutra_layout::symbol::SymbolTable;
use sutra_layout::sys;
use zerocopy::little_endian::{U16, U32, U64};

use std::ops::Range;

use crate::apply::{Found, Writer};
use crate::clients::Known;
use crate::decide::Decider;
use crate::entry::{Entry, EntryHead, Rejected};
use crate::error::CoordinatorError;
use crate::publish::Publisher;
use crate::recovery::Opened;
use crate::wal::{self, Wal, WalError, entry_size};

/// Frames that wait to be logged together, at most.
const WAITING_MAX: usize = 64;
/// Bytes of a frame that may wait: copying a larger one costs more than a call of the system.
const WAITING_SIZE_MAX: usize = 4 << 10;

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
    /// Bytes of log that it takes.
    pub log_size: u64,
    /// The log had no room, so that this frame's number is not in it and no later frame of the
    /// connection may be: the client sends them all again.
    pub must_close: bool,
}

/// Frames that are decided, and neither logged nor applied.
#[derive(Debug, Default)]
struct Waiting {
    frames: Vec<WaitingFrame>,
    /// Their payloads, one behind the other.
    bytes: Vec<u8>,
    found: Vec<Found>,
    /// Bytes that they take in the log.
    log_size: u64,
}

#[derive(Debug)]
struct WaitingFrame {
    client_id: [u8; 16],
    sequence: u64,
    bytes: Range<usize>,
    found: Range<usize>,
}

impl Waiting {
    /// The last number of a client's frames.
    fn last_sequence(&self, client_id: &[u8; 16]) -> Option<u64> {
        let frame = self.frames.iter().rev().find(|frame| frame.client_id == *client_id);
        frame.map(|frame| frame.sequence)
    }

    fn add(&mut self, head: &EntryHead, logged: &wal::Entry<'_>, found: &[Found]) {
        let (bytes_start, found_start) = (self.bytes.len(), self.found.len());
        self.bytes.extend_from_slice(logged.head);
        self.bytes.extend_from_slice(logged.body);
        self.found.extend_from_slice(found);
        self.log_size += entry_size(logged.payload_size());
        self.frames.push(WaitingFrame {
            client_id: head.client_id,
            sequence: head.sequence.get(),
            bytes: bytes_start..self.bytes.len(),
            found: found_start..self.found.len(),
        });
    }

    fn is_full(&self) -> bool {
        self.frames.len() >= WAITING_MAX
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
        self.found.clear();
        self.log_size = 0;
    }
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
    waiting: Waiting,
    entry_head: Vec<u8>,
}

impl Reconciler {
    /// Over a store that was opened; `decider` knows the default metric.
    pub fn new(opened: Opened, decider: Decider) -> (Reconciler, crate::checkpoint::Checkpointer) {
        let Opened { writer, wal, publisher, checkpointer, writer_epoch, .. } = opened;
        let (waiting, entry_head) = (Waiting::default(), Vec::new());
        let reconciler =
            Reconciler { writer, wal, publisher, writer_epoch, decider, waiting, entry_head };
        (reconciler, checkpointer)
    }

    /// One write. It is kept once [`Reconciler::commit`] has returned, which may be before this
    /// does; durable from the end of the next sync; visible from the publication after that.
    ///
    /// # Errors
    /// Only what ends the coordinator. A frame or operation that is refused is an answer.
    pub fn write(
        &mut self,
        session: &Session,
        write: &Write<'_>,
    ) -> Result<Answer, CoordinatorError> {
        let is_small = write.operations.as_bytes().len() <= WAITING_SIZE_MAX;
        // An author that is new becomes a symbol when the frame is applied.
        let is_known = self.writer.symbols.number(SymbolTable::Author, &session.author).is_some();
        let waiting_sequence = self.waiting.last_sequence(&session.client_id);
        if !is_small || !is_known || waiting_sequence.is_some_and(|last| write.sequence <= last) {
            self.commit()?;
        }
        if let Some((sequence, lsn)) = self.writer.clients.last(&session.client_id)
            && write.sequence <= sequence
        {
            let reply = self.reply_to_retry(session, write.sequence, lsn);
            return Ok(Answer { lsn, reply, accepted: 0, log_size: 0, must_close: false });
        }
        let (mut lsn, time) = (self.next_lsn(), sys::clock::now_us());
        if self.decider.decide(&self.writer, write, (lsn, time))?.is_none() {
            self.commit()?;
            lsn = self.next_lsn();
            let decided = self.decider.decide(&self.writer, write, (lsn, time))?;
            assert!(decided.is_some(), "a frame depends on others where none waits");
        }
        let decision = self.decider.decision();
        let refusal = refusal_of(write, &decision.errors);
        let is_refused = refusal.is_some();
        let rejected: Vec<Rejected> = match is_refused {
            true => Vec::new(),
            false => decision.errors.iter().map(rejected_of).collect(),
        };
        let operations = if is_refused { write.operations.emptied() } else { write.operations };
        let head = EntryHead {
            time: U64::new(time),
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
        let log_size = entry_size(logged.payload_size());
        // Room for a settling too, so that reinforcements can always become visible.
        let settling_size = entry_size(size_of::<EntryHead>());
        match self.wal.reserve(self.waiting.log_size + log_size + settling_size) {
            Ok(()) => {}
            Err(error @ WalError::StorageFull { .. }) => {
                self.commit()?; // there was room for what waits
                self.decider.applied();
                let reply = WriteReply::refused(ErrorCode::StorageFull, 0, error.to_string());
                return Ok(Answer {
                    lsn: lsn - 1,
                    reply,
                    accepted: 0,
                    log_size: 0,
                    must_close: true,
                });
            }
            Err(error) => return Err(error.into()),
        }
        let answer = Answer {
            lsn,
            reply: WriteReply {
                refusal,
                writer_epoch: self.writer_epoch,
                first_lsn: lsn,
                last_lsn: lsn,
                errors: decision.errors.clone(),
                ..WriteReply::default()
            },
            accepted: if is_refused { 0 } else { decision.accepted as u64 },
            log_size,
            must_close: false,
        };
        if is_small && is_known && !decision.stands_alone {
            self.waiting.add(&head, &logged, &decision.found);
            self.decider.waits();
            if self.waiting.is_full() {
                self.commit()?;
            }
        } else {
            self.publisher.check_epoch()?;
            self.wal.append(self.writer_epoch, &[logged])?; // kept from here on
            let entry = Entry { head, author: &session.author, rejected: &rejected, operations };
            self.writer.apply(lsn, &entry, &decision.found)?;
            self.decider.applied();
        }
        Ok(answer)
    }

    /// Logs what waits, all of it by one call, and applies it. To be called when no more frames have
    /// arrived, and before anything else looks at the log or at the store as written.
    pub fn commit(&mut self) -> Result<(), CoordinatorError> {
        let waiting = &mut self.waiting;
        if waiting.frames.is_empty() {
            return Ok(());
        }
        self.publisher.check_epoch()?;
        let first_lsn = self.wal.written_lsn() + 1;
        let payloads = waiting.frames.iter().map(|frame| &waiting.bytes[frame.bytes.clone()]);
        let entry = |(lsn, head)| wal::Entry { lsn, head, body: &[] };
        let entries: Vec<wal::Entry<'_>> = (first_lsn..).zip(payloads.clone()).map(entry).collect();
        self.wal.append(self.writer_epoch, &entries)?; // all of them are kept from here on
        for ((lsn, payload), frame) in (first_lsn..).zip(payloads).zip(&waiting.frames) {
            let bad = |what| CoordinatorError::BadEntry { lsn, what };
            let entry = Entry::decode(payload).map_err(bad)?;
            self.writer.apply(lsn, &entry, &waiting.found[frame.found.clone()])?;
        }
        self.waiting.clear();
        self.decider.applied();
        Ok(())
    }

    fn next_lsn(&self) -> u64 {
        self.wal.written_lsn() + 1 + self.waiting.frames.len() as u64
    }

    /// Gives what was reinforced its versions, by a log entry of its own: nothing may be published
    /// while some wait, for a restart goes on from what is published.
    pub fn settle(&mut self) -> Result<(), CoordinatorError> {
        self.commit()?;
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

#[cfg(test)]
mod tests {
    use sutra_client::protocol::ErrorCode;
    use sutra_client::{Associate, Batch, Forget, Id, Learn};

    use crate::tests::{Rig, learn};

    fn only_new(batch: &mut Batch, id: &str) {
        let learn = Learn { id: Id::from(id), if_absent: true, ..Learn::default() };
        batch.learn(&learn).unwrap();
    }

    fn associate(batch: &mut Batch, source: &str, target: &str) {
        let (source, target) = (Id::from(source), Id::from(target));
        batch.associate(&Associate { source, target, ..Associate::default() }).unwrap();
    }

    #[test]
    fn frames_that_touch_different_concepts_wait_and_are_logged_together() {
        let home = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(home.path());
        rig.write(|batch| learn(batch, "before", "so that the author is known", None));
        let size = rig.reconciler.wal.appended_size();
        for sequence in 2..=5 {
            let answer =
                rig.arrive(sequence, |batch| learn(batch, &sequence.to_string(), "", None));
            assert_eq!(answer.lsn, sequence);
            assert_eq!(rig.reconciler.wal.appended_size(), size, "it waits");
        }
        rig.reconciler.commit().unwrap();
        assert_eq!((rig.reconciler.wal.written_lsn(), rig.writer().applied_lsn()), (5, 5));
        assert_eq!(rig.writer().now.concepts_live, 5);
    }

    #[test]
    fn a_frame_meets_what_frames_that_wait_have_made() {
        let home = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(home.path());
        rig.write(|batch| learn(batch, "before", "so that the author is known", None));
        rig.arrive(2, |batch| learn(batch, "a", "one", None));
        let conflict = rig.arrive(3, |batch| only_new(batch, "a"));
        assert_eq!(conflict.reply.errors[0].code, ErrorCode::Conflict);
        rig.arrive(4, |batch| learn(batch, "b", "two", None));
        let associated = rig.arrive(5, |batch| {
            associate(batch, "a", "b");
            associate(batch, "b", "nobody");
        });
        assert_eq!(associated.reply.errors[0].code, ErrorCode::UnknownConcept);
        assert_eq!(associated.accepted, 1);
        let forget = |batch: &mut Batch| {
            batch.forget(&Forget { id: Id::from("a"), if_lsn: None }).unwrap();
        };
        rig.arrive(6, forget);
        let gone = rig.arrive(7, forget);
        assert_eq!(gone.reply.errors[0].code, ErrorCode::UnknownConcept);
        let again = rig.arrive(8, |batch| only_new(batch, "a"));
        assert!(again.reply.errors.is_empty());
        rig.reconciler.commit().unwrap();
        let now = &rig.writer().now;
        assert_eq!((now.concepts_live, now.edges_live, now.published_lsn), (3, 0, 8));
    }

    #[test]
    fn a_frame_that_comes_again_while_it_waits_is_not_applied_twice() {
        let home = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(home.path());
        rig.write(|batch| learn(batch, "before", "so that the author is known", None));
        let first = rig.arrive(2, |batch| learn(batch, "a", "one", None));
        let retry = rig.arrive(2, |batch| learn(batch, "a", "one", None));
        assert_eq!((retry.reply.already_applied, retry.lsn), (true, first.lsn));
        rig.reconciler.commit().unwrap();
        assert_eq!((rig.writer().now.records, rig.writer().applied_lsn()), (2, 2));
    }

    #[test]
    fn what_a_refused_frame_would_have_made_is_not_there_for_the_next() {
        let home = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(home.path());
        rig.write(|batch| learn(batch, "before", "so that the author is known", None));
        let refused = rig.arrive(2, |batch| {
            batch.atomic(true);
            learn(batch, "a", "one", None);
            associate(batch, "a", "nobody");
        });
        assert!(refused.reply.refusal.is_some());
        let new = rig.arrive(3, |batch| only_new(batch, "a"));
        assert!(new.reply.errors.is_empty());
        rig.reconciler.commit().unwrap();
        assert_eq!(rig.writer().now.records, 2);
    }
}
