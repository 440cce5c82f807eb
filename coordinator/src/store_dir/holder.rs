//! Who writes the store: a courtesy to whoever is refused. Nothing rests on it but a message.
//!
//! A few lines of `name value`, in `writer.lock` and in `wal/holder`:
//!
//! | line            | meaning                                                        |
//! |-----------------|----------------------------------------------------------------|
//! | `pid`           | the process, as it is numbered in its own pid namespace        |
//! | `program`       | what it is                                                     |
//! | `socket`        | where it listens, as an absolute path; without it, nowhere     |
//! | `started_at_us` | when it took the locks, in microseconds since the Unix epoch   |
//!
//! Written by the holder of the locks, and erased by it when it stops. After a kill the dead
//! writer's lines remain until the next one writes its own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::Directory;
use super::error::StoreDirError;
use super::{LOCK_NAME, PRIVATE_MODE};

const HOLDER_NAME: &str = "holder";
/// Enough for the longest path and more; what is beyond is not read.
const TEXT_SIZE_MAX: u64 = 8192;
/// A holder that has just taken the locks gets this long, altogether, to say who it is: 100 ms,
/// while a second coordinator is to be refused within a second.
pub(super) const LOOKS: u32 = 20;
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: Option<u32>,
    pub(super) program: Option<String>,
    pub(super) socket: Option<PathBuf>,
}

impl Holder {
    pub(super) fn this_process(program: &str, socket: Option<&Path>) -> Holder {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Holder {
            pid: Some(std::process::id()),
            program: Some(program.to_owned()),
            socket: socket.map(absolute),
        }
    }

    fn text(&self, started_at_us: u64) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            text.push_str(name);
            text.push(' ');
            // A line is a line, whatever a path holds.
            text.push_str(&value.replace(char::is_control, "?"));
            text.push('\n');
        };
        if let Some(pid) = self.pid {
            line("pid", &pid.to_string());
        }
        if let Some(program) = &self.program {
            line("program", program);
        }
        if let Some(socket) = &self.socket {
            line("socket", &socket.to_string_lossy());
        }
        line("started_at_us", &started_at_us.to_string());
        text
    }

    fn parse(text: &str) -> Holder {
        let mut holder = Holder::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match name {
                "pid" => holder.pid = value.parse().ok(),
                "program" => holder.program = Some(value.to_owned()),
                "socket" => holder.socket = Some(PathBuf::from(value)),
                _ => {}
            }
        }
        holder
    }

    fn read(directory: &Directory, name: &str) -> Option<Holder> {
        let file = directory.open_file_to_read(name).ok()??;
        let mut bytes = Vec::new();
        file.take(TEXT_SIZE_MAX).read_to_end(&mut bytes).ok()?;
        Some(Holder::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Known, and seen to be there. A process of another namespace is never seen.
    fn is_alive(&self) -> bool {
        self.pid.is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
    }
}

/// Writes who has the locks. A full disk keeps nobody from starting: it costs only the name.
pub(super) fn announce(holder: &Holder, lock: &File, wal: &Directory) {
    let text = holder.text(sutra_layout::sys::clock::now_us());
    let written = write(lock, &text)
        .and_then(|()| wal.open_or_create(HOLDER_NAME, PRIVATE_MODE))
        .and_then(|file| write(&file, &text));
    if let Err(error) = written {
        tracing::warn!("could not write who writes the store to {}: {error}", wal.path().display());
    }
}

fn write(file: &File, text: &str) -> io::Result<()> {
    // Not emptied first, so that who reads meanwhile finds one holder or the other.
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

/// Erases what [`announce`] wrote, before the locks are released.
pub(super) fn withdraw(lock: &File, wal: &Directory) {
    // Lines of the past mislead nobody for longer than the next holder needs to write its own.
    let _ = lock.set_len(0);
    let _ = wal.unlink(HOLDER_NAME);
}

/// The error for whoever does not get the locks.
pub(super) fn held(directory: &Directory, wal: &Directory, looks: u32) -> StoreDirError {
    let mut holder = Holder::default();
    for look in 0..looks {
        if look > 0 {
            std::thread::sleep(LOOK_INTERVAL);
        }
        let places = [(wal, HOLDER_NAME), (directory, LOCK_NAME)];
        let found = places.iter().filter_map(|(place, name)| Holder::read(place, name));
        for found in found {
            if found.pid.is_some() && (holder.pid.is_none() || found.is_alive()) {
                holder = found;
            }
        }
        if holder.is_alive() {
            break;
        }
    }
    let Holder { pid, program, socket } = holder;
    StoreDirError::Held { store: directory.path().to_owned(), pid, program, socket }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_holder_writes_of_itself_is_read_back() {
        let holder = Holder {
            pid: Some(4121),
            program: Some("sutra serve".to_owned()),
            socket: Some(PathBuf::from("/var/lib/sutra/a store/coordinator.sock")),
        };
        let text = holder.text(1_763_640_000_000_000);
        assert_eq!(
            text,
            "pid 4121\nprogram sutra serve\nsocket /var/lib/sutra/a store/coordinator.sock\n\
             started_at_us 1763640000000000\n"
        );
        assert_eq!(Holder::parse(&text), holder);
    }

    #[test]
    fn a_line_break_in_a_name_makes_no_line() {
        let holder = Holder { program: Some("a\npid 1".to_owned()), ..Holder::default() };
        assert_eq!(Holder::parse(&holder.text(0)).pid, None);
    }

    #[test]
    fn garbage_names_nobody() {
        for text in ["", "\n\n", "pid\n", "pid -4\n", "pid 4121x\nnoise", "\u{fffd}\u{fffd}"] {
            assert_eq!(Holder::parse(text), Holder::default(), "{text:?}");
        }
    }
}
