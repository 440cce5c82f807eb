//! What a client asks for, frame by frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_client::protocol::{
    ErrorCode, FrameHeader, HEADER_SIZE, HelloReply, Inbox, Level, ProtocolError, Request, Wait,
    Write, WriteReply, WriterStats,
};
use sutra_layout::limits::{FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};

use super::Server;
use super::answers::Asker;
use super::connection::{Connection, Obstacle};
use super::poll::Token;
use crate::error::CoordinatorError;
use crate::options::SyncMode;
use crate::plant::Plant;
use crate::reconciler::Session;

/// How long all that is ready may be served before the turn's sync, answers and publication.
const TURN_DURATION: Duration = Duration::from_millis(1);
/// How long each is served at least, however many are ready.
const SERVICE_DURATION_MIN: Duration = Duration::from_micros(50);
/// Frames of a client that are served in a turn: while it takes their answers and sends more, the
/// next are served.
const FRAMES_PER_TURN: u32 = 64;
/// A frame that took longer has kept the others waiting, if there are any.
const OVERDRAFT_MIN: Duration = Duration::from_millis(1);
/// Then its sender waits for them: so many times as long.
const REST_PER_SERVICE: u32 = 2;

/// How long ago somebody may have asked for something and still count as one who is kept waiting.
const ACTIVITY_DURATION: Duration = Duration::from_millis(100);

/// The last two that were served.
#[derive(Debug, Default)]
pub(super) struct Activity([Option<(Token, Instant)>; 2]);

impl Activity {
    fn note(&mut self, token: Token, now: Instant) {
        if self.0[0].is_none_or(|(last, _)| last != token) {
            self.0[1] = self.0[0];
        }
        self.0[0] = Some((token, now));
    }

    /// Whether nobody but the one that was served last was served of late.
    pub(super) fn is_of_one(&self, now: Instant) -> bool {
        self.0[1].is_none_or(|(_, at)| now - at >= ACTIVITY_DURATION)
    }

    /// Whether somebody else than `token` was served of late.
    fn is_shared(&self, token: Token, now: Instant) -> bool {
        let mut others = self.0.iter().flatten().filter(|(other, _)| *other != token);
        others.any(|(_, at)| now - *at < ACTIVITY_DURATION)
    }
}

/// How long each of so many that are ready may be served in this turn.
pub(super) fn service_duration(count: usize) -> Duration {
    let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    (TURN_DURATION / count).max(SERVICE_DURATION_MIN)
}

impl Server<'_> {
    /// Reads what has arrived on a connection, and does what it asks, for about so long. What is
    /// left is for the next turn.
    pub(super) fn read_connection(
        &mut self,
        token: Token,
        duration: Duration,
    ) -> Result<(), CoordinatorError> {
        let Some(mut connection) = self.connections.take(token, self.turn) else {
            return Ok(());
        };
        let (began, durable_lsn) = (Instant::now(), self.synced_lsn());
        let mut served = Ok(());
        if connection.held_back.is_some() {
            self.connections.put_back(connection);
            self.connections.ended(token, &mut self.poll);
            return Ok(());
        }
        if connection.is_closing() {
            self.connections.put_back(connection);
            return Ok(());
        }
        let mut obstacle = self.connections.obstacle(&mut connection, began, durable_lsn);
        if obstacle.is_none() {
            let is_open = connection.inbox.has_next() || self.connections.read(&mut connection);
            (obstacle, served) = self.serve_frames(&mut connection, began, duration);
            let has_more = connection.inbox.has_next() && !connection.is_closing();
            if !is_open && !has_more {
                connection.close();
            } else if has_more && obstacle.is_none() {
                self.unfinished.push(token);
            }
        }
        if let Some(obstacle) = obstacle {
            connection.hold_back(obstacle, began);
        }
        self.connections.put_back(connection);
        served
    }

    /// Serves whole frames for about so long; what keeps the connection from being served on, and
    /// how it went.
    fn serve_frames(
        &mut self,
        connection: &mut Connection,
        began: Instant,
        duration: Duration,
    ) -> (Option<Obstacle>, Result<(), CoordinatorError>) {
        let mut inbox = std::mem::replace(&mut connection.inbox, Inbox::new(0));
        let durable_lsn = self.synced_lsn();
        let (mut now, mut made_progress) = (began, false);
        let (mut obstacle, mut frames) = (None, 0);
        let served = loop {
            if connection.is_closing() || self.is_stopping {
                break Ok(());
            }
            match inbox.next() {
                Ok(None) => {
                    if Plant::BelievedSize.is_planted() && inbox.size() == HEADER_SIZE {
                        Vec::leak(vec![1_u8; FRAME_SIZE_MAX]);
                    }
                    break Ok(());
                }
                Ok(Some((header, body))) => {
                    made_progress = true;
                    if let Err(error) = self.serve_frame(connection, &header, body) {
                        break Err(error);
                    }
                }
                Err(error) => refuse_connection(connection, &error),
            }
            let before = std::mem::replace(&mut now, Instant::now());
            self.activity.note(connection.token, now);
            let took = now - before;
            if took > OVERDRAFT_MIN && self.activity.is_shared(connection.token, now) {
                connection.rest(now + REST_PER_SERVICE * took);
            }
            obstacle = self.connections.obstacle(connection, now, durable_lsn);
            frames += 1;
            if obstacle.is_some() || now - began >= duration || frames >= FRAMES_PER_TURN {
                break Ok(());
            }
        };
        if !connection.is_closing() {
            connection.inbox = inbox;
        }
        connection.note_turn(now, made_progress);
        (obstacle, served)
    }

    /// As far as a client must wait for a sync of what it wrote.
    pub(super) fn synced_lsn(&self) -> u64 {
        match self.options.sync {
            SyncMode::Always => self.progress.durable_lsn(),
            SyncMode::Interval(_) | SyncMode::Off => u64::MAX,
        }
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
        if !matches!(request, Request::Write(_)) {
            self.reconciler.commit()?;
        }
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
                let lsn = self.reconciler.wal.written_lsn();
                let size = self.answers.flush(asker, lsn, reply);
                self.connections.owe(connection, size);
            }
            Request::Wait(Wait { lsn, level, timeout_ms }) => {
                self.answers.wait(asker, lsn, level, Duration::from_millis(timeout_ms.into()));
                connection.waits += 1;
            }
            Request::Stats => self.stats().encode(header.request_id, &mut connection.out),
            Request::Compact(compact) => {
                connection.waits += 1;
                self.ask_for_compaction(asker, &compact);
            }
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
        self.reconciler.commit()?;
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
        let author = format!("{} (uid {})", hello.author, connection.peer.uid);
        connection.session = Some(Arc::new(Session { client_id: hello.client_id, author }));
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
        connection.note_written(answer.lsn, answer.log_size);
        self.turn_writes += 1;
        self.progress.operations_written += answer.accepted;
        if answer.must_close {
            answer.reply.encode(asker.request_id, &mut connection.out);
            connection.close_after_sending();
        } else {
            let size = self.answers.write(asker, answer.lsn, write.level, answer.reply);
            self.connections.owe(connection, size);
        }
        Ok(())
    }

    /// Bytes that storage.dat takes on disk.
    pub(super) fn storage_size(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let metadata = self.reconciler.writer.image.view().map().file().metadata();
        metadata.map_or(0, |metadata| metadata.blocks() * 512)
    }

    fn stats(&self) -> WriterStats {
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
            storage_size: self.storage_size(),
            started_at: self.started_at,
            dead_size: self.dead_size().unwrap_or_default(),
            generation: self.reconciler.writer.image.view().superblock().generation,
            compactions: self.compactions.count,
            compacted_at: self.compactions.last_at,
            is_compacting: self.compactions.is_running().into(),
        }
    }
}

fn refuse_connection(connection: &mut Connection, error: &ProtocolError) {
    connection.fail(error.code(), &error.to_string());
}

const _: () = assert!(Level::Visible as usize == 2, "answers are kept by level");
