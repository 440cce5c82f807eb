//! What a client asks for, frame by frame.

use std::time::{Duration, Instant};

use sutra_client::protocol::{
    ErrorCode, FrameHeader, HelloReply, Level, ProtocolError, Request, Wait, Write, WriteReply,
    WriterStats,
};
use sutra_layout::limits::{FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};

use super::Server;
use super::answers::Asker;
use super::connection::Connection;
use super::poll::Token;
use crate::error::CoordinatorError;
use crate::reconciler::Session;

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
                    writer_epoch: self.reconciler.writer_epoch,
                    first_lsn: self.reconciler.wal.written_lsn(),
                    last_lsn: self.reconciler.wal.written_lsn(),
                    ..WriteReply::default()
                };
                self.answers.flush(asker, self.reconciler.wal.written_lsn(), reply);
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
            writer_epoch: self.reconciler.writer_epoch,
            writer_pid: std::process::id(),
            store_id: self.reconciler.writer.image.view().superblock().store_id,
            frame_size_max: FRAME_SIZE_MAX as u32,
            operations_per_frame_max: OPERATIONS_PER_FRAME_MAX as u32,
            last_sequence: self
                .reconciler
                .writer
                .clients
                .last(&hello.client_id)
                .map_or(0, |(sequence, _)| sequence),
            published_lsn: self.reconciler.publisher.last().published_lsn,
        };
        reply.encode(request_id, &mut connection.out);
        // Without the pid: names stay in the store for ever, and processes come and go.
        let author = format!("{} (uid {})", hello.author, connection.peer_uid);
        connection.session = Some(Session { client_id: hello.client_id, author });
        Ok(())
    }

    /// One write; the answer waits for its level.
    fn write(
        &mut self,
        connection: &mut Connection,
        session: &Session,
        asker: Asker,
        write: &Write<'_>,
    ) -> Result<(), CoordinatorError> {
        let answer = self.reconciler.write(session, write)?;
        self.progress.operations_written += answer.accepted;
        if answer.must_close {
            answer.reply.encode(asker.request_id, &mut connection.out);
            connection.is_closing = true;
        } else {
            self.answers.write(asker, answer.lsn, write.level, answer.reply);
        }
        Ok(())
    }

    fn stats(&self) -> WriterStats {
        let storage_size =
            self.reconciler.writer.image.view().map().file().metadata().map_or(0, |metadata| {
                use std::os::unix::fs::MetadataExt;
                metadata.blocks() * 512
            });
        WriterStats {
            written: self.progress.operations_written,
            dropped: 0,
            pending: self.progress.pending(&self.reconciler.writer.now),
            reconciliations: self.reconciler.publisher.publications,
            written_lsn: self.reconciler.wal.written_lsn(),
            applied_lsn: self.reconciler.writer.applied_lsn(),
            published_lsn: self.reconciler.publisher.last().published_lsn,
            durable_lsn: self.progress.durable_lsn(),
            checkpoint_lsn: self.progress.checkpoint_lsn(),
            writer_epoch: self.reconciler.writer_epoch,
            writer_pid: std::process::id().into(),
            connections: self.connections.count() as u64 + 1,
            log_size: self.reconciler.wal.size(),
            storage_size,
            started_at: self.started_at,
        }
    }
}

fn refuse_connection(connection: &mut Connection, error: &ProtocolError) {
    connection.fail(error.code(), &error.to_string());
}

const _: () = assert!(Level::Visible as usize == 2, "answers are kept by level");
