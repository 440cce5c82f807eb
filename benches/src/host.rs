//! The coordinator under test: this binary, started again as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use sutra_client::Client;
use sutra_coordinator::{Options, SyncMode};
use sutra_layout::space::GraphSettings;

/// How long a coordinator may take from its start to its first answer.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// What the hidden subcommand takes.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    store: PathBuf,
    /// Whether the log is never synced
    #[arg(long)]
    unsynced: bool,
}

/// Serves a store until it is stopped: the child's side.
pub fn serve(args: &ServeArgs, graph: GraphSettings) -> anyhow::Result<()> {
    let mut options = Options::new(&args.store);
    options.program = "sutra-benches".to_owned();
    if args.unsynced {
        options.sync = SyncMode::Off;
    }
    options.graph = graph;
    Ok(sutra_coordinator::run(options)?)
}

/// How a kill and what followed went.
#[derive(Clone, Copy, Debug)]
pub struct Restart {
    /// When it was killed.
    pub killed_at: Instant,
    /// From there until the kernel had taken the process away.
    pub gone: Duration,
    /// From there until another answered.
    pub serving: Duration,
}

/// A coordinator process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Coordinator {
    child: Child,
    store: PathBuf,
}

impl Coordinator {
    /// Starts one that syncs its log before it acknowledges anything as durable, and waits until it
    /// answers.
    pub fn start(store: &Path) -> anyhow::Result<Coordinator> {
        let mut coordinator = Coordinator::spawn(store, &[])?;
        coordinator.wait_until_it_answers()?;
        Ok(coordinator)
    }

    /// Starts one that never syncs its log.
    pub fn start_unsynced(store: &Path) -> anyhow::Result<Coordinator> {
        let mut coordinator = Coordinator::spawn(store, &["--unsynced"])?;
        coordinator.wait_until_it_answers()?;
        Ok(coordinator)
    }

    /// Starts one that never syncs its log, and builds the graph of vectors as `arguments` say.
    pub fn start_of_vectors(store: &Path, arguments: &[String]) -> anyhow::Result<Coordinator> {
        let mut all = vec!["--unsynced"];
        all.extend(arguments.iter().map(String::as_str));
        let mut coordinator = Coordinator::spawn(store, &all)?;
        coordinator.wait_until_it_answers()?;
        Ok(coordinator)
    }

    fn spawn(store: &Path, arguments: &[&str]) -> anyhow::Result<Coordinator> {
        let child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(store)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("the coordinator could not be started")?;
        let store = store.to_owned();
        Ok(Coordinator { child, store })
    }

    fn wait_until_it_answers(&mut self) -> anyhow::Result<Client> {
        let began = Instant::now();
        loop {
            match self.connect() {
                Ok(client) => return Ok(client),
                Err(error) => {
                    if let Some(status) = self.child.try_wait()? {
                        bail!("the coordinator ended with {status}");
                    }
                    if began.elapsed() > START_TIMEOUT {
                        return Err(error);
                    }
                }
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// A connection to it.
    pub fn connect(&self) -> anyhow::Result<Client> {
        let client = Client::builder(&self.store).author("sutra-benches");
        Ok(client.connect()?)
    }

    /// A connection that sends what is submitted once it comes to `size` bytes.
    pub fn connect_gathering(&self, size: usize) -> anyhow::Result<Client> {
        let client = Client::builder(&self.store).author("sutra-benches").gather(size);
        Ok(client.connect()?)
    }

    /// Kills it as a crash would, starts another, and waits until that one answers.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<Restart> {
        let killed_at = Instant::now();
        self.child.kill()?;
        self.child.wait()?;
        let gone = killed_at.elapsed();
        *self = Coordinator::spawn(&self.store, &[])?;
        self.wait_until_it_answers()?;
        Ok(Restart { killed_at, gone, serving: killed_at.elapsed() })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds that its threads have run, in all.
    pub fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
                continue; // it ended meanwhile
            };
            let run = text.split_whitespace().next().unwrap_or_default();
            sum += run.parse::<u64>().context("schedstat holds no number")?;
        }
        Ok(sum)
    }

    /// Page faults of all its threads: most are first stores to a page since its last sync.
    pub fn page_faults(&self) -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the program's name: the state is the first field, faults are the eighth and tenth.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        let sum = number(7).zip(number(9)).map(|(minor, major)| minor + major);
        sum.context("the kernel tells no page faults")
    }

    /// Stops it cleanly.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.connect()?.stop()?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the coordinator ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
