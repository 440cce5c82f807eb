//! One system call of a coordinator's short life fails, or kills it: the first, the second, and so
//! on to the last.
//!
//! The coordinator must then refuse with a typed answer and go on, or end and say why; what it has
//! acknowledged is there after a restart. The calls are those that touch files and memory; they are
//! failed by [`crate::trace`], without being made.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sutra_client::protocol::{ErrorCode, FrameKind, Reply, WriteReply};
use sutra_client::{Level, socket};
use sutra_coordinator::{Offline, Options};
use sutra_reader::Reader;

use crate::ledger::{Frame, Ledger, count_versions, verify};
use crate::process::host_program;
use crate::raw::{Session, bare};
use crate::trace::{Call, Ended, Interest, Next, Traced, Watcher, descriptor};
use crate::{Random, power, roles};

const CLIENT_ID: [u8; 16] = [7; 16];
/// Frames of one life; in their midst and at their end is a flush.
const FRAMES: u64 = 16;

/// What happens to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails.
    Error(Errno),
    /// The process is killed.
    Kill,
}

/// All that is tried.
pub const FAULTS: [Fault; 3] = [Fault::Error(Errno::EIO), Fault::Error(Errno::ENOSPC), Fault::Kill];

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Calls that were failed.
    pub faults: u64,
    /// Lives in which the client was refused with a typed answer and the coordinator went on.
    pub refused: u64,
    /// Lives that the coordinator ended with a reason.
    pub ended: u64,
    /// Lives in which the call did not matter.
    pub unmoved: u64,
    /// What did not hold.
    pub failures: Vec<String>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { faults, refused, ended, unmoved, failures } = self;
        write!(
            f,
            "{faults} calls failed: {ended} ended the coordinator, {refused} were refused to the \
             client, {unmoved} did not matter, {} failures",
            failures.len()
        )
    }
}

/// Fails every `step`-th call of a life, once with each fault, beginning with number `first`.
/// `spoil` is done to the store before each restart: nothing, or a planted bug.
///
/// # Panics
/// If the system does not permit a program to trace its child.
pub fn run(seed: u64, first: u64, step: u64, spoil: impl Fn(&Path)) -> Summary {
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let root = root.expect("a directory in memory");
    let mut summary = Summary::default();
    let whole = Life::new(root.path(), seed).live(None);
    let calls = match whole {
        Ok(life) => life.calls,
        Err(problem) => {
            summary.failures.push(format!("without a fault: {problem}"));
            return summary;
        }
    };
    for number in (first..=calls).step_by(step as usize) {
        for fault in FAULTS {
            let mut life = Life::new(root.path(), seed);
            let lived = life.live(Some((number, fault)));
            summary.faults += u64::from(life.failed.is_some());
            spoil(&life.store);
            let found = lived.and_then(|lived| {
                match lived.ended {
                    Ended::Exited(0) if lived.refused > 0 => summary.refused += 1,
                    Ended::Exited(0) => summary.unmoved += 1,
                    _ => summary.ended += 1,
                }
                life.check()
            });
            if let Err(problem) = found {
                let call = life.failed.as_ref();
                let call = call.map_or_else(|| "no call".to_owned(), |call| format!("{call:?}"));
                summary.failures.push(format!("seed {seed}, {call}, {fault:?}: {problem}"));
                if summary.failures.len() > 20 {
                    return summary;
                }
            }
        }
    }
    summary
}

/// One life, from the making of the store to its end.
struct Life {
    store: PathBuf,
    errors: PathBuf,
    options: Options,
    random: Random,
    ledger: Ledger,
    in_flight: Option<(u64, Frame)>,
    /// A frame was applied in part: what there is of it is not known.
    is_loose: bool,
    failed: Option<(u64, &'static str)>,
}

struct Lived {
    ended: Ended,
    calls: u64,
    refused: u64,
}

impl Life {
    fn new(root: &Path, seed: u64) -> Life {
        let store = root.join("store");
        let _ = std::fs::remove_dir_all(&store);
        let mut random = Random::new(seed);
        Life {
            options: power::small(&store, &mut random),
            store,
            errors: root.join("errors"),
            random,
            ledger: Ledger::new("w0"),
            in_flight: None,
            is_loose: false,
            failed: None,
        }
    }

    fn live(&mut self, fault: Option<(u64, Fault)>) -> Result<Lived, String> {
        let errors = std::fs::File::create(&self.errors).map_err(said)?;
        let mut command = Command::new(host_program());
        command.args(roles::traced(&self.options)).stderr(errors);
        let mut traced = Traced::start(&mut command)
            .map_err(|error| format!("this system does not permit tracing: {error}"))?;
        let (is_gone, client_has_ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let client_has_ended = &client_has_ended;
        let pid = traced.pid();
        let mut injector =
            Injector { pid, has_begun: false, calls: 0, fault, failed: None, client_has_ended };
        let (ended, wrote) = std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                let wrote = self.write(&is_gone);
                client_has_ended.store(true, Ordering::Relaxed);
                wrote
            });
            let ended = traced.run(&mut injector);
            is_gone.store(true, Ordering::Relaxed);
            (ended, client.join().unwrap_or_else(|_| Err("the client hangs".to_owned())))
        });
        self.failed = injector.failed;
        let refused = wrote?;
        let ended = ended.map_err(said)?;
        let is_typed = match ended {
            Ended::Exited(0) => true,
            Ended::Exited(3) => self.errors().starts_with(|c: char| c.is_ascii_graphic()),
            Ended::Killed(signal) => {
                signal == Signal::SIGKILL && matches!(fault, Some((_, Fault::Kill)))
            }
            Ended::Exited(_) => false,
        };
        match is_typed {
            true => Ok(Lived { ended, calls: injector.calls, refused }),
            false => Err(format!("the coordinator's end is {ended:?}: {}", self.errors())),
        }
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Writes until all is written or the coordinator is gone; how often it was refused.
    fn write(&mut self, is_gone: &AtomicBool) -> Result<u64, String> {
        let mut session = loop {
            if let Some(session) = Session::try_greeted(&self.store, CLIENT_ID) {
                break session;
            }
            if is_gone.load(Ordering::Relaxed) {
                return Ok(0);
            }
            std::thread::sleep(std::time::Duration::from_micros(200));
        };
        let mut refused = 0;
        let mut sequence = 0;
        for number in 1..=FRAMES {
            if number == FRAMES / 2 {
                session.send(&bare(FrameKind::Flush, 1000));
                if session.reply().is_none() {
                    return Ok(refused);
                }
            }
            let frame = self.ledger.next_frame(&mut self.random);
            let level = *self.random.pick(&[Level::Durable, Level::Visible]);
            sequence += 1;
            let mut attempts = 0;
            let reply = loop {
                let mut bytes = Vec::new();
                frame.batch.encode(sequence, sequence, level, &mut bytes);
                self.in_flight = Some((sequence, frame.clone()));
                session.send(&bytes);
                let answer = session.reply();
                attempts += 1;
                if attempts > 20 {
                    return Err(format!(
                        "one call failed, and a frame is refused for ever: {answer:?}"
                    ));
                }
                match answer {
                    Some((_, Reply::Write(reply))) => match full_count(&reply, &frame) {
                        0 => break reply,
                        count => {
                            // The disk was full for a moment: sent again, it is another write.
                            refused += 1;
                            if count < frame.batch.len() {
                                self.is_loose = true;
                                return Ok(refused);
                            }
                            sequence += 1;
                        }
                    },
                    // The connection has ended; over another one the same write is sent again.
                    _ => match self.connect_again(is_gone) {
                        Some(again) => session = again,
                        None => return Ok(refused),
                    },
                }
            };
            let (_, frame) = self.in_flight.take().expect("it was put there");
            self.ledger.replied(&frame, reply)?;
        }
        session.send(&bare(FrameKind::Stop, 1001));
        let _ = session.reply();
        Ok(refused)
    }

    /// Another connection, unless the coordinator goes away.
    fn connect_again(&self, is_gone: &AtomicBool) -> Option<Session> {
        while !is_gone.load(Ordering::Relaxed) {
            if socket::connect(socket::path_in(&self.store)).is_ok() {
                return Session::try_greeted(&self.store, CLIENT_ID);
            }
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        None
    }

    /// The restart: what was acknowledged is there, and the frame without an answer goes in once.
    fn check(&mut self) -> Result<(), String> {
        let mut store = Offline::open(&self.options)
            .map_err(|error| format!("the restart: {error}; before: {}", self.errors()))?;
        let reader = Reader::open(&self.store).map_err(said)?;
        let snapshot = reader.snapshot().map_err(said)?;
        verify(&snapshot, &self.ledger, &self.ledger)?;
        count_versions(&snapshot)?;
        if let Some((sequence, frame)) = self.in_flight.take().filter(|_| !self.is_loose) {
            let mut bytes = Vec::new();
            frame.batch.encode(1, sequence, Level::Durable, &mut bytes);
            let reply = store.write(CLIENT_ID, "raw", &bytes).map_err(said)?;
            self.ledger.replied(&frame, reply)?;
        }
        store.publish().map_err(said)?;
        if self.is_loose {
            return Ok(());
        }
        let snapshot = reader.snapshot().map_err(said)?;
        verify(&snapshot, &self.ledger, &self.ledger)?;
        match self.ledger.is_settled() {
            true => Ok(()),
            false => Err("the ledger is not settled".to_owned()),
        }
    }
}

/// How many operations of a frame were refused for want of space.
fn full_count(reply: &WriteReply, frame: &Frame) -> usize {
    match &reply.refusal {
        Some(refusal) if refusal.code == ErrorCode::StorageFull => frame.batch.len(),
        Some(_) => 0,
        None => reply.errors.iter().filter(|error| error.code == ErrorCode::StorageFull).count(),
    }
}

/// Fails one call.
struct Injector<'a> {
    pid: Pid,
    has_begun: bool,
    calls: u64,
    fault: Option<(u64, Fault)>,
    failed: Option<(u64, &'static str)>,
    /// The client has ended; the coordinator is told once.
    client_has_ended: &'a AtomicBool,
}

impl Watcher for Injector<'_> {
    fn interest(&mut self, call: &Call) -> Interest {
        // It makes a call ten times a second at least, for its heartbeat.
        if self.client_has_ended.swap(false, Ordering::Relaxed) {
            let _ = nix::sys::signal::kill(self.pid, Signal::SIGTERM);
        }
        // Calls of the loader, which come before the line that starts it, do not count.
        self.has_begun |= call.number == libc::SYS_read && call.arguments[0] == 0;
        let Some(name) = name_of(self.pid, call).filter(|_| self.has_begun) else {
            return Interest::None;
        };
        self.calls += 1;
        match self.fault {
            Some((number, fault)) if number == self.calls => {
                self.failed = Some((number, name));
                match fault {
                    Fault::Error(errno) => Interest::Fail(errno),
                    Fault::Kill => Interest::Change,
                }
            }
            _ => Interest::None,
        }
    }

    fn before(&mut self, _call: &Call) -> Next {
        match self.fault {
            Some((_, Fault::Kill)) => Next::Kill,
            _ => Next::Go,
        }
    }

    fn after(&mut self, _call: &Call, _result: i64) -> Next {
        Next::Go
    }

    fn synced(&mut self, _call: &Call, _result: i64) -> Next {
        Next::Go
    }
}

/// The name of a call that is worth failing.
fn name_of(pid: Pid, call: &Call) -> Option<&'static str> {
    let [first, _, third, _, fifth, _] = call.arguments;
    let is_file = || descriptor(pid, first).is_ok_and(|(_, metadata)| metadata.is_file());
    Some(match call.number {
        libc::SYS_write if is_file() => "write",
        libc::SYS_pwrite64 => "pwrite64",
        libc::SYS_pwritev => "pwritev",
        libc::SYS_pwritev2 => "pwritev2",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_fsync => "fsync",
        libc::SYS_msync => "msync",
        libc::SYS_fallocate => "fallocate",
        libc::SYS_ftruncate => "ftruncate",
        libc::SYS_openat => "openat",
        libc::SYS_renameat => "renameat",
        libc::SYS_renameat2 => "renameat2",
        libc::SYS_unlinkat => "unlinkat",
        libc::SYS_mkdirat => "mkdirat",
        libc::SYS_copy_file_range => "copy_file_range",
        // Of a file; memory of its own is the allocator's business.
        libc::SYS_mmap if fifth as i32 != -1 && third != 0 => "mmap",
        _ => return None,
    })
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
