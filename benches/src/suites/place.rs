//! Where the stores are, and stores with the workload in them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::board::Board;
use crate::host::Coordinator;
use crate::load;
use crate::peers::{Contender, Writing};
use crate::reading::ReaderProcess;
use crate::settings::Settings;
use crate::workload::{Contents, Edge, Workload};

/// A file beside a store that says which workload is in it, untouched.
const MARK: &str = "loaded";

/// A temporary folder, and perhaps one that stays.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    pub settings: Settings,
    pub workload: Workload,
}

impl Place {
    /// Makes the folder.
    pub fn new(settings: &Settings) -> anyhow::Result<Place> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("sutra-benches-");
        let folder = match &settings.dir {
            Some(dir) => builder.tempdir_in(dir),
            None => builder.tempdir(),
        };
        Ok(Place {
            folder: folder.context("no folder for the stores could be made; name one by --dir")?,
            settings: settings.clone(),
            workload: settings.workload(),
        })
    }

    /// A path in the temporary folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Those of `wanted` that are here and were asked for; the board is told why others are not.
    pub fn choose(
        &self,
        suite: &'static str,
        wanted: &[Contender],
        board: &mut Board,
    ) -> Vec<Contender> {
        let asked = &self.settings.peers;
        let mut chosen = Vec::new();
        for &contender in wanted {
            if contender != Contender::Sutra && !asked.is_empty() && !asked.contains(&contender) {
                continue;
            }
            match contender.absence() {
                Some(why) => board.leave_out(suite, contender.name(), why),
                None => chosen.push(contender),
            }
        }
        chosen
    }

    /// The same, without ourselves.
    pub fn choose_peers(
        &self,
        suite: &'static str,
        wanted: &[Contender],
        board: &mut Board,
    ) -> Vec<Contender> {
        let mut chosen = self.choose(suite, wanted, board);
        chosen.retain(|contender| *contender != Contender::Sutra);
        chosen
    }

    /// Stores of these contenders with the workload in them; the coordinator goes on serving ours.
    pub fn stores(&self, contenders: &[Contender]) -> anyhow::Result<Stores<'_>> {
        let folder = match &self.settings.stores {
            Some(dir) => dir.join(format!("{}-{}", self.workload.concepts, self.workload.seed)),
            None => self.folder.path().to_owned(),
        };
        std::fs::create_dir_all(&folder)?;
        let mut filling = Filling { place: self, folder: &folder, made: None };
        for &contender in contenders {
            filling.fill(contender)?;
        }
        if filling.made.is_some() {
            rustix::fs::sync(); // what was filled is not to be written back beside what is measured
        }
        let coordinator = Coordinator::start(&folder.join(Contender::Sutra.name()))?;
        let redis = contenders
            .contains(&Contender::Redis)
            .then(|| Contender::Redis.open_to_write(&folder.join(Contender::Redis.name()), false));
        Ok(Stores { place: self, coordinator, redis: redis.transpose()?, folder })
    }

    /// Leaves the folder where it is, if that was asked for.
    pub fn leave(mut self) {
        if self.settings.keep {
            self.folder.disable_cleanup(true);
            eprintln!("the stores are in {}", self.folder.path().display());
        }
    }
}

/// Stores that are being filled, where they are not.
struct Filling<'p> {
    place: &'p Place,
    folder: &'p Path,
    made: Option<(Contents, Vec<Edge>)>,
}

impl Filling<'_> {
    fn fill(&mut self, contender: Contender) -> anyhow::Result<()> {
        let store = self.folder.join(contender.name());
        let mark = mark_of(self.folder, contender);
        if contender == Contender::Petgraph || mark.exists() {
            return Ok(());
        }
        let workload = &self.place.workload;
        eprintln!("loading {} concepts and their edges: {}", workload.concepts, contender.name());
        if store.exists() {
            std::fs::remove_dir_all(&store)?;
        }
        let make = || (Contents::new(workload), workload.edges());
        let (contents, edges) = self.made.get_or_insert_with(make);
        if contender == Contender::Sutra {
            let coordinator = Coordinator::start(&store)?;
            let mut client = coordinator.connect()?;
            load::concepts(&mut client, workload, contents)?;
            load::edges(&mut client, workload, edges)?;
            client.flush()?;
            coordinator.stop()?;
        } else {
            let mut peer = contender.open_to_write(&store, false)?;
            peer.load_concepts(workload, contents)?;
            peer.load_edges(edges)?;
        }
        Ok(std::fs::write(mark, "")?)
    }
}

fn mark_of(folder: &Path, contender: Contender) -> PathBuf {
    folder.join(format!("{}.{MARK}", contender.name()))
}

/// A store of each contender with the workload in it.
pub struct Stores<'p> {
    pub place: &'p Place,
    pub coordinator: Coordinator,
    /// Its server runs as long as this is held.
    redis: Option<Box<dyn Writing>>,
    folder: PathBuf,
}

impl Stores<'_> {
    /// Where a contender's store is.
    pub fn path(&self, contender: Contender) -> PathBuf {
        self.folder.join(contender.name())
    }

    /// Starts a process that reads one of them.
    pub fn reader(&self, contender: Contender, number: u64) -> anyhow::Result<ReaderProcess> {
        let store = match contender {
            Contender::Petgraph => self.folder.clone(), // it reads no file
            other => self.path(other),
        };
        ReaderProcess::start(contender, &store, &self.place.workload, number)
    }

    /// To be called before a store is written: it is not used again by another run.
    pub fn touch(&self, contender: Contender) -> anyhow::Result<()> {
        let mark = mark_of(&self.folder, contender);
        if mark.exists() {
            std::fs::remove_file(mark)?;
        }
        Ok(())
    }

    /// Stops the servers.
    pub fn stop(self) -> anyhow::Result<()> {
        drop(self.redis);
        self.coordinator.stop()
    }
}
