//! A process that a story started, to be signalled by its pid and gone with the story.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sutra_coordinator::{KILL_AT, KillPoint, PLANTED, Plant};

use crate::wait;

/// Where the program of the roles is: beside the test that runs.
///
/// # Panics
/// If it is not there: cargo makes it with the tests.
pub fn host_program() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its program");
    if own.file_name().is_some_and(|name| name == "sutra-test-golden") {
        return own;
    }
    let mut folders = own.ancestors().skip(1);
    let found = folders.find_map(|folder| {
        let program = folder.join("sutra-test-host");
        program.is_file().then_some(program)
    });
    found.unwrap_or_else(|| panic!("no sutra-test-host beside {}", own.display()))
}

/// A child of this process. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    errors: PathBuf,
}

impl Process {
    /// Starts the host in a role; what it has to say about errors goes to the file `errors`.
    pub fn start(arguments: &[OsString], errors: &Path) -> Process {
        Process::run(&mut Command::new(host_program()), arguments, errors)
    }

    /// Likewise; it kills itself when it reaches that point, and has that bug.
    pub fn start_spoilt(
        arguments: &[OsString],
        errors: &Path,
        point: Option<KillPoint>,
        bug: Option<Plant>,
    ) -> Process {
        let mut command = Command::new(host_program());
        command.envs(point.map(|point| (KILL_AT, format!("{point:?}"))));
        command.envs(bug.map(|bug| (PLANTED, format!("{bug:?}"))));
        Process::run(&mut command, arguments, errors)
    }

    /// Likewise as another user; only root may. The program is copied to `folder`, where that user
    /// can run it.
    pub fn start_as(
        (uid, gid): (u32, u32),
        folder: &Path,
        arguments: &[OsString],
        errors: &Path,
    ) -> Process {
        let program = folder.join("sutra-test-host");
        if !program.exists() {
            std::fs::copy(host_program(), &program).expect("the host can be copied");
        }
        Process::run(Command::new(program).uid(uid).gid(gid), arguments, errors)
    }

    fn run(command: &mut Command, arguments: &[OsString], errors: &Path) -> Process {
        let file = File::create(errors).expect("the file for a child's errors can be made");
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the host starts");
        Process {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            child,
            errors: errors.to_owned(),
        }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed());
        kill(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until("the end of a child", || self.wait_within(Duration::ZERO))
    }

    /// How it ended, if it does within that time.
    pub fn wait_within(&mut self, deadline: Duration) -> Option<ExitStatus> {
        wait::within(deadline, || self.child.try_wait().ok().flatten())
    }

    /// The next line it prints; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("a child has an output");
        stdout.read_line(&mut line).expect("a child prints text");
        line.trim_end().to_owned()
    }

    /// Gives it a line.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("a child has an input");
        // One that has ended already says why on its own.
        let _ = writeln!(stdin, "{line}");
    }

    /// What it said about errors so far.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
