//! What a client asks for, frame by frame.

use std::time::{Duration, Instant};

use sutra_client::protocol::{
    ErrorCode, FrameHeader, HelloReply, Level, OperationError, ProtocolError, Refusal, Request,
    Wait, Write, WriteReply, WriterStats,
};
use sutra_layout::limits::{FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};
use sutra_layout::sys;
use zerocopy::little_endian::{U16, U32, U64};

use super::Server;
use super::answers::Asker;
use super::connection::{Connection, Session};
use super::poll::Token;
use crate::entry::{Entry, EntryHead, Rejected};
use crate::error::CoordinatorError;
use crate::wal::{self, WalError, entry_size};

impl Server<'_> {
    /// Reads what has arrived on a connection, and does what it asks.
    pub(super) fn read_connection(&mut self, token: Token) -> Result<(), CoordinatorError> {
        let Some(mut connection) = self.connections.take(token) else {
            return Ok(());
        };
        let is_open = connection.is_closing || connection.read();
        let served = self.serve_frames(&mut connection);
        if !is_open {
            connection.close();
        }
        self.connections.put_back(connection);
        served
    }

    fn serve_frames(&mut self, connection: &mut Connection) -> Result<(), CoordinatorError> {
        let mut inbox =
            std::mem::replace(&mut connection.inbox, sutra_client::protocol::Inbox::new(0));
        let mut made_progress = false;
        let served = loop {
            if connection.is_closing || self.is_stopping {
                break Ok(());
            }
            match inbox.next() {
                Ok(None) => break Ok(()),
                Ok(Some((header, body))) => {
                    made_progress = true;
                    if let Err(error) = self.serve_frame(connection, &header, body) {
                        break Err(error);
                    }
                }
                Err(error) => refuse_connection(connection, &error),
            }
        };
        connection.inbox = inbox;
        connection.note_frame(Instant::now(), made_progress);
        served
    }

    fn serve_frame(
        &mut self,
        connection: &mut Connection,
        header: &FrameHeader,
        body: &[u8],
    ) -> Result<(), CoordinatorError> {
        let request = match Request::decode(header.kind, body) {
            Ok(request) => request,
            Err(error) => {
                refuse_connection(connection, &error);
                return Ok(());
            }
        };
        let asker = Asker { token: connection.token, request_id: header.request_id };
        let Some(session) = connection.session.clone() else {
            return self.greet(connection, header.request_id, &request);
        };
        match request {
            Request::Hello(_) => connection.fail(ErrorCode::Malformed, "hello was said before"),
            Request::Write(write) => return self.write(connection, &session, asker, &write),
            Request::Flush => {
                let reply = WriteReply {
                    writer_epoch: self.writer_epoch,
                    first_lsn: self.wal.written_lsn(),
                    last_lsn: self.wal.written_lsn(),
                    ..WriteReply::default()
                };
                self.answers.flush(asker, self.wal.written_lsn(), reply);
            }
            Request::Wait(Wait { lsn, level, timeout_ms }) => {
                self.answers.wait(asker, lsn, level, Duration::from_millis(timeout_ms.into()));
            }
            Request::Stats => self.stats().encode(header.request_id, &mut connection.out),
            Request::Stop => {
                self.answers.stop(asker);
                self.is_stopping = true;
            }
        }
        Ok(())
    }

    fn greet(
        &mut self,
        connection: &mut Connection,
        request_id: u64,
        request: &Request<'_>,
    ) -> Result<(), CoordinatorError> {
        let Request::Hello(hello) = request else {
            connection.fail(ErrorCode::Malformed, "the first frame must be a hello");
            return Ok(());
        };
        let version = match hello.negotiate() {
            Ok(version) => version,
            Err(error) => {
                refuse_connection(connection, &error);
                return Ok(());
            }
        };
        let reply = HelloReply {
            version,
            writer_epoch: self.writer_epoch,
            writer_pid: std::process::id(),
            store_id: self.writer.image.view().superblock().store_id,
            frame_size_max: FRAME_SIZE_MAX as u32,
            operations_per_frame_max: OPERATIONS_PER_FRAME_MAX as u32,
            last_sequence: self
                .writer
                .clients
                .last(&hello.client_id)
                .map_or(0, |(sequence, _)| sequence),
            published_lsn: self.publisher.last().published_lsn,
        };
        reply.encode(request_id, &mut connection.out);
        let author = hello.author.to_owned();
        connection.session = Some(Session { client_id: hello.client_id, author });
        Ok(())
    }

    /// One write: decided, logged, applied. The answer waits for its level.
    ///
    /// It is kept from the line that appends it to the log on; durable from the end of the next
    /// sync; visible from the publication after that.
    fn write(
        &mut self,
        connection: &mut Connection,
        session: &Session,
        asker: Asker,
        write: &Write<'_>,
    ) -> Result<(), CoordinatorError> {
        if let Some((sequence, lsn)) = self.writer.clients.last(&session.client_id)
            && write.sequence <= sequence
        {
            let reply = self.reply_to_retry(session, write.sequence, lsn);
            self.answers.write(asker, lsn, write.level, reply);
            return Ok(());
        }
        let lsn = self.wal.written_lsn() + 1;
        let decision = self.decider.decide(&self.writer, write, lsn)?;
        let refusal = refusal_of(write, &decision.errors);
        let rejected: Vec<Rejected> = match refusal {
            Some(_) => Vec::new(),
            None => decision.errors.iter().map(rejected_of).collect(),
        };
        let (dimension, metric) = match decision.new_space {
            Some((dimension, metric)) if decision.accepted > 0 => (dimension, metric as u8),
            _ => (0, 0),
        };
        let operations =
            if refusal.is_some() { write.operations.emptied() } else { write.operations };
        let head = EntryHead {
            time: U64::new(sys::clock::now_us()),
            client_id: session.client_id,
            sequence: U64::new(write.sequence),
            operation_count: U32::new(operations.len() as u32),
            rejected_count: U32::new(rejected.len() as u32),
            space_dimension: U32::new(dimension),
            space_metric: metric,
            author_size: session.author.len() as u8,
            refusal: U16::new(refusal.as_ref().map_or(0, |refusal| refusal.code.number())),
        };
        self.entry_head.clear();
        head.encode(&session.author, &rejected, &mut self.entry_head);
        let logged = wal::Entry { lsn, head: &self.entry_head, body: operations.as_bytes() };
        match self.wal.reserve(entry_size(logged.payload_size())) {
            Ok(()) => {}
            Err(error @ WalError::StorageFull { .. }) => {
                // Not in the log, so its number must not be passed over by a later frame of this
                // connection: the client sends both again.
                WriteReply::refused(ErrorCode::StorageFull, 0, error.to_string())
                    .encode(asker.request_id, &mut connection.out);
                connection.is_closing = true;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.publisher.check_epoch()?;
        self.wal.append(self.writer_epoch, &[logged])?; // kept from here on
        let entry = Entry { head, author: &session.author, rejected: &rejected, operations };
        self.writer.apply(lsn, &entry, &decision.found)?;

        let accepted = if refusal.is_some() { 0 } else { decision.accepted };
        self.progress.operations_written += accepted as u64;
        let reply = WriteReply {
            refusal,
            writer_epoch: self.writer_epoch,
            first_lsn: lsn,
            last_lsn: lsn,
            errors: decision.errors.clone(),
            ..WriteReply::default()
        };
        self.answers.write(asker, lsn, write.level, reply);
        Ok(())
    }

    fn reply_to_retry(&self, session: &Session, sequence: u64, lsn: u64) -> WriteReply {
        let outcome = self.writer.clients.outcome(&session.client_id, sequence);
        let code_of = |number| ErrorCode::from_number(number).unwrap_or(ErrorCode::Internal);
        let error = |&(index, number): &(u32, u16)| {
            let code = code_of(number);
            OperationError { index, code, detail: 0, message: code.to_string() }
        };
        let refusal = outcome.filter(|outcome| outcome.refusal != 0).map(|outcome| {
            let code = code_of(outcome.refusal);
            Refusal { code, detail: 0, message: code.to_string() }
        });
        WriteReply {
            refusal,
            already_applied: true,
            writer_epoch: self.writer_epoch,
            first_lsn: lsn,
            last_lsn: lsn,
            errors: outcome
                .map(|outcome| outcome.errors.iter().map(error).collect())
                .unwrap_or_default(),
            ..WriteReply::default()
        }
    }

    fn stats(&self) -> WriterStats {
        let storage_size = self.writer.image.view().map().file().metadata().map_or(0, |metadata| {
            use std::os::unix::fs::MetadataExt;
            metadata.blocks() * 512
        });
        WriterStats {
            written: self.progress.operations_written,
            dropped: 0,
            pending: self.progress.pending(&self.writer.now),
            reconciliations: self.publisher.publications,
            written_lsn: self.wal.written_lsn(),
            applied_lsn: self.writer.applied_lsn(),
            published_lsn: self.publisher.last().published_lsn,
            durable_lsn: self.progress.durable_lsn(),
            checkpoint_lsn: self.progress.checkpoint_lsn(),
            writer_epoch: self.writer_epoch,
            writer_pid: std::process::id().into(),
            connections: self.connections.count() as u64 + 1,
            log_size: self.wal.size(),
            storage_size,
            started_at: self.started_at,
        }
    }
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

fn refuse_connection(connection: &mut Connection, error: &ProtocolError) {
    connection.fail(error.code(), &error.to_string());
}

const _: () = assert!(Level::Visible as usize == 2, "answers are kept by level");
