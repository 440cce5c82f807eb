//! The demo's temporary folder and its processes, and that nothing of them is left behind.
//!
//! Whichever way the demo ends (done, failed, panicked, interrupted), [`Stage::end`] runs once: it
//! kills the processes that were started here, by their handles, waits for them, and removes the
//! folder.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

use super::message::{Answer, Ask};
use crate::exit::Failure;

/// Lines of the coordinator's log that a failure shows.
const LOG_LINES_SHOWN: usize = 20;

/// What must be gone at the end.
#[derive(Debug)]
struct Props {
    folder: Option<TempDir>,
    children: Vec<Child>,
}

/// A process that was started, and its pipes.
#[derive(Debug)]
struct Started {
    pid: u32,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
}

/// See the module.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    executable: PathBuf,
    props: Arc<Mutex<Props>>,
}

impl Stage {
    /// Makes the folder, and sees to it that an interrupt removes it.
    pub fn new() -> Result<Stage, Failure> {
        let failed =
            |what: &str, error: std::io::Error| Failure::store(format!("{what} ({error})"));
        let executable = std::env::current_exe()
            .map_err(|error| failed("this program's own path is not known", error))?;
        let props = Arc::new(Mutex::new(Props { folder: None, children: Vec::new() }));
        // Before there is anything to leave behind.
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| failed("signals cannot be caught", error))?;
        let at_signal = Arc::clone(&props);
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Held to the end: nothing new is started between the cleaning and the exit.
                let mut props = lock(&at_signal);
                props.clear();
                std::process::exit(128 + signal);
            }
        });
        let folder = {
            let mut props = lock(&props);
            let folder = tempfile::Builder::new().prefix("sutra-demo-").tempdir().map_err(|error| {
                failed("no temporary folder could be made; set TMPDIR to a place that can be written", error)
            })?;
            props.folder.insert(folder).path().to_owned()
        };
        Ok(Stage { folder, executable, props })
    }

    /// Where the store goes.
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// A path for a file in the temporary folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts `sutra serve STORE`; gives its pid. What it logs goes to a file in the folder.
    pub fn start_coordinator(&self) -> Result<u32, Failure> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("coordinator.log"))
            .map_err(Failure::store)?;
        let mut command = Command::new(&self.executable);
        command
            .arg("serve")
            .arg(self.store())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.start(command).map(|started| started.pid)
    }

    /// Starts a reader process.
    pub fn start_reader(&self) -> Result<ReaderProcess, Failure> {
        let mut command = Command::new(&self.executable);
        command.arg("demo-reader").arg(self.store()).stdin(Stdio::piped()).stdout(Stdio::piped());
        match self.start(command)? {
            Started { pid, stdin: Some(stdin), stdout: Some(stdout) } => {
                Ok(ReaderProcess { pid, stdin, stdout: BufReader::new(stdout) })
            }
            Started { pid, .. } => {
                Err(Failure::store(format!("reader process {pid} was started without its pipes")))
            }
        }
    }

    /// SIGKILL to one of the processes started here, and waits until it is gone.
    pub fn kill(&self, pid: u32) -> Result<(), Failure> {
        let mut props = lock(&self.props);
        let place = props.children.iter().position(|child| child.id() == pid);
        let Some(place) = place else {
            return Err(Failure::store(format!("process {pid} was not started by this demo")));
        };
        let mut child = props.children.swap_remove(place);
        child.kill().and_then(|()| child.wait()).map_err(Failure::store)?;
        Ok(())
    }

    /// Whether a process started here has ended by itself.
    pub fn has_ended(&self, pid: u32) -> bool {
        let mut props = lock(&self.props);
        let child = props.children.iter_mut().find(|child| child.id() == pid);
        child.is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Waits until a process started here has ended by itself.
    pub fn wait(&self, pid: u32) -> Result<(), Failure> {
        while !self.has_ended(pid) {
            thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(())
    }

    /// The last lines that the coordinator logged.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.file("coordinator.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// Ends every process started here and removes the folder.
    pub fn end(&self) {
        lock(&self.props).clear();
    }

    fn start(&self, mut command: Command) -> Result<Started, Failure> {
        // A Ctrl-C on the terminal is for the demo alone, which then ends the others.
        command.process_group(0);
        // Under the lock, so that an interrupt finds every process that was started.
        let mut props = lock(&self.props);
        let mut child = command.spawn().map_err(|error| {
            Failure::store(format!("{} cannot be started ({error})", self.executable.display()))
        })?;
        let started =
            Started { pid: child.id(), stdin: child.stdin.take(), stdout: child.stdout.take() };
        props.children.push(child);
        Ok(started)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end();
    }
}

impl Props {
    fn clear(&mut self) {
        for child in &mut self.children {
            // An error means that it has ended already; a handle never names another process.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.children.clear();
        if let Some(folder) = self.folder.take() {
            let path = folder.path().to_owned();
            if let Err(error) = folder.close() {
                eprintln!(
                    "sutra: {} could not be removed ({error}); remove it by hand",
                    path.display()
                );
            }
        }
    }
}

fn lock(props: &Mutex<Props>) -> MutexGuard<'_, Props> {
    props.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that reads the store and answers questions about it.
#[derive(Debug)]
pub struct ReaderProcess {
    /// Its process.
    pub pid: u32,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl ReaderProcess {
    /// Asks, and waits for the answer.
    pub fn ask(&mut self, ask: &Ask) -> Result<Answer, Failure> {
        self.send(ask)?;
        self.receive()
    }

    /// Asks without waiting.
    pub fn send(&mut self, ask: &Ask) -> Result<(), Failure> {
        let mut text = serde_json::to_string(ask).map_err(Failure::store)?;
        text.push('\n');
        self.stdin.write_all(text.as_bytes()).map_err(|error| self.gone(&error.to_string()))
    }

    /// Waits for the next answer.
    pub fn receive(&mut self) -> Result<Answer, Failure> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            Ok(0) => Err(self.gone("its output ended")),
            Err(error) => Err(self.gone(&error.to_string())),
            Ok(_) => match serde_json::from_str(&line).map_err(Failure::store)? {
                Answer::Failed { message } => {
                    Err(Failure::store(format!("reader process {}: {message}", self.pid)))
                }
                answer => Ok(answer),
            },
        }
    }

    fn gone(&self, what: &str) -> Failure {
        Failure::store(format!("reader process {} is gone ({what})", self.pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stage_removes_its_folder_and_its_processes() {
        let stage = Stage::new().unwrap();
        let folder = stage.folder.clone();
        fs::write(stage.file("left-over"), "x").unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let pid = stage.start(command).unwrap().pid;
        assert!(folder.exists() && !stage.has_ended(pid));
        stage.end();
        assert!(!folder.exists() && stage.has_ended(pid));
    }

    #[test]
    fn only_processes_of_the_stage_can_be_killed_through_it() {
        let stage = Stage::new().unwrap();
        assert!(stage.kill(std::process::id()).is_err());
    }
}
