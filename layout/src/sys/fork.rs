//! What a forked child must not keep, and how a process notices that it is one.
//!
//! A child of fork(2) has a copy of every descriptor. A lock, a listener or a connection would live
//! on with it after its owner's death: nobody could take the lock over, and clients would wait on a
//! socket that nobody serves. So such a descriptor is [kept](keep) in a set, and a handler of
//! pthread_atfork(3) gives the child a descriptor of nothing in its place. Not closed: what owns it
//! may still be dropped in the child, and must then not close a stranger.
//!
//! Whoever opens one holds the set meanwhile, and fork waits for the set, so no child is born in
//! between. The handler runs where only what signals allow is allowed: it makes system calls, walks
//! a set that nobody changes, and neither takes nor gives memory.
#![expect(unsafe_code, reason = "the room where the process asks to be told of its forks")]

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

use nix::libc;

/// How many forks lie between this process and the one that first looked.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The descriptors that children do not get. `None` until the first.
static KEPT: Mutex<Option<HashSet<RawFd>>> = Mutex::new(None);

thread_local! {
    /// Held by the thread that forks, from before to after.
    static FORKING: RefCell<Option<KeptGuard>> = const { RefCell::new(None) };
}

type KeptGuard = MutexGuard<'static, Option<HashSet<RawFd>>>;

fn lock() -> KeptGuard {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of this process in its line: another after each fork. Costs one load.
///
/// A process made by a bare clone(2) system call, without the C library's fork, is not noticed.
#[inline]
pub fn generation() -> u32 {
    watch();
    GENERATION.load(Ordering::Relaxed)
}

#[inline]
fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // SAFETY: the three handlers are functions of this library, which is never unloaded, and do
        // what a handler may.
        let failed = unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork_in_child))
        };
        // It fails only without memory for a list entry.
        assert_eq!(failed, 0, "no handler of forks could be registered");
    });
}

extern "C" fn before_fork() {
    let _ = FORKING.try_with(|forking| *forking.borrow_mut() = Some(lock()));
}

extern "C" fn after_fork() {
    let _ = FORKING.try_with(|forking| forking.borrow_mut().take());
}

extern "C" fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let _ = FORKING.try_with(|forking| {
        let mut forking = forking.borrow_mut();
        if let Some(kept) = forking.as_mut().and_then(|guard| guard.as_mut()) {
            replace_by_nothing(kept);
            kept.clear();
        }
        forking.take();
    });
}

fn replace_by_nothing(kept: &HashSet<RawFd>) {
    // SAFETY: plain system calls on numbers. The descriptors replaced are this process's copies of
    // what `Kept` owns, and no thread but this one exists.
    unsafe {
        let nothing = libc::eventfd(0, libc::EFD_CLOEXEC);
        for &fd in kept {
            match nothing >= 0 {
                true => libc::dup3(nothing, fd, libc::O_CLOEXEC),
                // Out of descriptors: better a hole than a lock that outlives its holder.
                false => libc::close(fd),
            };
        }
        if nothing >= 0 {
            libc::close(nothing);
        }
    }
}

/// A file or socket that a forked child does not get.
#[derive(Debug)]
pub struct Kept<T: AsFd> {
    /// There until it is dropped.
    inner: Option<T>,
    fd: RawFd,
    generation: u32,
}

/// Opens what a forked child is not to get. No fork happens while `open` runs, so it must be short.
///
/// # Errors
/// That of `open`.
pub fn keep<T: AsFd, E>(open: impl FnOnce() -> Result<T, E>) -> Result<Kept<T>, E> {
    let generation = generation();
    let mut kept = lock();
    let inner = open()?;
    let fd = inner.as_fd().as_raw_fd();
    kept.get_or_insert_default().insert(fd);
    Ok(Kept { inner: Some(inner), fd, generation })
}

impl<T: AsFd> Kept<T> {
    /// Keeps what is open already: a child that was forked before has it.
    pub fn new(inner: T) -> Kept<T> {
        let Ok(kept) = keep(|| Ok::<T, std::convert::Infallible>(inner));
        kept
    }
}

impl<T: AsFd> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: AsFd> AsFd for Kept<T> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl<T: AsFd> Drop for Kept<T> {
    fn drop(&mut self) {
        // Closed under the lock: no child is born that has it while the set has not.
        let mut kept = lock();
        if let Some(kept) = kept.as_mut().filter(|_| self.generation == generation()) {
            kept.remove(&self.fd);
        }
        self.inner = None;
    }
}

/// A value that each process has its own of: a forked child's is made when it first asks.
///
/// What the parent had is out of the child's reach and is not dropped there, as its locks may have
/// been held, and its threads are gone.
#[derive(Debug)]
pub struct PerProcess<T> {
    first: OnceLock<Box<Link<T>>>,
}

#[derive(Debug)]
struct Link<T> {
    generation: u32,
    value: std::mem::ManuallyDrop<T>,
    next: OnceLock<Box<Link<T>>>,
}

impl<T> PerProcess<T> {
    /// One that nobody has asked for yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess { first: OnceLock::new() }
    }

    /// This process's value, if it has one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        let generation = generation();
        let mut link = self.first.get()?;
        while link.generation != generation {
            link = link.next.get()?;
        }
        Some(&link.value)
    }

    /// This process's value; `make` makes it if it has none. Two threads may both make one, and
    /// the first counts.
    #[inline]
    pub fn get_or_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let generation = generation();
        let value = std::mem::ManuallyDrop::new(make()?);
        let mut made = Some(Box::new(Link { generation, value, next: OnceLock::new() }));
        // No fork while a cell is filled: the child would wait for ever for a thread it has not.
        let guard = lock();
        let mut cell = &self.first;
        let value = loop {
            let link = cell.get_or_init(|| made.take().expect("taken once, as the loop ends then"));
            if link.generation == generation {
                break &*link.value;
            }
            cell = &link.next;
        };
        drop(guard);
        drop(made.map(|link| std::mem::ManuallyDrop::into_inner(link.value)));
        Ok(value)
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let generation = generation();
        let mut next = self.first.take();
        while let Some(mut link) = next {
            next = link.next.take();
            if link.generation == generation {
                drop(std::mem::ManuallyDrop::into_inner(link.value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    /// Forks; the child sleeps until it is killed by the guard.
    fn sleeping_child(first: impl FnOnce()) -> impl Drop {
        struct Child(nix::unistd::Pid);
        impl Drop for Child {
            fn drop(&mut self) {
                let _ = nix::sys::signal::kill(self.0, nix::sys::signal::Signal::SIGKILL);
                let _ = nix::sys::wait::waitpid(self.0, None);
            }
        }
        // SAFETY: the child makes system calls, runs the test's closure, and sleeps.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => Child(child),
            nix::unistd::ForkResult::Child => {
                first();
                loop {
                    std::thread::sleep(Duration::from_secs(60));
                }
            }
        }
    }

    #[test]
    fn a_childs_copy_keeps_no_connection_open_and_another_does() {
        let (kept, mut at_kept) = UnixStream::pair().unwrap();
        let (plain, mut at_plain) = UnixStream::pair().unwrap();
        for end in [&at_kept, &at_plain] {
            end.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        }
        let kept = Kept::new(kept);
        let (mut told, mut tells) = UnixStream::pair().unwrap();
        let child = sleeping_child(|| {
            // What stands in its place can be dropped as if it were the connection.
            tells.write_all(&[1]).unwrap();
        });
        told.read_exact(&mut [0]).unwrap();
        drop((kept, plain));
        assert_eq!(at_kept.read(&mut [0]).unwrap(), 0);
        let still_open = at_plain.read(&mut [0]).unwrap_err();
        assert_eq!(still_open.kind(), std::io::ErrorKind::WouldBlock);
        drop(child);
    }

    #[test]
    fn a_child_has_a_value_of_its_own_and_leaves_the_parents_alone() {
        struct Named(u32, UnixStream);
        impl Drop for Named {
            fn drop(&mut self) {
                let _ = self.1.write_all(&[self.0 as u8]);
            }
        }
        let (mut told, tells) = UnixStream::pair().unwrap();
        told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let make = |name| Ok::<_, std::io::Error>(Named(name, tells.try_clone()?));
        let value = RefCell::new(Some(PerProcess::new()));
        let named = |name| {
            let value = value.borrow();
            value.as_ref().unwrap().get_or_init(|| make(name)).unwrap().0
        };
        assert_eq!((named(1), named(2)), (1, 1));
        let parent = std::process::id();
        let child = sleeping_child(|| {
            assert!(value.borrow().as_ref().unwrap().get().is_none());
            let text = [named(3) as u8, u8::from(std::process::id() != parent)];
            (&tells).write_all(&text).unwrap();
            drop(value.take());
            (&tells).write_all(&[9]).unwrap();
        });
        // 3 once more as it is dropped; the parent's 1 is not.
        let mut heard = [0; 4];
        told.read_exact(&mut heard).unwrap();
        assert_eq!(heard, [3, 1, 3, 9]);
        assert_eq!(named(4), 1);
        drop(child);
    }
}
