//! A reader process, as the one that started it sees it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use super::message::{Answer, Ask, Measured, Memory, Mode, Task};
use crate::peers::Contender;
use crate::workload::Workload;

/// A process that reads one store. It ends when this is dropped.
#[derive(Debug)]
pub struct ReaderProcess {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl ReaderProcess {
    /// Starts one. `number` tells those that read the same things at once apart.
    pub fn start(
        contender: Contender,
        store: &Path,
        workload: &Workload,
        number: u64,
    ) -> anyhow::Result<ReaderProcess> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("reader")
            .arg(contender.name())
            .arg(store)
            .args(["--number", &number.to_string()])
            .args(["--concepts", &workload.concepts.to_string()])
            .args(["--seed", &workload.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a reader process could not be started")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("a reader without a pipe")?;
        let mut process = ReaderProcess { child, input, output: BufReader::new(output) };
        process.expect_ready()?;
        Ok(process)
    }

    /// Reads, and waits for the figures.
    pub fn read(&mut self, task: Task, mode: Mode, millis: u64) -> anyhow::Result<Measured> {
        self.begin(task, mode, millis)?;
        self.measured()
    }

    /// Has it read; the figures come with [`ReaderProcess::measured`].
    pub fn begin(&mut self, task: Task, mode: Mode, millis: u64) -> anyhow::Result<()> {
        self.ask(Ask::Read(task, mode, millis))
    }

    /// The figures of what was begun.
    pub fn measured(&mut self) -> anyhow::Result<Measured> {
        match self.answer()? {
            Answer::Measured(measured) => Ok(measured),
            other => bail!("a reader answered {other:?} to a measurement"),
        }
    }

    /// The sum over some reads that are the same in every store.
    pub fn check(&mut self, task: Task) -> anyhow::Result<u64> {
        self.ask(Ask::Check(task))?;
        match self.answer()? {
            Answer::Digest(digest) => Ok(digest),
            other => bail!("a reader answered {other:?} to a check"),
        }
    }

    /// Opens the store so many times anew, with a get each.
    pub fn open(&mut self, count: u32) -> anyhow::Result<Measured> {
        self.ask(Ask::Open(count))?;
        self.measured()
    }

    /// Opens the store with a get, and keeps it open.
    pub fn open_and_hold(&mut self) -> anyhow::Result<()> {
        self.ask(Ask::OpenAndHold)?;
        self.expect_ready()
    }

    /// What the process takes.
    pub fn memory(&mut self) -> anyhow::Result<Memory> {
        self.ask(Ask::Memory)?;
        match self.answer()? {
            Answer::Memory(memory) => Ok(memory),
            other => bail!("a reader answered {other:?} to a question for its memory"),
        }
    }

    /// Has it note when versions come, until one at or above `lsn`; returns once it looks.
    pub fn watch(&mut self, lsn: u64) -> anyhow::Result<()> {
        self.ask(Ask::Watch(lsn))?;
        self.expect_ready()
    }

    /// The LSN and the time of each version that it saw.
    pub fn seen(&mut self) -> anyhow::Result<Vec<(u64, u64)>> {
        match self.answer()? {
            Answer::Seen(seen) => Ok(seen),
            other => bail!("a reader answered {other:?} to a watch"),
        }
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status()?;
        anyhow::ensure!(status.success(), "SIG{name} could not be sent to a reader");
        Ok(())
    }

    /// Ends it, whatever state it is in.
    pub fn end(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill()?)
    }

    fn ask(&mut self, ask: Ask) -> anyhow::Result<()> {
        let line = serde_json::to_string(&ask)? + "\n";
        let input = self.input.as_mut().context("the reader has ended")?;
        Ok(input.write_all(line.as_bytes())?)
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("a reader process ended: {}", self.child.wait()?);
        }
        Ok(serde_json::from_str(&line)?)
    }

    fn expect_ready(&mut self) -> anyhow::Result<()> {
        match self.answer()? {
            Answer::Ready => Ok(()),
            other => bail!("a reader answered {other:?} where it should be ready"),
        }
    }
}

impl Drop for ReaderProcess {
    fn drop(&mut self) {
        self.input = None; // its input ends, and so does it
        let _ = self.child.wait();
    }
}
