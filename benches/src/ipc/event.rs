//! A round trip by raw_sync's events in a segment of shared_memory.
#![expect(unsafe_code, reason = "both crates hand out raw memory")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use shared_memory::{Shmem, ShmemConf};

use super::{Peer, REPLY_SIZE, REQUEST_SIZE, RoundTrip, Way};

const SEGMENT_SIZE: usize = 4096;
const REQUEST_OFFSET: usize = 1024;
const REPLY_OFFSET: usize = 2048;

/// The segment with its two events, and the process at the other end.
pub struct Events {
    asked: Box<dyn EventImpl>,
    answered: Box<dyn EventImpl>,
    segment: Shmem,
    _peer: Option<Peer>,
}

impl Events {
    /// Makes the segment and starts the process.
    pub fn start(link: &Path) -> anyhow::Result<Events> {
        let segment = ShmemConf::new().size(SEGMENT_SIZE).flink(link).create()?;
        // SAFETY: the segment is ours alone yet, large enough, and lives as long as the events.
        let (asked, answered) = unsafe {
            let (asked, size) = Event::new(segment.as_ptr(), true).map_err(said)?;
            let (answered, _) = Event::new(segment.as_ptr().add(size), true).map_err(said)?;
            (asked, answered)
        };
        let _peer = Some(Peer::start(Way::RawSync, link)?);
        Ok(Events { asked, answered, segment, _peer })
    }

    fn join(link: &Path) -> anyhow::Result<Events> {
        let segment = ShmemConf::new().flink(link).open()?;
        // SAFETY: the one who made it put both events there.
        let (asked, answered) = unsafe {
            let (asked, size) = Event::from_existing(segment.as_ptr()).map_err(said)?;
            let (answered, _) = Event::from_existing(segment.as_ptr().add(size)).map_err(said)?;
            (asked, answered)
        };
        Ok(Events { asked, answered, segment, _peer: None })
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: it fits the segment, and the other end looks only after the event.
        unsafe { self.segment.as_ptr().add(offset).copy_from(bytes.as_ptr(), bytes.len()) }
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        // SAFETY: it lies in the segment, and the other end stores only before the event.
        unsafe { self.segment.as_ptr().add(offset).copy_to(bytes.as_mut_ptr(), bytes.len()) }
    }
}

fn said(error: Box<dyn std::error::Error>) -> anyhow::Error {
    anyhow!("raw_sync: {error}")
}

/// Answers until it is killed: the child's side.
pub fn run(link: &Path) -> anyhow::Result<()> {
    let events = Events::join(link)?;
    let mut request = [0; REQUEST_SIZE];
    loop {
        events.asked.wait(Timeout::Infinite).map_err(said)?;
        events.copy_out(REQUEST_OFFSET, &mut request);
        events.copy_in(REPLY_OFFSET, &request[..REPLY_SIZE]);
        events.answered.set(EventState::Signaled).map_err(said)?;
    }
}

impl RoundTrip for Events {
    fn round_trip(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.copy_in(REQUEST_OFFSET, &[1; REQUEST_SIZE]);
        self.asked.set(EventState::Signaled).map_err(said)?;
        self.answered.wait(Timeout::Infinite).map_err(said)?;
        self.copy_out(REPLY_OFFSET, &mut [0; REPLY_SIZE]);
        Ok(began.elapsed())
    }
}
