//! A child whose every system call is seen, and that stands still while one is looked at.
//!
//! ptrace, so that nothing in the traced program takes part: a sync that somebody adds or forgets
//! is seen or missed as the kernel sees or misses it. While a call of interest is at its beginning
//! all threads stand still. The call itself then runs alone; a sync is held at its end for a while,
//! during which the other threads go on, as they do while a disk writes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::Metadata;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long a sync is held at most while nothing else happens.
const HELD_MAX: Duration = Duration::from_micros(300);

/// A system call of a traced thread.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who makes it.
    pub thread: Pid,
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What the watcher wants of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing.
    None,
    /// To look before and after it.
    Change,
    /// To look before it; it ends after so many other calls of interest.
    Sync(u32),
    /// That it is not made, and fails with that error.
    Fail(Errno),
}

/// What the watcher wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To go on.
    Go,
    /// Kill the process now, while it stands still.
    Kill,
}

/// Whoever looks at a traced program.
pub trait Watcher {
    /// Asked at the beginning of each call, without stopping the others.
    fn interest(&mut self, call: &Call) -> Interest;
    /// All threads stand still; the call is about to be made.
    fn before(&mut self, call: &Call) -> Next;
    /// All threads stand still; the call has been made, with that result.
    fn after(&mut self, call: &Call, result: i64) -> Next;
    /// A held sync returns, with that result.
    fn synced(&mut self, call: &Call, result: i64) -> Next;
}

/// A traced process. Dropped, it is killed.
#[derive(Debug)]
pub struct Traced {
    leader: Pid,
    threads: BTreeMap<Pid, Thread>,
    queue: VecDeque<(Pid, Stop)>,
    held: Vec<Held>,
    ended: Option<Ended>,
    stdin: ChildStdin,
}

#[derive(Clone, Debug, Default)]
struct Thread {
    /// It stands still, and is to be resumed.
    is_stopped: bool,
    /// In a system call; what the watcher wants of it.
    call: Option<Call>,
}

#[derive(Clone, Copy, Debug)]
enum Stop {
    Call,
    Signal(Signal),
    Other,
}

#[derive(Debug)]
struct Held {
    call: Call,
    result: i64,
    calls_left: u32,
    since: Instant,
}

/// How a traced process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exited(i32),
    /// By a signal.
    Killed(Signal),
}

impl Traced {
    /// Starts a program that reads a line from its input before it does anything, and traces it.
    ///
    /// # Errors
    /// Those of the system; some do not permit tracing.
    pub fn start(command: &mut Command) -> io::Result<Traced> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let leader = Pid::from_raw(child.id().cast_signed());
        let stdin = child.stdin.take().expect("it was asked for");
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
            | ptrace::Options::PTRACE_O_TRACECLONE
            | ptrace::Options::PTRACE_O_EXITKILL;
        let traced = ptrace::seize(leader, options).and_then(|()| ptrace::interrupt(leader));
        if let Err(errno) = traced {
            let _ = child.kill();
            let _ = child.wait();
            return Err(errno.into());
        }
        let mut traced = Traced {
            leader,
            threads: BTreeMap::from([(leader, Thread::default())]),
            queue: VecDeque::new(),
            held: Vec::new(),
            ended: None,
            stdin,
        };
        let status = waitpid(leader, Some(WaitPidFlag::__WALL))?;
        traced.note(status);
        traced.stdin.write_all(b"go\n")?;
        Ok(traced)
    }

    /// Its pid.
    pub fn pid(&self) -> Pid {
        self.leader
    }

    /// Lets it go on until it ends.
    ///
    /// # Errors
    /// Those of the system.
    pub fn run(&mut self, watcher: &mut impl Watcher) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.ended {
                return Ok(ended);
            }
            if let Some((thread, stop)) = self.queue.pop_front() {
                self.handle(thread, stop, watcher)?;
                continue;
            }
            self.release_held(watcher)?;
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            let flags = if self.held.is_empty() { flags } else { flags | WaitPidFlag::WNOHANG };
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(20)),
                Ok(status) => self.note(status),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Queues a stop, or notes an end.
    fn note(&mut self, status: WaitStatus) {
        let (thread, stop) = match status {
            WaitStatus::Exited(pid, code) => return self.forget(pid, Ended::Exited(code)),
            WaitStatus::Signaled(pid, signal, _) => {
                return self.forget(pid, Ended::Killed(signal));
            }
            WaitStatus::PtraceSyscall(pid) => (pid, Stop::Call),
            WaitStatus::Stopped(pid, signal) => (pid, Stop::Signal(signal)),
            WaitStatus::PtraceEvent(pid, ..) => (pid, Stop::Other),
            _ => return,
        };
        self.threads.entry(thread).or_default().is_stopped = true;
        self.queue.push_back((thread, stop));
    }

    fn forget(&mut self, pid: Pid, ended: Ended) {
        if pid == self.leader {
            self.ended = Some(ended);
        }
        self.threads.remove(&pid);
        self.held.retain(|held| held.call.thread != pid);
        self.queue.retain(|(thread, _)| *thread != pid);
    }

    fn handle(&mut self, pid: Pid, stop: Stop, watcher: &mut impl Watcher) -> io::Result<()> {
        match stop {
            Stop::Other => self.resume(pid, None),
            Stop::Signal(signal) => self.resume(pid, Some(signal)),
            Stop::Call => self.handle_call(pid, watcher)?,
        }
        Ok(())
    }

    fn handle_call(&mut self, pid: Pid, watcher: &mut impl Watcher) -> io::Result<()> {
        let Some(thread) = self.threads.get_mut(&pid) else { return Ok(()) };
        if thread.call.take().is_some() {
            self.resume(pid, None); // the end of a call that nobody wanted to see
            return Ok(());
        }
        let Some((call, _)) = look(pid) else { return Ok(()) };
        let interest = watcher.interest(&call);
        self.threads.entry(pid).or_default().call = Some(call.clone());
        if interest == Interest::None {
            self.resume(pid, None);
            return Ok(());
        }
        self.held.iter_mut().for_each(|held| held.calls_left = held.calls_left.saturating_sub(1));
        self.stop_others(pid);
        if watcher.before(&call) == Next::Kill {
            return self.kill();
        }
        if matches!(interest, Interest::Fail(_)) {
            change(pid, |registers| registers.orig_rax = u64::MAX)?; // no call has this number
        }
        let Some(result) = self.finish_call(pid) else { return Ok(()) };
        let result = match interest {
            Interest::Fail(errno) => {
                let result = -i64::from(errno as i32);
                change(pid, |registers| registers.rax = result.cast_unsigned())?;
                result
            }
            _ => result,
        };
        match interest {
            Interest::Sync(calls_left) => {
                self.held.push(Held { call, result, calls_left, since: Instant::now() });
            }
            _ => {
                if watcher.after(&call, result) == Next::Kill {
                    return self.kill();
                }
                self.resume(pid, None);
            }
        }
        // The others are in the queue, and go on from there.
        Ok(())
    }

    /// Runs one thread to the end of its call while the others stand still.
    fn finish_call(&mut self, pid: Pid) -> Option<i64> {
        loop {
            self.resume(pid, None);
            let status = waitpid(pid, Some(WaitPidFlag::__WALL)).ok()?;
            match status {
                WaitStatus::PtraceSyscall(_) => {
                    let thread = self.threads.get_mut(&pid)?;
                    (thread.is_stopped, thread.call) = (true, None);
                    return look(pid).map(|(_, result)| result);
                }
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                    self.note(status);
                    return None;
                }
                // Asked to stop for another thread's sake before: it goes on.
                _ => self.threads.get_mut(&pid)?.is_stopped = true,
            }
        }
    }

    fn stop_others(&mut self, pid: Pid) {
        let others: Vec<Pid> = self.threads.keys().copied().filter(|other| *other != pid).collect();
        for other in others {
            if self.threads.get(&other).is_none_or(|thread| thread.is_stopped) {
                continue;
            }
            if ptrace::interrupt(other).is_err() {
                continue; // on its way out
            }
            match waitpid(other, Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.note(status),
                Err(_) => drop(self.threads.remove(&other)),
            }
        }
    }

    fn release_held(&mut self, watcher: &mut impl Watcher) -> io::Result<()> {
        while let Some(at) = self
            .held
            .iter()
            .position(|held| held.calls_left == 0 || held.since.elapsed() > HELD_MAX)
        {
            let Held { call, result, .. } = self.held.remove(at);
            if watcher.synced(&call, result) == Next::Kill {
                return self.kill();
            }
            self.resume(call.thread, None);
        }
        Ok(())
    }

    fn resume(&mut self, pid: Pid, signal: Option<Signal>) {
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.is_stopped = false;
            // Fails for one that was killed meanwhile: its end is about to be reported.
            let _ = ptrace::syscall(pid, signal);
        }
    }

    fn kill(&mut self) -> io::Result<()> {
        self.held.clear();
        self.queue.clear();
        Ok(kill(self.leader, Signal::SIGKILL)?)
    }
}

/// A file that a descriptor of a process stands for.
///
/// # Errors
/// Those of the system.
pub fn descriptor(pid: Pid, fd: u64) -> io::Result<(PathBuf, Metadata)> {
    let path = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
    let metadata = std::fs::metadata(&path)?;
    Ok((path, metadata))
}

impl Drop for Traced {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let _ = kill(self.leader, Signal::SIGKILL);
        while self.ended.is_none()
            && let Ok(status) = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))
        {
            self.note(status);
        }
    }
}

fn change(pid: Pid, change: impl FnOnce(&mut libc::user_regs_struct)) -> io::Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    change(&mut registers);
    Ok(ptrace::setregs(pid, registers)?)
}

/// The call at which a thread stands, and its result if it is at its end.
fn look(pid: Pid) -> Option<(Call, i64)> {
    let registers = ptrace::getregs(pid).ok()?;
    let libc::user_regs_struct { orig_rax, rax, rdi, rsi, rdx, r10, r8, r9, .. } = registers;
    let arguments = [rdi, rsi, rdx, r10, r8, r9];
    Some((Call { thread: pid, number: orig_rax.cast_signed(), arguments }, rax.cast_signed()))
}
