//! A store with a coordinator of its own, and the program to ask it with.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sutra_client::Client;
use tempfile::TempDir;

/// What the program did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn new(output: Output) -> Ran {
        Ran {
            code: output.status.code().expect("the program ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its output as JSON; it must have ended with `code`.
    pub fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `sutra` in a folder.
pub fn sutra_in(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sutra"));
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may have ended before it is written.
    let _ = child.stdin.take().unwrap().write_all(input);
    Ran::new(child.wait_with_output().unwrap())
}

/// A folder with a store named `store`, served until the end of the test.
#[derive(Debug)]
pub struct Served {
    folder: TempDir,
    coordinator: Child,
}

impl Served {
    /// Serves an empty store, with these arguments besides.
    pub fn new(arguments: &[&str]) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("coordinator.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sutra"));
        command.args(["serve", "store"]).args(arguments).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut coordinator = command.spawn().unwrap();
        let started = Instant::now();
        while Client::connect(folder.path().join("store")).is_err() {
            let ended = coordinator.try_wait().unwrap();
            let log = || fs::read_to_string(folder.path().join("coordinator.log"));
            assert!(ended.is_none(), "the coordinator ended: {:?}", log());
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "no coordinator after 60 s: {:?}",
                log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Served { folder, coordinator }
    }

    /// Kills the coordinator, as a crash would.
    pub fn kill(&mut self) {
        self.coordinator.kill().unwrap();
        self.coordinator.wait().unwrap();
    }

    /// Stops the coordinator and waits for its end.
    pub fn stop(&mut self) {
        assert_eq!(self.sutra(&["stop", "store"]).code, 0);
        assert!(self.coordinator.wait().unwrap().success());
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Runs `sutra` there.
    pub fn sutra(&self, arguments: &[&str]) -> Ran {
        self.sutra_with(arguments, b"")
    }

    /// Runs `sutra` there with something on standard input.
    pub fn sutra_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        sutra_in(self.folder.path(), arguments, input)
    }

    /// Runs `sutra` there, which must end with 0, and reads its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.sutra(&[arguments, &["--json"]].concat()).json(0)
    }

    /// Imports these lines, which must all be good.
    pub fn import(&self, lines: &str) -> Value {
        self.sutra_with(&["import", "store", "-", "--json"], lines.as_bytes()).json(0)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.coordinator.kill();
        let _ = self.coordinator.wait();
    }
}

/// Vectors as numpy.save writes them: float32, one row after the other.
pub fn npy(shape: &str, elements: &[f32]) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let text = format!("{text:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(elements.iter().flat_map(|element| element.to_le_bytes()));
    bytes
}

/// The keys of a JSON object, sorted.
pub fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
